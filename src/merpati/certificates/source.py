"""Where a certificate and its key lie, and what lies there now."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from merpati.wire.errors import TlsError

LONGEST = 1024 * 1024
"""Octets of a file that are read: a chain of ten certificates takes 20 KB."""
MAX_SOURCES = 10_000
"""Certificates of one directory that are looked at."""
_KEYS = {"fullchain.pem": "privkey.pem", "tls.crt": "tls.key"}
"""Names that programs which renew certificates give to the two in a directory for each host:
certbot and those that follow it, Kubernetes."""

Signature = tuple[int, ...]
"""What changes whenever one of the files does."""


@dataclass(frozen=True, slots=True)
class Source:
    """PEM files of a chain, the server's own certificate first, and of its key; may be one file."""

    chain: Path
    key: Path

    def __str__(self) -> str:
        return str(self.chain)


@dataclass(frozen=True, slots=True)
class Files:
    """What was in them."""

    signature: Signature
    chain: bytes
    key: bytes


class Reader(Protocol):
    """Who looks into the files."""

    def read(self, source: Source, known: Signature | None) -> Files | None:
        """What is there now, or None while it is what `known` was made of. Raises OSError.
        Blocks."""
        ...

    def sources_in(self, folder: Path) -> tuple[Source, ...]:
        """Every certificate in a directory (`sources_in`). TlsError where that cannot be learned
        now: none would mean that they are gone. Blocks."""
        ...


class OwnReader:
    """Reads with the rights that this process has."""

    def read(self, source: Source, known: Signature | None) -> Files | None:
        """See `Reader`. What is written to meanwhile has another signature at the next look."""
        signature = _signature(source.chain) + _signature(source.key)
        if signature == known:
            return None
        return Files(signature, _content(source.chain), _content(source.key))

    def sources_in(self, folder: Path) -> tuple[Source, ...]:
        """See `Reader`."""
        return sources_in(folder)


def _signature(file: Path) -> Signature:
    found = file.stat()
    # ctime tells of a change of rights, too: what could not be read may be readable now.
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _content(file: Path) -> bytes:
    # A pipe or device in its place must not stop us.
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(None, "is no file", str(file))
        return opened.read(LONGEST)


def sources_in(folder: Path) -> tuple[Source, ...]:
    """Every certificate in a directory, by name: `NAME.pem` beside `NAME.key`, or a directory NAME
    with `fullchain.pem` and `privkey.pem`, or `tls.crt` and `tls.key`.

    None where there is no such directory, or it is not for us. TlsError where the system is in need
    (of descriptors, say): for want of an answer nothing is gone.
    """
    try:
        names = sorted(one.name for one in os.scandir(folder))[:MAX_SOURCES]
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return ()
    except OSError as error:
        raise TlsError(f"{folder} cannot be looked into: {error.strerror}") from error
    return tuple(source for name in names for source in _named(folder, name, set(names)))


def _named(folder: Path, name: str, names: set[str]) -> Iterator[Source]:
    stem, dot, kind = name.rpartition(".")
    if dot and kind == "pem" and f"{stem}.key" in names:
        yield Source(folder / name, folder / f"{stem}.key")
    elif kind not in {"pem", "key"}:
        for chain, key in _KEYS.items():
            if (folder / name / chain).exists():
                yield Source(folder / name / chain, folder / name / key)
