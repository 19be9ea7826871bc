"""Tells an operator while the disk has less room than is kept free: no mail is taken then."""

from collections.abc import Callable

from merpati.clock import Clock
from merpati.config.values import Size
from merpati.journal.events import Lifecycle
from merpati.policy.rules.space import Disk, Measure
from merpati.system.log import Log

EVENT = "space"
_INTERVAL = 5.0


class SpaceWatch:
    """Looks every few seconds; says when it begins and when it ends."""

    def __init__(
        self,
        measure: Measure,
        kept: Callable[[Disk], int],
        clock: Clock,
        log: Log,
        note: Callable[[Lifecycle], None] | None,
    ) -> None:
        """`kept`: octets below which a port takes no mail. `note` puts it into the journal; None
        for one worker of several that say the same, which is silent."""
        self._measure = measure
        self._kept = kept
        self._clock = clock
        self._log = log
        self._note = note
        self.trouble = ""
        """Why no mail is taken; empty: it is."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self.look()
            await self._clock.sleep(_INTERVAL)

    def look(self) -> None:
        """How it is now."""
        disk = self._measure()
        # As the rule has it: a disk that cannot be measured stops no mail.
        kept = self._kept(disk) if disk else 0
        before, self.trouble = self.trouble, ""
        if disk and disk.free < kept:
            self.trouble = (
                f"the disk is nearly full: {Size(disk.free).rounded()} are free and "
                f"{Size(kept).rounded()} are kept for what is queued ([limits] free_space)"
            )
        if self.trouble and not before:
            self._tell(self._log.error, f"{self.trouble}; mail is told to come later")
        elif before and not self.trouble:
            self._tell(self._log.info, "the disk has room again: mail is taken")

    def gauge(self) -> dict[str, float]:
        """For the metrics: octets that are free, and how many have to be."""
        disk = self._measure()
        if disk is None:
            return {}
        return {"free": float(disk.free), "kept": float(self._kept(disk))}

    def _tell(self, say: Callable[[str, str], None], text: str) -> None:
        if self._note is not None:
            say(EVENT, text)
            self._note(Lifecycle(at=self._clock.now(), what=EVENT, detail=text))
