"""One database file with its writer and its reader, as the event loop sees them."""

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from typing import TypeVar, cast

import apsw

from merpati.clock import Clock
from merpati.storage.connection import StorageSettings
from merpati.storage.errors import StorageError
from merpati.storage.job import Job
from merpati.storage.reader import Reader
from merpati.storage.transaction import Late
from merpati.storage.writer import Writer

T = TypeVar("T")
Work = Callable[[apsw.Connection], T]


class Database:
    """A file that one process owns: `storage.lock` says which."""

    def __init__(self, settings: StorageSettings, clock: Clock | None = None) -> None:
        self.settings = settings
        self._reader = Reader(settings)
        alone = self._reader.shut if settings.kind.is_of_one else nullcontext
        self._writer = Writer(settings, clock, alone)
        self._is_open = False

    async def open(self) -> None:
        """Open, check and migrate the file. StorageError when it is refused, and untouched."""
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._writer.start, loop)
        await asyncio.to_thread(self._reader.start, loop)
        self._is_open = True

    async def close(self) -> None:
        """Commit what was handed over and close; what is asked later fails."""
        self._is_open = False
        await asyncio.to_thread(self._reader.stop)
        await asyncio.to_thread(self._writer.stop)

    def submit(self, job: Job[T]) -> "asyncio.Future[T]":
        """Hand a job to the writer; the future ends when the commit is synced, or failed."""
        self._hand_over(job, self._writer.submit)
        return job.future

    async def write(self, work: Work[T], *, rides: bool = False) -> T:
        """Run `work` in a transaction and return when it is on stable storage."""
        return await self.submit(self.job(work, rides=rides))

    async def read(self, work: Work[T]) -> T:
        """Ask without changing; sees everything whose `write` has returned."""
        job = self.job(work)
        self._hand_over(job, self._reader.submit)
        return await job.future

    async def probe(self) -> None:
        """Write a page and sync it: StorageError when no mail could be stored now."""
        await self.write(_touch)

    def job(self, work: Work[T], *, rides: bool = False) -> Job[T]:
        """A job whose future belongs to the running loop."""
        return Job(work, asyncio.get_running_loop().create_future(), rides=rides)

    def _hand_over(self, job: Job[T], submit: Callable[[Job[object]], None]) -> None:
        one = cast("Job[object]", job)  # the threads treat every result alike
        if self._is_open:
            submit(one)
            return
        # No thread looks at it any more: whoever waits for it would wait for ever.
        one.error = StorageError(f"{self.settings.path} is closed")
        asyncio.get_running_loop().call_soon(one.finish)

    @property
    def log_octets(self) -> int:
        """Size of the write-ahead log. It is folded back at 8 MB; at hundreds, somebody's long
        question keeps it from being, and a gauge should tell."""
        log = self.settings.path.with_name(self.settings.path.name + "-wal")
        return log.stat().st_size if log.exists() else 0

    def on_commit(self, tell: Callable[[], None]) -> None:
        """Call `tell` on the writer thread when a transaction is on stable storage."""
        self._writer.on_commit(tell)

    def on_rollback(self, forget: Callable[[], None]) -> None:
        """Call `forget` on the writer thread when what a job remembered may not be true."""
        self._writer.on_rollback(forget)

    def write_late(self, write: Late) -> None:
        """Call `write` in every transaction on the writer thread, before its commit and before a
        job that does not `gather`: what jobs have left is written there, many rows at a time."""
        self._writer.write_late(write)


def _touch(connection: apsw.Connection) -> None:
    version = connection.execute("PRAGMA user_version").get
    connection.execute(f"PRAGMA user_version={version}")  # The same again is written all the same.
