"""Follows the journal and shows each event to whoever counts or writes it."""

from collections.abc import Sequence
from typing import Protocol

from merpati.clock import Clock
from merpati.journal.events import Event
from merpati.journal.journal import Journal

PAGE = 500
"""Events of one read."""
LOOK_AGAIN = 0.25
"""Seconds after a page that was not full: many events in few pages, written in few writes."""


class Taker(Protocol):
    """Whoever counts or writes events."""

    def take(self, event: Event) -> None:
        """One event; they come in order."""
        ...

    async def pause(self) -> None:
        """No more come for now: write out what was gathered."""
        ...


class Reader:
    """A cursor in the journal. Each event is shown once, in order; memory is one page."""

    def __init__(
        self, journal: Journal, takers: Sequence[Taker], clock: Clock, after: int = 0
    ) -> None:
        self._journal = journal
        self._takers = tuple(takers)
        self._clock = clock
        self.cursor = after
        """The last event that was shown; keep it to go on there after a restart."""

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            if await self.read() < PAGE:
                await self._clock.sleep(LOOK_AGAIN)

    async def read(self) -> int:
        """Show one page; how many events it had."""
        page = await self._journal.follow(self.cursor, PAGE)
        for sequence, event in page:
            for taker in self._takers:
                taker.take(event)
            self.cursor = sequence
        for taker in self._takers:
            await taker.pause()
        return len(page)
