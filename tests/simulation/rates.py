"""The rate of a site that complained, as all workers keep it together."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from merpati.delivery.allotment import _RATE, _SLOWED_AT
from merpati.delivery.bucket import Bucket
from merpati.delivery.pacing import Pace, Paces, PacingSettings
from merpati.node.table import Table

_LAG = 0.5
"""Seconds beside a sweep in which a worker learns of the complaint, or of who sends as well."""


@dataclass(slots=True)
class _Limit:
    """Of one site: a bucket that leaks at the rate, and what is in it."""

    base: float
    slowed_at: float
    filled: float = 0.0
    looked: float = 0.0

    def add(self, now: float, rate: float) -> None:
        self.filled = max(0.0, self.filled - (now - self.looked) * rate) + 1.0
        self.looked = now


class Rates:
    """Told of each transaction that is begun."""

    def __init__(self, sweep: float) -> None:
        self.flaw = ""
        self._lag = sweep + _LAG
        self._limits: dict[str, _Limit] = {}

    def took(self, table: Table, site: str, buckets: int, now: float) -> None:
        """One of so many workers begins a transaction."""
        row = table.find(site)
        if row is None or not row.values[_SLOWED_AT]:
            return
        base, slowed_at = row.values[_RATE], row.values[_SLOWED_AT]
        limit = self._limits.get(site)
        if limit is None or (limit.base, limit.slowed_at) != (base, slowed_at):
            limit = self._limits[site] = _Limit(base, slowed_at, looked=now)
        if now < slowed_at + self._lag:
            return
        allowed = Bucket()
        allowed.adopt(base, slowed_at)
        rate = allowed.rate(now)
        if rate == math.inf:
            return
        limit.add(now, rate)
        # Each may have saved up a second's worth, and learns who else sends with its next sweep.
        most = buckets * max(1.0, rate) + rate * self._lag + 1.0
        if limit.filled > most:
            self.flaw = f"{site} was sent {limit.filled:.1f} more than {rate:.3f}/s allow"


class _Watched(Bucket):
    """Tells of each message that goes."""

    told: Callable[[float], None]

    def take(self, now: float) -> bool:
        """As every bucket."""
        may = super().take(now)
        if may:
            self.told(now)
        return may


class WatchedPaces(Paces):
    """The paces of one shard; `told` hears of each message that goes to a site."""

    __slots__ = ("told",)
    told: Callable[[str, float], None]

    def __init__(self, settings: PacingSettings, chance: Callable[[], float]) -> None:
        super().__init__(settings, chance)
        self.told = lambda site, now: None

    def of(self, site: str) -> Pace:
        """See `Paces`."""
        pace = super().of(site)
        if not isinstance(pace.bucket, _Watched):
            pace.bucket = _Watched()
            pace.bucket.told = lambda now: self.told(site, now)
        return pace
