"""The connections of a node, site by site: what stands, against what is counted and allowed.

A worker looks at what the others learned right before it opens a connection, so nothing is opened
above the window that all share at that time. A window may fall below what is open.
"""

from collections import defaultdict
from collections.abc import Sequence

from merpati.delivery.allotment import _SLOWED_AT, _WINDOW
from merpati.delivery.bucket import _NARROW
from merpati.delivery.pool import SitePool
from merpati.delivery.transaction import Host
from merpati.testing.simulation.network import Network, SimulatedStream

Key = tuple[int, str]
"""A shard, and a site that it has mail for."""
Pools = Sequence[tuple[int, int, SitePool]]
"""Of all workers that live: the worker, the shard and the pool of a site."""


class Lines:
    """Every connection is made through `dial`; `flaw` is asked between any two turns."""

    def __init__(self, network: Network, cap: int) -> None:
        self.grown: list[SitePool] = []
        """Those that opened a connection in the last turn."""
        self._network = network
        self._cap = cap
        self._streams: dict[Key, list[SimulatedStream]] = defaultdict(list)
        self._opened: dict[Key, int] = {}
        """How many connections each pool had a turn ago."""
        self._bore: dict[Key, int] = {}
        """How many the site bore a turn ago, as far as that pool knew."""
        self._sums: dict[str, int] = {}
        """How many connections each site had a turn ago."""

    async def dial(self, shard: int, site: str, host: Host, seconds: float) -> SimulatedStream:
        """As `Network.dial`, for a site."""
        stream = await self._network.dial(host, seconds)
        self._streams[shard, site].append(stream)
        return stream

    def flaw(self, pools: Pools, now: float) -> str:
        """What is open and should not be, or is not counted; empty if all is well."""
        return self._uncounted(pools) or self._miscounted(pools) or self._too_many(pools, now)

    def _uncounted(self, pools: Pools) -> str:
        """Whether a worker has what it does not know of."""
        if not self._streams:
            return ""
        counted = {(shard, pool.site): pool._live + pool._opening for _, shard, pool in pools}
        for key, streams in list(self._streams.items()):
            streams[:] = [one for one in streams if not one.is_broken]
            if not streams:
                del self._streams[key]
            elif len(streams) > counted.get(key, 0):
                return f"{len(streams)} to {key[1]}, {counted.get(key, 0)} are counted"
        return ""

    def _miscounted(self, pools: Pools) -> str:
        """Whether the others see of each worker what it has."""
        has: dict[tuple[int, str], int] = {}
        for worker, _, pool in pools:
            key = worker, pool.site
            has[key] = has.get(key, 0) + pool._live + pool._opening
        for worker, _, pool in pools:
            count, shown = has[worker, pool.site], pool._allotment._row.mine
            if count != shown:
                return f"worker {worker} has {count} to {pool.site}, and says {shown}"
        return ""

    def _too_many(self, pools: Pools, now: float) -> str:
        """Whether something was opened above what the site bears."""
        limits: dict[str, int] = {}
        sums: dict[str, int] = {}
        opened, bore = {}, {}
        self.grown.clear()
        for _, shard, pool in pools:
            key = shard, pool.site
            # The one that asks other hosts for what one of them lacks must be, whatever is open.
            count = opened[key] = pool._live + pool._opening - pool._detouring
            bears = bore[key] = _bears(pool, now)
            sums[pool.site] = sums.get(pool.site, 0) + count
            if count > self._opened.get(key, 0):
                self.grown.append(pool)
                most = max(bears, self._bore.get(key, bears))
                limits[pool.site] = max(limits.get(pool.site, 0), most)
        before, self._opened, self._bore = self._sums, opened, bore
        self._sums = sums
        for site, limit in limits.items():
            if sums[site] > self._cap or sums[site] > max(before.get(site, 0), limit):
                return f"{sums[site]} to {site}, which bears {limit} of at most {self._cap}"
        return ""


def _bears(pool: SitePool, now: float) -> int:
    """How many connections there may be, as this worker sees it and as all of them share it."""
    values = pool._allotment._row.values
    shared = int(values[_WINDOW]) or pool._window(now)
    if values[_SLOWED_AT] and now < values[_SLOWED_AT] + _NARROW:
        shared = 1
    return min(pool._window(now), shared)
