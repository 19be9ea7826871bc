"""The queue's and the journal's promises kept in memory: plain, exact, for tests.

Nothing here survives the process; everything else is as the conformance suites say.
"""

import math
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from merpati.clock import Clock
from merpati.journal.events import Accepted, Attempt, Event, Opened
from merpati.journal.parties import Found, concerns, parties
from merpati.mail.envelope import Body, Recipient
from merpati.queue.debts import (
    delay_told_at,
    expired,
    notice_of_delay,
    notice_of_expiry,
    notices_of_expansion,
    untold,
)
from merpati.queue.entry import (
    Claim,
    Entry,
    Listed,
    ListedLane,
    Notice,
    Owed,
    Selection,
    Settlement,
    State,
    Waiting,
)
from merpati.queue.flow import Flow, flow_of
from merpati.queue.lifecycle import STOPPED, TURNS, check_settlement
from merpati.queue.queue import Draft
from merpati.queue.selection import TOLD, login_key, means, resumed, suspended
from merpati.queue.way import Way, forced_of, way_of
from merpati.storage.errors import StorageError

_PIECE = 256 * 1024


class MemoryJournal:
    """`Journal` in a list."""

    def __init__(self) -> None:
        self._events: list[tuple[int, Event]] = []
        self._last = 0

    def note(self, *events: Event) -> None:
        """Kept at once."""
        self.keep(events)

    def keep(self, events: Iterable[Event]) -> None:
        """Add events, as a transaction of the queue does."""
        for event in events:
            self._last += 1
            self._events.append((self._last, event))

    async def append(self, events: Sequence[Event]) -> None:
        """Kept at once."""
        self.keep(events)

    async def follow(self, after: int, limit: int) -> list[tuple[int, Event]]:
        """Behind the cursor, oldest first."""
        return [pair for pair in self._events if pair[0] > after][:limit]

    async def last(self) -> int:
        """Of the newest event."""
        return self._last

    async def story(self, message: str) -> list[Event]:
        """The message's events and the Opened ones that its attempts name, in order."""
        told = [event for _, event in self._events if event.message == message]
        named = {attempt.connection for attempt in map(_attempt, told) if attempt}
        return [
            event
            for _, event in self._events
            if event.message == message or (isinstance(event, Opened) and event.connection in named)
        ]

    async def search(self, address: str, limit: int) -> list[str]:
        """Newest first, each message once."""
        found = [
            event.message
            for _, event in reversed(self._events)
            if isinstance(event, Accepted) and concerns(address, parties(event))
        ]
        return list(dict.fromkeys(found))[:limit]

    async def refused(self, address: str, limit: int) -> list[Event]:
        """Newest first."""
        found: list[Event] = [
            event
            for _, event in reversed(self._events)
            if isinstance(event, Found)
            and not isinstance(event, Accepted)
            and concerns(address, parties(event))
        ]
        return found[:limit]

    async def forget(self, before: float, limit: int) -> int:
        """Oldest first, stopping at the first that is younger."""
        gone = 0
        while gone < limit and self._events and self._events[0][1].at < before:
            del self._events[0]
            gone += 1
        return gone


def _attempt(event: Event) -> Attempt | None:
    return getattr(event, "attempt", None)


@dataclass(slots=True)
class _Message:
    entry: Entry
    octets: bytes
    rows: dict[int, Waiting]
    fresh_body: Body | None
    remind: float = 0.0
    """When to look whether a delay is to be told."""


@dataclass(slots=True)
class MemoryDraft:
    """Octets that are being streamed in."""

    octets: bytearray = field(default_factory=bytearray)

    async def write(self, octets: bytes) -> None:
        """Keep them."""
        self.octets += octets

    async def discard(self) -> None:
        """Forget them."""
        self.octets.clear()


@dataclass(slots=True)
class _Site:
    until: float = 0.0
    why: str = ""


