"""The real database, its threads replaced by turns of a simulated loop.

Jobs are gathered, committed, doubted and recovered by the code of `storage`; only when that happens
is decided here: a commit is done some time after its first job came, and told some time later, so
that a process can die before it, between the two, and behind them.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager

from merpati.clock import Clock
from merpati.storage.connection import StorageSettings, abandon
from merpati.storage.database import Database
from merpati.storage.job import Job, finish_all
from merpati.storage.reader import Reader
from merpati.storage.writer import Writer

Delay = Callable[[], float]
"""Seconds that the next operation takes."""


class InlineWriter(Writer):
    """Commits on the loop."""

    def __init__(
        self,
        settings: StorageSettings,
        clock: Clock,
        delay: Delay,
        alone: Callable[[], AbstractContextManager[None]],
    ) -> None:
        super().__init__(settings, clock, alone)
        self.committed: Callable[[], None] = lambda: None
        """Called when a batch is on disk, and nobody knows it yet."""
        self._delay = delay
        self._is_busy = False

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Open the file; StorageError when it is refused."""
        self._connection = self._opened()

    def submit(self, job: Job[object]) -> None:
        """Into the next batch."""
        self._queue.put(job)
        self._begin()

    def _begin(self) -> None:
        if not self._is_busy:
            self._is_busy = True
            asyncio.get_running_loop().call_later(self._delay(), self._commit)

    def _commit(self) -> None:
        jobs = [] if self._queue.empty() else self._gather()
        if jobs:
            self._store(jobs)
            self.committed()
        asyncio.get_running_loop().call_later(self._delay(), self._tell, jobs)

    def _tell(self, jobs: list[Job[object]]) -> None:
        finish_all(jobs)
        self._fold()
        self._is_busy = False
        if not self._queue.empty():
            self._begin()

    def stop(self) -> None:
        """What was handed over is committed, and told behind this."""
        loop = asyncio.get_running_loop()
        while not self._queue.empty():
            jobs = self._gather()
            self._store(jobs)
            loop.call_soon(finish_all, jobs)
        self._close()

    def drop(self) -> None:
        """Let go of the file of a process that was killed."""
        connection, self._connection = self._connection, None
        if connection is not None:
            abandon(connection)


class InlineReader(Reader):
    """Answers on the loop."""

    def __init__(self, settings: StorageSettings, delay: Delay) -> None:
        super().__init__(settings)
        self._delay = delay

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """There is nothing to start."""

    def submit(self, job: Job[object]) -> None:
        """Answered in a while, by what is committed then."""
        asyncio.get_running_loop().call_later(self._delay(), self._answer, job)

    def _answer(self, job: Job[object]) -> None:
        self._asked[0]._answer(job)
        job.finish()

    def stop(self) -> None:
        """Close."""
        self._asked[0]._close()


class SimulatedDatabase(Database):
    """A `Database` on the loop. `settings` must let no job wait for company in real time."""

    def __init__(self, settings: StorageSettings, clock: Clock, delay: Delay) -> None:
        super().__init__(settings, clock)
        self._reader = InlineReader(settings, delay)
        self.writer = InlineWriter(settings, clock, delay, self._reader.shut)
        self._writer = self.writer

    def drop(self) -> None:
        """The process was killed: nothing is written any more."""
        self._reader.stop()
        self.writer.drop()
