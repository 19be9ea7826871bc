"""One batch of jobs as one transaction: each job's fate its own, the commit's fate common."""

from collections.abc import Callable, Sequence

import apsw

from merpati.storage.foreign import translate
from merpati.storage.job import Job

Late = Callable[[apsw.Connection], None]
"""Writes what was left to be written together; called often, also when that is nothing."""

# What says nothing about the disk: the job itself was wrong.
_OWN_FAULT = (
    apsw.ConstraintError,
    apsw.SQLError,
    apsw.MismatchError,
    apsw.TooBigError,
    apsw.RangeError,
)


class Transaction:
    """Runs batches on one connection.

    The fast way is no savepoint at all: should a job raise, everything is rolled back and the
    batch runs again with one savepoint a job, so that only the bad one fails.

    What jobs leave to be written together is written late: before the commit, and before a job
    that may look for it.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        rolled_back: Callable[[], None],
        late: Sequence[Late] = (),
    ) -> None:
        self._connection = connection
        self._rolled_back = rolled_back
        self._late = late

    def run(self, jobs: Sequence[Job[object]]) -> None:
        """Commit the jobs, with results and own errors left in them.

        Raises apsw.Error when the storage failed; then none of the jobs is stored, or it is in
        doubt.
        """
        try:
            self._run(jobs, self._run_plain)
        except Exception as error:
            if not _is_own_fault(error):
                raise
            self._run(jobs, self._run_apart)

    def _run(self, jobs: Sequence[Job[object]], each: Callable[[Job[object]], None]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for job in jobs:
                each(job)
            self._write_late()
            self._connection.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def _run_plain(self, job: Job[object]) -> None:
        if not job.gathers:
            self._write_late()
        job.result = job.work(self._connection)

    def _write_late(self) -> None:
        for write in self._late:
            write(self._connection)

    def _run_apart(self, job: Job[object]) -> None:
        self._connection.execute("SAVEPOINT job")
        try:
            self._run_plain(job)
            self._write_late()
        except Exception as error:
            if not _is_own_fault(error):
                raise
            job.error = self._translated(error)
            self._rolled_back()
            self._connection.execute("ROLLBACK TO job")
        self._connection.execute("RELEASE job")

    def _translated(self, error: Exception) -> Exception:
        """A refusal of SQLite in our words; what is no word of SQLite's is a defect, and shown."""
        return (
            translate(error, self._connection.filename) if isinstance(error, apsw.Error) else error
        )

    def _roll_back(self) -> None:
        self._rolled_back()
        # After some errors SQLite has already rolled back by itself.
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def _is_own_fault(error: Exception) -> bool:
    return isinstance(error, _OWN_FAULT) or not isinstance(error, apsw.Error | OSError)
