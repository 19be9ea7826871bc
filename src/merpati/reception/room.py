"""Memory for the content of large messages, shared by all sessions of a worker (promise 4).

A message above `SMALL` needs a share before it may hold more. Whoever gets one has all that it will
ever need, so sessions that wait for one another cannot hold each other up; while one waits nothing
is read from its client, who sees a slow connection.
"""

import asyncio
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass, replace

from merpati.clock import Clock

SMALL = 64 * 1024
"""Octets of content that a session may hold without a share: nearly all mail is smaller."""
_FEWEST = 8
"""Shares of a worker, however many there are."""


@dataclass(frozen=True, slots=True)
class RoomSettings:
    """A share is about a MiB: what is held, and what is on its way to the store."""

    shares: int = 48
    """Large messages that are received at a time."""
    each: int = 12
    """Of them for one stranger (an address, or an IPv6 /64), so that no one can take them all."""
    patience: float = 60.0
    """Seconds that one waits for a share. RFC 5321 §4.5.3.2.5: a client waits three minutes."""

    def divided(self, workers: int) -> "RoomSettings":
        """One worker's part: so many together have the memory that a single one would have."""
        shares = max(_FEWEST, self.shares // workers)
        return replace(self, shares=shares, each=max(1, self.each * shares // self.shares))


class Room:
    """One for all ports of a worker."""

    def __init__(self, settings: RoomSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._free = settings.shares
        self._held: Counter[str] = Counter()
        self._waiting: deque[tuple[str, asyncio.Future[bool]]] = deque()

    async def take(self, who: str = "") -> bool:
        """Wait for a share, in the order of asking; False when none came free in time.

        `who` names a stranger; "" is somebody trusted, who may have them all. What was taken is
        given back once, in the same name.
        """
        if self._free and self._may_have(who):
            self._count(who)
            return True
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        place = (who, turn)
        self._waiting.append(place)
        try:
            return await self._wait(turn)
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.result():
                self.give_back(who)  # it came in the same moment
            raise
        finally:
            with suppress(ValueError):  # whoever was served has left the queue
                self._waiting.remove(place)

    def give_back(self, who: str = "") -> None:
        """A share is free: the one who waits longest and may have it gets it."""
        self._free += 1
        if who:
            self._held[who] -= 1
            self._held += Counter()  # what nobody holds is not kept
        for name, turn in tuple(self._waiting):
            if not turn.done() and self._may_have(name):
                self._waiting.remove((name, turn))
                self._count(name)
                turn.set_result(True)
                return

    def _may_have(self, who: str) -> bool:
        return not who or self._held[who] < self._settings.each

    def _count(self, who: str) -> None:
        self._free -= 1
        if who:
            self._held[who] += 1

    async def _wait(self, turn: asyncio.Future[bool]) -> bool:
        async with asyncio.TaskGroup() as group:
            patience = group.create_task(self._lose_patience(turn))
            has_share = await turn
            patience.cancel()
        return has_share

    async def _lose_patience(self, turn: asyncio.Future[bool]) -> None:
        await self._clock.sleep(self._settings.patience)
        if not turn.done():
            turn.set_result(False)
