"""What operators and the clock do to rows that no attempt has: the questions and the changes."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import apsw

from merpati.journal.events import Event
from merpati.journal.rows import EventWriter
from merpati.queue.damage import Known
from merpati.queue.debts import expired, notice_of_expiry, untold
from merpati.queue.entry import Entry, Listed, Selection, State, Waiting
from merpati.queue.flow import flow_of
from merpati.queue.lanes import Lanes, look_again, raise_ready
from merpati.queue.ledger import owe
from merpati.queue.lifecycle import STOPPED, TURNS, Turn
from merpati.queue.removal import remove_finished
from merpati.queue.rows import decode_entry
from merpati.queue.selection import TOLD
from merpati.queue.way import forced_of, way_of
from merpati.storage.errors import StorageError
from merpati.storage.rows import numbers, rows

_KEY = "(r.message << 16 | r.n)"
_ROW = (
    "SELECT m.entry, r.message, r.n, r.lane, r.state, r.due, r.attempts, r.told, r.reply, "
    "r.cause, l.route, s.name, s.hold, s.why, r.address, m.public, m.received, m.expires"
)
# CROSS JOIN keeps this order: by messages in the order of the page, so that the first page of a
# million is found without sorting them. What is rare is named first, as an `m.id IN`.
_TABLES = (
    " FROM message m CROSS JOIN recipient r ON r.message = m.id "
    "CROSS JOIN lane l ON l.id = r.lane CROSS JOIN site s ON s.id = l.site"
)

# The partial indexes answer only a question that names their condition.
_OF_DOMAIN = (  # noqa: S608 - constants
    "l.domain = ? AND m.id IN ("
    "SELECT message FROM recipient WHERE state = 0 AND lane IN {lanes} UNION ALL "
    "SELECT message FROM recipient WHERE state = 1 UNION ALL "
    "SELECT message FROM recipient WHERE state = 2 AND lane IN {lanes})"
).format(lanes="(SELECT id FROM lane WHERE domain = ?)")
_OF_LOGIN = (  # noqa: S608 - constants
    "lower(l.tenant) = ? AND m.id IN ("
    "SELECT message FROM recipient WHERE state = 0 AND lane IN {lanes} UNION ALL "
    "SELECT message FROM recipient WHERE state = 1 UNION ALL "
    "SELECT message FROM recipient WHERE state = 2 AND lane IN {lanes})"
).format(lanes="(SELECT id FROM lane WHERE lower(tenant) = ?)")
_WAITING_LOGINS = (
    "SELECT DISTINCT lower(tenant) FROM lane WHERE waiting > 0 "
    "AND lower(tenant) IN (SELECT value FROM carray(?))"
)
_STOPPED_LOGINS = (
    "SELECT DISTINCT lower(l.tenant) FROM recipient r JOIN lane l ON l.id = r.lane "
    "WHERE r.state = 2 AND r.cause = ?"
)
# What is at its first attempt is in no index of senders; it is little, and what is fresh is known.
_OF_SENDER = (
    "m.id IN (SELECT id FROM message WHERE stays = 1 AND sender = ? "
    "UNION ALL SELECT message FROM recipient WHERE state = 1)"
)
_HELD = "m.id IN (SELECT message FROM recipient WHERE state = 2)"
_IN_HAND = (
    "m.id IN (SELECT message FROM recipient WHERE state = 1 UNION ALL SELECT value FROM carray(?))"
)


@dataclass(frozen=True, slots=True)
class Row:
    """A recipient's row with what it belongs to."""

    listed: Listed
    message: int
    lane: int

    @property
    def key(self) -> tuple[int, int]:
        """Its primary key."""
        return self.message, self.listed.waiting.n


@dataclass(frozen=True, slots=True)
class Page:
    """A piece of an operator's question."""

    selection: Selection
    limit: int
    after: tuple[str, int] | None
    claimed: Sequence[tuple[int, int]]
    """What attempts have: shown as in hand, left alone by changes."""


@dataclass(frozen=True, slots=True)
class Change:
    """A piece of an operator's change."""

    page: Page
    action: str
    by: str
    route: str
    at: float


def search(connection: apsw.Connection, page: Page) -> list[Row]:
    """One page, oldest first."""
    where, bindings = _conditions(page)
    query = f"{_ROW}{_TABLES} WHERE {where} ORDER BY m.public, r.n LIMIT ?"
    claimed = frozenset(page.claimed)
    found = rows(connection, query, (*bindings, page.limit))
    return [_row(claimed, *row) for row in found]


