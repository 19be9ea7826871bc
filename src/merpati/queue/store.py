"""The queue on SQLite: `Queue`, `Sites`, `Ledger` and `Desk` over one shard file.

The event loop knows what is in hand (`inhand`); the writer thread knows the rows. A job's effect on
what is in hand is applied when its commit is told, in the order of commits, so that a claim that
ran before a settlement is also believed before it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import apsw

from merpati.clock import Clock
from merpati.journal.events import Event
from merpati.journal.store import JournalStore
from merpati.mail.envelope import Body
from merpati.queue import desk, ledger, reading, sites
from merpati.queue.berth import Key
from merpati.queue.claiming import Answer, Question, claim
from merpati.queue.desk import Change, DeskWriter, Page
from merpati.queue.draft import ChunkDraft
from merpati.queue.entry import (
    Claim,
    Entry,
    Listed,
    ListedLane,
    Owed,
    Selection,
    Settlement,
    State,
    Waiting,
)
from merpati.queue.holds import Holds
from merpati.queue.inhand import InHand, Parcel, split
from merpati.queue.lanes import Lane, Lanes
from merpati.queue.lifecycle import STOPPED, TURNS, check_settlement
from merpati.queue.opening import Opened, open_queue
from merpati.queue.putting import Arrival, Placed, Putting, adopt, first_due
from merpati.queue.queue import Draft
from merpati.queue.readiness import Readiness
from merpati.queue.reminding import Look, remind
from merpati.queue.removal import remove_paid
from merpati.queue.rota import Rota
from merpati.queue.selection import login_key, means, resumed, suspended
from merpati.queue.settling import Settling, Verdicts
from merpati.queue.sweeping import Sweeper
from merpati.queue.way import way_of
from merpati.storage.database import Database

_BESIDE = 64
"""Recipients that are looked for in storage while fresh ones go out: what is found is claimed
before anything else, and should not be old by then."""
_ALTER_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """Bounds of what one queue keeps in memory."""

    in_hand_octets: int = 64 * 1024 * 1024
    """Octets of fresh bodies that wait for their first attempt in memory."""
    in_hand: int = 10_000
    """Recipients that are in hand at most, fresh and claimed."""
    small: int = 256 * 1024
    """Octets of the largest body that is kept in memory for its first attempt."""


class QueueStore:
    """Mail that is not finished, in a shard's database. `open` before use."""

    def __init__(
        self,
        database: Database,
        journal: JournalStore,
        clock: Clock,
        settings: QueueSettings | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._settings = settings or QueueSettings()
        self._in_hand = InHand(self._settings.in_hand_octets, self._settings.in_hand)
        self._ready = Readiness()
        self._events = journal.writer
        self._lanes = Lanes()
        self._putting = Putting(self._lanes, self._events)
        self._settling = Settling(self._events)
        self._desk = DeskWriter(self._lanes, self._events)
        self._sweeper = Sweeper(database)
        self._asking = asyncio.Lock()
        """Held until it is told what a claim took out of storage: only then is it known what is in
        nobody's hands and may be changed."""
        self._holds = Holds()
        self._answered: deque[Claim] = deque()
        """Claimed from storage, and not handed out yet."""
        self._next_message = 1
        self._turn = 0
        self._rota = Rota()
        database.on_rollback(self._lanes.forget)
        database.on_rollback(self._putting.forget)
        database.write_late(self._putting.write_late)

    async def open(self) -> None:
        """Take up what an earlier process left: what it had in hand waits, its drafts go."""
        opening = partial(open_queue, events=self._events, reading=self._clock.read())
        opened: Opened = await self._database.write(opening)
        self._next_message = opened.next_message
        self._holds = Holds(opened.holds)
        self._sweeper.look()
        if opened.waits:
            self._ready.touch(0.0)

    def draft(self) -> Draft:
        """Begin to stream a message in."""
        return ChunkDraft(self._database, self._new_message(), self._sweeper.abandon)

    async def put(
        self,
        entry: Entry,
        content: Body | Draft,
        events: Sequence[Event] = (),
        discharged: Sequence[int] = (),
    ) -> None:
        """See `Queue`. Fresh and in hand if there is room for it."""
        now = self._clock.now()
        message, body, streamed = await self._content(content)
        kept = body if body is not None and body.size <= self._settings.small else None
        octets, recipients = kept.size if kept else 0, len(entry.envelope.recipients)
        fresh = first_due(entry) <= now and self._in_hand.reserve(
            octets, recipients, is_bulk=entry.is_bulk
        )
        arrival = Arrival(message, entry, body, now, fresh, events, discharged, streamed)
        job = self._database.job(lambda connection: self._putting.put(connection, arrival))
        job.gathers = True
        job.recover = partial(adopt, message=message)
        job.done = partial(self._stored, arrival, kept)
        room = (octets, recipients) if fresh else (0, 0)
        job.failed = partial(self._not_stored, *room)
        await self._database.submit(job)
        if isinstance(content, ChunkDraft):
            content.is_put = True
        if discharged:
            self._sweeper.look()

    async def _content(self, content: Body | Draft) -> tuple[int, Body | None, int]:
        """Its message, and the body, or the checksum of what was streamed in."""
        if isinstance(content, Body):
            return self._new_message(), content, 0
        if not isinstance(content, ChunkDraft):
            raise TypeError("a draft of another queue")
        await content.flush()
        return content.message, None, content.checksum

    def _stored(self, arrival: Arrival, kept: Body | None, placed: Sequence[Placed]) -> None:
        entry = arrival.entry
        if arrival.may_be_fresh:
            count = self._in_hand.admit(entry, arrival.message, kept, placed)
            left = len(entry.envelope.recipients) - count
            self._in_hand.give_back(kept.size if kept and not count else 0, left)
        for place in placed:
            if not place.fresh:
                # Of a site on hold nothing is claimed before; to look for it would be in vain.
                due = max(first_due(entry), self._holds.until(place.lane.site_name))
                self._ready.touch(due, place.lane)
        self._ready.wake()

    def _not_stored(self, octets: int, recipients: int) -> None:
        self._in_hand.give_back(octets, recipients)
        # In doubt: should it stand after all, it waits, and only a claim finds it.
        self._ready.touch_all()

    def _new_message(self) -> int:
        message = self._next_message
        self._next_message += 1
        return message

    async def claim(
        self,
        now: float,
        room: int,
        busy: Collection[str] = (),
        full_of_bulk: Collection[str] = (),
    ) -> list[Claim]:
        """See `Queue`. Storage is asked only when something there can be due, and what lies in
        memory does not wait for its answer: that comes with the next claim."""
        full = frozenset(busy), frozenset(full_of_bulk)
        fresh = self._in_hand.take_fresh(room, *full, lambda site: self._holds.until(site) > now)
        claims = fresh + self._hand_out(room - _recipients(fresh))
        left = min(room - _recipients(claims), self._in_hand.room)
        if left <= 0 or not self._ready.is_due(now):
            return claims
        if fresh and not self._asking.locked():
            await self._asking.acquire()
            asked = self._ask(now, min(left, _BESIDE), *full)
            asked.add_done_callback(lambda future: future.exception())  # The next claim meets it.
        if claims:
            return claims
        await self._asking.acquire()
        if self._answered:
            self._asking.release()
        else:
            await self._ask(now, left, *full)
        return self._hand_out(room)

    def _hand_out(self, room: int) -> list[Claim]:
        """What storage has answered, as far as there is room."""
        claims: list[Claim] = []
        while self._answered and room > 0:
            claim = self._answered.popleft()
            if len(claim.recipients) > room:
                claim, rest = split(claim, room)
                self._answered.appendleft(rest)
            claims.append(claim)
            room -= len(claim.recipients)
        return claims

    def _ask(
        self, now: float, room: int, busy: frozenset[str], full_of_bulk: frozenset[str]
    ) -> "asyncio.Future[Answer]":
        """Look for what is due in storage, `_asking` being held."""
        self._ready.ask()
        question = Question(
            now,
            room,
            busy,
            self._in_hand.berths,
            self._ready.drained_lanes,
            self._ready.drained_sites,
            self._turn,
            full_of_bulk,
            self._rota,
        )
        self._turn += 1
        job = self._database.job(partial(claim, question=question, events=self._events))
        # Not by `async with`: who waits for the claim may be cancelled, the claim may not.
        job.done = partial(self._found, self._ready.touches)
        job.failed = self._asking.release
        return self._database.submit(job)

    def _found(self, touches: int, answer: Answer) -> None:
        self._asking.release()
        self._answered += self._in_hand.take_found(answer.found)
        self._ready.learn(answer, touches, self._in_hand)
        if self._answered:
            self._ready.wake()

    async def read(self, entry_id: str) -> AsyncIterator[bytes]:
        """See `Queue`: one short question a piece."""
        content = await self._database.read(partial(reading.begin, entry_id=entry_id))
        while not content.is_over:
            yield await self._database.read(content.next)

    async def settle(self, settlements: Sequence[Settlement], events: Sequence[Event] = ()) -> None:
        """See `Queue`. Rides with other commits, a little later than it could be."""
        for settlement in settlements:
            check_settlement(settlement)
        placed = [(one, self._in_hand.place(one.entry_id, one.n)) for one in settlements]
        verdicts = Verdicts(placed, events, self._clock.now())
        job = self._database.job(partial(self._settling.settle, verdicts=verdicts), rides=True)
        # Its rows are in the file for long, but for what has no place: that is looked up there.
        job.gathers = all(place for _, place in placed)
        job.done = partial(self._settled, settlements)
        await self._database.submit(job)

    def _settled(self, settlements: Sequence[Settlement], leaves_rest: bool) -> None:
        for one in settlements:
            lane = self._in_hand.release(one.entry_id, one.n)
            if one.state is State.WAITING:
                self._ready.touch(one.due, lane)
            elif lane and not self._in_hand.has_claimed_lane(lane.id):
                self._ready.forget(lane)
        if leaves_rest:
            self._sweeper.look()
        self._ready.wake()

    async def next_due(self) -> float | None:
        """See `Queue`. For what can be handed out without asking that is now."""
        if self._in_hand.has_fresh or self._answered:
            return min(self._clock.now(), self._ready.next_ready or self._clock.now())
        return self._ready.next_ready

    def on_ready(self, wake: Callable[[], None]) -> None:
        """See `Queue`."""
        self._ready.wakes.append(wake)

    async def assign(self, domain: str, site: str, route: str = "") -> None:
        """See `Sites`. Fresh mail that comes to a site on hold waits with its cohort."""
        parcels = []
        if self._holds.until(site) > self._clock.now():
            way = domain, route
            parcels = self._in_hand.withdraw(
                lambda entry, waiting, _: way_of(entry, waiting.recipient.address.domain) == way
            )

        def work(connection: apsw.Connection) -> sites.Move:
            move = sites.assign(connection, self._lanes, (domain, route), site)
            _demote(connection, parcels)
            return move

        job = self._database.job(work)
        job.done = self._assigned
        job.failed = partial(self._in_hand.put_back, parcels)
        await self._database.submit(job)

    def _assigned(self, move: sites.Move) -> None:
        self._ready.forget_sites(move.sites)
        for lane in move.lanes:
            self._in_hand.move(lane)
            self._ready.touch(0.0, lane)
        self._ready.wake()

    async def hasten(
        self, domain: str, due: float, span: tuple[float, float], route: str = ""
    ) -> None:
        """See `Sites`. Rides with other commits."""
        work = partial(sites.hasten, way=(domain, route), due=due, span=span)
        job = self._database.job(work, rides=True)
        job.done = partial(self._hastened, due)
        await self._database.submit(job)

    def _hastened(self, due: float, lanes: Sequence[Lane]) -> None:
        for lane in lanes:
            self._ready.touch(due, lane)
        if lanes:
            self._ready.wake()

    async def lanes(self) -> list[ListedLane]:
        """See `Sites`."""
        return await self._database.read(sites.lanes)

    async def hold(self, site: str, until: float, why: str, events: Sequence[Event] = ()) -> None:
        """See `Sites`. Fresh mail of the site goes back to wait with its cohort."""
        parcels = []
        if until > self._clock.now():
            parcels = self._in_hand.withdraw_site(site)

        def work(connection: apsw.Connection) -> int:
            _demote(connection, parcels)
            self._events.write(connection, events)
            return sites.hold(connection, self._lanes, site, until, why)

        job = self._database.job(work)
        job.done = partial(self._held_site, site, until)
        job.failed = partial(self._in_hand.put_back, parcels)
        await self._database.submit(job)

    def _held_site(self, site: str, until: float, number: int) -> None:
        self._holds.put(site, until)
        self._holds.forget(self._clock.now())
        self._ready.touch_site(until, number)
        self._ready.wake()

    @property
    def remembered(self) -> int:
        """How many lanes, sites and holds are known in memory: of what is claimed or held alone."""
        ready = self._ready
        return len(ready.drained_lanes) + len(ready.drained_sites) + len(self._holds)

    async def held(self) -> dict[str, tuple[float, str]]:
        """See `Sites`."""
        return await self._database.read(partial(sites.held, now=self._clock.now()))

    async def owed(self, limit: int) -> list[Owed]:
        """See `Ledger`."""
        return await self._database.read(partial(ledger.owed, limit=limit))

    async def forgive(self, ids: Sequence[int], events: Sequence[Event] = ()) -> None:
        """See `Ledger`."""

        def work(connection: apsw.Connection) -> None:
            remove_paid(connection, ids)
            self._events.write(connection, events)

        await self._database.write(work)
        self._sweeper.look()

    async def search(
        self, selection: Selection, limit: int, after: tuple[str, int] | None = None
    ) -> list[Listed]:
        """See `Desk`."""
        page = Page(selection, limit, after, self._in_hand.claimed_rows())
        rows = await self._database.read(partial(desk.search, page=page))
        return [row.listed for row in rows]

    async def count(self) -> dict[str, int]:
        """See `Desk`."""
        rows = await self._database.read(desk.count)
        claimed = self._in_hand.claimed_waiting
        rows[State.WAITING] -= claimed
        rows[State.IN_HAND] += claimed
        return {state.name.lower(): number for state, number in rows.items()}

    async def alter(
        self, selection: Selection, action: str, events_by: str, route: str = ""
    ) -> int:
        """See `Desk`. In slices: each is one transaction, so that mail goes on meanwhile."""
        if action not in TURNS:
            raise ValueError(f"no such action: {action}")
        await self._withdraw(selection)
        changed, after = 0, None
        while True:
            claimed = await self._claimed_rows()
            page = Page(selection, _ALTER_AT_ONCE, after, claimed)
            change = Change(page, action, events_by, route, self._clock.now())
            job = self._database.job(partial(self._desk.alter, change=change))
            job.done = lambda _: self._ready.touch_all()
            count, after = await self._database.submit(job)
            changed += count
            if after is None:
                self._sweeper.look()
                return changed

    async def stop_senders(
        self, logins: Collection[str], made: Callable[[str], float | None] = lambda _: 0.0
    ) -> int:
        """See `Desk`."""
        changed = 0
        logins = set(map(login_key, logins))
        for login in sorted(await self._database.read(desk.stopped) - logins):
            if (since := made(login)) is None:
                continue
            selection = Selection(login=login, state=State.HELD, cause=STOPPED, not_before=since)
            changed += await self.alter(selection, "go", resumed(login))
        if not logins:
            return changed
        for login in logins:
            await self._withdraw(Selection(login=login, state=State.WAITING))
        for login in sorted(await self._database.read(partial(desk.waiting, logins=logins))):
            selection = Selection(login=login, state=State.WAITING)
            changed += await self.alter(selection, "stop", suspended(login))
        return changed

    async def _withdraw(self, selection: Selection) -> None:
        """Fresh mail that is meant and that nobody has claimed waits like any other."""

        def meant(entry: Entry, waiting: Waiting, _: str) -> bool:
            return means(selection, entry, waiting) or means(
                selection, entry, Waiting(waiting.n, waiting.recipient, State.WAITING, waiting.due)
            )

        parcels = self._in_hand.withdraw(meant)
        if parcels:
            job = self._database.job(lambda connection: _demote(connection, parcels))
            job.failed = partial(self._in_hand.put_back, parcels)
            job.done = lambda _: self._ready.touch_all()
            await self._database.submit(job)

    async def _claimed_rows(self) -> list[Key]:
        """What is in hand and will be until a job that is handed over at once has run: a later
        claim runs behind that job."""
        async with self._asking:
            return self._in_hand.claimed_rows()

    async def remind(self, now: float, patience: float, limit: int) -> int:
        """See `Desk`."""
        look = Look(now, patience, limit, frozenset(await self._claimed_rows()))
        return await self._database.write(partial(remind, look=look), rides=True)

    async def expire(self, now: float, limit: int) -> int:
        """See `Desk`."""
        claimed = await self._claimed_rows()
        ended = await self._database.write(
            lambda connection: self._desk.expire(connection, now, limit, claimed), rides=True
        )
        if ended:
            self._sweeper.look()
        return ended


def _demote(connection: apsw.Connection, parcels: Sequence[Parcel]) -> None:
    """Fresh rows become waiting ones."""
    for message in {parcel.message for parcel in parcels}:
        numbers = {w.n for p in parcels if p.message == message for w in p.claim.recipients}
        adopt(connection, message, numbers)


def _recipients(claims: Iterable[Claim]) -> int:
    return sum(len(claim.recipients) for claim in claims)
