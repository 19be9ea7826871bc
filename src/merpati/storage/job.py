"""One piece of work for a database thread, and how its end is told on the event loop."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import apsw

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Job(Generic[T]):
    """Work inside a transaction. It may be run again from the start after a rollback."""

    work: Callable[[apsw.Connection], T]
    future: "asyncio.Future[T]"
    done: Callable[[T], None] | None = None
    """Called on the loop when the commit stands, in the order of commits, also when the waiter
    was cancelled in the meantime."""
    failed: Callable[[], None] | None = None
    """Called on the loop instead when nothing was stored."""
    recover: Callable[[apsw.Connection], None] | None = None
    """After a commit that failed in doubt: run once the file is open again, before anything
    else, to deal with the work if it stands after all."""
    gathers: bool = False
    """It does not look for what earlier jobs of its transaction have left to be written late."""
    rides: bool = False
    """Nobody waits for it: it may come a little later, together with others."""
    result: T | None = None
    error: BaseException | None = None

    def finish(self) -> None:
        """Tell the end. On the loop."""
        if self.error is not None:
            self._fail(self.error)
            return
        # Whoever waits goes on in a later turn, but before whatever `done` sets going: the 250
        # leaves before the attempt to deliver begins.
        if not self.future.done():
            self.future.set_result(self.result)  # type: ignore[arg-type]  # T, as there is no error
        if self.done is not None:
            self.done(self.result)  # type: ignore[arg-type]  # the same

    def _fail(self, error: BaseException) -> None:
        if self.failed is not None:
            self.failed()
        if not self.future.done():
            self.future.set_exception(error)


def finish_all(jobs: "list[Job[object]]") -> None:
    """Tell the end of a whole batch: one wake-up of the loop for all of them."""
    for job in jobs:
        job.finish()
