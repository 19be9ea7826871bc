"""What all connections of one event loop share: buffers, the clock, the sweep of deadlines, and the
end of a turn, where short writes leave.

A deadline is an attribute of a stream (0.13 us to set). Once a second one sweep looks at every
stream of the loop and ends what is overdue; `asyncio.timeout` at every wait costs 5.8 us each.
"""

import asyncio
from typing import Protocol

from merpati.clock import Clock

READ_SIZE = 64 * 1024
"""Octets a read may bring. With 256 KiB, page faults cost more than the calls that are saved."""


class Sender(Protocol):
    """Something with octets that wait to be sent."""

    def send(self) -> None:
        """Hand them to the kernel. Never raises."""
        ...


class Overdue(Protocol):
    """Something with a deadline."""

    deadline: float | None

    def overdue(self) -> None:
        """Called by the sweep, at most once a second, while the deadline lies behind us."""
        ...


class Wire:
    """One for each event loop; made by whoever runs the loop and handed to listeners and dialers.

    The read buffer is filled by the kernel and emptied within the same callback, so that one is
    enough for all connections and an idle connection holds none.
    """

    def __init__(self, clock: Clock, interval: float = 1.0) -> None:
        self.clock = clock
        self.buffer = memoryview(bytearray(READ_SIZE))
        self._interval = interval
        self._watched: set[Overdue] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self.lag = 0.0
        """Seconds that the last sweep came late: how far the loop is behind its work."""
        self._posted: list[Sender] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        """Set with the first stream; only streams post."""

    def __len__(self) -> int:
        """How many streams are open."""
        return len(self._watched)

    def __contains__(self, stream: object) -> bool:
        """Whether this stream is open."""
        return stream in self._watched

    def watch(self, stream: Overdue) -> None:
        """Sweep over this stream from now on."""
        self._watched.add(stream)
        if self._timer is None:
            self._schedule()

    def forget(self, stream: Overdue) -> None:
        """No longer. The sweep stops with the last stream."""
        self._watched.discard(stream)
        if not self._watched and self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self.lag = 0.0

    def post(self, sender: Sender) -> None:
        """Let it send when all that is ready now has run.

        A peer that sleeps is woken by a write, and on a busy machine takes this processor. When
        the replies of a turn leave one behind the other, it is awake for all but the first.
        """
        if not self._posted and self._loop is not None:
            self._loop.call_soon(self._send_posted)
        self._posted.append(sender)

    def _send_posted(self) -> None:
        posted, self._posted = self._posted, []
        for sender in posted:
            sender.send()

    def sweep(self) -> None:
        """End every wait whose deadline has come."""
        now = self.clock.monotonic()
        late = [s for s in self._watched if s.deadline is not None and s.deadline <= now]
        for stream in late:
            stream.overdue()

    def _schedule(self) -> None:
        # Kept, since each `get_running_loop` asks the kernel for our process id (CPython 3.11).
        self._loop = loop = asyncio.get_running_loop()
        self._due = loop.time() + self._interval
        self._timer = loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        self.lag = max(0.0, asyncio.get_running_loop().time() - self._due)
        self._schedule()
        self.sweep()
