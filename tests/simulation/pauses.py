"""Pauses: what a site told one worker keeps all of them back, until an operator lets it go."""

from collections import defaultdict
from collections.abc import Iterable

from merpati.delivery.pacing import Pace
from merpati.delivery.pool import SitePool
from tests.simulation.lines import Pools

_LAG = 0.5
"""Seconds beside the sweep in which a worker tells what it learned."""


class Pauses:
    """`flaw` is asked between any two turns. A pause is known by its end, to the last digit."""

    def __init__(self, sweep: float) -> None:
        self._lag = sweep + _LAG
        self._known: dict[str, tuple[float, float]] = {}
        """By site the end of the longest pause, and when it was first seen."""
        self._lifting: dict[str, set[float]] = {}
        """Those that an operator's command found, which has not reached all yet."""
        self._void: dict[str, set[float]] = defaultdict(set)
        """Those that one found or met, whatever became of it."""
        self._over: dict[str, set[float]] = defaultdict(set)
        """Those that it has ended in each worker."""

    def flaw(self, pools: Pools, grown: Iterable[SitePool], now: float) -> str:
        """Who opens what is paused, or is kept back by what is over; empty if all is well."""
        for pool in grown:
            until, since = self._known.get(pool.site, (0.0, now))
            if until > now and now - since > self._lag:
                return f"{pool.site} is tried, paused until {until:.1f} since {since:.1f}"
        for worker, _, pool in pools:
            site, until = pool.site, pool._pace.paused_until
            if until <= now:
                continue
            if until in self._over.get(site, ()):
                return f"an operator let {site} go, and worker {worker} waits until {until:.1f}"
            if site in self._lifting:
                self._void[site].add(until)  # Whoever is told to let the site go lifts this, too.
            is_news = until > self._known.get(site, (0.0, 0.0))[0]
            if is_news and until not in self._void.get(site, ()):
                self._known[site] = until, now
        return ""

    def lifting(self, site: str, paces: Iterable[Pace]) -> None:
        """A worker is told that an operator lets a site go."""
        if site not in self._lifting:
            found = {pace.paused_until for pace in paces}
            self._lifting[site] = found
            self._void[site] |= found
            self._known.pop(site, None)

    def lifted(self, sites: Iterable[str]) -> None:
        """All were told, and it is done."""
        for site in sites:
            self._over[site] |= self._lifting.pop(site, set())

    def not_lifted(self) -> None:
        """Somebody could not be told."""
        self._lifting.clear()

    def forget(self) -> None:
        """A worker died and may have told nobody, or all were stopped."""
        self._known.clear()
