"""The delivery side of one worker: dispatcher, ways out, mailboxes, and notices to senders."""

import asyncio
import random
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from merpati.config.places import Places
from merpati.config.routes import read_routes
from merpati.config.settings import Settings
from merpati.delivery.conversation import Surroundings
from merpati.delivery.dane import Dane
from merpati.delivery.decision import Decided
from merpati.delivery.dispatcher import Dispatcher, DispatcherParts, DispatcherSettings
from merpati.delivery.lesson import Lesson, SiteMemory
from merpati.delivery.link import ConversationSettings
from merpati.delivery.mailboxes import MailboxParts
from merpati.delivery.maildir import Maildirs, MaildirSettings
from merpati.delivery.mx import Exchanges, HostFinder, NoHosts
from merpati.delivery.pacing import Paces, PacingSettings
from merpati.delivery.pool_parts import PoolParts
from merpati.delivery.route import Route, Routes
from merpati.delivery.security import Decider
from merpati.delivery.settling import Settling, SettlingSettings
from merpati.delivery.signing import Signing, SigningParts
from merpati.delivery.siting import Siting, SitingSettings
from merpati.delivery.sts.policies import Policies, PolicyParts, StsSettings
from merpati.delivery.tenants import TenantHold
from merpati.delivery.transaction import Host, Way
from merpati.dns.client import DnsClient
from merpati.dns.resolver import addresses_of
from merpati.intake import Intake
from merpati.journal.events import MAX_TEXT, Lifecycle, PolicyUnread
from merpati.mail.address import Address
from merpati.node.table import Table
from merpati.queue.schedule import Schedule
from merpati.report.notices import Notices
from merpati.report.receiving import Receiver, ReceiverParts
from merpati.system.blueprint import Blueprint
from merpati.system.chores import keep_on
from merpati.system.doors import Household
from merpati.system.log import Log
from merpati.wire.dial import SocketDialer
from merpati.wire.endpoint import Endpoint
from merpati.wire.https import HttpsClient, HttpsSettings
from merpati.wire.stream import Stream

_NUDGE = 0.5
_CHANCE = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Threads:
    """What must not keep the loop waiting, each in a pool of its own."""

    mailboxes: Executor
    signatures: Executor


class CurrentRoutes(Routes):
    """The routes in force: a reload replaces them for the attempts to come."""

    def __init__(self, house: Household) -> None:
        super().__init__(house.stores.directory)
        self._house = house
        self._current = Routes(house.stores.directory)

    def take_up(self, routes: Sequence[Route], keep_all: bool) -> None:
        """Use these routes."""
        self._current = Routes(self._house.stores.directory, routes, keep_all=keep_all)

    def choose(self, domain: str, forced: str = "") -> Route:
        """See `Routes`."""
        return self._current.choose(domain, forced)


