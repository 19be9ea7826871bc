"""The connections to one site, and what waits for them.

A pool opens a connection when the work that is ready pays for it (`pacing`), tries the site's hosts
in turn, and hands transactions to whichever connection is free. When nobody can be reached, or the
site wants to be left alone, it **rests**: the whole cohort is put on hold in the queue with one
row, and what was ready goes back: a site that is down costs one attempt and not ten thousand.

A refusal of the sender (SPF, DKIM, DMARC) decides about its message alone, and the third in an hour
about its tenant's (`tenants`): a site is never put on hold for one of our users, since the others'
mail goes there too.

A quarter of the connections that there may be, and of what may wait here, is no bulk mail's: single
mail finds room, and a connection of its own when bulk mail has the others, however long a host
takes over each message (`_may_take`, `_wants_connection`).
"""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from merpati.delivery.allotment import Allotment
from merpati.delivery.detour import Detours
from merpati.delivery.ending import End, Ending
from merpati.delivery.floor import Floor, Rest
from merpati.delivery.lesson import Lesson, Setback, Waive, limited
from merpati.delivery.line import Line, Ready, Report
from merpati.delivery.listed import Listed, judged
from merpati.delivery.mx import Exchanges, NoHosts
from merpati.delivery.outcome import Outcome, Result
from merpati.delivery.pacing import Pace
from merpati.delivery.permits import Permits, Share
from merpati.delivery.pool_parts import PoolParts
from merpati.delivery.route import Kind, Route
from merpati.delivery.settling import is_over
from merpati.delivery.tenants import TenantHold
from merpati.delivery.transaction import Host, Transaction
from merpati.diagnosis.replies import Refusal, Stage
from merpati.journal.events import Attempt
from merpati.queue.flow import flow_of, kept_from_bulk
from merpati.queue.turns import Turns

_MAX_RETURNS = 5
_RETURNED_TOO_OFTEN = 60.0
_UNTOUCHED = Outcome(0, Result.UNTOUCHED)
_HELD_BACK = "not tried, after three refusals of this sender in an hour"
"""In `diagnosis.own_words` too."""
_OVER = Outcome(0, Result.DEFERRED)
"""Settled for what has no time left: it expires."""


@dataclass(slots=True)
class _Waiter:
    line: Line
    until: float
    future: asyncio.Future[Ready | None]


