"""Time that moves only when told: five days of retries in milliseconds."""

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from merpati.clock import Reading

SETTLE_ROUNDS = 30
"""Turns of the loop that tasks get to react before time moves on, at most."""

QUIET_ROUNDS = 2
"""Turns with nothing to do after which all is settled: sockets are looked at between two."""


@dataclass(order=True, slots=True)
class _Sleeper:
    due: float
    order: int
    woken: asyncio.Future[None] = field(compare=False)


class VirtualClock:
    """A Clock whose sleepers wake in the order of their time, and never by themselves.

    `advance` moves it by hand; inside `async with clock.running()` it jumps to the next sleeper
    whenever the loop has nothing else to do. The loop cannot be asked whether a thread or a socket
    will still answer: where one is involved, `patience` gives it real seconds before each jump.
    """

    def __init__(self, start: float = 1_800_000_000.0, patience: float = 0.0) -> None:
        self.boot = ""
        """Of the machine; empty: nobody can tell."""
        self._start = start
        self._elapsed = 0.0
        self._patience = patience
        self._order = 0
        self._sleepers: list[_Sleeper] = []
        self._asleep = asyncio.Event()

    def now(self) -> float:
        """Seconds since 1970."""
        return self._start + self._elapsed

    def monotonic(self) -> float:
        """Seconds since this clock was made."""
        return self._elapsed

    def read(self) -> Reading:
        """Of a machine that was started when this clock was made."""
        return Reading(self.boot, self._elapsed, self.now())

    def jump(self, seconds: float) -> None:
        """Set the time of day forth or back, as an administrator does; nothing wakes by it."""
        self._start += seconds

    async def sleep(self, seconds: float) -> None:
        """Return when time was moved on by `seconds`."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        self._order += 1
        woken = asyncio.get_running_loop().create_future()
        sleeper = _Sleeper(self._elapsed + seconds, self._order, woken)
        heapq.heappush(self._sleepers, sleeper)
        self._asleep.set()
        await woken

    async def advance(self, seconds: float) -> None:
        """Move on, waking each sleeper at its own time and letting it act before the next."""
        target = self._elapsed + seconds
        await self._settle()
        while (due := self._next_due()) is not None and due <= target:
            self._wake_next()
            await self._settle()
        self._elapsed = target
        await self._settle()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let time run as fast as the tasks allow, until the block ends."""
        async with asyncio.TaskGroup() as group:
            runner = group.create_task(self._run())
            try:
                yield
            finally:
                runner.cancel()

    async def _run(self) -> None:
        while True:
            await self._settle()
            if self._next_due() is None:
                self._asleep.clear()
                await self._asleep.wait()
            else:
                self._wake_next()

    async def _settle(self) -> None:
        if self._patience:
            await asyncio.sleep(self._patience)
        # What asyncio calls next; uvloop does not show it and always gets all the turns.
        ready = getattr(asyncio.get_running_loop(), "_ready", None)
        quiet = 0
        for _ in range(SETTLE_ROUNDS):
            await asyncio.sleep(0)
            quiet = quiet + 1 if ready is not None and not ready else 0
            if quiet == QUIET_ROUNDS:
                return

    def _next_due(self) -> float | None:
        """When the next sleeper wakes that was not cancelled."""
        while self._sleepers and self._sleepers[0].woken.done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0].due if self._sleepers else None

    def _wake_next(self) -> None:
        sleeper = heapq.heappop(self._sleepers)
        self._elapsed = max(self._elapsed, sleeper.due)
        sleeper.woken.set_result(None)
