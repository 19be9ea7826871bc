"""The telling side of one worker: every event is counted, and written as a line if wanted.

The cursor in the journal is kept in a small file: after a restart the lines go on where they ended.
Events that a crash kept from being noted there are written twice rather than never.
"""

import asyncio
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from merpati.clock import Clock
from merpati.config.places import Places
from merpati.config.settings import Settings
from merpati.errors import MerpatiError
from merpati.report.logs import EventLog
from merpati.report.metrics import Gauge, Metrics
from merpati.report.reader import Reader, Taker
from merpati.storage.lock import only_one
from merpati.system.stores import Stores

_SAVE_EVERY = 10.0


class Reporting:
    """Metrics and the log of events."""

    def __init__(
        self,
        shard: int,
        settings: Settings,
        stores: Stores,
        clock: Clock,
        gauges: Mapping[tuple[str, str, str], Gauge],
    ) -> None:
        self._queue, self._journal = stores.queue, stores.journal
        self._clock = clock
        self._shard = stores.shard
        places = Places(settings.data)
        self._cursor = places.cursor(shard)
        self._saved = _read(self._cursor)
        state = ("queue_recipients", "Recipients in the queue, by state.", "state")
        sites = ("sites_held", "Sites that get nothing for now.", "")
        wal = ("wal_octets", "Octets of the write-ahead log of queue and journal.", "")
        own = {state: self._count, sites: self._held, wal: self._wal_size}
        self.metrics = Metrics({**own, **gauges})
        takers: list[Taker] = [self.metrics]
        if settings.document.log.events:
            takers.append(EventLog(sys.stdout.buffer, partial(only_one, places.log_lock)))
        self._reader = Reader(stores.journal, takers, clock, self._saved or 0)

    async def run(self) -> None:
        """Follow the journal until cancelled."""
        await self._reader.run()

    async def begin(self) -> None:
        """Go on where the last run ended; where that is not known, history is not told again."""
        last = await self._journal.last()
        self._reader.cursor = last if self._saved is None else min(self._saved, last)

    async def keep_place(self) -> None:
        """Note the cursor from time to time, until cancelled."""
        while True:
            await self._clock.sleep(_SAVE_EVERY)
            # In a thread: all workers do it at the same moment, and a disk that takes nothing for a
            # while stopped all their loops at once.
            await asyncio.to_thread(self.save)

    async def finish(self) -> None:
        """Show what was written last, and note where that ended."""
        # A journal that cannot be read now is read from the same place after the next start.
        with suppress(MerpatiError):
            while await self._reader.read():
                pass
        await asyncio.to_thread(self.save)

    def save(self) -> None:
        """Note the cursor. Nothing depends on it but lines that may come twice. Blocks."""
        if self._reader.cursor == self._saved:
            return
        beside = self._cursor.with_suffix(".new")
        with suppress(OSError):
            beside.write_text(f"{self._reader.cursor}\n")
            beside.rename(self._cursor)
            self._saved = self._reader.cursor

    async def _count(self) -> Mapping[str, float]:
        return await self._queue.count()

    async def _wal_size(self) -> Mapping[str, float]:
        return {"": float(self._shard.log_octets)}

    async def _held(self) -> Mapping[str, float]:
        return {"": float(len(await self._queue.held()))}


def _read(cursor: Path) -> int | None:
    with suppress(OSError, ValueError):
        return max(0, int(cursor.read_text()))
    return None
