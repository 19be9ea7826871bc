"""Mailboxes as directories of files, one message each (the Maildir convention).

A message is written under `tmp`, synced, renamed into `new`, and the directory is synced: whoever
reads `new` sees whole messages, and what was reported delivered survives a power cut. Its file name
comes from the message's id, so that a delivery repeated after a crash replaces its own first copy
as long as nobody has read that. Lines end in LF, as programs that read Maildirs expect.

Everything here blocks and belongs into a thread. Directories are opened one inside the other
without following links, so that no name and no link leads out of the tree.
"""

import os
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from merpati.delivery.naming import directory_name
from merpati.mail.address import Address

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDERS = ("tmp", "new", "cur")


@dataclass(frozen=True, slots=True)
class MaildirSettings:
    """Where mail of ours is kept."""

    mail: Path
    """`<mail>/<domain>/<local part>/{new,cur,tmp}`."""
    inbox: Path
    """The one Maildir of the developer's inbox."""
    hostname: str = "localhost"
    """In file names, so that machines may share a file system."""


class Maildirs:
    """All mailboxes of one server. Methods raise OSError."""

    def __init__(self, settings: MaildirSettings) -> None:
        self._settings = settings

    def path(self, address: Address) -> Path:
        """Where a mailbox lies, whether it exists yet or not."""
        domain, local = directory_name(address.domain), directory_name(address.local)
        return self._settings.mail / domain / local

    def mailbox(self, address: Address, unique: str) -> "Incoming":
        """Begin a message for a mailbox, which is made when it is new."""
        return self._begin(self.path(address), self._settings.mail, unique)

    def inbox(self, unique: str) -> "Incoming":
        """Begin a message for the developer's inbox."""
        return self._begin(self._settings.inbox, self._settings.inbox, unique)

    def _begin(self, path: Path, root: Path, unique: str) -> "Incoming":
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{unique}.{directory_name(self._settings.hostname)}"
        with ExitStack() as opened:
            box = os.open(root, _DIRECTORY)
            opened.callback(os.close, box)
            for part in path.relative_to(root).parts:
                box = _enter(box, part)
                opened.callback(os.close, box)
            for folder in reversed(_FOLDERS):
                _make(box, folder)
            tmp = os.open("tmp", _DIRECTORY, dir_fd=box)
            opened.callback(os.close, tmp)
            new = os.open("new", _DIRECTORY, dir_fd=box)
            opened.callback(os.close, new)
            file = _create(tmp, name)
            opened.callback(os.close, file)
            return Incoming(name, tmp, new, file, opened.pop_all())


class Incoming:
    """A message on its way into a mailbox: written in pieces, then committed or discarded."""

    def __init__(self, name: str, tmp: int, new: int, file: int, opened: ExitStack) -> None:
        self._name = name
        self._tmp = tmp
        self._new = new
        self._file = file
        self._opened = opened
        self._size = 0
        self._held_cr = b""

    def write(self, octets: bytes) -> None:
        """Append octets as they are."""
        self._size += len(octets)
        view = memoryview(octets)
        while view:
            view = view[os.write(self._file, view) :]

    def write_lines(self, octets: bytes) -> None:
        """Append lines that end in CRLF as lines that end in LF, right across splits."""
        text = self._held_cr + octets
        self._held_cr = b"\r" if text.endswith(b"\r") else b""
        self.write((text[:-1] if self._held_cr else text).replace(b"\r\n", b"\n"))

    def commit(self) -> str:
        """Return the file's name when the message is on stable storage and to be seen."""
        try:
            self.write(self._held_cr)
            os.fsync(self._file)
            final = f"{self._name},S={self._size}"
            os.rename(self._name, final, src_dir_fd=self._tmp, dst_dir_fd=self._new)
            os.fsync(self._new)
        except OSError:
            self.discard()
            raise
        self._close()
        return final

    def discard(self) -> None:
        """Forget it. Idempotent, also right after `commit`."""
        if self._tmp < 0:
            return
        with suppress(OSError):  # What cannot be removed is swept by whoever cleans `tmp`.
            os.unlink(self._name, dir_fd=self._tmp)
        self._close()

    def _close(self) -> None:
        self._opened.close()
        self._tmp = -1


def headers(lines: Iterable[tuple[str, str]]) -> bytes:
    """Header fields as octets; a value cannot begin another line."""
    return b"".join(f"{name}: {_one_line(value)}\n".encode() for name, value in lines)


def _one_line(value: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in value)


def _enter(parent: int, name: str) -> int:
    _make(parent, name)
    return os.open(name, _DIRECTORY, dir_fd=parent)


def _make(parent: int, name: str) -> None:
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=parent)
        os.fsync(parent)


def _create(tmp: int, name: str) -> int:
    try:
        return os.open(name, _NEW_FILE, 0o600, dir_fd=tmp)
    except FileExistsError:
        # Left by a crash: nobody else may hold the claim that this name stands for.
        os.unlink(name, dir_fd=tmp)
        return os.open(name, _NEW_FILE, 0o600, dir_fd=tmp)
