"""The loop that takes mail out of the queue and gives each recipient to the way that leads there.

It waits until something may be ready, claims as much as there is room for, maps each recipient's
domain to a mailbox or to the pool of a site, and settles what comes back. Nothing is read from the
store for a message whose body came with the claim, and no task is made for a message: tasks are
connections, look-ups of unknown domains, and the few workers of the mailboxes.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from merpati.clock import Clock
from merpati.delivery.allotment import Allotment
from merpati.delivery.floor import Rest
from merpati.delivery.in_hand import InHand, merge
from merpati.delivery.lookups import Lookups, LookupSettings, ways_of
from merpati.delivery.mailboxes import Mailboxes, MailboxParts
from merpati.delivery.mx import Exchanges
from merpati.delivery.outcome import Outcome, Result
from merpati.delivery.pacing import Paces
from merpati.delivery.permits import WorkerPermits
from merpati.delivery.pool import SitePool, for_each, nothing
from merpati.delivery.pool_parts import PoolParts
from merpati.delivery.route import Kind, Route, RouteError, Routes
from merpati.delivery.settler import Settler, set_aside
from merpati.delivery.settling import Settled, Settling, is_over
from merpati.delivery.signers import Parcel, Parcels, Signers
from merpati.delivery.signing import Signing
from merpati.delivery.siting import Siting
from merpati.delivery.tenants import TenantHold
from merpati.delivery.transaction import Transaction
from merpati.errors import MerpatiError
from merpati.journal.events import Event, Lifecycle, SenderHeld, SiteHeld
from merpati.mail.address import Address
from merpati.queue.entry import Claim, Entry, Settlement, State, Waiting
from merpati.queue.holds import Holds
from merpati.queue.queue import Queue, Sites

_DEFECT = "delivery-defect"
"""The cause of what waits for us, and the event that tells of a defect."""


ByRoute = dict[tuple[Route, str], list[Transaction]]
"""Transactions by their route and, where it is the MX, their domain."""


@dataclass(frozen=True, slots=True)
class DispatcherSettings:
    """What may be out of the queue at once. Times in seconds."""

    recipients: int = 2000
    octets: int = 64 * 1024 * 1024
    """Of bodies in memory."""
    claim: int = 200
    """Recipients a claim."""
    permits: int = 64
    """Transactions between their last octets and the commit of their verdict."""
    connections: int = 2000
    """Open at once to all sites; the last quarter is for sites that have none."""
    grace: float = 30.0
    """At a stop: for what is being sent to end by itself."""
    unsigned: int = 400
    """Recipients of messages that are being signed."""
    sweep: float = 1.0
    """Between looks at idle lines and at what comes due."""
    lookups: LookupSettings = field(default_factory=LookupSettings)


@dataclass(frozen=True, slots=True)
class DispatcherParts:
    """The collaborators of a dispatcher."""

    queue: Queue
    sites: Sites
    routes: Routes
    siting: Siting
    paces: Paces
    pools: PoolParts
    settling: Settling
    mailboxes: MailboxParts
    signing: Signing
    clock: Clock
    note: Callable[[Event], None]
    """Takes events that ride with the next commit."""
    log: Callable[[str, BaseException], None]
    """Takes what nobody expected, with its trace."""


class Dispatcher:
    """One worker's deliveries. `run` once; `stop` from anywhere on its loop."""

    def __init__(self, settings: DispatcherSettings, parts: DispatcherParts) -> None:
        self._settings = settings
        self._parts = parts
        self.clock = parts.clock
        self._in_hand = InHand(settings.recipients, settings.octets, settings.permits)
        self._settler = Settler(parts.queue, parts.clock, parts.log)
        self._mailboxes = Mailboxes(parts.mailboxes, self._finished_here)
        failed = partial(self.wait_for_us, "signing")
        self._signers = Signers(parts.signing, self._send_signed, failed, self._back)
        self._group = asyncio.TaskGroup()
        self._wake = asyncio.Event()
        self._awaits_signers = False
        """Whether the last claim found no room for what may have to be signed."""
        self._due = math.inf
        self._lookups = Lookups(settings.lookups, parts.siting, parts.clock, self)
        self._pools: dict[str, SitePool] = {}
        self._full: set[str] = set()
        """Sites that can take nothing more."""
        self._full_of_bulk: set[str] = set()
        """Those that can take no more bulk mail."""
        self._held = Holds()
        self._resting: Counter[str] = Counter()
        """Sites by the holds of theirs that are being written."""
        self._lifted: set[str] = set()
        """Those of them that an operator has let go meanwhile."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections = 0
        self._stopping = False
        self._grace = settings.grace
        parts.queue.on_ready(self._wake.set)

    @property
    def permits(self) -> WorkerPermits:
        """One for each transaction between its final octets and the commit of its verdict."""
        return self._in_hand.permits

    @property
    def surplus(self) -> int:
        """See `Asker`."""
        return self._in_hand.surplus

    @property
    def octets(self) -> int:
        """Of bodies in memory."""
        return self._in_hand.octets

    @property
    def unsigned(self) -> int:
        """Recipients of messages that wait for a signature."""
        return self._signers.recipients

    async def run(self) -> None:
        """Deliver until stopped, then let what is being sent end, and write everything down."""
        async with asyncio.TaskGroup() as outer:
            outer.create_task(self._settler.run())
            try:
                await self._deliver()
            finally:
                self._settler.close()

    def stop(self, grace: float | None = None) -> None:
        """Take nothing more out of the queue; `run` returns within the grace."""
        self._grace = self._settings.grace if grace is None else grace
        self._stopping = True
        self._wake.set()

    def suspend(self, site: str, until: float, why: str) -> None:
        """An operator put a site on hold: domains whose first mail comes later wait as well."""
        self._held.put(site, until)
        self._lifted.discard(site)
        left = until - self.clock.now()
        self._parts.paces.of(site).suspend(self.clock.monotonic() + left, why)

    def resume(self, site: str) -> None:
        """An operator lifted a site's hold: try it now, whatever it taught us."""
        self._held.lift(site)
        if site in self._resting:
            self._lifted.add(site)
        self._parts.pools.tenants.lift(site)
        self._tell_of_tenants()
        if site in self._pools:
            self._pools[site].resume()
        else:
            self._parts.paces.of(site).resume()
            Allotment(self._parts.pools.table, site, self.clock.monotonic()).lift()
        self._wake.set()

    async def _recall(self) -> None:
        """Holds outlive a restart; of very many the longest, as many sites as are remembered."""
        try:
            held = await self._parts.sites.held()
        except MerpatiError as error:
            self._claim_failed(error)
            return
        longest = sorted(held.items(), key=lambda one: one[1][0])[
            -self._parts.paces.settings.sites :
        ]
        for site, (until, why) in longest:
            self.suspend(site, until, why)

    async def _deliver(self) -> None:
        await self._recall()
        async with self._group as group:
            group.create_task(self._mailboxes.run())
            watchers = [group.create_task(self._sweep()), group.create_task(self._lookups.run())]
            self.start(self._signers.run())
            while not self._stopping:
                claimed = await self._claim()
                if not claimed and not self._stopping:
                    await self._wait()
            await self._wind_down()
            for watcher in watchers:
                watcher.cancel()

    async def _claim(self) -> int:
        """Take out what there is room for; how many claims that were."""
        unsigned = max(0, self._settings.unsigned - self._signers.recipients)
        room = min(self._in_hand.room, self._settings.claim, unsigned)
        self._wake.clear()
        self._awaits_signers = not unsigned
        if not room:
            return 0
        try:
            now, busy = self.clock.now(), (self._full, self._full_of_bulk)
            claims = await self._parts.queue.claim(now, room, *busy)
        except Exception as error:
            self._claim_failed(error)
            await self.clock.sleep(1.0)
            return 0
        await self._assign(self._hand_out(claims))
        return len(claims)

    async def _wait(self) -> None:
        """Until there may be more: new mail, room in hand, or something comes due."""
        if not self._wake.is_set():
            self._due = await self._next_due() if self._in_hand.room else math.inf
            await self._wake.wait()

    async def _next_due(self) -> float:
        """When to look again at the latest; the sweep minds it, to the second."""
        try:
            due = await self._parts.queue.next_due()
        except Exception as error:
            self._claim_failed(error)
            return self.clock.now() + 1.0
        return math.inf if due is None else due

    def _claim_failed(self, error: Exception) -> None:
        """The store can be asked again; whatever it is, it is no reason to end."""
        if isinstance(error, MerpatiError):
            self._note("claim-failed", str(error))
        else:
            self.defect("claiming", error)

    def _hand_out(self, claims: Iterable[Claim]) -> dict[str, list[Transaction]]:
        """Give claims to where they go; those for sites that are full by the site's name."""
        by_route: ByRoute = {}
        unsigned: ByRoute = {}
        for claim in claims:
            for transaction in _transactions(claim, self._parts.queue):
                self._in_hand.add(transaction)
                route = self._route(claim.domain, transaction)
                if route is None:
                    continue
                base = claim.domain if route.kind is Kind.MX else ""
                is_next = self._is_signed_next(transaction, route, base)
                group = unsigned if is_next else by_route
                group.setdefault((route, base), []).append(transaction)
        for (route, base), transactions in unsigned.items():
            for transaction in merge(transactions):
                self._signers.offer(Parcel(route, base, transaction))
        return self._send_all(by_route)

    def _is_signed_next(self, transaction: Transaction, route: Route, domain: str) -> bool:
        """What waits for a look-up, perhaps of a dead name, is signed behind it."""
        if not self._parts.signing.wants(transaction.entry, route):
            return False
        return route.kind is not Kind.MX or bool(self._parts.siting.known(domain, route.heeds))

    def _send_all(
        self, by_route: ByRoute, *, is_signed: bool = False
    ) -> dict[str, list[Transaction]]:
        """To where they go; those for sites that are full by the site's name."""
        full: dict[str, list[Transaction]] = {}
        for (route, domain), transactions in by_route.items():
            pool = self._try_send(route, domain, merge(transactions), is_signed)
            if pool is not None and self._is_full(pool):
                full.setdefault(pool.site, []).extend(transactions)
        return full

    def _is_full(self, pool: SitePool) -> bool:
        """Whether less than everything may be claimed for a site from now on."""
        if pool.is_full:
            self._full.add(pool.site)
        if pool.is_full_of_bulk:
            self._full_of_bulk.add(pool.site)
        return pool.is_full or pool.is_full_of_bulk

    async def _send_signed(self, parcels: Parcels) -> None:
        """Send these on. There is room for others to be signed."""
        by_route: ByRoute = {}
        for parcel in parcels:
            by_route.setdefault((parcel.route, parcel.base), []).append(parcel.transaction)
        if self._awaits_signers:
            self._wake.set()
        await self._assign(self._send_all(by_route, is_signed=True))

    async def _assign(self, full: dict[str, list[Transaction]]) -> None:
        """Only a site that is full must be known to the queue: it is passed over by its name."""
        for site, transactions in full.items():
            for domain, forced in ways_of(transactions):
                await self._parts.siting.try_assign(domain, site, forced)

    def _route(self, domain: str, transaction: Transaction) -> Route | None:
        """The way; None when there is none and the transaction is settled already."""
        if is_over(transaction.entry, self.clock.now()):
            self.settle_all(transaction, Outcome(0, Result.DEFERRED))
            return None
        try:
            route = self._parts.routes.choose(domain, transaction.recipients[0].route)
            # RFC 8689 §4.1: `TLS-Required: No` is about what domains demand by MTA-STS and DANE.
            if not transaction.entry.waives_tls:
                return route
            is_asked = route.kind is Kind.MX or bool(route.policy_domain)
            return replace(route, heeds=False) if is_asked else route
        except RouteError as error:
            self.settle_all(
                transaction, Outcome(0, Result.DEFERRED, str(error), "4.3.5", "no-route")
            )
        except Exception as error:
            self.wait_for_us("routing", [transaction], error)
        return None

    def wait_for_us(self, doing: str, transactions: list[Transaction], error: Exception) -> None:
        """See `Asker`: what we cannot do now, these wait for."""
        if isinstance(error, MerpatiError):
            self._note("delivery-failing", f"{doing}: {error}")
        else:
            self.defect(doing, error)
        text = f"{doing} failed here: {error or type(error).__name__}"
        for transaction in transactions:
            self.settle_all(transaction, Outcome(0, Result.DEFERRED, text, "4.3.0", _DEFECT))

    def _try_send(
        self, route: Route, domain: str, transactions: list[Transaction], is_signed: bool
    ) -> SitePool | None:
        try:
            return self._send(route, domain, transactions, is_signed)
        except Exception as error:
            self.wait_for_us("sending", transactions, error)
            return None

    def _send(
        self, route: Route, domain: str, transactions: list[Transaction], is_signed: bool
    ) -> SitePool | None:
        if route.is_here:
            for transaction in transactions:
                self._mailboxes.offer(transaction, route.kind is Kind.KEEP)
            return None
        if route.kind is Kind.HOST:
            exchanges = self._parts.pools.finder.fixed(route.host, route.port)
            return self._offer(route.site(), route, exchanges, transactions)
        siting = self._parts.siting
        # What is signed was looked up before that, or an old answer had to do.
        known = (siting.old if is_signed else siting.known)(domain, route.heeds)
        if known is None:
            self._lookups.ask(route, domain, transactions)
            return None
        return self._offer(siting.site(route, known), route, known, transactions)

    def _offer(
        self, site: str, route: Route, exchanges: Exchanges, transactions: list[Transaction]
    ) -> SitePool:
        pool = self._pools.get(site)
        if pool is None:
            pace = self._parts.paces.of(site)
            pool = SitePool(site, route, pace, self, self._parts.pools)
            self._pools[site] = pool
        pool.exchanges = exchanges
        for transaction in transactions:
            pool.put(transaction)
        self._consider(pool.consider)
        return pool

    def _consider(self, consider: Callable[[], None]) -> None:
        """Let a pool look after itself; what it has stays with it, whatever comes of that."""
        try:
            consider()
        except Exception as error:
            self.defect("looking after a site", error)

    def send_to(
        self, route: Route, domain: str, exchanges: Exchanges, transactions: list[Transaction]
    ) -> None:
        """See `Asker`."""
        if self._stopping:
            self._back(transactions)
            return
        ready = [one for one in merge(transactions) if not self._must_sign(one, route, domain)]
        if not ready:
            return
        try:
            site = self._parts.siting.site(route, exchanges)
            self._is_full(self._offer(site, route, exchanges, ready))
        except Exception as error:
            self.wait_for_us("sending", ready, error)

    def _must_sign(self, transaction: Transaction, route: Route, domain: str) -> bool:
        """Whether it went to be signed first."""
        if transaction.top or not self._parts.signing.wants(transaction.entry, route):
            return False
        self._signers.offer(Parcel(route, domain, transaction))
        return True

    def _back(self, transactions: Iterable[Transaction]) -> None:
        for transaction in transactions:
            self.settle_all(transaction, Outcome(0, Result.UNTOUCHED))

    def settle(
        self,
        transaction: Transaction,
        outcomes: Sequence[Outcome],
        final: bool,
        done: Callable[[], None],
    ) -> None:
        """Write the outcomes down with the next commit, then call `done`."""
        by_n = {waiting.n: waiting for waiting in transaction.recipients}
        entry = transaction.entry
        settled = [self._judged(entry, by_n[one.n], one, final) for one in outcomes]

        def written() -> None:
            was_crowded = not self._in_hand.room
            self._in_hand.remove(transaction, len(outcomes))
            done()
            if was_crowded:
                self._wake.set()

        self._settler.add(settled, written)

    def _judged(self, entry: Entry, waiting: Waiting, outcome: Outcome, final: bool) -> Settled:
        now = self.clock.now()
        try:
            return self._parts.settling.settle(entry, waiting, outcome, now, final)
        except Exception as error:
            self.defect(f"settling {entry.id}", error)
            delivered = outcome.result is Result.DELIVERED
            state = State.DELIVERED if delivered else State.WAITING
            return set_aside(Settlement(entry.id, waiting.n, state), now)

    def rest(self, rest: Rest) -> None:
        """Put a site on hold in the queue, then settle what goes back."""
        # Nothing more is claimed for it until the queue knows of the hold.
        self._full.add(rest.site)
        self._resting[rest.site] += 1
        self.start(self._rest(rest))

    async def _rest(self, rest: Rest) -> None:
        try:
            for domain, forced in ways_of(rest.transactions):
                await self._parts.siting.assign(domain, rest.site, forced)
            await self._parts.sites.hold(rest.site, rest.until, rest.why, self._held_event(rest))
            if rest.site in self._lifted:
                # The operator's word came before or beside this hold, and is newer than its reason.
                await self._parts.sites.hold(rest.site, 0.0, "")
        except MerpatiError as error:
            self._note("hold-failed", f"{rest.site}: {error}")
        except Exception as error:
            self.defect(f"holding {rest.site}", error)
        finally:
            self._rested(rest.site)
            self.has_room(rest.site, of_bulk=True)
            for transaction in rest.transactions:
                self.settle_all(transaction, rest.outcome)

    def _rested(self, site: str) -> None:
        self._resting[site] -= 1
        if not self._resting[site]:
            del self._resting[site]
            self._lifted.discard(site)

    def _held_event(self, rest: Rest) -> list[Event]:
        """What goes back while a site rests repeats the hold, and is journaled once."""
        # The second allows for two clocks that are read one after the other.
        if rest.until < self._held.until(rest.site) + 1.0:
            return []
        self._held.put(rest.site, rest.until)
        return [SiteHeld(at=self.clock.now(), site=rest.site, until=rest.until, why=rest.why)]

    def defect(self, what: str, error: Exception) -> None:
        """Journal a defect of ours, and log its trace."""
        self._note(_DEFECT, f"{what}: {type(error).__name__}: {error}")
        self._parts.log(_DEFECT, error)

    def has_room(self, site: str, *, of_bulk: bool) -> None:
        """See `Floor`."""
        if site in self._full or (of_bulk and site in self._full_of_bulk):
            self._full.discard(site)
            self._wake.set()
        if of_bulk:
            self._full_of_bulk.discard(site)

    def settle_all(
        self, transaction: Transaction, outcome: Outcome, done: Callable[[], None] = nothing
    ) -> None:
        """See `Asker`."""
        self.settle(transaction, for_each(transaction, outcome), False, done)

    def _finished_here(self, transaction: Transaction, outcomes: Sequence[Outcome]) -> None:
        self.settle(transaction, outcomes, True, nothing)

    def _note(self, what: str, detail: str) -> None:
        self._parts.note(Lifecycle(at=self.clock.now(), what=what, detail=detail))

    def may_connect(self, opened: int) -> bool:
        """See `Floor`."""
        most = self._settings.connections
        return self._connections < (most * 3 // 4 if opened else most)

    def connect(self, work: Coroutine[None, None, None]) -> None:
        """See `Floor`."""
        self._connections += 1
        self.start(work).add_done_callback(self._disconnected)

    def _disconnected(self, _: asyncio.Task[None]) -> None:
        self._connections -= 1

    def start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """See `Asker`. Connections are such tasks as well."""
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _sweep(self) -> None:
        """Now and then: idle lines, pools that nobody needs, holds that are over."""
        while True:
            await self.clock.sleep(self._settings.sweep)
            for site, pool in list(self._pools.items()):
                self._consider(pool.sweep)
                if pool.is_empty:
                    del self._pools[site]
                    self.has_room(site, of_bulk=True)
                elif not pool.is_full:
                    self.has_room(site, of_bulk=not pool.is_full_of_bulk)
            self._tell_of_tenants()
            now = self.clock.now()
            if now >= self._due:
                self._due = math.inf
                self._wake.set()
            self._held.forget(now)

    def _tell_of_tenants(self) -> None:
        """Journal whose mail waits for which site, and whose does so no longer."""
        for hold in self._parts.pools.tenants.news(self.clock.monotonic()):
            self._parts.note(
                SenderHeld(
                    at=self.clock.now(),
                    site=hold.site,
                    sender=hold.tenant,
                    until=self._by_day(hold.until),
                    why=hold.why,
                )
            )

    def _by_day(self, until: float) -> float:
        """A monotonic time as seconds since 1970; 0 stays 0."""
        return until and self.clock.now() + until - self.clock.monotonic()

    def held_tenants(self) -> list[TenantHold]:
        """Whose mail waits for which site; `until` in seconds since 1970 UTC."""
        holds = self._parts.pools.tenants.holds()
        return [replace(hold, until=self._by_day(hold.until)) for hold in holds]

    async def _wind_down(self) -> None:
        """Let what is being sent end by itself within the grace, then end it."""
        self._mailboxes.stop()
        self._signers.stop()
        self._lookups.stop()
        for pool in self._pools.values():
            pool.stop()
        deadline = self.clock.monotonic() + self._grace
        while self._tasks and self.clock.monotonic() < deadline:
            await self.clock.sleep(0.1)
        for task in self._tasks:
            task.cancel()
        self._tell_of_tenants()


def _transactions(claim: Claim, queue: Queue) -> list[Transaction]:
    """A claim as transactions: one for each route that its recipients were forced onto, and for
    each sender that they are told."""
    body = claim.body or partial(queue.read, claim.entry.id)
    if len(claim.recipients) == 1:
        return [Transaction(claim.entry, claim.recipients, body)]
    groups: dict[tuple[str, Address | None], list[Waiting]] = {}
    for waiting in claim.recipients:
        groups.setdefault((waiting.route, waiting.recipient.return_path), []).append(waiting)
    return [Transaction(claim.entry, tuple(group), body) for group in groups.values()]
