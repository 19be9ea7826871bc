"""The newest events in memory, so that who follows close behind reads nothing back.

The writer thread adds, the event loop looks. Numbers follow one another without a gap: where one
would be, by a rollback, what stands before it is let go of.
"""

from collections import deque
from itertools import islice

from merpati.journal.events import Event

Numbered = tuple[int, Event]
"""An event with its sequence number."""


class Recent:
    """Committed events, as many as fit."""

    def __init__(self, octets: int) -> None:
        """At most so many octets, counted as the events are stored."""
        self._room = octets
        self._written: list[tuple[Numbered, int]] = []
        self._events: deque[Numbered] = deque()
        self._sizes: deque[int] = deque()

    def add(self, event: Numbered, octets: int) -> None:
        """It was written, in the running transaction. On the writer thread."""
        self._written.append((event, octets))

    def forget(self) -> None:
        """Something was rolled back, perhaps they. On the writer thread."""
        self._written.clear()

    def commit(self) -> None:
        """The transaction stands. On the writer thread."""
        for event, size in self._written:
            if self._events and self._events[-1][0] + 1 != event[0]:
                self.clear()
            self._events.append(event)
            self._sizes.append(size)
            self._room -= size
        self._written.clear()
        while self._room < 0:
            self._drop(1)

    def clear(self) -> None:
        """Some of them are removed from the file. On the writer thread."""
        self._drop(len(self._events))

    def after(self, cursor: int, limit: int) -> list[Numbered] | None:
        """What follows the number `cursor`; None when that is not known here. On the loop."""
        try:
            first, last = self._events[0][0], self._events[-1][0]
        except IndexError:
            return None
        if cursor == last:
            return []
        # The writer may drop what is looked at: only what begins where it should is believed.
        start = cursor + 1 - first
        page = list(islice(self._events, start, start + limit)) if start >= 0 else []
        return page if page and page[0][0] == cursor + 1 else None

    def _drop(self, count: int) -> None:
        for _ in range(count):
            self._events.popleft()
            self._room += self._sizes.popleft()
