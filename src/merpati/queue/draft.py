"""A large message on its way in: chunks in the file, which is no message until it is put."""

from collections.abc import Awaitable, Callable
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
        await self._database.write(
            partial(_insert, message=self.message, number=self._stored, piece=piece)
        )
        del self._waiting[:size]
        self._stored += 1


def _insert(connection: apsw.Connection, message: int, number: int, piece: bytes) -> None:
    # The first chunk comes with its draft row: start-up sweeps drafts and never scans chunks.
    # Written twice when a failed commit stood after all: the octets are the same.
    if number == 0:
        connection.execute("INSERT OR IGNORE INTO draft VALUES (?, 0)", (message,))
    connection.execute(
        "INSERT OR REPLACE INTO chunk VALUES (?, ?)", (first_chunk(message) + number, piece)
    )
