"""The one thread that writes a file: everything that waits becomes one transaction, one sync.

It commits at once when it was idle. Under load it holds the first job for `hold` seconds, so that
others come along; jobs that ride wait up to `ride` seconds for a commit to travel with.

After an error of the disk the connection is closed, opened and recovered before anything else is
accepted; nothing is ever retried on a handle that has failed.

The log is folded back into the file here, behind the commit that made it long, and not by SQLite,
which does not tell when that fails. Part of the log may have been written to the file before, and
not synced, while somebody read: SQLite would not write that part again, and after a sync that
failed the kernel may have dropped it. So where one process owns the file, its log is folded whole
before it is opened, with nobody beside us: then SQLite knows nothing of what was written, and
writes all of it. While another process looks at the file, as `merpati verify` does, nothing is
folded at all.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from queue import Empty, SimpleQueue

import apsw

from merpati.clock import Clock, SystemClock
from merpati.storage.connection import StorageSettings, abandon, connect, distrust
from merpati.storage.errors import StorageError
from merpati.storage.foreign import loses_trust, translate
from merpati.storage.job import Job, finish_all
from merpati.storage.transaction import Late, Transaction

_REOPEN_EVERY = 1.0
"""Seconds between attempts to open a file that could not be opened: no storm on a sick disk."""
_ALONE_EVERY = 60.0
"""Seconds between attempts to have the file to ourselves."""


class Writer:
    """Group commit over one connection."""

    def __init__(
        self,
        settings: StorageSettings,
        clock: Clock | None = None,
        alone: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Within `alone` nobody else in this process has the file open."""
        self._settings = settings
        self._alone = alone
        self._log_pages = 0
        self._may_fold = True
        self._alone_after = 0.0
        self._monotonic = (clock or SystemClock()).monotonic
        self._queue: SimpleQueue[Job[object] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._connection: apsw.Connection | None = None
        self._forget: list[Callable[[], None]] = []
        self._late: list[Late] = []
        self._stands: list[Callable[[], None]] = []
        self._doubtful: list[Callable[[apsw.Connection], None]] = []
        self._reopen_after = 0.0
        self._refusal: StorageError | None = None
        self._was_busy = False
        self._is_stopping = False
        # Never released: to wait for it is to sleep. Under libfaketime time.sleep itself fails.
        self._moment = threading.Lock()
        self._moment.acquire()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Open the file and begin; raises StorageError when it is refused. Blocks for the open."""
        self._connection = self._opened()
        name = f"writer {self._settings.path.name}"
        # An owner that fails before it closes must not keep the process from ending: what was
        # acknowledged is synced, and the next start recovers.
        self._thread = threading.Thread(target=self._work, args=(loop,), name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Job[object]) -> None:
        """Hand over a job; its end is told on the loop."""
        self._queue.put(job)

    def stop(self) -> None:
        """Commit what was handed over, close the file, return. Blocks; call it off the loop."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()

    def on_commit(self, tell: Callable[[], None]) -> None:
        """Call `tell` on the writer thread when a transaction is on stable storage."""
        self._stands.append(tell)

    def on_rollback(self, forget: Callable[[], None]) -> None:
        """Call `forget` on the writer thread when what a job remembered may not be true."""
        self._forget.append(forget)

    def write_late(self, write: Late) -> None:
        """Call `write` in every transaction, before what it has to write can be looked for."""
        self._late.append(write)

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        while not self._is_stopping:
            jobs = self._gather()
            if jobs:
                self._store(jobs)
                loop.call_soon_threadsafe(finish_all, jobs)
                self._fold()
        self._close()

    def _gather(self) -> list[Job[object]]:
        """The next batch: at least one job, or none when it is time to stop."""
        batch: list[Job[object]] = []
        self._add(batch, self._queue.get())
        if batch:
            self._let_ride(batch)
            self._take(batch)
            if self._holds(batch):
                self._moment.acquire(timeout=self._settings.hold)
                self._take(batch)
            self._was_busy = _waiting(batch) > 1
        return batch

    def _add(self, batch: list[Job[object]], job: Job[object] | None) -> None:
        if job is None:
            self._is_stopping = True
        else:
            batch.append(job)

    def _let_ride(self, batch: list[Job[object]]) -> None:
        """While all of them ride, wait for one to travel with."""
        until = self._monotonic() + self._settings.ride
        while batch[-1].rides and len(batch) < self._settings.riders and not self._is_stopping:
            try:
                job = self._queue.get(timeout=max(0.0, until - self._monotonic()))
            except Empty:
                return
            self._add(batch, job)

    def _holds(self, batch: list[Job[object]]) -> bool:
        """Whether this one waits for others to share its sync: under load, and without being woken
        by each. What rides is no load: behind a single message it is the verdict on the last one.
        """
        is_busy = self._was_busy or _waiting(batch) > 1
        has_room = len(batch) < self._settings.batch and not self._is_stopping
        return is_busy and has_room and not all(job.rides for job in batch)

    def _take(self, batch: list[Job[object]]) -> None:
        """What waits by now."""
        with suppress(Empty):
            while len(batch) < self._settings.batch and not self._is_stopping:
                self._add(batch, self._queue.get_nowait())

    def _store(self, jobs: list[Job[object]]) -> None:
        try:
            transaction = Transaction(self._trusted(), self._forget_all, self._late)
            transaction.run(jobs)
            for tell in self._stands:
                tell()
        except StorageError as error:
            _fail(jobs, error)
        except apsw.Error as error:
            self._doubt(jobs, error)
            _fail(jobs, translate(error, str(self._settings.path)))
        except OSError as error:
            self._doubt(jobs, error)
            _fail(jobs, StorageError(f"{self._settings.path}: {error}"))

    def _fold(self) -> None:
        """Write a long log back into the file. All of it stands already, whatever comes of that."""
        if self._connection is None or self._log_pages < self._settings.log:
            return
        if not self._may_fold:
            if self._monotonic() >= self._alone_after:
                self._close()  # The next job opens it anew, perhaps with nobody beside us.
            return
        try:
            self._connection.wal_checkpoint()
        except (apsw.Error, OSError) as error:
            self._doubt([], error)
        self._log_pages = 0

    def _doubt(self, jobs: list[Job[object]], error: Exception) -> None:
        in_transaction = self._connection is not None and self._connection.in_transaction
        if loses_trust(error) or in_transaction:
            self._doubtful += [job.recover for job in jobs if job.recover is not None]
            if self._connection is not None:
                distrust(self._connection)
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
        try:
            connection = self._opened()
            self._recover(connection)
        except StorageError as error:
            self._refusal = error
            self._reopen_after = self._monotonic() + _REOPEN_EVERY
            raise
        self._refusal = None
        return connection

    def _opened(self) -> apsw.Connection:
        """The file, and nothing believed to be in it that is in its log."""
        self._log_pages = 0
        self._may_fold = not self._settings.kind.is_of_one or self._fold_alone()
        connection = connect(self._settings)
        connection.set_wal_hook(self._note_log)
        if not self._may_fold:
            distrust(connection)
        return connection

    def _fold_alone(self) -> bool:
        """Fold the whole log; False: another process has the file open."""
        with self._alone():
            try:
                connection = connect(self._settings, is_alone=True)
            except StorageError as error:
                if not error.is_busy:
                    raise
                self._alone_after = self._monotonic() + _ALONE_EVERY
                return False
            try:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            except apsw.Error as error:
                distrust(connection)
                raise translate(error, str(self._settings.path)) from error
            finally:
                abandon(connection)
        return True

    def _note_log(self, _: apsw.Connection, __: str, pages: int) -> int:
        self._log_pages = pages
        return apsw.SQLITE_OK

    def _recover(self, connection: apsw.Connection) -> None:
        """Before anything is accepted: what was in doubt is settled, and a log that others share is
        folded back."""
        try:
            connection.execute("BEGIN IMMEDIATE")
            for recover in self._doubtful:
                recover(connection)
            connection.execute("COMMIT")
            if not self._settings.kind.is_of_one:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except apsw.Error as error:
            distrust(connection)
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


def _waiting(jobs: list[Job[object]]) -> int:
    """Jobs that somebody waits for."""
    return sum(not job.rides for job in jobs)


def _fail(jobs: list[Job[object]], error: StorageError) -> None:
    for job in jobs:
        job.error = error
