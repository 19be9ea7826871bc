"""A Maildir as commands read it: messages by number or name, newest last."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from merpati.errors import MerpatiError

_FOLDERS = ("new", "cur")
_COPY = re.compile(r"(?<=^[0-9A-Z]{26})N\d+$")


class MailboxError(MerpatiError):
    """No such message, or no such mailbox."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One message in a mailbox."""

    number: int
    """1 is the oldest."""
    path: Path
    at: float
    """When it was delivered, seconds since 1970 UTC."""
    size: int
    is_new: bool

    @property
    def name(self) -> str:
        """What a person types: the message's ID; of a file that others made, its unique part."""
        first, _, rest = self.path.name.partition(".")
        return _COPY.sub("", rest.partition(".")[0] if first.isdigit() else first)

    def read(self, limit: int | None = None) -> bytes:
        """The source, or its beginning."""
        with self.path.open("rb") as file:
            return file.read(limit)


def messages(folder: Path) -> list[Stored]:
    """All of a Maildir, oldest first. A message that is moved while we look is passed over."""
    found: list[tuple[float, Path, int, bool]] = []
    for part in _FOLDERS:
        place = folder / part
        if not place.is_dir():
            continue
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.name.startswith(".") or not entry.is_file(follow_symlinks=False):
                    continue
                status = entry.stat(follow_symlinks=False)
                found.append((status.st_mtime, place / entry.name, status.st_size, part == "new"))
    found.sort()
    return [Stored(n, path, at, size, new) for n, (at, path, size, new) in enumerate(found, 1)]


def find(folder: Path, wanted: str) -> Stored:
    """The message of this number or name, or `last`; MailboxError says what there is."""
    stored = messages(folder)
    if not stored:
        raise MailboxError(f"{folder} holds no message")
    if wanted == "last":
        return stored[-1]
    if wanted.isdigit() and len(wanted) < 10:
        match = [one for one in stored if one.number == int(wanted)]
    else:
        match = [one for one in stored if one.name.startswith(wanted)]
    if len(match) != 1:
        what = "several messages are" if match else "no message is"
        raise MailboxError(
            f"{what} called {wanted!r}: say a number from 1 to {len(stored)}, or last"
        )
    return match[0]
