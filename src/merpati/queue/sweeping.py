"""Deletes what large messages and abandoned drafts left, in slices that ride with other commits."""

import asyncio
from collections.abc import Sequence
from functools import partial

import apsw

from merpati.queue.removal import sweep
from merpati.storage.database import Database
from merpati.storage.errors import StorageError


class Sweeper:
    """One slice after the other, as long as there are any. What a failure or the end of the
    process leaves is noted in the file and swept after the next start."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._is_sweeping = False
        self._unnoted: set[int] = set()

    async def abandon(self, draft: int) -> None:
        """Nobody continues this draft. A disk that cannot note it now is asked again with the next.

        Never fails: whoever abandons a draft has an answer for its client already.
        """
        self._unnoted.add(draft)
        drafts = tuple(self._unnoted)
        try:
            await self._database.write(partial(_abandon, drafts=drafts), rides=True)
        except StorageError:
            return
        self._unnoted.difference_update(drafts)
        self.look()

    def look(self) -> None:
        """Something may have been left. Does not wait for it to go."""
        if not self._is_sweeping:
            self._is_sweeping = True
            self._next()

    def _next(self) -> None:
        job = self._database.job(sweep, rides=True)
        job.done, job.failed = self._swept, self._stop
        job.future.add_done_callback(_not_waited_for)
        self._database.submit(job)

    def _swept(self, more: bool) -> None:
        if more:
            self._next()
        else:
            self._stop()

    def _stop(self) -> None:
        self._is_sweeping = False


def _abandon(connection: apsw.Connection, drafts: Sequence[int]) -> None:
    ids = [(draft,) for draft in drafts]
    connection.executemany("UPDATE draft SET abandoned = 1 WHERE id = ?", ids)


def _not_waited_for(future: "asyncio.Future[bool]") -> None:
    """Take a failure as read, so that it is not reported as forgotten."""
    if not future.cancelled():
        future.exception()