class MemoryQueue:
    """`Queue`, `Sites`, `Ledger` and `Desk` in dictionaries."""

    def __init__(self, clock: Clock, journal: MemoryJournal | None = None) -> None:
        self.journal = journal or MemoryJournal()
        self._clock = clock
        self._messages: dict[str, _Message] = {}
        self._claimed: set[tuple[str, int]] = set()
        self._passed: set[_Head] = set()
        """Who has had a turn, until all have."""
        self._owed: dict[int, Owed] = {}
        self._last_debt = 0
        self._site_of: dict[tuple[str, str], str] = {}
        self._sites: dict[str, _Site] = {}
        self._wakes: list[Callable[[], None]] = []

    def draft(self) -> MemoryDraft:
        """An empty one."""
        return MemoryDraft()

    async def put(
        self,
        entry: Entry,
        content: Body | Draft,
        events: Sequence[Event] = (),
        discharged: Sequence[int] = (),
    ) -> None:
        """Keep it; in hand unless it is to be released later or its site is on hold."""
        now = self._clock.now()
        due = max(entry.received, entry.envelope.release_at or 0.0)
        fresh_body = content if isinstance(content, Body) else None
        octets = content.octets() if isinstance(content, Body) else entry.head + _octets(content)
        rows = {
            n: Waiting(
                n,
                recipient,
                self._first_state(way_of(entry, recipient.address.domain), due, now),
                due,
            )
            for n, recipient in enumerate(entry.envelope.recipients)
        }
        self._messages[entry.id] = _Message(entry, octets, rows, fresh_body)
        for n, notice in notices_of_expansion(entry):
            self._owe(entry, entry.named[n], notice)
        self.journal.keep(events)
        await self.forgive(discharged)
        self._wake()

    def _first_state(self, way: Way, due: float, now: float) -> State:
        return State.WAITING if due > now or self._hold(*way) > now else State.IN_HAND

    async def claim(
        self,
        now: float,
        room: int,
        busy: Collection[str] = (),
        full_of_bulk: Collection[str] = (),
    ) -> list[Claim]:
        """Fresh ones first, then one message of each flow at each site in turn."""
        claims: list[Claim] = []
        asked = _Asked(now, busy, full_of_bulk)
        while room > 0:
            turn = self._turn(asked)
            if turn is None and self._passed:
                self._passed.clear()
                turn = self._turn(asked)
            if turn is None:
                return claims
            message, rows = turn
            claims.append(self._take(message, rows[:room]))
            self._passed.add(self._head(message.entry, rows[0]))
            room -= len(rows[:room])
        return claims

    def _head(self, entry: Entry, row: Waiting) -> "_Head":
        return self._site(*_way(entry, row)), flow_of(entry)

    def _turn(self, asked: "_Asked") -> tuple[_Message, list[Waiting]] | None:
        ready = [
            (row.state is not State.IN_HAND, row.due, message.entry.id, row.n, row, message)
            for message, row in self._rows()
            if self._is_ready(message, row, asked)
            and self._head(message.entry, row) not in self._passed
        ]
        if not ready:
            return None
        *_, first, message = min(ready, key=lambda line: line[:4])
        key = _key(message.entry, first)
        lane = [
            line[4] for line in ready if line[5] is message and _key(message.entry, line[4]) == key
        ]
        return message, sorted(lane, key=lambda row: row.n)

    def _is_ready(self, message: _Message, row: Waiting, asked: "_Asked") -> bool:
        way = _way(message.entry, row)
        site = self._site(*way)
        return (
            row.state in (State.WAITING, State.IN_HAND)
            and row.due <= asked.now
            and (message.entry.id, row.n) not in self._claimed
            and site not in asked.busy
            and not (message.entry.is_bulk and site in asked.full_of_bulk)
            and self._hold(*way) <= asked.now
        )

    def _take(self, message: _Message, rows: list[Waiting]) -> Claim:
        self._claimed.update((message.entry.id, row.n) for row in rows)
        domain = rows[0].recipient.address.domain
        body = message.fresh_body if rows[0].state is State.IN_HAND else None
        return Claim(message.entry, domain, tuple(rows), body)

    async def read(self, entry_id: str) -> AsyncIterator[bytes]:
        """Pieces of the octets."""
        if entry_id not in self._messages:
            raise StorageError(f"{entry_id} is not in the queue any more")
        octets = self._messages[entry_id].octets
        for start in range(0, len(octets), _PIECE):
            yield octets[start : start + _PIECE]

    async def settle(self, settlements: Sequence[Settlement], events: Sequence[Event] = ()) -> None:
        """Rows, debts and events at once."""
        for settlement in settlements:
            check_settlement(settlement)
        for settlement in settlements:
            self._settle(settlement)
        self.journal.keep(events)
        self._wake()

    def _settle(self, settlement: Settlement) -> None:
        self._claimed.discard((settlement.entry_id, settlement.n))
        message = self._messages.get(settlement.entry_id)
        row = message.rows.get(settlement.n) if message else None
        if message is None or row is None:
            return
        if settlement.notice:
            self._owe(message.entry, row.recipient, settlement.notice)
        if settlement.state.is_final:
            self._end(message, row)
        else:
            message.rows[row.n] = replace(
                row,
                state=settlement.state,
                due=settlement.due,
                attempts=row.attempts + settlement.attempted,
                reply=settlement.reply or row.reply,
                cause=settlement.cause or row.cause,
                delay_told=row.delay_told
                if settlement.delay_told is None
                else settlement.delay_told,
            )

    def _end(self, message: _Message, row: Waiting) -> None:
        del message.rows[row.n]
        self._sweep(message.entry.id)

    def _sweep(self, entry_id: str) -> None:
        message = self._messages[entry_id]
        if not message.rows and all(owed.entry.id != entry_id for owed in self._owed.values()):
            del self._messages[entry_id]

    def _owe(self, entry: Entry, recipient: Recipient, notice: Notice) -> None:
        self._last_debt += 1
        self._owed[self._last_debt] = Owed(
            self._last_debt,
            entry,
            recipient,
            notice.action,
            self._clock.now(),
            notice.status,
            notice.reply,
            notice.host,
            final_address=str(recipient.address),
            until=entry.expires,
            cause=notice.cause,
        )

    async def next_due(self) -> float | None:
        """Over everything that nobody has claimed."""
        return min(
            (
                max(row.due, self._hold(*_way(message.entry, row)))
                for message, row in self._rows()
                if row.state in (State.WAITING, State.IN_HAND)
                and (message.entry.id, row.n) not in self._claimed
            ),
            default=None,
        )

    def on_ready(self, wake: Callable[[], None]) -> None:
        """Call it after every change."""
        self._wakes.append(wake)

    def _wake(self) -> None:
        for wake in self._wakes:
            wake()

    async def assign(self, domain: str, site: str, route: str = "") -> None:
        """Remember it; what is fresh waits if the site is on hold."""
        self._site_of[domain, route] = site
        if self._hold(domain, route) > self._clock.now():
            self._demote(site)
        self._wake()

    async def hasten(
        self, domain: str, due: float, span: tuple[float, float], route: str = ""
    ) -> None:
        """Rows that wait, claimed or not."""
        for message, row in list(self._rows()):
            is_meant = row.state is State.WAITING and _way(message.entry, row) == (domain, route)
            if is_meant and due < row.due and span[0] <= row.due <= span[1]:
                message.rows[row.n] = replace(row, due=due)
        self._wake()

    async def lanes(self) -> list[ListedLane]:
        """Of what was assigned and of what is here."""
        rows = [(_way(message.entry, row), row) for message, row in self._rows()]
        counts = Counter(way for way, row in rows if row.state is State.WAITING)
        here = {way for way, _ in rows}
        return [
            ListedLane(*lane, self._site(*lane), counts[lane])
            for lane in sorted(here | set(self._site_of))
        ]

    async def hold(self, site: str, until: float, why: str, events: Sequence[Event] = ()) -> None:
        """Remember it; 0 forgets it."""
        self._sites[site] = _Site(until, why)
        if until > self._clock.now():
            self._demote(site)
        self.journal.keep(events)
        self._wake()

    def _demote(self, site: str) -> None:
        """What is fresh of a site on hold waits like the rest of its cohort."""
        for message, row in list(self._rows()):
            if (
                row.state is State.IN_HAND
                and (message.entry.id, row.n) not in self._claimed
                and self._site(*_way(message.entry, row)) == site
            ):
                message.rows[row.n] = replace(row, state=State.WAITING)

    async def held(self) -> dict[str, tuple[float, str]]:
        """Those whose time is not over."""
        now = self._clock.now()
        return {
            name: (site.until, site.why) for name, site in self._sites.items() if site.until > now
        }

    def _site(self, domain: str, route: str) -> str:
        return self._site_of.get((domain, route), forced_of(route) or domain)

    def _hold(self, domain: str, route: str) -> float:
        site = self._sites.get(self._site(domain, route))
        return site.until if site else 0.0

    async def owed(self, limit: int) -> list[Owed]:
        """Oldest message first."""
        first: dict[str, int] = {}
        for owed in self._owed.values():
            first.setdefault(owed.entry.id, owed.id)
        oldest = sorted(self._owed.values(), key=lambda owed: (first[owed.entry.id], owed.id))
        return oldest[:limit]

    async def forgive(self, ids: Sequence[int], events: Sequence[Event] = ()) -> None:
        """Clear them; a message that was kept for them alone goes too."""
        for debt in ids:
            owed = self._owed.pop(debt, None)
            if owed and owed.entry.id in self._messages:
                self._sweep(owed.entry.id)
        self.journal.keep(events)

    async def search(
        self, selection: Selection, limit: int, after: tuple[str, int] | None = None
    ) -> list[Listed]:
        """In the order of ids."""
        listed = [
            self._listed(message, shown)
            for message, row in self._rows()
            if means(selection, message.entry, shown := self._shown(message, row))
            and (after is None or (message.entry.id, row.n) > after)
        ]
        return sorted(listed, key=lambda line: (line.entry.id, line.waiting.n))[:limit]

    def _shown(self, message: _Message, row: Waiting) -> Waiting:
        claimed = (message.entry.id, row.n) in self._claimed
        return replace(row, state=State.IN_HAND) if claimed else row

    def _listed(self, message: _Message, shown: Waiting) -> Listed:
        site = self._site(*_way(message.entry, shown))
        known = self._sites.get(site, _Site())
        return Listed(message.entry, shown, site, known.until, known.why)

    async def count(self) -> dict[str, int]:
        """Counted afresh."""
        counts = {"waiting": 0, "in_hand": 0, "held": 0}
        for message, row in self._rows():
            counts[self._shown(message, row).state.name.lower()] += 1
        return counts

    async def alter(
        self, selection: Selection, action: str, events_by: str, route: str = ""
    ) -> int:
        """What is claimed stays as it is."""
        return sum(
            self._alter(message, row, action, events_by, route)
            for message, row in list(self._rows())
            if (message.entry.id, row.n) not in self._claimed
            and means(selection, message.entry, row)
        )

    async def stop_senders(
        self, logins: Collection[str], made: Callable[[str], float | None] = lambda _: 0.0
    ) -> int:
        """By going through everything."""
        logins = set(map(login_key, logins))
        held = {
            login_key(message.entry.client.login)
            for message, row in self._rows()
            if row.state is State.HELD and row.cause == STOPPED
        }
        changed = 0
        for login in sorted(held - logins):
            if (since := made(login)) is None:
                continue
            selection = Selection(login=login, state=State.HELD, cause=STOPPED, not_before=since)
            changed += await self.alter(selection, "go", resumed(login))
        for login in sorted(logins):
            changed += await self.alter(Selection(login=login), "stop", suspended(login))
        return changed

    def _alter(self, message: _Message, row: Waiting, action: str, by: str, route: str) -> bool:
        deed = TURNS[action]
        state = State.WAITING if row.state is State.IN_HAND else row.state
        if state not in deed.applies:
            return False
        now = self._clock.now()
        after = deed.becomes or state
        address = str(row.recipient.address)
        self.journal.keep([TOLD[action](now, message.entry.id, address, by, route)])
        if after.is_final:
            self._end(message, row)
        else:
            message.rows[row.n] = replace(
                row,
                state=after,
                due=now if deed.now else row.due,
                route=route if action == "reroute" else row.route,
                cause=row.cause if deed.cause is None else deed.cause,
            )
        self._wake()
        return True

    async def remind(self, now: float, patience: float, limit: int) -> int:
        """What is fresh is looked at later."""
        late = [one for one in self._messages.values() if one.remind <= now and _stays(one)][:limit]
        for message in late:
            entry = message.entry
            times = [delay_told_at(entry, to, patience) for to in entry.envelope.recipients]
            for row in list(message.rows.values()):
                if times[row.n] <= now and row.state is State.WAITING and not row.delay_told:
                    self._remind(message, row)
            message.remind = min((at for at in times if at > now), default=math.inf)
        return len(late)

    def _remind(self, message: _Message, row: Waiting) -> None:
        if (message.entry.id, row.n) in self._claimed:
            return
        site = self._sites.get(self._site(*_way(message.entry, row)), _Site())
        why = site.why if site.until > self._clock.now() else ""
        self._owe(message.entry, row.recipient, notice_of_delay(row, why))
        message.rows[row.n] = replace(row, delay_told=True)

    async def expire(self, now: float, limit: int) -> int:
        """Waiting and held alike."""
        over = [
            (message, row)
            for message, row in self._rows()
            if message.entry.expires <= now
            and row.state in (State.WAITING, State.HELD)
            and (message.entry.id, row.n) not in self._claimed
        ][:limit]
        for message, row in over:
            notice = notice_of_expiry(message.entry, row)
            if notice:
                self._owe(message.entry, row.recipient, notice)
            case = now, message.entry, row
            self.journal.keep([expired(*case), *untold(*case)])
            self._end(message, row)
        return len(over)

    def _rows(self) -> Iterable[tuple[_Message, Waiting]]:
        return (
            (message, row) for message in self._messages.values() for row in message.rows.values()
        )


def _stays(message: _Message) -> bool:
    return any(row.state is not State.IN_HAND for row in message.rows.values())


_Lane = tuple[str, str, Flow]
_Head = tuple[str, Flow]
"""A flow at a site."""


@dataclass(frozen=True, slots=True)
class _Asked:
    now: float
    busy: Collection[str]
    full_of_bulk: Collection[str]


def _key(entry: Entry, row: Waiting) -> _Lane:
    return *_way(entry, row), flow_of(entry)


def _way(entry: Entry, row: Waiting) -> Way:
    return way_of(entry, row.recipient.address.domain, row.route)


def _octets(draft: Draft) -> bytes:
    assert isinstance(draft, MemoryDraft)
    return bytes(draft.octets)
