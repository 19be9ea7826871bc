"""Suspending and resuming: from what a person names to the sites that the queue holds.

The queue keeps mail in lanes, one a domain, and a lane hangs on a site: at first its own, later the
host that it is sent to. People say a domain, a route as in merpati.toml, or a site as it is listed.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from merpati.api import questions as ask
from merpati.api.errors import Unknown
from merpati.api.moments import BY, moment
from merpati.clock import Clock
from merpati.delivery.route import RouteError, parse_route
from merpati.journal.events import SiteHeld
from merpati.mail.address import AddressError, parse_domain
from merpati.queue.entry import ListedLane, Selection, State
from merpati.queue.queue import Desk, Sites

_MAX_NAMED = 20
"""Sites that an error lists."""


@dataclass(frozen=True, slots=True)
class SiteOffice:
    """What can be done to sites."""

    desk: Desk
    sites: Sites
    clock: Clock
    host_of: Callable[[str, str], str]
    """The site of the host that a domain's mail is routed to (by a forced route, if any); empty
    where the DNS or a mailbox decides."""
    hosts: Callable[[], Collection[str]]
    """The sites of all hosts that routes name, also those that never had mail."""
    suspended: Callable[[str, float, str], None]
    """Told of a site, until when (seconds since 1970) and why."""
    resumed: Callable[[str], None]
    """Told when a site is free again, so that deliveries forget what it taught them."""

    async def hold(self, question: ask.HoldSite) -> ask.SitesChanged:
        """Keep a site's whole cohort back; or let it go, and make due what waits there."""
        name, lanes = way_of(question.site), await self.sites.lanes()
        for lane in lanes:
            host = self.host_of(lane.domain, lane.route)
            if name == way_of(host) and lane.site != host:
                await self.sites.assign(lane.domain, host, lane.route)
        lanes = await self.sites.lanes()
        known = {lane.site for lane in lanes} | set(await self.sites.held())
        sites = sorted(meant(name, lanes, known)) or self._to_come(question, name, known)
        cohort = [lane for lane in lanes if lane.site in sites]
        domains = tuple(sorted({lane.domain for lane in cohort}))
        for site in sites:
            await self._hold(site, question)
        changed = 0 if question.seconds else await self._make_due(cohort)
        return ask.SitesChanged(sites=tuple(sites), domains=domains, changed=changed)

    def _to_come(self, question: ask.HoldSite, name: str, known: Iterable[str]) -> list[str]:
        """What has had no mail so far can be held: the host of a route, or a domain, whose first
        lane will be its own site."""
        if question.seconds and (hosts := meant(name, (), self.hosts())):
            return sorted(hosts)
        if question.seconds and _is_domain(name):
            return [name]
        listed = sorted(known)
        others = ", ".join(listed[:_MAX_NAMED]) + (" …" if len(listed) > _MAX_NAMED else "")
        raise Unknown(
            f"no mail goes to {question.site!r} so far. Say a domain, a route or a site; "
            f"known sites: {others or 'none yet'}"
        )

    async def _hold(self, site: str, question: ask.HoldSite) -> None:
        now = self.clock.now()
        until = now + question.seconds if question.seconds else 0.0
        why = (question.why or f"by an {BY}") if until else ""
        event = SiteHeld(at=now, site=site, until=until, why=why, by=BY)
        await self.sites.hold(site, until, why, [event])
        if until:
            self.suspended(site, until, why)
        else:
            self.resumed(site)

    async def _make_due(self, cohort: Iterable[ListedLane]) -> int:
        """Who resumes a site does not want to wait for the next try of each message."""
        waiting = {lane.domain for lane in cohort if lane.waiting}
        choices = [Selection(domain=domain, state=State.WAITING) for domain in sorted(waiting)]
        return sum([await self.desk.alter(choice, "retry", BY) for choice in choices])

    async def held(self, _: ask.Nothing) -> list[ask.HeldSite]:
        """Sites on hold."""
        held = await self.sites.held()
        return [
            ask.HeldSite(site=site, until=moment(until), why=why)
            for site, (until, why) in sorted(held.items())
        ]


def meant(name: str, lanes: Iterable[ListedLane], known: Iterable[str]) -> set[str]:
    """The sites that a name (as of `way_of`) means: those of a domain, or those called so."""
    of_domain = {lane.site for lane in lanes if lane.domain == name}
    return of_domain | {site for site in known if way_of(site) == name}


def way_of(text: str) -> str:
    """A name as it is compared: a domain in A-labels, a route with its port, without its login
    and what it demands of TLS."""
    scheme, separator, rest = text.strip().partition("?")[0].partition("://")
    bare = scheme + separator + rest.rpartition("@")[2]
    try:
        return parse_route(bare).name
    except RouteError:
        pass
    try:
        return parse_domain(bare)
    except AddressError:
        return bare


def _is_domain(name: str) -> bool:
    """A name of one label would more likely be a slip."""
    try:
        return "." in parse_domain(name)
    except AddressError:
        return False
