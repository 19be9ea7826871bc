"""Memory for the content of large messages, shared by all sessions of a worker (promise 4).

A message above `SMALL` needs a share before it may hold more. Whoever gets one has all that it will
ever need, so sessions that wait for one another cannot hold each other up; while one waits nothing
is read from its client, who sees a slow connection.
"""

import asyncio
from collections import deque
from dataclasses import dataclass

from merpati.clock import Clock

SMALL = 64 * 1024
"""Octets of content that a session may hold without a share: nearly all mail is smaller."""


@dataclass(frozen=True, slots=True)
class RoomSettings:
    """A share is about a MiB: what is held, and what is on its way to the store."""

    shares: int = 64
    """Large messages that are received at a time."""
    patience: float = 60.0
    """Seconds that one waits for a share. RFC 5321 §4.5.3.2.5: a client waits three minutes."""


class Room:
    """One for all ports of a worker."""

    def __init__(self, settings: RoomSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._free = settings.shares
        self._waiting: deque[asyncio.Future[bool]] = deque()

    async def take(self) -> bool:
        """Wait for a share, in the order of asking; False when none came free in time.

        What was taken is given back once.
        """
        if self._free:
            self._free -= 1
            return True
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await self._wait(turn)
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.result():
                self.give_back()  # it came in the same moment
            raise

    def give_back(self) -> None:
        """A share is free: the one who waits longest gets it."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(True)
                return
        self._free += 1

    async def _wait(self, turn: asyncio.Future[bool]) -> bool:
        async with asyncio.TaskGroup() as group:
            patience = group.create_task(self._lose_patience(turn))
            has_share = await turn
            patience.cancel()
        return has_share

    async def _lose_patience(self, turn: asyncio.Future[bool]) -> None:
        await self._clock.sleep(self._settings.patience)
        if not turn.done():
            self._waiting.remove(turn)
            turn.set_result(False)