def count(connection: apsw.Connection) -> dict[State, int]:
    """Rows by what they say; the waiting ones are counted by their lanes."""
    waiting = connection.execute("SELECT coalesce(sum(waiting), 0) FROM lane").get
    others = dict(
        connection.execute(
            "SELECT 1, count(*) FROM recipient WHERE state = 1 UNION ALL "
            "SELECT 2, count(*) FROM recipient WHERE state = 2"
        )
    )
    return {State.WAITING: waiting, State.IN_HAND: others[1], State.HELD: others[2]}


def stopped(connection: apsw.Connection) -> set[str]:
    """Logins whose mail is held since they may not send."""
    return {login for (login,) in rows(connection, _STOPPED_LOGINS, (STOPPED,))}


def waiting(connection: apsw.Connection, logins: Collection[str]) -> set[str]:
    """Those of the logins whose mail waits."""
    bindings = (apsw.carray(tuple(logins)),)
    return {login for (login,) in rows(connection, _WAITING_LOGINS, bindings)}


class DeskWriter:
    """Makes the changes, on the writer thread."""

    def __init__(self, lanes: Lanes, events: EventWriter) -> None:
        self._lanes = lanes
        self._events = events

    def alter(
        self, connection: apsw.Connection, change: Change
    ) -> tuple[int, tuple[str, int] | None]:
        """Change one page; how many were changed, and behind whom the next page begins."""
        action = TURNS[change.action]
        page = search(connection, change.page)
        chosen = [row for row in page if row.listed.waiting.state in action.applies]
        if change.action == "reroute":
            self._reroute(connection, chosen, change)
        else:
            _move(connection, chosen, action, change.at)
        self._events.write(connection, [_told(row, change) for row in chosen])
        return len(chosen), _cursor(page, change.page.limit)

    def expire(
        self,
        connection: apsw.Connection,
        now: float,
        limit: int,
        claimed: Iterable[tuple[int, int]],
    ) -> int:
        """End what waits or is held in messages whose time is over."""
        query = (
            f"{_ROW}{_TABLES} WHERE m.stays = 1 AND m.expires <= ? AND r.state IN (0, 2) "  # noqa: S608 - constants
            f"AND {_KEY} NOT IN (SELECT value FROM carray(?)) ORDER BY m.expires LIMIT ?"
        )
        found = rows(connection, query, (now, _keys(claimed), limit))
        over = [_row(frozenset(), *row) for row in found]
        for row in over:
            notice = notice_of_expiry(row.listed.entry, row.listed.waiting)
            if notice is not None:
                owe(connection, row.key, notice, now)
        _end(connection, over)
        for row in over:
            case = now, row.listed.entry, row.listed.waiting
            self._events.write(connection, [expired(*case), *untold(*case)])
        return len(over)

    def _reroute(self, connection: apsw.Connection, rows: Sequence[Row], change: Change) -> None:
        """To a lane of that domain and route, which has a site, and so holds, of its own."""
        touched = Counter(row.lane for row in rows if row.listed.waiting.state is State.WAITING)
        for row in rows:
            waiting = row.listed.waiting
            domain = waiting.recipient.address.domain
            way = way_of(row.listed.entry, domain, change.route)
            lane = self._lanes.find(connection, way, flow_of(row.listed.entry))
            connection.execute(
                "UPDATE recipient SET lane = ?, due = ? WHERE message = ? AND n = ?",
                (lane.id, change.at, *row.key),
            )
            if waiting.state is State.WAITING:
                raise_ready(connection, lane.id, change.at, 1)
        look_again(connection, {lane: -number for lane, number in touched.items()})


def _move(connection: apsw.Connection, rows: Sequence[Row], action: Turn, at: float) -> None:
    if action.becomes is State.CANCELLED:
        _end(connection, rows)
        return
    lanes: Counter[int] = Counter()
    for row in rows:
        waiting = row.listed.waiting
        after = action.becomes or waiting.state
        connection.execute(
            "UPDATE recipient SET state = ?, due = ?, cause = coalesce(?, cause) "
            "WHERE message = ? AND n = ?",
            (after.value, at if action.now else waiting.due, action.cause, *row.key),
        )
        lanes[row.lane] += (after is State.WAITING) - (waiting.state is State.WAITING)
    look_again(connection, lanes)


