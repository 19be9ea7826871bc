"""One shard's journal, counted into a store where each event stands once, whatever crashes.

What was counted is written in one transaction with how far the journal was read, some time after
the fact and at the end; after a crash it is read again from there.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from merpati.clock import Clock
from merpati.errors import MerpatiError
from merpati.journal.events import Event
from merpati.journal.journal import Journal
from merpati.report.reader import LOOK_AGAIN, PAGE, Reader


class Counter(Protocol):
    """What a book counts, and where it is written. It is asked one thing at a time."""

    async def begin(self) -> int:
        """Forget what was not written; the last event that was, or behind which to begin."""
        ...

    def take(self, event: Event, is_new: bool) -> None:
        """Count one event; most are passed over. Not new: it was taken before storage failed."""
        ...

    def is_due(self, elapsed: float, unwritten: int) -> bool:
        """Whether it is time to write, so many seconds and events after the last time."""
        ...

    async def write(self, cursor: int) -> None:
        """Write what was counted, up to this event, and begin anew; on disk when it returns."""
        ...


class Book:
    """Follows a journal for one counter."""

    def __init__(
        self,
        counter: Counter,
        journal: Journal,
        clock: Clock,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self._counter = counter
        self._clock = clock
        self._is_wanted = is_wanted
        self._reader = Reader(journal, [self], clock)
        self._alone = asyncio.Lock()
        """One reads at a time, and nothing is counted while it is written."""
        self._cursor = 0
        self._taken = 0
        """Events up to here were, whether they are written or not."""
        self._written = 0.0

    async def run(self) -> None:
        """Count while it is wanted. Raises StorageError; begin again then."""
        async with self._alone:
            await self._begin()
        while self._is_wanted():
            async with self._alone:
                read = await self._reader.read()
            if read < PAGE:
                await self._clock.sleep(LOOK_AGAIN)

    async def finish(self) -> None:
        """When `run` has ended: count what is there and write it."""
        # What cannot be read or written now is counted after the next start.
        with suppress(MerpatiError):
            async with self._alone:
                # A write that was cancelled may stand or not; the store knows.
                await self._begin()
            await self.gather()

    async def gather(self) -> None:
        """Write all that has happened until now."""
        async with self._alone:
            while await self._reader.read():
                pass
            await self._write()

    def take(self, event: Event) -> None:
        """See `Taker`."""
        # The reader stands at the event before this one until it was taken.
        self._counter.take(event, self._reader.cursor >= self._taken)
        self._taken = max(self._taken, self._reader.cursor + 1)

    async def pause(self) -> None:
        """See `Taker`."""
        elapsed = self._clock.monotonic() - self._written
        if self._counter.is_due(elapsed, self._reader.cursor - self._cursor):
            await self._write()

    async def _begin(self) -> None:
        self._reader.cursor = self._cursor = await self._counter.begin()
        self._written = self._clock.monotonic()

    async def _write(self) -> None:
        self._written = self._clock.monotonic()
        cursor = self._reader.cursor
        if cursor != self._cursor:
            await self._counter.write(cursor)
            self._cursor = cursor
