"""Which site a domain belongs to: from the DNS, remembered for a while, told to the queue."""

from collections import OrderedDict
from dataclasses import dataclass, replace

from merpati.clock import Clock
from merpati.delivery.backing import UNBACKED
from merpati.delivery.mx import DNS_FAILING, Demands, Exchanges, HostFinder, NoHosts
from merpati.delivery.route import Route
from merpati.errors import MerpatiError
from merpati.queue.queue import Sites
from merpati.queue.way import Way


@dataclass(frozen=True, slots=True)
class SitingSettings:
    """What is remembered."""

    domains: int = 20_000
    remembered: float = 300.0
    """Seconds until the MX of a domain is asked for again, unless their TTL is less. Addresses and
    TLSA records are not kept here: each new connection asks the resolver, which minds theirs."""
    least: float = 5.0
    """Seconds that any answer is remembered, or a TTL of 0 would mean a question a message."""
    kept: float = 3600.0
    """Seconds beyond them for which an answer still serves where the new one is late (RFC 8767)."""


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

    def old(self, domain: str, heeds: bool = True) -> Exchanges | None:
        """What was known of a domain some time ago: better than a long wait for the answer. All
        that it demanded then is still demanded."""
        until, exchanges = self._exchanges.get((domain, heeds), (0.0, None))
        return exchanges if self._clock.monotonic() < until + self._settings.kept else None

    def site(self, route: Route, exchanges: Exchanges) -> str:
        """The name of what these hosts are, reached in this way."""
        return route.site(self._finder.site(exchanges), exchanges.backing)

    async def look_up(
        self, domain: str, heeds: bool = True, *, is_ours: bool = False
    ) -> Exchanges | NoHosts:
        """Ask for the hosts of a domain; all that its MX name, and without anything that they would
        have to prove, where what it demands is not heeded. `is_ours`: see `Demands`."""
        found = await self._finder.exchanges(domain)
        if isinstance(found, Exchanges) and not heeds:
            found = _undemanding(found)
        elif isinstance(found, Exchanges) and self._demands:
            found = await self._demands(domain, found, is_ours=is_ours)
        if isinstance(found, Exchanges):
            key = (domain, heeds)
            self._exchanges[key] = (self._clock.monotonic() + self._life(found), found)
            self._exchanges.move_to_end(key)
            while len(self._exchanges) > self._settings.domains:
                self._exchanges.popitem(last=False)
        elif found.cause != DNS_FAILING:
            # A "no" is an answer: what was known before serves no longer where the next is late.
            self._exchanges.pop((domain, heeds), None)
        return found

    def _life(self, found: Exchanges) -> float:
        return max(self._settings.least, min(self._settings.remembered, found.ttl))

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

    async def try_hasten(self, way: Way, due: float, span: tuple[float, float]) -> bool:
        """See `Sites.hasten`; it is done if the store can do it now."""
        domain, route = way
        try:
            await self._sites.hasten(domain, due, span, route)
        except MerpatiError:
            return False
        return True


def _undemanding(found: Exchanges) -> Exchanges:
    """Nor are their zones asked for certificates (DANE)."""
    return replace(found, backing=UNBACKED)
