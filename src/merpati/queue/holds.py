"""Sites on hold, as an event loop knows them: of a hundred thousand, none is looked at but the one
that is asked for and those whose hold is over."""

from collections.abc import Mapping
from heapq import heapify, heappop, heappush

_STALE = 64
"""Ends in the heap that no site has any more, beside as many as there are sites."""


class Holds:
    """Until when which site is on hold. Times in seconds since the epoch."""

    def __init__(self, until: Mapping[str, float] | None = None) -> None:
        self._until = dict(until or {})
        self._ends: list[tuple[float, str]] = []
        self._order()

    def __len__(self) -> int:
        return len(self._until)

    def until(self, site: str) -> float:
        """When its hold ends; 0 when it has none."""
        return self._until.get(site, 0.0)

    def put(self, site: str, until: float) -> None:
        """A site is on hold from now on, or on hold until another time."""
        self._until[site] = until
        heappush(self._ends, (until, site))
        if len(self._ends) > 2 * len(self._until) + _STALE:
            self._order()

    def lift(self, site: str) -> None:
        """A site is not on hold any more."""
        self._until.pop(site, None)

    def forget(self, now: float) -> None:
        """Forget what is over."""
        while self._ends and self._ends[0][0] <= now:
            end, site = heappop(self._ends)
            if self._until.get(site) == end:
                del self._until[site]

    def _order(self) -> None:
        self._ends = [(end, site) for site, end in self._until.items()]
        heapify(self._ends)
