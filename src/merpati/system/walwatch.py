"""Tells an operator when the write-ahead log is not folded back: it would fill the disk."""

from collections.abc import Callable

from merpati.clock import Clock
from merpati.journal.events import Lifecycle
from merpati.journal.journal import Journal
from merpati.system.log import Log

# It is folded back at 4 MiB; only a question that lasts for minutes lets it grow so far.
_TOO_LARGE = 256 * 1024 * 1024
_INTERVAL = 60.0
_SILENCE = 3600.0
"""Seconds between two warnings."""


class WalWatch:
    """Looks once a minute."""

    def __init__(
        self, measure: Callable[[], int], journal: Journal, clock: Clock, log: Log
    ) -> None:
        """`measure`: octets of the log now."""
        self._measure = measure
        self._journal = journal
        self._clock = clock
        self._log = log

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            octets = self._measure()
            if octets > _TOO_LARGE:
                self._warn(octets)
            await self._clock.sleep(_SILENCE if octets > _TOO_LARGE else _INTERVAL)

    def _warn(self, octets: int) -> None:
        text = (
            f"the write-ahead log of the queue has {octets // 1024**2} MiB and is not folded back: "
            "another program may be reading the file for a long time"
        )
        self._log.warning("wal", text)
        self._journal.note(Lifecycle(at=self._clock.now(), what="wal", detail=text))
