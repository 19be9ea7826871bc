"""Reads certificates whose keys are for root's eyes alone, for processes that are root no more.

A child is made before privileges are dropped. It listens to the processes of this server alone, and
opens no file but those of certificates that the configuration named at the start, where nobody but
root could have put another in their place: what it gives out, every worker has in its memory
anyway. It ends when the last of them does.
"""

import os
import pwd
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from merpati.certificates.source import Files, OwnReader, Signature, Source
from merpati.clock import SystemClock
from merpati.config.advice import may_read
from merpati.config.certificates import operators
from merpati.config.settings import Settings
from merpati.system.log import Log
from merpati.wire.errors import TlsError

_LONGEST = 4 * 1024 * 1024
_PATIENCE = 10.0


class _Wish(msgspec.Struct, frozen=True):
    """What a process asks for; without a source for the list of all."""

    source: tuple[str, str] | None = None
    known: Signature | None = None


class _Answer(msgspec.Struct, frozen=True):
    """What it gets."""

    error: str = ""
    sources: tuple[tuple[str, str], ...] = ()
    files: tuple[Signature, bytes, bytes] | None = None


_encode = msgspec.msgpack.encode


def is_needed(settings: Settings, user: pwd.struct_passwd) -> bool:
    """Whether there are certificates that this user cannot read."""
    tls = settings.document.tls
    folder = settings.path(tls.directory) if tls and tls.directory else None
    told = operators(settings, OwnReader())
    wanted = [file for source in told for file in (source.chain, source.key)]
    return any(file.exists() and not may_read(user, file) for file in wanted) or bool(
        folder and not may_read(user, folder)
    )


class Keeper:
    """Implements Reader. Made while we are root."""

    def __init__(self, settings: Settings) -> None:
        self._own = OwnReader()
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line.settimeout(_PATIENCE)
        if not os.fork():
            self._line.close()
            _live(settings, theirs)
        theirs.close()

    def close(self) -> None:
        """We need it no more. We may not end it, being root no longer: it ends by itself."""
        self._line.close()

    def read(self, source: Source, known: Signature | None) -> Files | None:
        """See `Reader`: by ourselves where we may."""
        try:
            return self._own.read(source, known)
        except PermissionError:
            found = self._ask(_Wish((str(source.chain), str(source.key)), known))
        return Files(*found.files) if found.files else None

    def sources_in(self, folder: Path) -> tuple[Source, ...]:
        """See `Reader`."""
        if os.access(folder, os.R_OK | os.X_OK):
            return self._own.sources_in(folder)
        try:
            told = self._ask(_Wish()).sources
        except OSError as error:
            raise TlsError(f"{folder} cannot be looked into: {error.strerror or error}") from error
        found = (Source(Path(chain), Path(key)) for chain, key in told)
        return tuple(one for one in found if folder in one.chain.parents)

    def _ask(self, wish: _Wish) -> _Answer:
        """Over a socket made for this answer, so that several processes and threads can ask."""
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with mine:
            with theirs:
                mine.settimeout(_PATIENCE)
                socket.send_fds(self._line, [_encode(wish)], [theirs.fileno()])
            octets = b"".join(_all_of(mine))
        try:
            answer = msgspec.msgpack.decode(octets, type=_Answer)
        except msgspec.MsgspecError as error:
            raise OSError(None, "who reads the keys ended before it answered") from error
        if answer.error:
            raise OSError(None, answer.error)
        return answer


def _all_of(line: socket.socket) -> Iterator[bytes]:
    while piece := line.recv(65536):
        yield piece


def _live(settings: Settings, line: socket.socket) -> None:
    """The child's whole life; does not return."""
    try:
        for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(name, signal.SIG_IGN)
        _close_all_but(line.fileno())
        Path("/proc/self/comm").write_text("merpati keys")
        _serve(settings, line)
    except Exception as error:
        # Nobody can make another, being root no longer. What our parent writes on is closed here.
        Log(SystemClock(), sys.__stderr__).defect("keys", error)
    finally:
        os._exit(0)


def _close_all_but(kept: int) -> None:
    """What the parent has open, its lock on the data above all, is not to live on in us."""
    for descriptor in [int(one.name) for one in Path("/proc/self/fd").iterdir()]:
        if descriptor > sys.stderr.fileno() and descriptor != kept:
            with suppress(OSError):  # The list itself was open, too.
                os.close(descriptor)


def _serve(settings: Settings, line: socket.socket) -> None:
    while (received := socket.recv_fds(line, 65536, 1))[0]:
        octets, given, _, _ = received
        for descriptor in given:
            with socket.socket(fileno=descriptor) as asker:
                asker.settimeout(_PATIENCE)
                try:
                    answer = _answer(settings, msgspec.msgpack.decode(octets, type=_Wish))
                except (msgspec.MsgspecError, OSError, RuntimeError, TlsError) as error:
                    # RuntimeError: a link that leads to itself, before Python 3.13.
                    answer = _Answer(error=str(error))
                try:
                    asker.sendall(_encode(answer))
                except OSError:
                    continue  # It waits no more.


def _answer(settings: Settings, wish: _Wish) -> _Answer:
    allowed = operators(settings, OwnReader())
    if wish.source is None:
        return _Answer(sources=tuple((str(one.chain), str(one.key)) for one in allowed))
    source = Source(*map(Path, wish.source))
    if source not in allowed:
        return _Answer(error=f"{source}: is new to this server, which has to be restarted for it")
    for file in (source.chain, source.key):
        _insist_on_roots(file)
    found = OwnReader().read(source, wish.known)
    return _Answer(files=None if found is None else (found.signature, found.chain, found.key))


def _insist_on_roots(file: Path) -> None:
    """OSError where another user could decide what we read: by a link, or a directory of theirs."""
    for one in (file, file.resolve(strict=True)):
        if one.lstat().st_uid != 0:
            raise OSError(None, f"{one} is not root's")
        for folder in one.parents:
            status = folder.stat()
            if status.st_uid != 0 or (status.st_mode & 0o022 and not status.st_mode & 0o1000):
                raise OSError(None, f"{folder} can be changed by others than root")
