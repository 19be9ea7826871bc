"""The one thread that writes a file: each batch it is handed becomes one transaction, one sync.

After an error of the disk the connection is closed, opened and recovered before anything else is
accepted; nothing is ever retried on a handle that has failed.
"""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue

import apsw

from merpati.clock import Clock, SystemClock
from merpati.storage.connection import StorageSettings, abandon, connect
from merpati.storage.errors import StorageError
from merpati.storage.foreign import loses_trust, translate
from merpati.storage.job import Job
from merpati.storage.transaction import Transaction

_REOPEN_EVERY = 1.0
"""Seconds between attempts to open a file that could not be opened: no storm on a sick disk."""


Arrived = Callable[[list[Job[object]]], None]


class Writer:
    """Transactions over one connection."""

    def __init__(self, settings: StorageSettings, clock: Clock | None = None) -> None:
        self._settings = settings
        self._monotonic = (clock or SystemClock()).monotonic
        self._queue: SimpleQueue[list[Job[object]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._connection: apsw.Connection | None = None
        self._forget: list[Callable[[], None]] = []
        self._doubtful: list[Callable[[apsw.Connection], None]] = []
        self._reopen_after = 0.0
        self._refusal: StorageError | None = None

    def start(self, loop: asyncio.AbstractEventLoop, arrived: Arrived) -> None:
        """Open the file and begin; raises StorageError when it is refused. Blocks for the open.

        `arrived` is called on the loop with each batch, its results and errors left in it.
        """
        self._connection = connect(self._settings)
        name = f"writer {self._settings.path.name}"
        self._thread = threading.Thread(target=self._work, args=(loop, arrived), name=name)
        self._thread.start()

    def send(self, jobs: list[Job[object]]) -> None:
        """Hand over a batch."""
        self._queue.put(jobs)

    def stop(self) -> None:
        """Commit what was handed over, close the file, return. Blocks; call it off the loop."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()

    def on_rollback(self, forget: Callable[[], None]) -> None:
        """Call `forget` on the writer thread when what a job remembered may not be true."""
        self._forget.append(forget)

    def _work(self, loop: asyncio.AbstractEventLoop, arrived: Arrived) -> None:
        while (jobs := self._queue.get()) is not None:
            self._store(jobs)
            loop.call_soon_threadsafe(arrived, jobs)
        self._close()

    def _store(self, jobs: list[Job[object]]) -> None:
        try:
            transaction = Transaction(self._trusted(), self._forget_all)
            transaction.run(jobs)
        except StorageError as error:
            _fail(jobs, error)
        except apsw.Error as error:
            self._doubt(jobs, error)
            _fail(jobs, translate(error, str(self._settings.path)))
        except OSError as error:
            self._doubt(jobs, error)
            _fail(jobs, StorageError(f"{self._settings.path}: {error}"))

    def _doubt(self, jobs: list[Job[object]], error: Exception) -> None:
        in_transaction = self._connection is not None and self._connection.in_transaction
        if loses_trust(error) or in_transaction:
            self._doubtful += [job.recover for job in jobs if job.recover is not None]
            self._close()

    def _trusted(self) -> apsw.Connection:
        """The connection, opened and recovered anew when the last one failed."""
        if self._connection is None:
            self._connection = self._reopen()
        return self._connection

    def _reopen(self) -> apsw.Connection:
        now = self._monotonic()
        if self._refusal is not None and now < self._reopen_after:
            raise self._refusal
        self._reopen_after = now + _REOPEN_EVERY
        try:
            connection = connect(self._settings)
            self._recover(connection)
        except StorageError as error:
            self._refusal = error
            raise
        self._refusal = None
        return connection

    def _recover(self, connection: apsw.Connection) -> None:
        """What was in doubt is settled and the log is folded back before anything is accepted."""
        try:
            with connection:
                for recover in self._doubtful:
                    recover(connection)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except apsw.Error as error:
            abandon(connection)
            raise translate(error, str(self._settings.path)) from error
        self._doubtful.clear()

    def _forget_all(self) -> None:
        for forget in self._forget:
            forget()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._forget_all()
            abandon(connection)


def _fail(jobs: list[Job[object]], error: StorageError) -> None:
    for job in jobs:
        job.error = error
