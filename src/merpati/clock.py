"""The only source of time, and of sleep."""

import asyncio
import time
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


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        """The machine's idea of the time of day."""
        return time.time()

    def monotonic(self) -> float:
        """The machine's steady counter."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Sleep on the running event loop."""
        await asyncio.sleep(seconds)