class SitePool:
    """One site."""

    def __init__(self, site: str, route: Route, pace: Pace, floor: Floor, parts: PoolParts) -> None:
        self.site = site
        self.exchanges = Exchanges(())
        """Set by the dispatcher whenever the domain's hosts were looked up."""
        self._own_permits = asyncio.Semaphore(parts.permits)
        for_bulk = parts.permits - kept_from_bulk(parts.permits)
        self._permits_for_bulk = asyncio.Semaphore(for_bulk)
        self._route = route
        self._way = route.way(site)
        self._pace = pace
        self._floor = floor
        self.monotonic = floor.clock.monotonic
        """The time."""
        self._parts = parts
        self._allotment = Allotment(parts.table, site, self.monotonic())
        self._surplus = 0
        """Connections to give up for other workers, as soon as they are between two messages."""
        self._ready: Turns[Ready] = Turns()
        self._recipients = 0
        self._bulk = 0
        """Recipients of bulk mail among them."""
        self._lines: set[Line] = set()
        """Those that stand."""
        self._live = 0
        self._opening = 0
        self._waiters: list[_Waiter] = []
        self._stopping = False
        self._hosts: tuple[Host, ...] = ()
        self._detours = Detours(self, self._talk)
        self._detouring = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits and nothing is open."""
        return not (self._ready or self._live or self._opening or self._detouring)

    @property
    def is_full(self) -> bool:
        """Whether no more should be claimed for this site now. What came in excess of bulk mail's
        part takes no room from single mail."""
        return self._single >= self._room_for_single(self.monotonic()) or self._rests()

    @property
    def is_full_of_bulk(self) -> bool:
        """Whether no more bulk mail should be claimed for this site now."""
        room = self._pace.room(self.monotonic())
        return self._recipients >= room or self._bulk >= room - kept_from_bulk(room)

    @property
    def _single(self) -> int:
        """Recipients that wait and are not bulk mail's."""
        return self._recipients - self._bulk

    def _room_for_single(self, now: float) -> int:
        room = self._pace.room(now)
        return room - min(self._bulk, room - kept_from_bulk(room))

    @property
    def permits(self) -> Permits:
        """The site's share of those of the worker that it may have now."""
        return Share(self._floor.permits.of(self._pace.promptness), self._own_permits)

    @property
    def bulk_permits(self) -> Permits:
        """The part of them that bulk mail may have."""
        return Share(self.permits, self._permits_for_bulk)

    def put(self, transaction: Transaction) -> None:
        """Send this as soon as a connection is free; `consider` sees to it."""
        if hold := self._hold_of(transaction):
            self._settle(transaction, self._held_back(hold))
            return
        entry = transaction.entry
        ready = Ready(transaction, entry.is_bulk)
        self._ready.add(ready, flow_of(entry), is_urgent=entry.envelope.priority > 0)
        self._count(ready, 1)

    def _count(self, ready: Ready, sign: int) -> None:
        recipients = sign * len(ready.transaction.recipients)
        self._recipients += recipients
        self._bulk += recipients * ready.is_bulk

    def take(self, line: Line) -> Ready | None:
        """The next transaction for a line, if one may go now."""
        now = self.monotonic()
        if self._stopping or self._surplus:
            return None
        if self._pace.is_down(now) or self._pace.is_suspended(line.host.ip, now):
            return None
        while self._ready:
            spares = self._ready.bulk > 0 and not self._may_have_bulk(line, now)
            if spares and not self._ready.single:
                return None
            first = self._ready.first(spares_bulk=spares)
            if is_over(first.transaction.entry, self._floor.clock.now()):
                self._settle(self._pop(now, spares_bulk=spares).transaction, _OVER)
            elif hold := self._hold_of(first.transaction):
                self._settle(self._pop(now, spares_bulk=spares).transaction, self._held_back(hold))
            elif self._may_follow(first, line, now) and self._pace.bucket.take(now):
                return self._cut(self._pop(now, spares_bulk=spares), now)
            else:
                return None
        return None

    def _may_have_bulk(self, line: Line, now: float) -> bool:
        """Whether bulk mail on this line leaves a quarter of the connections without any."""
        window = self._window(now)
        kept = kept_from_bulk(window)
        # Of other workers' connections it is not known what they carry.
        elsewhere = max(0, self._allotment.elsewhere - kept)
        return self._with_bulk(line) + elsewhere < window - kept

    def _may_follow(self, ready: Ready, line: Line, now: float) -> bool:
        """Single mail is not written behind bulk mail whose verdict may take ten minutes, where
        there can be another connection."""
        return ready.is_bulk or not line.carries_bulk or self._window(now) < 2

    def _with_bulk(self, but: Line | None = None) -> int:
        """Connections of this worker that bulk mail has."""
        return sum(line.carries_bulk for line in self._lines if line is not but)

    def _hold_of(self, transaction: Transaction) -> TenantHold | None:
        return self._parts.tenants.hold_of(self.site, transaction.entry, self.monotonic())

    def _held_back(self, hold: TenantHold) -> Outcome:
        """Not tried. A second later than the hold ends: two clocks are read one after another."""
        attempt = Attempt(route=self._route.name, site=self.site)
        after = hold.until - self.monotonic() + 1.0
        reply = f"{_HELD_BACK}: {hold.why}"
        return Outcome(0, Result.DEFERRED, reply, "4.7.1", "sender-held", attempt, after)

    def wait(self, line: Line, seconds: float) -> asyncio.Future[Ready | None]:
        """The next one; None when `seconds` are over (swept once a second) or at the end."""
        future = asyncio.get_running_loop().create_future()
        if self._stopping or self._surplus:
            self._surplus = max(0, self._surplus - 1)
            future.set_result(None)
        else:
            self._waiters.append(_Waiter(line, self.monotonic() + seconds, future))
        return future

    def sweep(self) -> None:
        """Once a second: let idle lines close, and see whether more should be opened."""
        now = self.monotonic()
        self._surplus = self._allotment.surplus(self._window(now), now)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if waiter.future.done():
                continue
            if waiter.until <= now or self._surplus:
                self._surplus = max(0, self._surplus - 1)
                waiter.future.set_result(None)
            else:
                self._waiters.append(waiter)
        self.consider()

    def consider(self) -> None:
        """Serve idle lines, then open another connection if it pays, or rest if none may be."""
        self._serve_waiters()
        now = self.monotonic()
        self._allotment.exchange(self._pace, now)
        wanting = bool(self._ready) and not self._stopping
        if wanting:
            self._open_some(now)
            wanting = bool(self._ready)
        self._allotment.wait(now, wanting=wanting)

    def _open_some(self, now: float) -> None:
        if self._live + self._opening == 0 and now < self._pace.resumes_at():
            self._rest(self._pace.resumes_at(), self._pace.paused_for or "the site is left alone")
            return
        opened = self._live + self._opening
        while self._wants_connection(now, opened) and self._allotment.open(self._window(now), now):
            self._opening += 1
            opened += 1
            self._floor.connect(self.connect())

    def _wants_connection(self, now: float, opened: int) -> bool:
        """For single mail what carries bulk mail is as good as not there; bulk mail opens none of
        the last quarter."""
        elsewhere = self._allotment.elsewhere
        if self._ready.single:
            busy, single = self._with_bulk(), self._ready.single
            if self._floor.may_connect(opened - busy) and self._pace.may_open(
                now, opened, single, elsewhere, busy
            ):
                return True
        window = self._window(now)
        if not self._ready.bulk or opened + elsewhere >= window - kept_from_bulk(window):
            return False
        return self._floor.may_connect(opened) and self._pace.may_open(
            now, opened, len(self._ready), elsewhere
        )

    def stop(self) -> None:
        """Take nothing more up: idle lines close, what is ready goes back."""
        self._stopping = True
        for waiter in self._waiters:
            if not waiter.future.done():
                waiter.future.set_result(None)
        self._waiters.clear()
        self._detours.stop()
        self._allotment.wait(self.monotonic(), wanting=False)
        self._settle_all(_UNTOUCHED)

    def resume(self) -> None:
        """An operator lifted the hold."""
        self._pace.resume()
        self._allotment.lift()
        self.consider()

    def _window(self, now: float) -> int:
        """Connections that all workers may have: what the site bears, and the operator allows."""
        learned = self._pace.connections(now)
        return min(learned, self._way.switches.connections or learned)

    async def connect(self) -> None:
        """Open one connection, to the first host that can be had, and use it until it ends."""
        try:
            await self._connect()
        except Exception as error:
            # Without the pause the same defect would be met again at once, for ever.
            self._pace.pause(self.monotonic())
            self._floor.defect(f"connecting to {self.site}", error)
        finally:
            self._opening -= 1
            self._allotment.closed()
            self.consider()

    async def _connect(self) -> None:
        self._parts.finder.prefer(ipv6=self._parts.families.prefers_ipv6(self.monotonic()))
        hosts = await self._parts.finder.addresses(self.exchanges)
        if isinstance(hosts, NoHosts):
            self._nobody(hosts)
            return
        self._hosts = hosts
        now = self.monotonic()
        # All suspended: the probe tries the first of them again.
        able = [host for host in hosts if not self._pace.is_suspended(host.ip, now)]
        if not able and not self._pace.is_probing:
            self._rest(self._pace.first_of(hosts), self._pace.paused_for or "every host rests")
            return
        failure = End(Ending.UNREACHABLE)
        for host in able or hosts[:1]:
            refused = await self._talk(host)
            if refused is None:
                return
            failure = refused
            if self._live or failure.ending is Ending.OURS or _is_about_us(failure):
                break
        self._give_up(failure, host)

    async def _detour(self) -> None:
        """Ask the other hosts for what one of them lacks."""
        self._opening += 1
        self._allotment.add()
        try:
            await self._detours.run(self._hosts)
        except Exception as error:
            self._floor.defect(f"asking the other hosts of {self.site}", error)
        finally:
            self._opening -= 1
            self._allotment.closed()
            self._detouring = False
            self._detours.stop()
            self.consider()

    async def _talk(self, host: Host, line: Line | None = None) -> End | None:
        """A whole conversation; the reason if it never began."""
        line = line or Line(self, host)
        began = self.monotonic()

        def learn(lesson: Lesson) -> None:
            self._learn(lesson, host)

        memory = self._pace.memory_for(host.ip, began)
        known = limited(memory, self._way.switches)
        way = self._route.way(self.site, self.exchanges.backing)
        talk = self._parts.talker(way, host, known, learn)
        refused = await self._guarded(talk.open(), host)
        if refused is not None:
            if self._pace.memory_for(host.ip, began).waived > memory.waived:
                return await self._talk(host, line)
            if refused.ending is Ending.OURS:
                return refused
            if refused.ending is Ending.UNREACHABLE:
                self._parts.families.missed(host.ip, self.monotonic())
            if refused.ending is not Ending.TURNED_AWAY:
                self._pace.suspend_host(host.ip, self.monotonic())
            return refused
        self._pace.opened_after(self.monotonic() - began)
        self._pace.host_works(host.ip)
        self._pace.paused_for = ""
        self._pace.listed = None
        self._parts.families.reached(host.ip)
        self._opening -= 1
        self._live += 1
        self._lines.add(line)
        try:
            end = await self._guarded(talk.run(line), host)
        finally:
            self._live -= 1
            self._opening += 1
            self._lines.discard(line)
            line.close("the conversation broke off by a defect of ours")
        if end is not None:
            self._ended(host, end)
        return None

    async def _guarded(self, step: Awaitable[End | None], host: Host) -> End | None:
        try:
            return await step
        except Exception as error:
            self._floor.defect(f"conversation with {host.name or host.ip}", error)
            return End(Ending.LOST, "a defect of ours")

    def _ended(self, host: Host, end: End) -> None:
        """A connection that was used is gone; what it tells about the site."""
        if end.transactions or end.ending in _NATURAL:
            return
        now = self.monotonic()
        self._pace.paused_for = end.why or end.ending.value
        if end.ending is Ending.TURNED_AWAY:
            self._pace.too_many(now, self._live + self._allotment.elsewhere)
        else:
            self._pace.suspend_host(host.ip, now)
            self._pace.pause(now)

    def _give_up(self, failure: End, host: Host) -> None:
        """No host was to be had."""
        now = self.monotonic()
        self._pace.paused_for = failure.why or failure.ending.value
        refusal = failure.meaning.refusal if failure.meaning else None
        self._pace.listed = None  # Its last word is another now, or is said again below.
        if failure.ending is Ending.OURS:
            self._pace.paused_for = failure.why
            self._pace.pause_for_us(now)
        elif refusal is Refusal.REPUTATION:
            cause = failure.meaning.cause if failure.meaning else ""
            self._refused_for_who_we_are(Listed(failure.why, cause), now)
        elif failure.meaning and failure.meaning.permanent and refusal is Refusal.RECIPIENT:
            # RFC 7504 §4: 521 from every host: this domain takes no mail.
            self._settle_all(self._outcome(failure, host, Result.FAILED))
        elif failure.ending is Ending.TURNED_AWAY:
            until = self._pace.too_many(now, self._live + self._allotment.elsewhere)
            if not self._live:
                self._rest(until, failure.why)
        elif not self._live:
            outcome = self._outcome(failure, host, Result.DEFERRED)
            # A second connection that failed in the same breath is the same news.
            down = self._pace.is_down(now)
            until = self._pace.resumes_at() if down else self._pace.next_probe(now)
            self._rest(until, failure.why or failure.ending.value, outcome)

    def _outcome(self, failure: End, host: Host, result: Result) -> Outcome:
        attempt = Attempt(
            route=self._route.name,
            site=self.site,
            host=host.name,
            ip=host.ip,
            port=host.port,
            connection=failure.connection,
            tls=failure.tls,
            policy=failure.policy,
            tls_failure=failure.failure,
        )
        status = "5.3.2" if result is Result.FAILED else "4.4.1"
        if failure.ending is Ending.TLS_FAILED:
            status = "4.7.5"  # RFC 3463 §3.8: a failure of cryptography.
        cause = failure.cause(on_a_route=self._route.kind is Kind.HOST)
        return Outcome(0, result, failure.why, status, cause, attempt)

    def _nobody(self, why: NoHosts) -> None:
        self._settle_all(Outcome(0, why.result, why.reply, why.status, why.cause))

    def _learn(self, lesson: Lesson, host: Host) -> None:
        now = self.monotonic()
        if isinstance(lesson, Waive):
            self._pace.waive(host.ip, lesson, now)
        self._pace.learn(lesson, now)
        if not isinstance(lesson, Setback):
            return
        if lesson.meaning.refusal is Refusal.STORAGE:
            self._pace.host_is_full(host.ip, now)
        elif lesson.meaning.refusal is Refusal.SENDER:
            self._parts.tenants.learn(self.site, lesson, now)
        elif lesson.meaning.refusal is Refusal.REPUTATION and lesson.stage not in _OPENING:
            self._refused_for_who_we_are(Listed(lesson.reply, lesson.meaning.cause), now)

    def _refused_for_who_we_are(self, listed: Listed, now: float) -> None:
        self._rest(self._pace.refused_our_address(now, listed), listed.reply)

    def report(self, report: Report) -> None:
        """A transaction was finished: learn from it, and settle it or take it up again."""
        if self._may_go_elsewhere(report):
            self._go_elsewhere(report)
            return
        self._pace.done_after(report.seconds)
        if report.waited is not None:
            self._pace.judged_after(report.waited)
        if any(outcome.result is Result.DELIVERED for outcome in report.outcomes):
            opened = self._live + self._opening + self._allotment.elsewhere
            if report.ready.is_bulk:  # It uses the window up when it has all that it may have.
                opened += kept_from_bulk(self._window(self.monotonic()))
            self._pace.went_well(self.monotonic(), opened)
        again = [one for one in report.outcomes if _may_return(one)]
        decided = [one for one in report.outcomes if not _may_return(one)]
        if again and not self._take_back(report, {one.n for one in again}, bool(decided)):
            decided += [replace(one, retry_after=self._pause(report)) for one in again]
        if decided:
            transaction = report.ready.transaction
            self._floor.settle(transaction, decided, self._way.lmtp, report.done)
        else:
            report.done()

    def _may_go_elsewhere(self, report: Report) -> bool:
        if self._stopping or not all(one.elsewhere for one in report.outcomes):
            return False
        return any(host.name != report.host.name for host in self._hosts)

    def _go_elsewhere(self, report: Report) -> None:
        report.done()
        self._detours.add(report)
        if not self._detouring:
            self._detouring = True
            self._floor.connect(self._detour())

    def _take_back(self, report: Report, untouched: set[int], progress: bool) -> bool:
        """Put untouched recipients first in line again, unless they came back too often."""
        transaction = report.ready.transaction
        returns = 0 if progress else report.ready.returns + 1
        if self._stopping or returns > _MAX_RETURNS:
            return False
        left = tuple(one for one in transaction.recipients if one.n in untouched)
        self._put_first(Ready(transaction.to(left), report.ready.is_bulk, returns))
        return True

    def _pause(self, report: Report) -> float | None:
        """What came back too often waits a little; what a stop sends back does not."""
        return None if self._stopping else _RETURNED_TOO_OFTEN

    def _rests(self) -> bool:
        """Whether the site is to be left alone altogether."""
        now = self.monotonic()
        return self._pace.is_down(now) or (not self._live and now < self._pace.resumes_at())

    def _rest(self, until: float, why: str, outcome: Outcome = _UNTOUCHED) -> None:
        clock = self._floor.clock
        now = clock.monotonic()
        transactions = tuple(self._pop(now).transaction for _ in range(len(self._ready)))
        left = max(0.0, until - now)
        if self._pace.listed and self._return_old(self._pace.listed, transactions, left):
            return
        self._floor.rest(Rest(self.site, clock.now() + left, why, transactions, outcome))

    def _return_old(self, listed: Listed, ready: Sequence[Transaction], left: float) -> bool:
        """Return what a site has not wanted of us for too long; whether there was any."""
        patience = self._way.switches.bounce_listed_after
        if patience is None:
            patience = self._parts.bounce_listed_after()
        if patience is None:
            return False
        attempt = Attempt(route=self._route.name, site=self.site)
        outcomes = judged(ready, listed, self._floor.clock.now() - patience, left, attempt)
        for one, outcome in zip(ready, outcomes, strict=False):
            self._settle(one, outcome)
        return bool(outcomes)

    def _settle_all(self, outcome: Outcome) -> None:
        now = self.monotonic()
        for _ in range(len(self._ready)):
            self._settle(self._pop(now).transaction, outcome)

    def _settle(self, transaction: Transaction, outcome: Outcome) -> None:
        self._floor.settle(transaction, for_each(transaction, outcome), False, nothing)

    def _serve_waiters(self) -> None:
        """Hand what is ready to idle lines, the one that was used last first."""
        while self._waiters and self._ready:
            waiter = self._waiters[-1]
            if not waiter.future.done():
                ready = self.take(waiter.line)
                if ready is None:
                    return
                waiter.future.set_result(ready)
            self._waiters.pop()

    def _put_first(self, ready: Ready) -> None:
        self._ready.put_back(ready, flow_of(ready.transaction.entry))
        self._count(ready, 1)

    def _pop(self, now: float, *, spares_bulk: bool = False) -> Ready:
        ready = self._ready.pop(spares_bulk=spares_bulk)
        self._count(ready, -1)
        if self._recipients * 2 <= self._pace.room(now):
            self._floor.has_room(self.site, of_bulk=True)
        elif self._single * 2 <= self._room_for_single(now):
            self._floor.has_room(self.site, of_bulk=False)
        return ready

    def _cut(self, ready: Ready, now: float) -> Ready:
        """At most so many recipients as a transaction bears; the others wait in front."""
        whole = ready.transaction
        if len(whole.recipients) == 1:
            return ready
        known = limited(self._pace.memory(now), self._way.switches)
        most = min(self._parts.max_rcpt, known.max_rcpt)
        if len(whole.recipients) <= most:
            return ready
        self._put_first(Ready(whole.to(whole.recipients[most:]), ready.is_bulk))
        return Ready(whole.to(whole.recipients[:most]), ready.is_bulk, ready.returns)


_OPENING = (Stage.CONNECT, Stage.HELLO, Stage.STARTTLS, Stage.AUTH)
_NATURAL = (Ending.IDLE, Ending.AGE, Ending.QUOTA, Ending.FRESH_START)


def for_each(transaction: Transaction, outcome: Outcome) -> list[Outcome]:
    """The same outcome for every recipient."""
    return [replace(outcome, n=waiting.n) for waiting in transaction.recipients]


def nothing() -> None:
    """There is nothing to give back."""


def _may_return(outcome: Outcome) -> bool:
    return outcome.result is Result.UNTOUCHED and outcome.retry_after is None


def _is_about_us(failure: End) -> bool:
    """Whether the next host would say the same."""
    return failure.meaning is not None and failure.meaning.refusal is Refusal.REPUTATION
