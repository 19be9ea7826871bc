"""Finding what is due, on the writer thread: sites, then lanes of each, then rows. Only reads,
but for a row that is damaged.

What is claimed keeps its row as it was, so the question must pass over it: rows by their keys, and
lanes and sites of which everything due is in hand already ("drained"), until something touches
them or more of them falls due.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

import apsw

from merpati.journal.rows import EventWriter
from merpati.queue.berth import Berth, Key
from merpati.queue.damage import hold_damaged
from merpati.queue.entry import Entry, State, Waiting
from merpati.queue.flow import bulk_share
from merpati.queue.lanes import Lane
from merpati.queue.rota import Hall, Ready, Rota
from merpati.queue.rows import decode_entry
from merpati.queue.way import Way, forced_of
from merpati.storage.errors import StorageError
from merpati.storage.rows import rows

_SITES_AT_ONCE = 64

_SITES = "SELECT id, name FROM site WHERE ready <= ? AND ready IS NOT NULL ORDER BY ready"
_ROWS = (
    "SELECT message, n, due, attempts, told, reply, cause FROM recipient "
    "WHERE lane = ? AND state = 0 AND due <= ? ORDER BY due LIMIT ?"
)
_NEXT_IN_LANE = "SELECT min(due) FROM recipient WHERE lane = ? AND state = 0 AND due > ?"
_NEXT_LANES = "SELECT id, ready FROM lane WHERE site = ? AND ready IS NOT NULL ORDER BY ready"
_NEXT_SITES = "SELECT id, ready FROM site WHERE ready IS NOT NULL ORDER BY ready"

_NEVER = float("inf")

_Row = tuple[int, int, float, int, int, str, str]
"""message, n, due, attempts, told, reply, cause"""


@dataclass(frozen=True, slots=True)
class Question:
    """What a claim asks for, and what is in hand.

    That is the event loop's own, not a copy: what is in hand is much, and a claim looks at little
    of it. Meanwhile it can only shrink, by settlements that are committed, so that the file tells
    the truth of whatever is missing.
    """

    now: float
    room: int
    busy: Collection[str]
    berths: Mapping[int, Berth]
    """By lane."""
    drained_lanes: Mapping[int, float]
    """Until when nothing more of a lane falls due."""
    drained_sites: Mapping[int, float]
    turn: int = 0
    """How many claims there were: bulk mail's share of little room comes now and then."""
    full_of_bulk: Collection[str] = ()
    rota: Rota = field(default_factory=Rota)
    """The writer thread's own."""


@dataclass(frozen=True, slots=True)
class Found:
    """Recipients of one message in one lane that are due."""

    message: int
    lane: Lane
    domain: str
    entry: Entry
    recipients: tuple[Waiting, ...]


@dataclass(slots=True)
class Answer:
    """What was found, and what need not be asked again."""

    found: list[Found] = field(default_factory=list)
    drained_lanes: dict[int, float] = field(default_factory=dict)
    drained_sites: dict[int, float] = field(default_factory=dict)
    next_ready: float | None = None
    """When the next site outside the drained ones is ready."""


def claim(connection: apsw.Connection, question: Question, events: EventWriter) -> Answer:
    """At most `room` recipients, the room shared out evenly by site, then by tenant and lane."""
    return _Round(connection, question, events).go()


@dataclass(frozen=True, slots=True)
class _Kind:
    """What was taken of a site's single or bulk mail."""

    taken: int
    is_over: bool
    """Whether nothing more is due."""


