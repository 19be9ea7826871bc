"""A large message on its way in: chunks in the file, which is no message until it is put."""

import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import apsw

from merpati.queue.rows import CHUNK, first_chunk
from merpati.storage.database import Database


class ChunkDraft:
    """`Draft` over chunk rows. At most two chunks of it are in memory."""

    def __init__(
        self, database: Database, message: int, abandon: Callable[[int], Awaitable[None]]
    ) -> None:
        self.message = message
        self.is_put = False
        self.checksum = 0
        """Of what was stored so far."""
        self._database = database
        self._abandon = abandon
        self._waiting = bytearray()
        self._stored = 0

    async def write(self, octets: bytes) -> None:
        """Store whole chunks; the rest waits for more."""
        self._waiting += octets
        while len(self._waiting) >= CHUNK:
            await self._store(CHUNK)

    async def flush(self) -> None:
        """Store what is left over."""
        if self._waiting or not self._stored:
            await self._store(CHUNK)

    async def discard(self) -> None:
        """Leave what was stored to be swept, unless it is a message by now."""
        self._waiting.clear()
        if not self.is_put and self._stored:
            self._stored = 0
            await self._abandon(self.message)

    async def _store(self, size: int) -> None:
        piece = bytes(self._waiting[:size])
        chunk = _Chunk(self.message, self._stored, piece, self.checksum)
        self.checksum = await self._database.write(partial(_insert, chunk=chunk))
        del self._waiting[:size]
        self._stored += 1


@dataclass(frozen=True, slots=True)
class _Chunk:
    message: int
    number: int
    octets: bytes
    before: int
    """The checksum of what stands before it."""


def _insert(connection: apsw.Connection, chunk: _Chunk) -> int:
    """Store it; the checksum of everything so far."""
    # The first chunk comes with its draft row: start-up sweeps drafts and never scans chunks.
    # Written twice when a failed commit stood after all: the octets are the same.
    if chunk.number == 0:
        connection.execute("INSERT OR IGNORE INTO draft VALUES (?, 0)", (chunk.message,))
    key = first_chunk(chunk.message) + chunk.number
    connection.execute("INSERT OR REPLACE INTO chunk VALUES (?, ?)", (key, chunk.octets))
    return zlib.crc32(chunk.octets, chunk.before)
