"""The only source of time, and of sleep."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol


class Clock(Protocol):
    """Time that can be replaced, so that a queue of five days is tested in milliseconds."""

    def now(self) -> float:
        """Seconds since 1970 UTC, as people and stored records mean it. May jump either way."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, for deadlines and durations inside one process."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after at least `seconds` of monotonic time."""
        ...


_since_boot = partial(time.clock_gettime, time.CLOCK_BOOTTIME)


class SystemClock:
    """The machine's own clock, without its jumps.

    What is queued is due and expires by the time of day. If that is set by more than `LEAP` seconds
    while we run, all mail would be given up at once, or wait for years; so the time goes on as
    before for this process, and the next one begins with what the machine says then. Smaller steps
    are followed. Time that the machine sleeps through is no jump.
    """

    LEAP = 60.0

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = _since_boot,
    ) -> None:
        self._wall = wall
        self._steady = steady
        self._offset = wall() - steady()

    def now(self) -> float:
        """The time of day."""
        wall, own = self._wall(), self._steady() + self._offset
        if abs(wall - own) > self.LEAP:
            return own
        self._offset += wall - own
        return wall

    @property
    def jumped(self) -> float:
        """Seconds by which the machine's time of day was set away from ours; 0 for none."""
        difference = self._wall() - self._steady() - self._offset
        return difference if abs(difference) > self.LEAP else 0.0

    # The machine's steady counter, without a call of ours: it is asked a dozen times a message.
    monotonic = staticmethod(time.monotonic)

    def pause(self, seconds: float) -> None:
        """Block: before there is an event loop."""
        time.sleep(seconds)

    async def sleep(self, seconds: float) -> None:
        """Sleep on the running event loop."""
        await asyncio.sleep(seconds)
