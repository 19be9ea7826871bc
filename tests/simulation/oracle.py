"""What must hold whatever happens, and what is known of a run to say so.

Each shard has an oracle, which lives as long as the run; workers live and die. `Watched` stands
between the real queue and all who use it, and the hosts tell what they keep.
"""

import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from merpati.clock import LEAP
from merpati.errors import MerpatiError
from merpati.journal.events import (
    Accepted,
    Cancelled,
    Deferred,
    Delivered,
    Event,
    Expired,
    Failed,
    Held,
    Noticed,
    Released,
    Rerouted,
    Unnoticed,
)
from merpati.mail.envelope import Body, Notify
from merpati.queue.entry import (
    Claim,
    Entry,
    Listed,
    ListedLane,
    Owed,
    Selection,
    Settlement,
    State,
)
from merpati.queue.queue import Draft
from merpati.queue.store import QueueStore
from tests.simulation import signatures
from tests.simulation.hosts import Copy
from tests.simulation.plan import HERE

BY_OPERATOR = "an operator says so"
"""Why a site is on hold that did nothing to deserve it."""
Key = tuple[str, int]
"""An entry's id and a recipient's place."""
_ID = re.compile(rb"\bid ([0-9A-Z]{26})\b")
SLACK = 2 * LEAP
"""Seconds by which steps of the clock that are followed, and sweeps, may shift what is due."""
_FINAL = (Delivered, Failed, Expired, Cancelled)


def name_in(octets: bytes) -> str:
    """The id of the message that these are the beginning of, behind any signature; or nothing."""
    found = _ID.search(octets)
    return found[1].decode() if found else ""


class Violation(Exception):
    """A promise that was not kept. `promise` is its name."""

    def __init__(self, promise: str, text: str) -> None:
        super().__init__(promise, text)
        self.promise = promise

    def __str__(self) -> str:
        return ": ".join(self.args)


@dataclass(slots=True)
class Bounds:
    """What may not be exceeded."""

    permits: int
    longest_wait: float
    """Seconds to the next attempt."""
    longest_hold: float
    """Seconds that a site is left alone, by itself."""
    longest_gap: float
    """Seconds between two attempts, whatever else there is to do."""
    max_age: float
    """Seconds that a message is tried for, at least."""


