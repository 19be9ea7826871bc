"""One connection's place in its pool: where its conversation draws from and reports to."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from merpati.delivery.outcome import Outcome, Result
from merpati.delivery.transaction import Host, Transaction


@dataclass(frozen=True, slots=True)
class Ready:
    """A transaction that waits for a connection."""

    transaction: Transaction
    returns: int = 0
    """How often it came back untouched."""


@dataclass(frozen=True, slots=True)
class Report:
    """A transaction that a line is done with."""

    ready: Ready
    outcomes: Sequence[Outcome]
    seconds: float
    done: Callable[[], None]
    """Gives the permit back, if one was taken; called when the outcomes are on disk."""


class Pool(Protocol):
    """What a line asks of its pool."""

    @property
    def permits(self) -> asyncio.Semaphore:
        """The worker's permits."""
        ...

    def take(self, host: Host) -> Ready | None:
        """The next transaction, if one may go now."""
        ...

    def wait(self, host: Host, seconds: float) -> asyncio.Future[Ready | None]:
        """The next one, or None after about so many seconds or when the line should close."""
        ...

    def report(self, report: Report) -> None:
        """A transaction was finished."""
        ...

    def monotonic(self) -> float:
        """The time."""
        ...


@dataclass(slots=True)
class _Taken:
    ready: Ready
    at: float


class Line:
    """A `Source`."""

    def __init__(self, pool: Pool, host: Host) -> None:
        self._pool = pool
        self.host = host
        self._taken: dict[int, _Taken] = {}
        self._permits = 0
        self._last_end = 0.0

    def next(self) -> Transaction | None:
        """The next ready transaction, taken for this connection."""
        return self._began(self._pool.take(self.host))

    async def wait_next(self, seconds: float) -> Transaction | None:
        """The same, waiting up to about `seconds`."""
        ready = self._pool.take(self.host)
        if ready is None:
            ready = await self._pool.wait(self.host, seconds)
        return self._began(ready)

    async def permit(self) -> None:
        """Wait for a place among the transactions whose verdict is not on disk yet."""
        await self._pool.permits.acquire()
        self._permits += 1

    def finished(self, transaction: Transaction, outcomes: Sequence[Outcome]) -> None:
        """Leave the results."""
        taken = self._taken.pop(id(transaction))
        now = self._pool.monotonic()
        seconds = now - max(taken.at, self._last_end)
        self._last_end = now
        self._pool.report(Report(taken.ready, outcomes, seconds, self._giving_back(outcomes)))

    def close(self, reply: str) -> None:
        """The conversation is over; what it should have finished and did not is deferred.

        That is a defect of the conversation: whatever had a permit may have been sent.
        """
        result = Result.UNKNOWN if self._permits else Result.DEFERRED
        for taken in list(self._taken.values()):
            transaction = taken.ready.transaction
            outcomes = [
                Outcome(waiting.n, result, reply, "4.3.0", "delivery-defect")
                for waiting in transaction.recipients
            ]
            self.finished(transaction, outcomes)
        for _ in range(self._permits):
            self._pool.permits.release()
        self._permits = 0

    def _began(self, ready: Ready | None) -> Transaction | None:
        if ready is None:
            return None
        self._taken[id(ready.transaction)] = _Taken(ready, self._pool.monotonic())
        return ready.transaction

    def _giving_back(self, outcomes: Sequence[Outcome]) -> Callable[[], None]:
        """The permit of a transaction whose final octets may have left goes with its verdict."""
        if not self._permits or all(one.result is Result.UNTOUCHED for one in outcomes):
            return _nothing
        self._permits -= 1
        return self._pool.permits.release


def _nothing() -> None:
    """There is no permit to give back."""
