"""Finding what is due, on the writer thread: sites, then lanes of each, then rows. Only reads,
but for a row that is damaged.

What is claimed keeps its row as it was, so the question must pass over it: rows by their keys, and
lanes and sites of which everything due is in hand already ("drained"), until something touches
them or more of them falls due.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import apsw

from merpati.journal.rows import EventWriter
from merpati.queue.damage import hold_damaged
from merpati.queue.entry import Entry, State, Waiting
from merpati.queue.lanes import Lane
from merpati.queue.rows import decode_entry
from merpati.storage.errors import StorageError
from merpati.storage.rows import numbers, rows

_SITES_AT_ONCE = 64

_SITES = (
    "SELECT id, name FROM site WHERE ready <= ? AND ready IS NOT NULL "
    "AND name NOT IN (SELECT value FROM carray(?)) "
    "AND id NOT IN (SELECT value FROM carray(?)) ORDER BY ready LIMIT ?"
)
_LANES = (
    "SELECT id, domain, route FROM lane WHERE site = ? AND ready <= ? AND ready IS NOT NULL "
    "AND id NOT IN (SELECT value FROM carray(?)) ORDER BY ready LIMIT ?"
)
_ROWS = (
    "SELECT message, n, due, attempts, told, reply, cause FROM recipient "
    "WHERE lane = ? AND state = 0 AND due <= ? ORDER BY due LIMIT ?"
)
_NEXT_IN_LANE = "SELECT min(due) FROM recipient WHERE lane = ? AND state = 0 AND due > ?"
_NEXT_OF_SITES = (
    "SELECT min(ready) FROM site WHERE ready IS NOT NULL "
    "AND id NOT IN (SELECT value FROM carray(?))"
)

_NEVER = float("inf")

Key = tuple[int, int]
"""A row: (message, n)."""
_Row = tuple[int, int, float, int, int, str, str]
"""message, n, due, attempts, told, reply, cause"""


@dataclass(frozen=True, slots=True)
class Question:
    """What a claim asks for, with a picture of what is in hand."""

    now: float
    room: int
    busy: Collection[str]
    claimed: Mapping[int, frozenset[Key]]
    """By lane."""
    drained_lanes: Mapping[int, float]
    """Until when nothing more of a lane falls due."""
    drained_sites: Mapping[int, float]


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
    """At most `room` recipients, the room shared out evenly by site, then by lane."""
    return _Round(connection, question, events).go()


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
        self._taken = {lane: set(keys) for lane, keys in question.claimed.items()}
        self._lanes = _still(question.drained_lanes, question.now)
        self._sites = _still(question.drained_sites, question.now)

    def go(self) -> Answer:
        while self._room > 0:
            before = self._room
            sites = self._ready_sites()
            for nth, (site, name) in enumerate(sites):
                self._take_of_site(site, name, _share(self._room, len(sites) - nth))
            if self._room == before and len(sites) < _SITES_AT_ONCE:
                break
        self._answer.next_ready = self._next_ready()
        return self._answer

    def _ready_sites(self) -> list[tuple[int, str]]:
        question = self._question
        busy = apsw.carray((*question.busy, ""))
        bindings = (question.now, busy, numbers(self._sites), _SITES_AT_ONCE)
        return rows(self._connection, _SITES, bindings)

    def _take_of_site(self, site: int, name: str, room: int) -> None:
        now = self._question.now
        lanes = rows(self._connection, _LANES, (site, now, numbers(self._lanes), max(room, 1)))
        untouched = room
        for nth, (lane, domain, route) in enumerate(lanes):
            share = _share(room, len(lanes) - nth)
            room -= self._take_of_lane(Lane(lane, site, name), (domain, route), share)
        if not lanes or (room == untouched and len(lanes) < untouched):
            self._drain_site(site)

    def _take_of_lane(self, lane: Lane, name: tuple[str, str], room: int) -> int:
        taken = self._taken.setdefault(lane.id, set())
        due = rows(self._connection, _ROWS, (lane.id, self._question.now, room + len(taken)))
        fresh = [row for row in due if row[:2] not in taken][:room]
        taken.update(row[:2] for row in fresh)
        self._room -= len(fresh)
        if len(fresh) < room:
            self._drain_lane(lane.id)
        self._answer.found += self._open(lane, name, fresh)
        return len(fresh)

    def _open(self, lane: Lane, name: tuple[str, str], due: Iterable[_Row]) -> list[Found]:
        by_message: dict[int, list[_Row]] = {}
        for row in due:
            by_message.setdefault(row[0], []).append(row)
        found = [self._found_or_held(lane, name, *one) for one in by_message.items()]
        return [one for one in found if one is not None]

    def _found_or_held(
        self, lane: Lane, name: tuple[str, str], message: int, due: list[_Row]
    ) -> Found | None:
        try:
            return self._found(lane, name, message, due)
        except StorageError as error:
            now = self._question.now
            hold_damaged(self._connection, self._events, message, str(error), now)
            return None

    def _found(self, lane: Lane, name: tuple[str, str], message: int, due: list[_Row]) -> Found:
        entry = decode_entry(
            self._connection.execute("SELECT entry FROM message WHERE id = ?", (message,)).get
        )
        recipients = tuple(_waiting(entry, name[1], row) for row in sorted(due))
        return Found(message, lane, name[0], entry, recipients)

    def _drain_lane(self, lane: int) -> None:
        found = self._connection.execute(_NEXT_IN_LANE, (lane, self._question.now)).get
        self._lanes[lane] = self._answer.drained_lanes[lane] = _NEVER if found is None else found

    def _drain_site(self, site: int) -> None:
        """Nothing more until another lane is ready or one of the drained has more."""
        lanes = self._connection.execute(
            "SELECT id, ready FROM lane WHERE site = ? AND ready IS NOT NULL "
            "AND (ready > ? OR id IN (SELECT value FROM carray(?))) ORDER BY ready LIMIT ?",
            (site, self._question.now, numbers(self._lanes), len(self._lanes) + 1),
        )
        until = min((self._lanes.get(lane, ready) for lane, ready in lanes), default=_NEVER)
        self._sites[site] = self._answer.drained_sites[site] = until

    def _next_ready(self) -> float | None:
        found: float | None = self._connection.execute(_NEXT_OF_SITES, (numbers(self._sites),)).get
        soonest = min([found or _NEVER, *self._sites.values()])
        return None if soonest == _NEVER else soonest


def _waiting(entry: Entry, route: str, row: _Row) -> Waiting:
    _, n, due, attempts, told, reply, cause = row
    if n >= len(entry.envelope.recipients):
        text = f"an entry cannot be read: it has no recipient number {n}"
        raise StorageError(text, is_damaged=True)
    recipient = entry.envelope.recipients[n]
    return Waiting(n, recipient, State.WAITING, due, attempts, bool(told), reply, route, cause)


def _still(drained: Mapping[int, float], now: float) -> dict[int, float]:
    return {name: until for name, until in drained.items() if until > now}


def _share(room: int, among: int) -> int:
    return max(-(-room // among), 0)