def _end(connection: apsw.Connection, rows: Sequence[Row]) -> None:
    connection.executemany(
        "DELETE FROM recipient WHERE message = ? AND n = ?", [row.key for row in rows]
    )
    lanes: Counter[int] = Counter()
    for row in rows:
        lanes[row.lane] -= row.listed.waiting.state is State.WAITING
    look_again(connection, lanes)
    remove_finished(connection, {row.message for row in rows})


def _told(row: Row, change: Change) -> Event:
    entry, waiting = row.listed.entry, row.listed.waiting
    address = str(waiting.recipient.address)
    return TOLD[change.action](change.at, entry.id, address, change.by, change.route)


def _cursor(rows: Sequence[Row], limit: int) -> tuple[str, int] | None:
    if len(rows) < limit:
        return None
    return rows[-1].listed.entry.id, rows[-1].listed.waiting.n


def _row(  # noqa: PLR0913, PLR0917 - one argument a column
    claimed: frozenset[tuple[int, int]],
    encoded: bytes,
    message: int,
    n: int,
    lane: int,
    state: int,
    due: float,
    attempts: int,
    told: int,
    reply: str,
    cause: str,
    route: str,
    site: str,
    hold: float,
    why: str,
    address: str,
    public: str,
    received: float,
    expires: float,
) -> Row:
    entry = _entry(encoded, Known(public, received, expires), n, address)
    shown = State.IN_HAND if (message, n) in claimed else State(state)
    recipient = entry.envelope.recipients[n]
    waiting = Waiting(
        n, recipient, shown, due, attempts, bool(told), reply, forced_of(route), cause
    )
    return Row(Listed(entry, waiting, site, hold, why), message, lane)


def _entry(encoded: bytes, known: Known, n: int, address: str) -> Entry:
    with suppress(StorageError):
        entry = decode_entry(encoded)
        if n < len(entry.envelope.recipients):
            return entry
    return known.stand_in(n, address)


def _keys(rows: Iterable[tuple[int, int]]) -> "apsw.CArrayBinding":
    return numbers(message << 16 | n for message, n in rows)


def _conditions(page: Page) -> tuple[str, list[object]]:
    """The WHERE clause of a page and its bindings, the fixed words first."""
    selection = page.selection
    terms: list[tuple[str, tuple[object, ...]]] = [("1", ())]
    domain = selection.domain.lower() or _domain(selection.recipient)
    if domain:
        terms.append((_OF_DOMAIN, (domain,) * 3))
    if selection.ids:
        terms.append(
            ("m.public IN (SELECT value FROM carray(?))", (apsw.carray(tuple(selection.ids)),))
        )
    if selection.login:
        terms.append((_OF_LOGIN, (selection.login,) * 3))
    if selection.cause:
        terms.append(("r.cause = ?", (selection.cause,)))
    if selection.sender and not selection.sender.startswith("@"):
        terms.append((_OF_SENDER, (_plain(selection.sender),)))
    terms += _address("m.sender", selection.sender)
    terms += _address("r.address", selection.recipient)
    terms += _state(page)
    if selection.older_than is not None:
        terms.append(("m.received < ?", (selection.older_than,)))
    if selection.not_before is not None:
        terms.append(("m.received >= ?", (selection.not_before,)))
    if page.after is not None:
        terms.append(("(m.public, r.n) > (?, ?)", page.after))
    text = " AND ".join(term for term, _ in terms)
    return text, [value for _, values in terms for value in values]


def _address(column: str, wanted: str) -> list[tuple[str, tuple[object, ...]]]:
    if not wanted:
        return []
    wanted = _plain(wanted)
    if wanted.startswith("@"):
        return [(f"substr({column}, -length(?)) = ?", (wanted, wanted))]
    return [(f"{column} = ?", (wanted,))]


def _domain(recipient: str) -> str:
    return recipient.lower().rpartition("@")[2] if "@" in recipient else ""


def _plain(wanted: str) -> str:
    return "" if wanted == "<>" else wanted.lower()


def _state(page: Page) -> list[tuple[str, tuple[object, ...]]]:
    """A claimed row still says what it said before: attempts, not rows, know it is in hand."""
    state, claimed = page.selection.state, f"{_KEY} IN (SELECT value FROM carray(?))"  # noqa: S608 - constant
    if state is None:
        return []
    if state is State.IN_HAND:
        messages = numbers(message for message, _ in page.claimed)
        return [(_IN_HAND, (messages,)), (f"(r.state = 1 OR {claimed})", (_keys(page.claimed),))]
    rare = [(_HELD, ())] if state is State.HELD else []
    return [*rare, (f"r.state = ? AND NOT {claimed}", (state.value, _keys(page.claimed)))]
