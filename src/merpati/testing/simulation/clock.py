"""The time of a simulated loop, as its machine has it and as one process reads it."""

from merpati.clock import SystemClock
from merpati.testing.simulation.loop import SimulatedLoop


class MachineClock:
    """The time of day of a machine, which may be set."""

    def __init__(self, loop: SimulatedLoop, start: float) -> None:
        self._loop = loop
        self._start = start
        self._set_by = 0.0

    def true(self) -> float:
        """Seconds since 1970, whatever it was set to."""
        return self._start + self._loop.time()

    def wall(self) -> float:
        """Seconds since 1970, as this machine believes."""
        return self.true() + self._set_by

    def jump(self, seconds: float) -> None:
        """Set the time of day forth or back, as an administrator does."""
        self._set_by += seconds

    def correct(self) -> None:
        """Set it right."""
        self._set_by = 0.0


class ProcessClock(SystemClock):
    """The clock of one life of a process: the real one, on the counters of the machine."""

    def __init__(self, loop: SimulatedLoop, machine: MachineClock) -> None:
        super().__init__(machine.wall, loop.time)
        self._loop = loop

    def monotonic(self) -> float:
        """Seconds since the loop was made."""
        return self._loop.time()
