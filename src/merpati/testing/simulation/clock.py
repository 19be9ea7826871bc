"""The time of a simulated loop as Merpati reads it."""

import asyncio

from merpati.testing.simulation.loop import SimulatedLoop


class LoopClock:
    """A Clock. The time of day may be set; the steady counter is the loop's."""

    def __init__(self, loop: SimulatedLoop, start: float) -> None:
        self._loop = loop
        self._start = start

    def now(self) -> float:
        """Seconds since 1970, as this machine believes."""
        return self._start + self._loop.time()

    def monotonic(self) -> float:
        """Seconds since the loop was made."""
        return self._loop.time()

    def jump(self, seconds: float) -> None:
        """Set the time of day forth or back, as an administrator does."""
        self._start += seconds

    async def sleep(self, seconds: float) -> None:
        """On the loop."""
        await asyncio.sleep(seconds)
