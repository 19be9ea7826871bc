"""The only source of time, and of sleep."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

LEAP = 60.0
"""Seconds: by a larger step the time of day was set, by a smaller one it was corrected."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a clock says at one moment, to be held against what one says in a later process."""

    boot: str
    """Names the time from one start of the machine to the next; empty: nobody can tell."""
    steady: float
    """Seconds since that start."""
    time: float
    """Of day, seconds since 1970 UTC."""


class Clock(Protocol):
    """Time that can be replaced, so that a queue of five days is tested in milliseconds."""

    def now(self) -> float:
        """Seconds since 1970 UTC, as people and stored records mean it. May jump either way."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, for deadlines and durations inside one process."""
        ...

    def read(self) -> Reading:
        """All that this clock and one of a later process have to be compared by."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after at least `seconds` of monotonic time."""
        ...


_since_boot = partial(time.clock_gettime, time.CLOCK_BOOTTIME)


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""  # Then only a step back is seen.


class SystemClock:
    """The machine's own clock, without its jumps.

    What is queued is due and expires by the time of day. If that is set by more than `LEAP` seconds
    while we run, all mail would be given up at once, or wait for years; so the time goes on as
    before for this process. The next one begins with what the machine says then, and what it finds
    queued is moved by as much (`queue/leaping`). Smaller steps are followed. Time that the machine
    sleeps through is no jump.
    """

    LEAP = LEAP

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = _since_boot,
        boot: Callable[[], str] = _boot,
    ) -> None:
        self._wall = wall
        self._steady = steady
        self._boot = boot
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

    def read(self) -> Reading:
        """By the machine's boot, and the counter that goes on while it sleeps."""
        return Reading(self._boot(), self._steady(), self.now())

    # The machine's steady counter, without a call of ours: it is asked a dozen times a message.
    monotonic = staticmethod(time.monotonic)

    def pause(self, seconds: float) -> None:
        """Block: before there is an event loop."""
        time.sleep(seconds)

    async def sleep(self, seconds: float) -> None:
        """Sleep on the running event loop."""
        await asyncio.sleep(seconds)
