"""What the pools of a worker ask of the dispatcher that owns them."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Protocol

from merpati.clock import Clock
from merpati.delivery.outcome import Outcome
from merpati.delivery.permits import WorkerPermits
from merpati.delivery.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Rest:
    """A site that is to be left alone until a time of day, with what goes back because of it."""

    site: str
    until: float
    why: str
    transactions: tuple[Transaction, ...]
    outcome: Outcome
    """Of every recipient of these; its `n` is filled in."""


class Floor(Protocol):
    """The owner of all pools."""

    @property
    def clock(self) -> Clock:
        """The time."""
        ...

    @property
    def permits(self) -> WorkerPermits:
        """To send the last octets of a message."""
        ...

    def may_connect(self, opened: int) -> bool:
        """Whether a site with so many connections may open another, for all the worker has."""
        ...

    def connect(self, work: Coroutine[None, None, None]) -> None:
        """Run a connection as a task."""
        ...

    def settle(
        self,
        transaction: Transaction,
        outcomes: Sequence[Outcome],
        final: bool,
        done: Callable[[], None],
    ) -> None:
        """Write the outcomes down, then call `done`. `final`: the host is the mailbox (LMTP)."""
        ...

    def rest(self, rest: Rest) -> None:
        """Put the site on hold in the queue, then settle what goes back."""
        ...

    def defect(self, what: str, error: Exception) -> None:
        """Journal a defect of ours."""
        ...

    def has_room(self, site: str, *, of_bulk: bool) -> None:
        """A site that was full can take more, and with `of_bulk` more bulk mail as well."""
        ...