@dataclass(slots=True)
class Oracle:
    """All that was promised and all that came of it."""

    bounds: Bounds
    now: Callable[[], float]
    """The true time of day, whatever the machine's clock was set to."""
    ahead: float = 0.0
    """Seconds by which the clock of the worker that lives is ahead of it."""
    lives: list[tuple[int, float]] = field(default_factory=list)
    """Of each worker the last event that it found, and how far its clock was ahead."""
    entries: dict[str, Entry] = field(default_factory=dict)
    """Everything that was ever begun to be put."""
    put_at: dict[str, float] = field(default_factory=dict)
    """When, by the true time of day."""
    digests: dict[str, bytes] = field(default_factory=dict)
    tops: dict[str, bytes] = field(default_factory=dict)
    """Signatures that were seen on a message."""
    here: dict[str, bytes] = field(default_factory=dict)
    """The digest of a message with the ends of lines that a mailbox has."""
    mailboxes: "Counter[tuple[str, str]]" = field(default_factory=Counter)
    accepted: dict[str, float] = field(default_factory=dict)
    """Acknowledged, and when on the steady clock."""
    final: dict[Key, State] = field(default_factory=dict)
    """Settled for good, and acknowledged by the queue."""
    claimed: set[Key] = field(default_factory=set)
    assigned: dict[tuple[str, str], str] = field(default_factory=dict)
    tried: dict[Key, float] = field(default_factory=dict)
    """Told to wait by an attempt, and from when the wait is counted."""
    holds: dict[str, float] = field(default_factory=dict)
    suspended: dict[str, float] = field(default_factory=dict)
    """Sites that an operator put on hold, and until when."""
    copies: dict[tuple[str, str], list[Copy]] = field(default_factory=lambda: defaultdict(list))
    """By entry id and address."""
    in_flight: list[tuple[Copy, set[Key]]] = field(default_factory=list)
    """Taken by a host, and not settled yet by the worker that lives."""
    excused: set[int] = field(default_factory=set)
    """Copies that were in flight when the worker died."""
    life: int = 0
    violations: list[Violation] = field(default_factory=list)
    events: int = 0

    def blame(self, promise: str, text: str) -> None:
        """A promise was broken. Told by whoever drives the run, since who is here may be caught."""
        self.violations.append(Violation(promise, text))

    def worker_died(self) -> None:
        """What it had in hand is in nobody's."""
        if len(self.in_flight) > self.bounds.permits:
            self.blame("in flight", f"{len(self.in_flight)} at a crash")
        self.excused.update(id(copy) for copy, _ in self.in_flight)
        self.in_flight.clear()
        self.claimed.clear()
        self.life += 1

    def worker_opened(self, last: int, listed: Sequence[Listed]) -> None:
        """One has the queue: what it lists may have been moved along with the time of day."""
        while self.lives and self.lives[-1][0] > last:
            self.lives.pop()  # What was told since was lost with a power cut.
        self.lives.append((last, self.ahead))
        for one in listed:
            self._moved(one.entry)

    def _moved(self, entry: Entry) -> None:
        before = self.entries.get(entry.id)
        if before is None:
            return
        if by := entry.received - before.received:
            if abs(entry.expires - before.expires - by) > 0.01:
                self.blame("moved", f"{entry.id} by {by:.0f} s, its end otherwise")
            self.entries[entry.id] = entry
            self.tops.pop(entry.id, None)

    @property
    def _has_moved(self) -> bool:
        """Whether what a dead worker left under way may be signed by another time."""
        return len({ahead for _, ahead in self.lives}) > 1

    def true(self, seq: int, at: float) -> float:
        """When an event truly was."""
        return at - self.lives[bisect_left(self.lives, seq, key=lambda one: one[0]) - 1][1]

    def begun(self, entry: Entry, content: Body | None) -> None:
        """A put has begun."""
        self.entries[entry.id] = entry
        self.put_at[entry.id] = self.now()
        if content is not None:
            self.will_be(entry.id, content.octets())
        if entry.is_notice and entry.envelope.sender is not None:
            self.blame("null sender", f"the notice {entry.id} has a sender")

    def will_be(self, name: str, octets: bytes) -> None:
        """What a message is, over the wire and in a mailbox."""
        self.digests[name] = sha256(octets).digest()
        self.here[name] = sha256(octets.replace(b"\r\n", b"\n")).digest()

    def found(self, address: str, octets: bytes) -> None:
        """A mailbox has a message."""
        name = name_in(octets[:800])
        if name not in self.entries:
            self.blame("unexpected", f"{address} has what was never put in")
        _, _, content = octets.split(b"\n", 2)
        if sha256(content).digest() != self.here.get(name):
            self.blame("content", f"{address} has {name} changed")
        self.mailboxes[name, address] += 1

    def kept(self, copy: Copy) -> None:
        """A host took a message on."""
        top, content = signatures.split(copy.content)
        name = name_in(content[:600])
        entry = self.entries.get(name)
        if entry is None:
            self.blame(
                "unexpected", f"{copy.host} got what was never put in: {copy.content[:200]!r}"
            )
            return
        if sha256(content).digest() != self.digests.get(name):
            self.blame("content", f"{copy.host} got {name} changed")
        self._look_at(name, top, content, copy)
        if copy.sender != str(entry.envelope.sender or ""):
            self.blame("sender", f"{name} came from {copy.sender!r}")
        if copy.end.other.is_broken:
            self._kept_late(name, copy)
            return
        places = {str(one.address): n for n, one in enumerate(entry.envelope.recipients)}
        keys = set()
        for address in copy.recipients:
            if address not in places:
                self.blame("recipient", f"{name} went to {address}")
                continue
            key = (name, places[address])
            keys.add(key)
            if key in self.final:
                self.blame("sent after its end", f"{key} {address} at {copy.host}")
            if key not in self.claimed:
                self.blame("sent unclaimed", f"{key} {address} at {copy.host}")
            self.copies[name, address].append(copy)
        self.in_flight.append((copy, keys))
        if len(self.in_flight) > self.bounds.permits:
            self.blame("in flight", f"{len(self.in_flight)} transactions")

    def _look_at(self, name: str, top: bytes, content: bytes, copy: Copy) -> None:
        """Every copy is signed as it should be, and in the same octets."""
        host = copy.host
        if copy.end.other.is_broken and self._has_moved:
            return
        fault = signatures.fault_of(top, content, self.entries[name].received)
        # What goes into a mailbox by LMTP is not signed.
        if fault and (top or host != "lmtp"):
            self.blame("signature", f"{name} {fault} at {host}")
        if top and self.tops.setdefault(name, top) != top:
            self.blame("signature", f"{name} differs at {host}")

    def _kept_late(self, name: str, copy: Copy) -> None:
        """Its octets were under way when the worker died or gave up on them: it was sent before
        what was sent since, though a host that takes its time takes it later."""
        self.excused.add(id(copy))
        for address in copy.recipients:
            self.copies[name, address].insert(0, copy)

    def claims(self, claims: Sequence[Claim], asked: "Asked", now: float) -> None:
        """What a claim took out."""
        if sum(len(claim.recipients) for claim in claims) > asked.room:
            self.blame("claim", f"more than {asked.room} recipients")
        for claim in claims:
            for one in claim.recipients:
                self._claim(claim, one.n, asked)
                self.tried.pop((claim.entry.id, one.n), None)
                site = asked.sites.get((claim.domain, one.route), one.route or claim.domain)
                until = asked.holds.get(site, 0.0)
                if until > asked.now and self.holds.get(site) == until and self.life == asked.life:
                    self.blame("held site", f"{site} was claimed for, held until {until}")
                # Fresh mail is due since it came, which may be ahead of a clock that was set back.
                if one.due > max(asked.now, claim.entry.received):
                    self.blame("claim", f"{claim.entry.id} is due at {one.due} only")

    def _claim(self, claim: Claim, n: int, asked: "Asked") -> None:
        key = (claim.entry.id, n)
        if key in self.claimed:
            self.blame("claimed twice", str(key))
        if key in self.final:
            self.blame("came back", f"{key} after {self.final[key].name}")
        if claim.entry.id not in self.entries:
            self.blame("claim", f"{claim.entry.id} was never put")
        self.claimed.add(key)

    def settling(self, settlements: Sequence[Settlement]) -> None:
        """A settlement begins."""
        for one in settlements:
            key = (one.entry_id, one.n)
            if key not in self.claimed:
                self.blame("settled twice", f"{key} as {one.state.name}")
            if one.state is State.EXPIRED and self._is_young(one.entry_id):
                self.blame("expired early", str(key))
            wait = one.due - self.ahead - self.now()
            if (
                one.state is State.WAITING
                and one.attempted
                and wait > self.bounds.longest_wait + SLACK
            ):
                self.blame("back-off", f"{key} waits for {wait:.0f} s")

    def settled(self, settlements: Sequence[Settlement]) -> None:
        """It is on disk."""
        done = {(one.entry_id, one.n): one.state for one in settlements}
        for one in settlements:
            if one.state is State.WAITING and one.attempted:
                self.tried[one.entry_id, one.n] = self.now()
        for copy, keys in self.in_flight:
            for key in keys & done.keys():
                if done[key] is not State.DELIVERED and copy.verdict_was_read:
                    self.blame(
                        "verdict", f"{key} was taken by {copy.host}, became {done[key].name}"
                    )
            keys.difference_update(done)
        self.in_flight = [one for one in self.in_flight if one[1]]
        for key, state in done.items():
            self.claimed.discard(key)
            if state is State.DELIVERED:
                self._check_delivered(key)
            if state.is_final:
                self.final[key] = state

    def _check_delivered(self, key: Key) -> None:
        address = str(self.entries[key[0]].envelope.recipients[key[1]].address)
        if not address.endswith(HERE) and not self.copies.get((key[0], address)):
            self.blame("delivered to nobody", f"{key} {address}")

    def check_waits(self) -> None:
        """Nobody waits longer than that for the next attempt, by the true time."""
        for key, since in self.tried.items():
            if self.now() - since > self.bounds.longest_gap and self._is_young(key[0]):
                self.blame("gap", f"{key} had no attempt for {self.now() - since:.0f} s")

    def wait_anew(self, keys: Collection[Key] = ()) -> None:
        """These, or all, are kept from being tried by something else than their back-off."""
        self.tried.update(dict.fromkeys(keys or self.tried, self.now()))

    def rests(self, site: str, until: float) -> None:
        """A site is left alone: by an operator for as long as that is wanted."""
        until = until if site in self.suspended else self.now()
        for key in self.tried:
            self.tried[key] = max(self.tried[key], until)

    def _is_young(self, name: str) -> bool:
        """Whether a message may not be given up yet, whatever was done to the clock."""
        return self.now() - self.put_at[name] < self.bounds.max_age - SLACK

    def expiring(self, now: float) -> None:
        """All that is older than that is given up, says the worker."""
        if (late := now - self.ahead - self.now()) > SLACK:
            self.blame("expired early", f"by a clock that is {late:.0f} s ahead")

    def check_end(self, events: Sequence[Event], left: Sequence[Listed]) -> None:
        """Everything is over: who was promised what, and what became of it."""
        told: dict[str, list[Event]] = defaultdict(list)
        for event in events:
            told[event.message].append(event)
        self.events = len(events)
        for listed in left:
            self.blame("left over", f"{listed.entry.id} {listed.waiting} at {listed.site}")
        for name in self.accepted:
            if not any(isinstance(one, Accepted) for one in told[name]):
                self.blame("lost", f"{name} was acknowledged, and the journal knows nothing of it")
        for name, story in told.items():
            if name in self.entries:
                self._check_story(self.entries[name], story)
        for (name, address), times in self.mailboxes.items():
            if times > 1:
                self.blame("duplicate", f"{name} is {times} times in the mailbox of {address}")
        self._check_duplicates()

    def _check_story(self, entry: Entry, story: list[Event]) -> None:
        accepted = [one for one in story if isinstance(one, Accepted)]
        if len(accepted) != 1:
            self.blame("journal", f"{entry.id} was accepted {len(accepted)} times")
        for recipient in entry.envelope.recipients:
            address = str(recipient.address)
            own = [one for one in story if one.address == address]
            self._check_order(entry, address, own)
            self._check_notices(entry, recipient.notify, address, own)

    def _check_order(self, entry: Entry, address: str, own: list[Event]) -> None:
        final = [one for one in own if isinstance(one, _FINAL)]
        if len(final) != 1:
            kinds = [type(one).__name__ for one in own]
            self.blame("one end", f"{entry.id} {address} has {len(final)} ends: {kinds}")
            return
        age = final[0].at - self.put_at[entry.id]
        if isinstance(final[0], Expired) and age < self.bounds.max_age - SLACK:
            self.blame("expired early", f"{entry.id} {address}")
        copies = len(self.copies.get((entry.id, address), [])) + self.mailboxes[entry.id, address]
        if isinstance(final[0], Delivered) and not copies:
            self.blame("lost", f"{entry.id} {address} is said to be delivered, and no host has it")
        is_held = False
        for event in own[: own.index(final[0])]:
            if is_held and isinstance(event, Deferred):
                self.blame("held", f"{entry.id} {address} was tried while it was held")
            if isinstance(event, Held | Released | Rerouted):
                is_held = isinstance(event, Held)
        if is_held and isinstance(final[0], Delivered | Failed):
            self.blame("held", f"{entry.id} {address} was tried while it was held")

    def _check_notices(self, entry: Entry, notify: Notify, address: str, own: list[Event]) -> None:
        noticed = Counter(one.action for one in own if isinstance(one, Noticed))
        forgiven = Counter(one.action for one in own if isinstance(one, Unnoticed))
        for action, times in noticed.items():
            if times > 1:
                self.blame("notices", f"{entry.id} {address}: {action} told {times} times")
        if (entry.is_notice or entry.envelope.sender is None) and noticed:
            self.blame("bounce to a bounce", f"{entry.id} {address}")
        ended = next((one for one in own if isinstance(one, Failed | Expired)), None)
        wanted = Notify.FAILURE in notify and ended is not None
        if wanted and noticed["failed"] + forgiven["failed"] != 1:
            self.blame("notices", f"{entry.id} {address} failed, and nobody was told")
        if not wanted and noticed["failed"]:
            self.blame("notices", f"{entry.id} {address}: a failure was told that was not wanted")
        for one in own:
            if isinstance(one, Noticed) and one.notice not in self.entries:
                self.blame("notices", f"{one.notice} was never put")

    def _check_duplicates(self) -> None:
        for (name, address), copies in self.copies.items():
            for copy in copies[:-1]:
                if copy.verdict_was_read and id(copy) not in self.excused:
                    self.blame("duplicate", f"{name} {address}, first at {copy.host}")


