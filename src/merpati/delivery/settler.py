"""Writes what became of transactions, many in one commit, and gives their places back.

Outcomes are collected while the last commit runs; then all that waits is written at once. A store
that fails is tried again with everything still in hand: the permits stay taken meanwhile, so a sick
disk stops the sending instead of losing verdicts. A result that cannot be written for another
reason is a defect of ours: it is found among the others, and its recipient waits or is finished
without the words.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

import msgspec

from merpati.clock import Clock
from merpati.delivery.settling import Settled
from merpati.errors import MerpatiError
from merpati.journal.events import Event, Lifecycle
from merpati.queue.entry import Settlement, State
from merpati.queue.queue import Queue

_FIRST_RETRY = 0.5
_LAST_RETRY = 30.0


_SET_ASIDE = 3600.0
"""Seconds that a recipient waits whose result could not be written."""
_DEFECT = "delivery-defect"


class _Result(msgspec.Struct, frozen=True):
    settled: Sequence[Settled]
    done: Callable[[], None]


@dataclass(slots=True)
class _Batch:
    results: list[_Result] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    """About the store itself."""

    @property
    def settled(self) -> Iterator[Settled]:
        """Of all results."""
        return chain.from_iterable(result.settled for result in self.results)


class Settler:
    """Collects, commits, and calls back once it is on disk."""

    def __init__(
        self, queue: Queue, clock: Clock, log: Callable[[str, BaseException], None]
    ) -> None:
        self._queue = queue
        self._clock = clock
        self._log = log
        self._batch = _Batch()
        self._wanted = asyncio.Event()
        self._closed = False

    def add(self, settled: list[Settled], done: Callable[[], None]) -> None:
        """Write these with the next commit, then call `done`."""
        self._batch.results.append(_Result(settled, done))
        self._wanted.set()

    def close(self) -> None:
        """No more will be added; `run` returns when everything is written."""
        self._closed = True
        self._wanted.set()

    async def run(self) -> None:
        """Write until closed."""
        while not (self._closed and not self._batch.results):
            await self._wanted.wait()
            self._wanted.clear()
            if self._batch.results:
                # One turn of the loop: whatever else ends in it rides along.
                await asyncio.sleep(0)
                batch, self._batch = self._batch, _Batch()
                await self._write(batch)
            if self._batch.results or self._closed:
                self._wanted.set()

    async def _write(self, batch: _Batch) -> None:
        try:
            await self._store(batch)
        except Exception as error:
            await self._write_apart(batch, error)
        for result in batch.results:
            result.done()

    async def _write_apart(self, batch: _Batch, error: Exception) -> None:
        """One of them cannot be written: whichever it is, the others are."""
        if len(batch.results) > 1:
            for result in batch.results:
                one = _Batch([result])
                try:
                    await self._store(one)
                except Exception as its_own:
                    await self._set_aside(one, its_own)
        else:
            await self._set_aside(batch, error)

    async def _set_aside(self, batch: _Batch, error: Exception) -> None:
        """Write what can hardly be refused; and if it is, go on: a restart finds it waiting."""
        self._tell(batch, error)
        now = self._clock.now()
        settled = [set_aside(one.settlement, now) for one in batch.settled]
        plain = _Batch([_Result(settled, _nothing)], batch.events)
        try:
            await self._store(plain)
        except Exception as another:
            self._log(_DEFECT, another)

    async def _store(self, batch: _Batch) -> None:
        """Return when it is on disk. Raises only what is a defect."""
        settlements = [one.settlement for one in batch.settled]
        events = [event for one in batch.settled for event in one.events]
        pause = _FIRST_RETRY
        while True:
            try:
                await self._queue.settle(settlements, events + batch.events)
                return
            except MerpatiError as error:
                self._explain(batch, len(settlements), error, pause)
                await self._clock.sleep(pause)
                pause = min(_LAST_RETRY, pause * 2)

    def _explain(self, batch: _Batch, count: int, error: MerpatiError, pause: float) -> None:
        if pause == _FIRST_RETRY:
            text = f"{count} results wait to be written: {error}"
            batch.events.append(Lifecycle(at=self._clock.now(), what="store-failing", detail=text))

    def _tell(self, batch: _Batch, error: Exception) -> None:
        self._log(_DEFECT, error)
        ids = " ".join(dict.fromkeys(one.settlement.entry_id for one in batch.settled))
        text = f"settling {ids}: {type(error).__name__}: {error}"
        batch.events.append(Lifecycle(at=self._clock.now(), what=_DEFECT, detail=text))


def set_aside(settlement: Settlement, now: float) -> Settled:
    """What is left of a result that a defect of ours spoilt: nothing is sent twice or lost."""
    if settlement.state is State.DELIVERED:
        return Settled(Settlement(settlement.entry_id, settlement.n, State.DELIVERED))
    text = "its result could not be written by a defect here"
    due = now + _SET_ASIDE
    return Settled(
        Settlement(
            settlement.entry_id, settlement.n, State.WAITING, due=due, reply=text, cause=_DEFECT
        )
    )


def _nothing() -> None:
    """Its places are given back with the results it stands for."""
