"""What has to be done from time to time: mail that waits too long, history that is too long."""

from merpati.clock import Clock
from merpati.delivery.settling import SettlingSettings
from merpati.journal.journal import Journal
from merpati.queue.queue import Desk

_INTERVAL = 60.0
_AT_ONCE = 500
# storage.md: slices of 5,000 rows hold the writer for 12 ms at most.
_FORGET_AT_ONCE = 5000


class Housekeeping:
    """Looks around once a minute."""

    def __init__(self, desk: Desk, journal: Journal, clock: Clock) -> None:
        self._desk = desk
        self._journal = journal
        self._clock = clock
        self.patience = SettlingSettings().delay_notice
        """Seconds until senders are told of a delay; set at start and at a reload."""
        self.retention = 0.0
        """Seconds that the journal remembers; set at start and at a reload."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.tidy()
            await self._clock.sleep(_INTERVAL)

    async def tidy(self) -> None:
        """Tell of delays, end what is expired, forget what is old, in slices."""
        now = self._clock.now()
        while await self._desk.remind(now, self.patience, _AT_ONCE) == _AT_ONCE:
            await self._clock.sleep(0)
        while await self._desk.expire(now, _AT_ONCE) == _AT_ONCE:
            await self._clock.sleep(0)
        before = self._clock.now() - self.retention
        while await self._journal.forget(before, _FORGET_AT_ONCE) == _FORGET_AT_ONCE:
            await self._clock.sleep(0)
