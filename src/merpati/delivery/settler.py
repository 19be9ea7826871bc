"""Writes what became of transactions, many in one commit, and gives their places back.

Outcomes are collected while the last commit runs; then all that waits is written at once. A store
that fails is tried again with everything still in hand: the permits stay taken meanwhile, so a sick
disk stops the sending instead of losing verdicts.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from merpati.clock import Clock
from merpati.delivery.settling import Settled
from merpati.errors import MerpatiError
from merpati.journal.events import Event, Lifecycle
from merpati.queue.entry import Settlement
from merpati.queue.queue import Queue

_FIRST_RETRY = 0.5
_LAST_RETRY = 30.0


@dataclass(slots=True)
class _Batch:
    settlements: list[Settlement] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    done: list[Callable[[], None]] = field(default_factory=list)


class Settler:
    """Collects, commits, and calls back once it is on disk."""

    def __init__(self, queue: Queue, clock: Clock) -> None:
        self._queue = queue
        self._clock = clock
        self._batch = _Batch()
        self._wanted = asyncio.Event()
        self._closed = False

    def add(self, settled: list[Settled], done: Callable[[], None]) -> None:
        """Write these with the next commit, then call `done`."""
        for one in settled:
            self._batch.settlements.append(one.settlement)
            self._batch.events += one.events
        self._batch.done.append(done)
        self._wanted.set()

    def close(self) -> None:
        """No more will be added; `run` returns when everything is written."""
        self._closed = True
        self._wanted.set()

    async def run(self) -> None:
        """Write until closed."""
        while not (self._closed and not self._batch.done):
            await self._wanted.wait()
            self._wanted.clear()
            if self._batch.done:
                # One turn of the loop: whatever else ends in it rides along.
                await asyncio.sleep(0)
                batch, self._batch = self._batch, _Batch()
                await self._write(batch)
            if self._batch.done or self._closed:
                self._wanted.set()

    async def _write(self, batch: _Batch) -> None:
        pause = _FIRST_RETRY
        while True:
            try:
                await self._queue.settle(batch.settlements, batch.events)
                break
            except MerpatiError as error:
                self._explain(batch, error, pause)
                await self._clock.sleep(pause)
                pause = min(_LAST_RETRY, pause * 2)
        for done in batch.done:
            done()

    def _explain(self, batch: _Batch, error: MerpatiError, pause: float) -> None:
        if pause == _FIRST_RETRY:
            text = f"{len(batch.settlements)} results wait to be written: {error}"
            event = Lifecycle(at=self._clock.now(), what="store-failing", detail=text)
            batch.events.append(event)
