"""The time of a simulated loop, as its machine has it and as one process reads it."""

from merpati.clock import SystemClock
from merpati.testing.simulation.loop import SimulatedLoop


class MachineClock:
    """The time of day of a machine, which may be set."""

    def __init__(self, loop: SimulatedLoop, start: float) -> None:
        self._loop = loop
        self._start = start
        self.set_by = 0.0
        """Seconds by which the time of day is ahead of the true one."""
        self.boot = "boot 1"

    def true(self) -> float:
        """Seconds since 1970, whatever it was set to."""
        return self._start + self._loop.time()

    def wall(self) -> float:
        """Seconds since 1970, as this machine believes."""
        return self.true() + self.set_by

    def jump(self, seconds: float) -> None:
        """Set the time of day forth or back, as an administrator does."""
        self.set_by += seconds


class ProcessClock(SystemClock):
    """The clock of one life of a process: the real one, on the counters of the machine."""

    def __init__(self, loop: SimulatedLoop, machine: MachineClock) -> None:
        super().__init__(machine.wall, loop.time, lambda: machine.boot)
        self._loop = loop

    def monotonic(self) -> float:
        """Seconds since the loop was made."""
        return self._loop.time()
