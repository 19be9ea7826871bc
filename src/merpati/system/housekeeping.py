"""What has to be done from time to time: mail that waits too long, history that is too long."""

from collections.abc import Awaitable, Callable

from merpati.clock import Clock
from merpati.delivery.settling import SettlingSettings
from merpati.feedback.feedback import Feedback, Room
from merpati.journal.journal import Journal
from merpati.queue.queue import Desk

_INTERVAL = 60.0
_AT_ONCE = 50
_REST = 0.05
"""Seconds between slices: of a million messages that come to their time together, 50 hold the
writer for about 5 ms, and mail has the rest of it."""
# storage.md: slices of 5,000 rows hold the writer for 12 ms at most.
_FORGET_AT_ONCE = 5000


class Housekeeping:
    """Looks around once a minute."""

    def __init__(self, desk: Desk, journal: Journal, feedback: Feedback, clock: Clock) -> None:
        self._desk = desk
        self._journal = journal
        self._feedback = feedback
        self._clock = clock
        self.patience = SettlingSettings().delay_notice
        """Seconds until senders are told of a delay; set at start and at a reload."""
        self.retention = 0.0
        """Seconds that the journal remembers; set at start and at a reload."""
        self.room = Room()
        """Of what others report; set at start and at a reload."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.tidy()
            await self._clock.sleep(_INTERVAL)

    async def tidy(self) -> None:
        """Tell of delays, end what is expired, forget what is old: a slice of each in turn, so that
        much of one keeps none of the others waiting. What is in another file than mail comes last:
        where that one cannot be written, all else is done."""
        now = self._clock.now()
        await self._do([self._remind, self._expire, self._forget], now)
        await self._do([self._forget_reports], now)

    async def _do(self, chores: list[Callable[[float], Awaitable[bool]]], now: float) -> None:
        while chores:
            chores = [chore for chore in chores if await chore(now)]
            if chores:
                await self._clock.sleep(_REST)

    async def _remind(self, now: float) -> bool:
        """Whether there may be more."""
        return await self._desk.remind(now, self.patience, _AT_ONCE) == _AT_ONCE

    async def _expire(self, now: float) -> bool:
        return await self._desk.expire(now, _AT_ONCE) == _AT_ONCE

    async def _forget(self, now: float) -> bool:
        before = now - self.retention
        return await self._journal.forget(before, _FORGET_AT_ONCE) == _FORGET_AT_ONCE

    async def _forget_reports(self, now: float) -> bool:
        return await self._feedback.forget(now, self.room, _AT_ONCE) == _AT_ONCE
