"""The newest events in memory, so that who follows close behind reads nothing back.

The writer thread adds, the event loop looks, and a lock stands between them, held for microseconds.
Numbers follow one another without a gap: where one
would be, by a rollback, what stands before it is let go of.
"""

from collections import deque
from itertools import islice
from threading import Lock

from merpati.journal.events import Event

Numbered = tuple[int, Event]
"""An event with its sequence number."""


class Recent:
    """Committed events, as many as fit."""

    def __init__(self, octets: int) -> None:
        """At most so many octets, counted as the events are stored."""
        self._room = octets
        self._lock = Lock()
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
        with self._lock:
            for event, size in self._written:
                if self._events and self._events[-1][0] + 1 != event[0]:
                    self._drop(len(self._events))
                self._events.append(event)
                self._sizes.append(size)
                self._room -= size
            while self._room < 0:
                self._drop(1)
        self._written.clear()

    def clear(self) -> None:
        """Some of them are removed from the file. On the writer thread."""
        with self._lock:
            self._drop(len(self._events))

    def after(self, cursor: int, limit: int) -> list[Numbered] | None:
        """What follows the number `cursor`; None when that is not known here. On the loop."""
        with self._lock:
            if not self._events:
                return None
            start = cursor + 1 - self._events[0][0]
            if not 0 <= start <= len(self._events):
                return None
            return list(islice(self._events, start, start + limit))

    def _drop(self, count: int) -> None:
        for _ in range(count):
            self._events.popleft()
            self._room += self._sizes.popleft()
