"""What the workers of a node show one another: that they live, their connections."""

import mmap

_CELLS = 4
_ALIVE, _CONNECTIONS, _PID, _SERVES = range(_CELLS)


class Board:
    """A line for each worker in memory that all share; each writes its own."""

    def __init__(self, workers: int) -> None:
        """Made before the workers are."""
        self.workers = workers
        self.worker = 0
        self._cells = memoryview(mmap.mmap(-1, workers * _CELLS * 8)).cast("d")

    def become(self, worker: int, pid: int) -> None:
        """From now on write this worker's line: said once, in the worker's own process."""
        self.worker = worker
        self._cells[worker * _CELLS + _PID] = pid

    def clear(self, worker: int) -> None:
        """The worker is dead."""
        for cell in range(worker * _CELLS, (worker + 1) * _CELLS):
            self._cells[cell] = 0.0

    def live(self, now: float) -> None:
        """This worker's loop turns; monotonic seconds, which all processes of a machine share."""
        self._cells[self.worker * _CELLS + _ALIVE] = now

    def serve(self) -> None:
        """This worker takes what others pass on to it."""
        self._cells[self.worker * _CELLS + _SERVES] = 1.0

    def leave(self) -> None:
        """This worker stops: nothing new is for it, though it lives on for a while."""
        self._cells[self.worker * _CELLS + _SERVES] = 0.0

    def alive(self, worker: int) -> float:
        """When a worker last said that it lives; 0.0 until its loop has turned at all."""
        return float(self._cells[worker * _CELLS + _ALIVE])

    def serves(self, worker: int) -> bool:
        """Whether a worker is ready, and does not stop yet."""
        return bool(self._cells[worker * _CELLS + _SERVES])

    def connected(self, amount: int) -> None:
        """This worker has so many connections more, or fewer."""
        self._cells[self.worker * _CELLS + _CONNECTIONS] += amount

    def connections(self, worker: int) -> int:
        """How many a worker has."""
        return int(self._cells[worker * _CELLS + _CONNECTIONS])

    def pid(self, worker: int) -> int:
        """The worker's process; 0 while there is none."""
        return int(self._cells[worker * _CELLS + _PID])
