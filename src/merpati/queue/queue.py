"""The promises of a queue. Engines: `store` (SQLite) and `testing.memory`.

Every engine passes `testing.conformance.queue`. A method that changes anything returns only when
the change is on stable storage, and it changes everything it was given or nothing.
"""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from typing import Protocol

from merpati.journal.events import Event
from merpati.mail.envelope import Body
from merpati.queue.entry import Claim, Entry, Listed, ListedLane, Owed, Selection, Settlement


class Draft(Protocol):
    """A large message that is being streamed in. It exists only once it is put."""

    async def write(self, octets: bytes) -> None:
        """Store the next octets. Returns when they were handed over and memory is bounded."""
        ...

    async def discard(self) -> None:
        """Forget it all. Idempotent; also right after `put`, when it does nothing."""
        ...


class Queue(Protocol):
    """Mail that was accepted and is not finished."""

    def draft(self) -> Draft:
        """Begin to stream a message in."""
        ...

    async def put(
        self,
        entry: Entry,
        content: Body | Draft,
        events: Sequence[Event] = (),
        discharged: Sequence[int] = (),
    ) -> None:
        """Message, recipients, events stored and synced, and the debts `discharged` cleared.

        Small fresh messages are then in hand: the next `claim` yields them without reading.
        Raises StorageError (`is_full` for no space); then nothing was stored.
        """
        ...

    async def claim(
        self,
        now: float,
        room: int,
        busy: Collection[str] = (),
        full_of_bulk: Collection[str] = (),
    ) -> list[Claim]:
        """At most `room` recipients that are due: fresh ones first, then fairly by site, tenant
        and lane. It may be fewer than there are: ask again until there are none.

        Sites (by name) in `busy` are passed over, and bulk mail of those in `full_of_bulk`. What is
        claimed is not claimed again in this process until it is settled; after a restart it is.
        """
        ...

    def read(self, entry_id: str) -> AsyncIterator[bytes]:
        """The content in pieces of at most 256 KiB, no snapshot held between them.

        Raises StorageError unless it is there whole, possibly after some of the pieces: who passes
        them on sees the end before its last is final.
        """
        ...

    async def settle(self, settlements: Sequence[Settlement], events: Sequence[Event] = ()) -> None:
        """Record what became of claimed recipients, with events and debts, in one transaction.

        A message whose last recipient is final, with no debt left, is removed with its content.
        """
        ...

    async def next_due(self) -> float | None:
        """When the earliest waiting recipient is due, sites on hold counted at their hold's end."""
        ...

    def on_ready(self, wake: Callable[[], None]) -> None:
        """Call `wake` on the loop whenever a claim may find more than the last one."""
        ...


class Sites(Protocol):
    """What the queue knows of sites: which domains share one, and until when one is on hold."""

    async def assign(self, domain: str, site: str, route: str = "") -> None:
        """From now on `domain`'s lane hangs on `site`; with `route`, what was rerouted there, or
        what goes another way by its sender's will (`queue.way`).

        Until then a lane is its own site, by the name of its route or else its domain.
        """
        ...

    async def hasten(
        self, domain: str, due: float, span: tuple[float, float], route: str = ""
    ) -> None:
        """What waits on this way and is due after `due` and within the span, both its ends
        included, is due at `due`, which may be long ago: it comes before what is due since.
        Nothing else of it changes."""
        ...

    async def lanes(self) -> list[ListedLane]:
        """Every lane that mail was ever put into, and its site."""
        ...

    async def hold(self, site: str, until: float, why: str, events: Sequence[Event] = ()) -> None:
        """Nothing of this site's whole cohort is claimed before `until`. 0 resumes it now."""
        ...

    async def held(self) -> dict[str, tuple[float, str]]:
        """Sites on hold: until when and why."""
        ...


class Ledger(Protocol):
    """Notices that are owed: written with a settlement, cleared with the notice's own `put`."""

    async def owed(self, limit: int) -> list[Owed]:
        """The oldest debts, those of one message together."""
        ...

    async def forgive(self, ids: Sequence[int], events: Sequence[Event] = ()) -> None:
        """Clear debts that no notice will answer (a notice about a notice, a null sender)."""
        ...


class Desk(Protocol):
    """What operators do to the queue.

    What is claimed is in an attempt's hands: it is neither changed nor counted by `alter`,
    `expire` and `remind`. Fresh mail that nobody has claimed yet counts as waiting.
    """

    async def search(
        self, selection: Selection, limit: int, after: tuple[str, int] | None = None
    ) -> list[Listed]:
        """One line a recipient, oldest first, continuing behind `after` (entry id, n)."""
        ...

    async def count(self) -> dict[str, int]:
        """How many recipients stand in each state by the state's lower-case name."""
        ...

    async def alter(
        self, selection: Selection, action: str, events_by: str, route: str = ""
    ) -> int:
        """hold, release, retry, cancel or reroute what is selected; how many were changed.

        Journals each change in the same transaction, in the name of `events_by`.
        """
        ...

    async def stop_senders(
        self, logins: Collection[str], made: Callable[[str], float | None] = lambda _: 0.0
    ) -> int:
        """Hold what waits of these logins; what is held for this reason alone of any other login
        waits again, due now, but what is older than the account, whose time `made` says; None for
        one that is gone. How many were changed.

        An operator's holds stay as they are. Said again, it changes only what is new.
        """
        ...

    async def remind(self, now: float, patience: float, limit: int) -> int:
        """Owe the delay notices of what waits for `patience` seconds or past its BY=, once each.

        Looks at up to `limit` messages; how many. Call again while it is that many.
        """
        ...

    async def expire(self, now: float, limit: int) -> int:
        """End up to `limit` recipients whose message's time is over, with event and debt."""
        ...
