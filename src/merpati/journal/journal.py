"""The promises of a journal. Engines: `store` (SQLite, same file as the queue), `testing.memory`.

Events that belong to a change of the queue are written by the queue in that change's transaction;
`append` is for everything else.
"""

from collections.abc import Sequence
from typing import Protocol

from merpati.journal.events import Event


class Journal(Protocol):
    """What happened, in order."""

    def note(self, *events: Event) -> None:
        """Hand over events that ride with the next commit; lost by a crash before it. Bounded."""
        ...

    async def append(self, events: Sequence[Event]) -> None:
        """Return when the events are on stable storage."""
        ...

    async def follow(self, after: int, limit: int) -> list[tuple[int, Event]]:
        """Events behind the cursor `after` with their sequence numbers, oldest first."""
        ...

    async def last(self) -> int:
        """The sequence number of the newest event, where `follow` begins to tell only what is
        new; 0 when nothing ever happened."""
        ...

    async def story(self, message: str) -> list[Event]:
        """Everything about one message, and the Opened events its attempts name."""
        ...

    async def search(self, address: str, limit: int) -> list[str]:
        """Ids of the newest messages from or to an address (or `@domain`), newest first."""
        ...

    async def refused(self, address: str, limit: int) -> list[Event]:
        """The newest refusals that name an address (or `@domain`) as sender, recipient or login,
        and failed logins with it."""
        ...

    async def forget(self, before: float, limit: int) -> int:
        """Retention: remove up to `limit` events older than `before`; how many went."""
        ...