class _Round:
    """One claim: the question's picture plus what has been taken so far."""

    def __init__(
        self, connection: apsw.Connection, question: Question, events: EventWriter
    ) -> None:
        self._connection = connection
        self._events = events
        self._question = question
        self._answer = Answer()
        self._room = question.room
        self._taken: dict[int, set[Key]] = {}
        self._fruitless: set[int] = set()
        """Sites that gave nothing this time, drained or not."""
        self._lanes = _Drained(question.drained_lanes, self._answer.drained_lanes, question.now)
        self._sites = _Drained(question.drained_sites, self._answer.drained_sites, question.now)

    def go(self) -> Answer:
        while self._room > 0:
            before = self._room
            sites = self._ready_sites()
            for nth, (site, name) in enumerate(sites):
                left = self._room
                self._take_of_site(site, name, _share(left, len(sites) - nth))
                if self._room == left:
                    self._fruitless.add(site)
            if self._room == before and len(sites) < _SITES_AT_ONCE:
                break
        self._answer.next_ready = self._next_ready()
        return self._answer

    def _ready_sites(self) -> list[tuple[int, str]]:
        """The first so many. What is passed over is in hand, or at most as much as that: it is not
        handed to SQLite, which would read all of it for each question."""
        question = self._question
        ready = self._connection.execute(_SITES, (question.now,))
        open_ = (row for row in ready if row[1] not in question.busy and row[0] not in self._sites)
        new = (row for row in open_ if row[0] not in self._fruitless)
        return list(islice(new, _SITES_AT_ONCE))

    def _take_of_site(self, site: int, name: str, room: int) -> None:
        """A fifth for bulk mail; what one kind does not need is the other's."""
        if name in self._question.full_of_bulk:
            self._take_of_kind(site, name, is_bulk=False, room=room)
            return
        left = room - bulk_share(room, self._question.turn)
        single = self._take_of_kind(site, name, is_bulk=False, room=left)
        left = room - single.taken
        bulk = self._take_of_kind(site, name, is_bulk=True, room=left)
        left -= bulk.taken
        if left > 0 and not single.is_over:
            single = self._take_of_kind(site, name, is_bulk=False, room=left)
        if single.is_over and bulk.is_over and not bulk.taken and not single.taken:
            self._drain_site(site)

    def _take_of_kind(self, site: int, name: str, *, is_bulk: bool, room: int) -> "_Kind":
        passes_over = self._lanes.__contains__
        hall = Hall(self._connection, site, is_bulk, self._question.now, passes_over)
        turn = self._question.rota.turn(hall, max(room, 1))
        is_over, untouched = turn.is_whole, room
        for nth, tenant in enumerate(turn.tenants):
            share = _share(room, len(turn.tenants) - nth)
            most = max(share, 1)
            lanes = hall.lanes(tenant, most) if nth else turn.first[:most]
            taken = self._take_of_lanes(site, name, lanes, share)
            is_over = is_over and not taken and len(lanes) < share
            room -= taken
        return _Kind(untouched - room, is_over)

    def _take_of_lanes(self, site: int, name: str, lanes: Sequence[Ready], room: int) -> int:
        untouched = room
        for nth, (lane, domain, route) in enumerate(lanes):
            share = _share(room, len(lanes) - nth)
            room -= self._take_of_lane(Lane(lane, site, name), (domain, route), share)
        return untouched - room

    def _take_of_lane(self, lane: Lane, name: Way, room: int) -> int:
        taken = self._taken_of(lane.id)
        due = rows(self._connection, _ROWS, (lane.id, self._question.now, room + len(taken)))
        fresh = [row for row in due if row[:2] not in taken][:room]
        taken.update(row[:2] for row in fresh)
        self._room -= len(fresh)
        if len(fresh) < room:
            self._drain_lane(lane.id)
        self._answer.found += self._open(lane, name, fresh)
        return len(fresh)

    def _taken_of(self, lane: int) -> set[Key]:
        taken = self._taken.get(lane)
        if taken is None:
            berth = self._question.berths.get(lane)
            taken = self._taken[lane] = set(berth.claimed) if berth else set()
        return taken

    def _open(self, lane: Lane, name: Way, due: Iterable[_Row]) -> list[Found]:
        by_message: dict[int, list[_Row]] = {}
        for row in due:
            by_message.setdefault(row[0], []).append(row)
        found = [self._found_or_held(lane, name, *one) for one in by_message.items()]
        return [one for one in found if one is not None]

    def _found_or_held(self, lane: Lane, name: Way, message: int, due: list[_Row]) -> Found | None:
        try:
            return self._found(lane, name, message, due)
        except StorageError as error:
            now = self._question.now
            hold_damaged(self._connection, self._events, message, str(error), now)
            return None

    def _found(self, lane: Lane, name: Way, message: int, due: list[_Row]) -> Found:
        entry = decode_entry(
            self._connection.execute("SELECT entry FROM message WHERE id = ?", (message,)).get
        )
        recipients = tuple(_waiting(entry, forced_of(name[1]), row) for row in sorted(due))
        return Found(message, lane, name[0], entry, recipients)

    def _drain_lane(self, lane: int) -> None:
        found = self._connection.execute(_NEXT_IN_LANE, (lane, self._question.now)).get
        self._lanes.drain(lane, _NEVER if found is None else found)

    def _drain_site(self, site: int) -> None:
        """Nothing more until another lane is ready or one of the drained has more."""
        lanes = self._connection.execute(_NEXT_LANES, (site,))
        self._sites.drain(site, self._lanes.first(lanes))

    def _next_ready(self) -> float | None:
        soonest = self._sites.first(self._connection.execute(_NEXT_SITES))
        return None if soonest == _NEVER else soonest


def _waiting(entry: Entry, route: str, row: _Row) -> Waiting:
    _, n, due, attempts, told, reply, cause = row
    if n >= len(entry.envelope.recipients):
        text = f"an entry cannot be read: it has no recipient number {n}"
        raise StorageError(text, is_damaged=True)
    recipient = entry.envelope.recipients[n]
    return Waiting(n, recipient, State.WAITING, due, attempts, bool(told), reply, route, cause)


class _Drained:
    """Lanes, or sites, of which nothing more falls due until a time: as was known, and learned."""

    def __init__(self, known: Mapping[int, float], learned: dict[int, float], now: float) -> None:
        self._known = known
        self._learned = learned
        self._now = now

    def __contains__(self, id_: int) -> bool:
        return self._until(id_) > self._now

    def drain(self, id_: int, until: float) -> None:
        """Nothing more until then."""
        self._learned[id_] = until

    def first(self, ready: Iterable[tuple[int, float]]) -> float:
        """When the first of these has something, of which each says when it is ready, in order.

        A drained one has something later than it says, so that the first other one is the last to
        be looked at.
        """
        soonest = _NEVER
        for id_, at in ready:
            if id_ not in self:
                return min(soonest, at)
            soonest = min(soonest, self._until(id_))
        return soonest

    def _until(self, id_: int) -> float:
        return self._learned.get(id_) or self._known.get(id_, 0.0)


def _share(room: int, among: int) -> int:
    return max(-(-room // among), 0)
