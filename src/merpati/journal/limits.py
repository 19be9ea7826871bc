"""How often limits turned somebody away, and how many refusals may stand in the journal.

Whoever floods a server makes it say no thousands of times a second. Each time is counted; the
journal must not grow with it, since it shares the disk with the mail.
"""

from collections import Counter

from merpati.clock import Clock
from merpati.journal.events import Lifecycle
from merpati.journal.journal import Journal

_PERIOD = 60.0
_TOLD = 600
"""Refusals of one kind in a period that stand in the journal, each with whom it concerned."""


class Limits:
    """Of one worker. Names are a small closed set, those of `policy.limit` and two of its own: whom
    it concerned is no part of them."""

    def __init__(self, journal: Journal, clock: Clock, told: int = _TOLD) -> None:
        self._journal = journal
        self._clock = clock
        self._most = told
        self._hits: Counter[str] = Counter()
        self._refusals: Counter[str] = Counter()
        self.totals: Counter[str] = Counter()
        """Since the start, by name: for metrics and status."""

    def hit(self, name: str) -> None:
        """A limit was hit: count it, and journal the first time in a period."""
        self.totals[name] += 1
        self._hits[name] += 1
        if self._hits[name] == 1:
            self._tell(name)

    def starved(self, error: OSError) -> None:
        """The system had nothing left to take a connection with, on whichever port: files, or
        memory for sockets."""
        self.hit(f"no connection could be accepted ({error.strerror})")

    def may_tell(self, kind: str) -> bool:
        """Whether one more refusal of this kind may stand in the journal; others are counted."""
        self._refusals[kind] += 1
        if self._refusals[kind] <= self._most:
            return True
        self.hit(f"{kind}, not journaled")
        return False

    async def run(self) -> None:
        """Journal once a period how often each limit was hit, until cancelled."""
        while True:
            await self._clock.sleep(_PERIOD)
            hits, self._hits, self._refusals = self._hits, Counter(), Counter()
            for name, count in hits.items():
                if count > 1:
                    self._tell(f"{name}, {count} times in {_PERIOD:g} s")

    def _tell(self, detail: str) -> None:
        self._journal.note(Lifecycle(at=self._clock.now(), what="limit", detail=detail))