@dataclass(slots=True)
class Asked:
    """What was known when a claim was asked for."""

    now: float
    room: int
    holds: dict[str, float]
    sites: dict[tuple[str, str], str]
    life: int


class Watched:
    """The queue, with an oracle at its door: `Queue`, `Sites`, `Ledger` and `Desk`."""

    def __init__(self, queue: QueueStore, oracle: Oracle) -> None:
        self.inner = queue
        self._oracle = oracle

    async def open(self, last: int) -> None:
        """Open the queue, and learn what it still knows; `last` is the last event."""
        await self.inner.open()
        oracle = self._oracle
        oracle.worker_opened(last, await self.inner.search(Selection(), 100_000))
        oracle.assigned = {(one.domain, one.route): one.site for one in await self.inner.lanes()}
        oracle.wait_anew()
        oracle.holds = {site: until for site, (until, _) in (await self.inner.held()).items()}

    def draft(self) -> Draft:
        return self.inner.draft()

    async def put(
        self,
        entry: Entry,
        content: Body | Draft,
        events: Sequence[Event] = (),
        discharged: Sequence[int] = (),
    ) -> None:
        oracle = self._oracle
        oracle.begun(entry, content if isinstance(content, Body) else None)
        await self.inner.put(entry, content, events, discharged)

    async def claim(
        self,
        now: float,
        room: int,
        busy: Collection[str] = (),
        full_of_bulk: Collection[str] = (),
    ) -> list[Claim]:
        oracle = self._oracle
        asked = Asked(now, room, dict(oracle.holds), dict(oracle.assigned), oracle.life)
        claims = await self.inner.claim(now, room, busy, full_of_bulk)
        oracle.claims(claims, asked, now)
        return claims

    def read(self, entry_id: str) -> AsyncIterator[bytes]:
        return self.inner.read(entry_id)

    async def settle(self, settlements: Sequence[Settlement], events: Sequence[Event] = ()) -> None:
        self._oracle.settling(settlements)
        try:
            await self.inner.settle(settlements, events)
        except MerpatiError:
            raise
        except Exception as error:
            self._oracle.blame("defect", f"settle raised {error!r}")
            raise
        self._oracle.settled(settlements)

    async def next_due(self) -> float | None:
        return await self.inner.next_due()

    def on_ready(self, wake: Callable[[], None]) -> None:
        self.inner.on_ready(wake)

    async def assign(self, domain: str, site: str, route: str = "") -> None:
        # While it is under way either may be true: then nothing is said about either.
        self._oracle.assigned[domain, route] = ""
        await self.inner.assign(domain, site, route)
        self._oracle.assigned[domain, route] = site

    async def hasten(
        self, domain: str, due: float, span: tuple[float, float], route: str = ""
    ) -> None:
        await self.inner.hasten(domain, due, span, route)

    async def lanes(self) -> list[ListedLane]:
        return await self.inner.lanes()

    async def hold(self, site: str, until: float, why: str, events: Sequence[Event] = ()) -> None:
        oracle = self._oracle
        oracle.holds.pop(site, None)
        truly = until - oracle.ahead
        if why == BY_OPERATOR:
            oracle.suspended[site] = truly
        wait = truly - oracle.now()
        if (
            wait > oracle.bounds.longest_hold + SLACK
            and truly > oracle.suspended.get(site, 0.0) + 1.0
        ):
            oracle.blame("back-off", f"{site} rests for {wait:.0f} s")
        oracle.rests(site, truly)
        await self.inner.hold(site, until, why, events)
        oracle.holds[site] = until

    async def held(self) -> dict[str, tuple[float, str]]:
        return await self.inner.held()

    async def owed(self, limit: int) -> list[Owed]:
        return await self.inner.owed(limit)

    async def forgive(self, ids: Sequence[int], events: Sequence[Event] = ()) -> None:
        await self.inner.forgive(ids, events)

    async def search(
        self, selection: Selection, limit: int, after: tuple[str, int] | None = None
    ) -> list[Listed]:
        return await self.inner.search(selection, limit, after)

    async def count(self) -> dict[str, int]:
        return await self.inner.count()

    async def alter(
        self, selection: Selection, action: str, events_by: str, route: str = ""
    ) -> int:
        if action in ("hold", "cancel"):
            self._oracle.tried.clear()
        return await self.inner.alter(selection, action, events_by, route)

    async def remind(self, now: float, patience: float, limit: int) -> int:
        return await self.inner.remind(now, patience, limit)

    async def expire(self, now: float, limit: int) -> int:
        self._oracle.expiring(now)
        return await self.inner.expire(now, limit)
