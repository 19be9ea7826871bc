"""Which site a domain belongs to: from the DNS, remembered for a while, told to the queue."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from merpati.clock import Clock
from merpati.delivery.backing import UNBACKED
from merpati.delivery.mx import Exchanges, HostFinder, NoHosts
from merpati.errors import MerpatiError
from merpati.queue.queue import Sites

Demands = Callable[[str, Exchanges], Awaitable[Exchanges | NoHosts]]
"""What a domain demands of its hosts: those that may take its mail, and what they must prove."""


@dataclass(frozen=True, slots=True)
class SitingSettings:
    """What is remembered."""

    domains: int = 20_000
    remembered: float = 300.0
    """Seconds until the MX of a domain is asked for again; the resolver minds their TTL."""


class Siting:
    """The map of domains to sites in memory, since MX change."""

    def __init__(
        self,
        settings: SitingSettings,
        finder: HostFinder,
        sites: Sites,
        clock: Clock,
        demands: Demands | None = None,
    ) -> None:
        """Without `demands` no domain is asked for any."""
        self._demands = demands
        self._settings = settings
        self._finder = finder
        self._sites = sites
        self._clock = clock
        self._exchanges: OrderedDict[tuple[str, bool], tuple[float, Exchanges]] = OrderedDict()
        self._assigned: OrderedDict[tuple[str, str], str] = OrderedDict()

    def known(self, domain: str, heeds: bool = True) -> Exchanges | None:
        """The hosts of a domain that was looked up lately in the same way."""
        until, exchanges = self._exchanges.get((domain, heeds), (0.0, None))
        return exchanges if self._clock.monotonic() < until else None

    async def look_up(self, domain: str, heeds: bool = True) -> Exchanges | NoHosts:
        """Ask for the hosts of a domain; all that its MX name, and without anything that they would
        have to prove, where what it demands is not heeded."""
        found = await self._finder.exchanges(domain)
        if isinstance(found, Exchanges):
            found = await self._demanded(domain, found) if heeds else _undemanding(found)
        if isinstance(found, Exchanges):
            key = (domain, heeds)
            self._exchanges[key] = (self._clock.monotonic() + self._settings.remembered, found)
            self._exchanges.move_to_end(key)
            while len(self._exchanges) > self._settings.domains:
                self._exchanges.popitem(last=False)
        return found

    async def _demanded(self, domain: str, found: Exchanges) -> Exchanges | NoHosts:
        return await self._demands(domain, found) if self._demands else found

    async def assign(self, domain: str, site: str, route: str) -> None:
        """Let the queue know, if it does not yet, so that a hold of the site holds the domain."""
        key = (domain, route)
        if self._assigned.get(key) == site:
            self._assigned.move_to_end(key)
            return
        await self._sites.assign(domain, site, route)
        self._assigned[key] = site
        while len(self._assigned) > self._settings.domains:
            self._assigned.popitem(last=False)

    async def try_assign(self, domain: str, site: str, route: str) -> bool:
        """The same where it only helps: a store that fails now is no reason to stop."""
        try:
            await self.assign(domain, site, route)
        except MerpatiError:
            return False
        return True


def _undemanding(found: Exchanges) -> Exchanges:
    """Nor are their zones asked for certificates (DANE)."""
    return replace(found, backing=UNBACKED)
