"""One connection's place in its pool: where its conversation draws from and reports to."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from merpati.delivery.outcome import Outcome, Result
from merpati.delivery.permits import Permits
from merpati.delivery.transaction import Host, Transaction


class Ready(msgspec.Struct, frozen=True):
    """A transaction that waits for a connection."""

    transaction: Transaction
    is_bulk: bool = False
    returns: int = 0
    """How often it came back untouched."""


class Report(msgspec.Struct, frozen=True):
    """A transaction that a line is done with."""

    ready: Ready
    outcomes: Sequence[Outcome]
    seconds: float
    done: Callable[[], None]
    """Gives the permit back, if one was taken; called when the outcomes are on disk."""
    host: Host
    waited: float | None = None
    """Seconds from the last octets to their verdict; None where none was waited for."""


class Pool(Protocol):
    """What a line asks of its pool."""

    @property
    def permits(self) -> Permits:
        """The site's share of the worker's permits."""
        ...

    @property
    def bulk_permits(self) -> Permits:
        """The part of them that bulk mail may have."""
        ...

    def take(self, line: "Line") -> Ready | None:
        """The next transaction, if one may go now."""
        ...

    def wait(self, line: "Line", seconds: float) -> asyncio.Future[Ready | None]:
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
    permits: Permits | None = None
    """Where it has its permit from, once it has one."""
    permitted_at: float = 0.0


class Line:
    """A `Source`."""

    def __init__(self, pool: Pool, host: Host) -> None:
        self._pool = pool
        self.host = host
        self._taken: dict[int, _Taken] = {}
        self._last_end = 0.0

    @property
    def carries_bulk(self) -> bool:
        """Whether bulk mail is under way, which single mail would wait for."""
        return any(one.ready.is_bulk for one in self._taken.values())

    def next(self) -> Transaction | None:
        """The next ready transaction, taken for this connection."""
        return self._began(self._pool.take(self))

    async def wait_next(self, seconds: float) -> Transaction | None:
        """The same, waiting up to about `seconds`."""
        ready = self._pool.take(self)
        if ready is None:
            ready = await self._pool.wait(self, seconds)
        return self._began(ready)

    async def permit(self) -> None:
        """Wait for a place among the transactions whose verdict is not on disk yet.

        It is for the first one taken that has none: final octets leave in the order of taking.
        """
        taken = next(one for one in self._taken.values() if one.permits is None)
        permits = self._pool.bulk_permits if taken.ready.is_bulk else self._pool.permits
        await permits.acquire()
        taken.permits, taken.permitted_at = permits, self._pool.monotonic()

    def finished(self, transaction: Transaction, outcomes: Sequence[Outcome]) -> None:
        """Leave the results."""
        taken = self._taken.pop(id(transaction))
        now = self._pool.monotonic()
        seconds = now - max(taken.at, self._last_end)
        self._last_end = now
        was_sent = taken.permits is not None and not _is_untouched(outcomes)
        waited = now - taken.permitted_at if was_sent else None
        done = self._giving_back(taken, was_sent=was_sent)
        self._pool.report(Report(taken.ready, outcomes, seconds, done, self.host, waited))

    def close(self, reply: str) -> None:
        """The conversation is over; what it should have finished and did not is deferred.

        That is a defect of the conversation: whatever had a permit may have been sent.
        """
        for taken in list(self._taken.values()):
            result = Result.UNKNOWN if taken.permits is not None else Result.DEFERRED
            transaction = taken.ready.transaction
            outcomes = [
                Outcome(waiting.n, result, reply, "4.3.0", "delivery-defect")
                for waiting in transaction.recipients
            ]
            self.finished(transaction, outcomes)

    def _began(self, ready: Ready | None) -> Transaction | None:
        if ready is None:
            return None
        self._taken[id(ready.transaction)] = _Taken(ready, self._pool.monotonic())
        return ready.transaction

    def _giving_back(self, taken: _Taken, *, was_sent: bool) -> Callable[[], None]:
        """The permit of a transaction whose final octets may have left goes with its verdict."""
        if taken.permits is None:
            return _nothing
        if not was_sent:
            taken.permits.release()
            return _nothing
        return taken.permits.release


def _is_untouched(outcomes: Sequence[Outcome]) -> bool:
    return all(one.result is Result.UNTOUCHED for one in outcomes)


def _nothing() -> None:
    """There is no permit to give back."""
