"""A message's content as it is read back: piece by piece, and checked against what was accepted.

CRC-32 over the whole: it finds every burst of up to 32 bits, and of anything else all but one in
four thousand million, for 2.5 us a 10 KB message (SHA-256: 6 us where the processor has
instructions for it, else five times that). A disk does not forge, so nothing stronger is needed.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import apsw

from merpati.queue.rows import CHUNK, decode_entry, first_chunk
from merpati.storage.errors import StorageError


@dataclass(frozen=True, slots=True)
class Expected:
    """What a message's content must be."""

    message: int
    size: int
    """Octets that are stored."""
    checksum: int | None
    """None: it was stored before checksums were kept."""
    head: bytes = b""
    """What stands before them, kept in the entry and checked with it."""


@dataclass(slots=True)
class Reading:
    """How far a content has been read."""

    entry_id: str
    expected: Expected
    octets: int = 0
    pieces: int = 0
    checksum: int = 0

    @property
    def is_over(self) -> bool:
        """Whether all of it was read."""
        return self.octets >= self.expected.size

    def next(self, connection: apsw.Connection) -> bytes:
        """The next piece. The last one only if the whole is what was accepted, else StorageError:
        nobody is given the end of a damaged message."""
        chunk = first_chunk(self.expected.message) + self.pieces
        piece = connection.execute("SELECT octets FROM chunk WHERE id = ?", (chunk,)).get
        if not isinstance(piece, bytes):
            raise self._damaged(f"its octets from {self.octets} on are gone")
        if len(piece) != self._due:
            raise self._damaged(f"{len(piece)} octets are where {self._due} were stored")
        self.octets += len(piece)
        self.pieces += 1
        self.checksum = zlib.crc32(piece, self.checksum)
        if self.is_over and self.expected.checksum not in (None, self.checksum):
            raise self._damaged("its checksum does not match")
        return self.expected.head + piece if self.pieces == 1 else piece

    @property
    def _due(self) -> int:
        """Octets of the next piece: all but the last are full."""
        return min(CHUNK, self.expected.size - self.octets)

    def _damaged(self, how: str) -> StorageError:
        text = f"the content of {self.entry_id} is damaged: {how}"
        return StorageError(text, is_damaged=True)


def begin(connection: apsw.Connection, entry_id: str) -> Reading:
    """Find a message's content. StorageError when there is no such message."""
    row = connection.execute(
        "SELECT id, entry, checksum FROM message WHERE public = ?", (entry_id,)
    ).fetchone()
    if row is None:
        raise StorageError(f"{entry_id} is not in the queue any more")
    message, encoded, checksum = row
    entry = decode_entry(encoded)
    return Reading(entry_id, Expected(message, entry.stored, checksum, entry.head))


_PIECE = 5 * 1024
"""Octets that zlib looks at without giving up the interpreter's lock, for which the writer thread
would have to fight the loop again, once a message."""


def checksum_of(parts: Iterable[bytes]) -> int:
    """The checksum of a content in parts."""
    checksum = 0
    for part in parts:
        for at in range(0, len(part), _PIECE):
            checksum = zlib.crc32(part[at : at + _PIECE], checksum)
    return checksum