class Delivering:
    """Builds the dispatcher and keeps what a reload changes."""

    def __init__(
        self, settings: Settings, house: Household, threads: Threads, log: Log, sites: Table
    ) -> None:
        """`sites` is what the workers of the node know of sites together."""
        self._log = log
        self._settings = settings
        self._house = house
        self._sites = sites
        self._dialer = SocketDialer(house.wire)
        self._resolver = DnsClient(house.clock, Blueprint(settings).dns())
        self._decider = Decider()
        self._policies = self._make_policies()
        self._uses_sts = False
        self._routes = CurrentRoutes(house)
        self._expander = Blueprint(settings).expander(house.stores.directory)
        self._receiver = self._make_receiver(threads.mailboxes)
        self._schedule = Schedule()
        self._settling = Settling(SettlingSettings(), self._retry)
        self._notices = self._make_notices()
        self.take_up(settings, read_routes(settings.document, settings.base))
        self._dispatcher = Dispatcher(DispatcherSettings(), self._parts(threads))
        self._news = False
        house.stores.queue.on_ready(self._has_news)

    async def run(self) -> None:
        """Deliver until `stop`, then settle what is in flight and return."""
        async with asyncio.TaskGroup() as group:
            noticing = keep_on("notices", self._notices.run, self._house.clock, self._log)
            renewing = keep_on("policies", self._policies.run, self._house.clock, self._log)
            chores = [group.create_task(chore) for chore in (noticing, renewing, self._nudge())]
            await self._dispatcher.run()
            for chore in chores:
                chore.cancel()

    def stop(self, grace: float) -> None:
        """Take nothing more out of the queue; what is being sent has `grace` seconds to end."""
        self._dispatcher.stop(grace)

    def suspend(self, site: str, until: float, why: str) -> None:
        """An operator put a site on hold."""
        self._dispatcher.suspend(site, until, why)

    def resume(self, site: str) -> None:
        """An operator lifted a site's hold."""
        self._dispatcher.resume(site)

    def held_tenants(self) -> list[TenantHold]:
        """Whose mail waits for which site, which refused it."""
        return self._dispatcher.held_tenants()

    @property
    def routes(self) -> Routes:
        """Those in force."""
        return self._routes

    @property
    def receiver(self) -> Receiver:
        """Who keeps reports of others."""
        return self._receiver

    @property
    def octets(self) -> int:
        """Of bodies in memory that are being delivered."""
        return self._dispatcher.octets

    def _has_news(self) -> None:
        self._news = True

    async def _nudge(self) -> None:
        """Let debts be looked for soon after a settlement, but not after each one."""
        while True:
            await self._house.clock.sleep(_NUDGE)
            if self._news:
                self._news = False
                self._notices.wake()

    def _make_notices(self) -> Notices:
        stores, blueprint = self._house.stores, Blueprint(self._settings)
        books = (stores.queue, stores.queue, stores.journal)
        return Notices(books, self._own_intake(blueprint), self._house.clock, blueprint.notices())

    def _own_intake(self, blueprint: Blueprint) -> Intake:
        return self._house.intake(blueprint, blueprint.own_rules())

    def take_up(self, settings: Settings, routes: Sequence[Route]) -> None:
        """Routes and waits for the attempts to come, the language of the notices to come."""
        blueprint = Blueprint(settings)
        self._routes.take_up(routes, settings.is_inbox)
        self._expander = blueprint.expander(self._house.stores.directory)
        self._receiver.room = blueprint.room()
        self._schedule = blueprint.schedule()
        self._uses_sts = settings.document.delivery.mta_sts
        self._decider = Decider(
            Dane(self._resolver) if blueprint.uses_dane else None,
            demands=self._policies.apply if self._uses_sts else None,
        )
        self._bounce_listed_after = settings.document.delivery.bounce_listed_after
        self._settling.settings = blueprint.settling()
        self._notices.take_up(self._own_intake(blueprint), blueprint.notices())

    def _parts(self, threads: Threads) -> DispatcherParts:
        stores, clock = self._house.stores, self._house.clock
        blueprint = Blueprint(self._settings)
        finder = HostFinder(blueprint.mx(), self._resolver, _CHANCE.shuffle)
        return DispatcherParts(
            queue=stores.queue,
            sites=stores.queue,
            routes=self._routes,
            siting=Siting(SitingSettings(), finder, stores.queue, clock, self._demands),
            paces=Paces(PacingSettings(), _CHANCE.random),
            pools=PoolParts(
                finder,
                self._talk,
                table=self._sites,
                bounce_listed_after=lambda: self._bounce_listed_after,
            ),
            settling=self._settling,
            mailboxes=self._mailboxes(threads.mailboxes),
            signing=self._signing(threads.signatures),
            clock=clock,
            note=stores.journal.note,
            log=self._log.defect,
        )

    def _make_policies(self) -> Policies:
        clock, keeper = self._house.clock, self._house.stores.policies
        reader = HttpsClient(HttpsSettings(), self._addresses)
        parts = PolicyParts(
            keeper, self._resolver, reader.text, clock, self._no_policy, self._no_room
        )
        return Policies(StsSettings(), parts)

    async def _demands(
        self, domain: str, found: Exchanges, *, is_ours: bool
    ) -> Exchanges | NoHosts:
        allowed: Exchanges | NoHosts = found
        if self._uses_sts:
            allowed = await self._policies.apply(domain, found, is_ours=is_ours)
        if isinstance(allowed, NoHosts):
            return allowed
        return await self._decider.backed(domain, allowed)

    async def _addresses(self, host: str) -> Sequence[str]:
        return await addresses_of(self._resolver, host)

    def _no_policy(self, domain: str, flaw: str, why: str) -> None:
        at, told = self._house.clock.now(), why[:MAX_TEXT]
        self._house.stores.journal.note(PolicyUnread(at=at, domain=domain, flaw=flaw, why=told))

    def _no_room(self, domain: str) -> None:
        at = self._house.clock.now()
        detail = f"the MTA-STS policy of {domain} is not kept: there are as many as may be"
        self._house.stores.journal.note(Lifecycle(at=at, what="policies-full", detail=detail))

    def _mailboxes(self, threads: Executor) -> MailboxParts:
        places = Places(self._settings.data)
        hostname = self._settings.hostname
        maildirs = Maildirs(MaildirSettings(places.mail, places.inbox, hostname))
        directory, clock = self._house.stores.directory, self._house.clock
        return MailboxParts(maildirs, directory, threads, clock, reports=self._receiver)

    def _make_receiver(self, threads: Executor) -> Receiver:
        house = self._house
        parts = ReceiverParts(
            feedback=house.stores.feedback,
            executor=threads,
            is_address=self._is_report,
            defect=self._log.defect,
            clock=house.clock,
            new_id=house.new_id,
        )
        return Receiver(parts)

    def _is_report(self, address: Address) -> bool:
        return self._expander.is_report(address)

    def _signing(self, threads: Executor) -> Signing:
        stores = self._house.stores
        return Signing(SigningParts(stores.keys, stores.directory, threads, self._unsigned))

    def _unsigned(self, message: str, why: str) -> None:
        at = self._house.clock.now()
        detail = f"{message}: {why}"
        self._house.stores.journal.note(Lifecycle(at=at, what="unsigned", detail=detail))

    def _retry(self, attempts: int) -> float:
        return self._schedule.delay(attempts, _CHANCE.random())

    def _talk(
        self, way: Way, host: Host, memory: SiteMemory, learn: Callable[[Lesson], None]
    ) -> Decided:
        surroundings = Surroundings(
            settings=ConversationSettings(self._settings.hostname),
            dial=self._dial,
            clock=self._house.clock,
            entropy=secrets.token_bytes,
            note=self._house.stores.journal.note,
            learn=learn,
        )
        return Decided(way, host, lambda: self._decider, surroundings, memory)

    async def _dial(self, host: Host, seconds: float) -> Stream:
        is_path = host.ip.startswith("/")
        to = Endpoint(path=host.ip) if is_path else Endpoint(host.ip, host.port)
        return await self._dialer.dial(to, seconds)
