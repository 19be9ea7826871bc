"""The connections of one life of the worker, site by site: what stands, against what is allowed."""

from collections import defaultdict

from merpati.delivery.pool import SitePool
from merpati.delivery.transaction import Host
from merpati.testing.simulation.network import Network, SimulatedStream


class Lines:
    """Every connection is made through `dial`; `flaw` is asked between any two turns."""

    def __init__(self, network: Network, cap: int) -> None:
        self._network = network
        self._cap = cap
        self._streams: dict[str, list[SimulatedStream]] = defaultdict(list)
        self._last: dict[str, tuple[int, int]] = {}
        """Of each site, how many were open and how many it bore, a turn ago."""

    async def dial(self, site: str, host: Host, seconds: float) -> SimulatedStream:
        """As `Network.dial`, for a site."""
        stream = await self._network.dial(host, seconds)
        self._streams[site].append(stream)
        return stream

    def flaw(self, pools: dict[str, SitePool], now: float) -> str:
        """What is open and should not be; empty if all is well.

        A window may fall below what is open, but nothing is opened above it.
        """
        counted = {site: pool._live + pool._opening for site, pool in pools.items()}
        for site, streams in self._streams.items():
            streams[:] = [one for one in streams if not one.is_broken]
            if len(streams) > counted.get(site, 0):
                return f"{len(streams)} to {site}, {counted.get(site, 0)} are counted"
        last, self._last = self._last, {}
        for site, pool in pools.items():
            # The one that asks other hosts for what one of them lacks must be, whatever is open.
            opened, window = counted[site] - pool._detouring, pool._window(now)
            before, bore = last.get(site, (0, window))
            self._last[site] = opened, window
            if opened > self._cap or opened > max(before, window, bore):
                return f"{opened} to {site}, which bears {window} of at most {self._cap}"
        return ""
