"""A large message on its way in: chunks in the file, which is no message until it is put."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import apsw

from merpati.queue.rows import CHUNK, first_chunk
from merpati.storage.database import Database


class ChunkDraft:
    """`Draft` over chunk rows. One is stored while the next comes: two of them are in memory, and
    what was handed over last."""

    def __init__(
        self, database: Database, message: int, abandon: Callable[[int], Awaitable[None]]
    ) -> None:
        self.message = message
        self.is_put = False
        self.checksum = 0
        """Of what was stored so far."""
        self._database = database
        self._abandon = abandon
        self._waiting = b""
        self._stored = 0
        """Chunks, the one on its way included."""
        self._on_its_way: asyncio.Future[int] | None = None

    async def write(self, octets: bytes) -> None:
        """Store whole chunks; the rest waits for more. What fails is told with the next."""
        view = memoryview(octets)
        while len(self._waiting) + len(view) >= CHUNK:
            missing = CHUNK - len(self._waiting)
            chunk, view = b"".join((self._waiting, view[:missing])), view[missing:]
            await self._store(chunk)
            self._waiting = b""
        self._waiting += view

    async def flush(self) -> None:
        """Store what is left over, and wait for all of it."""
        if self._waiting or not self._stored:
            await self._store(self._waiting)
            self._waiting = b""
        await self._arrive()

    async def discard(self) -> None:
        """Leave what was stored to be swept, unless it is a message by now."""
        self._waiting = b""
        if not self.is_put and self._stored:
            self._stored = 0
            if self._on_its_way is not None:
                self._on_its_way.add_done_callback(_not_waited_for)
            await self._abandon(self.message)

    async def _store(self, octets: bytes) -> None:
        await self._arrive()
        chunk = _Chunk(self.message, self._stored, octets, self.checksum)
        # Synced like everything, though nobody was promised anything yet: a sync that fails later
        # would take back what other connections have read by then.
        self._on_its_way = self._database.submit(self._database.job(partial(_insert, chunk=chunk)))
        self._stored += 1

    async def _arrive(self) -> None:
        """Wait for the chunk on its way. Whoever goes on after it has failed is told so again."""
        if self._on_its_way is not None:
            self.checksum = await self._on_its_way
            self._on_its_way = None


@dataclass(frozen=True, slots=True)
class _Chunk:
    message: int
    number: int
    octets: bytes
    before: int
    """The checksum of what stands before it."""


def _not_waited_for(future: "asyncio.Future[int]") -> None:
    """Take a failure as read, so that it is not reported as forgotten."""
    if not future.cancelled():
        future.exception()


def _insert(connection: apsw.Connection, chunk: _Chunk) -> int:
    """Store it; the checksum of everything so far."""
    # The first chunk comes with its draft row: start-up sweeps drafts and never scans chunks.
    # Written twice when a failed commit stood after all: the octets are the same.
    if chunk.number == 0:
        connection.execute("INSERT OR IGNORE INTO draft VALUES (?, 0)", (chunk.message,))
    key = first_chunk(chunk.message) + chunk.number
    connection.execute("INSERT OR REPLACE INTO chunk VALUES (?, ?)", (key, chunk.octets))
    return zlib.crc32(chunk.octets, chunk.before)
