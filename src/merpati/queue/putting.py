"""Storing a message, on the writer thread: content, rows, events and cleared debts together."""

from collections import Counter
from collections.abc import Container, Iterable, Sequence

import apsw
import msgspec

from merpati.journal.events import Event
from merpati.journal.rows import EventWriter
from merpati.mail.envelope import Body
from merpati.queue.debts import notices_of_expansion
from merpati.queue.entry import Entry
from merpati.queue.flow import flow_of
from merpati.queue.lanes import Lane, Lanes, raise_ready
from merpati.queue.ledger import owe
from merpati.queue.reading import checksum_of
from merpati.queue.removal import remove_paid
from merpati.queue.rows import CHUNK, encode_entry, first_chunk
from merpati.queue.selection import plain
from merpati.queue.way import way_of
from merpati.storage.rows import Insert, rows

_MESSAGES = Insert("message", "(?, ?, ?, ?, ?, ?, 0, ?, ?)")
_STAYS = "UPDATE message SET stays = 1 WHERE id = ? AND stays = 0"
_CHUNK = "INSERT INTO chunk VALUES (?, ?)"
_CHUNKS = Insert("chunk", "(?, ?)")
_JOINED = 8
"""Contents that are joined at a time: each may have 256 KiB."""
_RECIPIENTS = Insert("recipient (message, n, lane, due, state, address)", "(?, ?, ?, ?, ?, ?)")


_Row = tuple[object, ...]


class Arrival(msgspec.Struct, frozen=True):
    """A message on its way into the file."""

    message: int
    entry: Entry
    body: Body | None
    """None: it was streamed in, and its chunks are there."""
    now: float
    may_be_fresh: bool
    events: Sequence[Event]
    discharged: Sequence[int]
    streamed: int = 0
    """The checksum of a content that was streamed in."""


class Placed(msgspec.Struct, frozen=True):
    """Recipients of one lane, as they were stored."""

    lane: Lane
    fresh: bool
    numbers: tuple[int, ...]


class Putting:
    """Stores arrivals. The rows of small ones are written late, those of a transaction together."""

    def __init__(self, lanes: Lanes, events: EventWriter) -> None:
        self._lanes = lanes
        self._events = events
        self._messages: list[_Row] = []
        self._chunks: list[tuple[int, Body]] = []
        self._recipients: list[_Row] = []
        self._waiting: dict[int, tuple[float, int]] = {}
        """By lane: from when on, and how many more."""

    def forget(self) -> None:
        """After a rollback."""
        for gathered in (self._messages, self._chunks, self._recipients, self._waiting):
            gathered.clear()

    def write_late(self, connection: apsw.Connection) -> None:
        """Store what arrived since the last time."""
        if not self._messages:
            return
        for at in range(0, len(self._chunks), _JOINED):
            few = self._chunks[at : at + _JOINED]
            _CHUNKS.run(connection, [(key, body.octets()) for key, body in few])
        _MESSAGES.run(connection, self._messages)
        _RECIPIENTS.run(connection, self._recipients)
        for lane, (due, count) in self._waiting.items():
            raise_ready(connection, lane, due, count)
        self.forget()

    def put(self, connection: apsw.Connection, arrival: Arrival) -> list[Placed]:
        """Everything of one arrival."""
        entry = arrival.entry
        checksum = self._put_content(connection, arrival)
        placed = self._put_recipients(connection, arrival)
        stays = not all(place.fresh for place in placed)
        self._messages.append(
            (
                arrival.message,
                entry.id,
                entry.received,
                entry.expires,
                plain(entry.envelope.sender),
                stays,
                encode_entry(entry),
                checksum,
            )
        )
        for n, notice in notices_of_expansion(entry):
            owe(connection, (arrival.message, n), notice, arrival.now)
        self._events.write(connection, arrival.events)
        if arrival.discharged:
            remove_paid(connection, arrival.discharged)
        return placed

    def _put_content(self, connection: apsw.Connection, arrival: Arrival) -> int:
        """Store it if it is not there yet; its checksum."""
        if arrival.body is None:
            connection.execute("DELETE FROM draft WHERE id = ?", (arrival.message,))
            return arrival.streamed
        first = first_chunk(arrival.message)
        if arrival.body.size <= CHUNK:
            self._chunks.append((first, arrival.body))
        else:
            connection.executemany(_CHUNK, enumerate(pieces(arrival.body.parts), first))
        return checksum_of(arrival.body.parts)

    def _put_recipients(self, connection: apsw.Connection, arrival: Arrival) -> list[Placed]:
        due = first_due(arrival.entry)
        placed = [
            self._place(connection, arrival, domain, numbers, due)
            for domain, numbers in _by_domain(arrival.entry).items()
        ]
        recipients = arrival.entry.envelope.recipients
        for place in placed:
            lane, state = place.lane.id, int(place.fresh)
            for n in place.numbers:
                address = plain(recipients[n].address)
                self._recipients.append((arrival.message, n, lane, due, state, address))
        return placed

    def _place(
        self,
        connection: apsw.Connection,
        arrival: Arrival,
        domain: str,
        numbers: list[int],
        due: float,
    ) -> Placed:
        lane = self._lanes.find(connection, way_of(arrival.entry, domain), flow_of(arrival.entry))
        fresh = arrival.may_be_fresh and self._lanes.hold_of(connection, lane.site) <= arrival.now
        if not fresh:
            earliest, count = self._waiting.get(lane.id, (due, 0))
            self._waiting[lane.id] = min(earliest, due), count + len(numbers)
        return Placed(lane, fresh, tuple(numbers))


def adopt(
    connection: apsw.Connection, message: int | None = None, numbers: Container[int] | None = None
) -> None:
    """What stood in hand waits: of one message, or these of its recipients, or everything."""
    which = "" if message is None else " AND message = ?"
    bindings = () if message is None else (message,)
    fresh = rows(
        connection,
        f"SELECT message, n, lane, due FROM recipient WHERE state = 1{which}",  # noqa: S608 - constant
        bindings,
    )
    if numbers is not None:
        fresh = [row for row in fresh if row[1] in numbers]
    connection.executemany(
        "UPDATE recipient SET state = 0 WHERE message = ? AND n = ?", [row[:2] for row in fresh]
    )
    stay(connection, {row[0] for row in fresh})
    counts = Counter(lane for *_, lane, _ in fresh)
    earliest = {lane: due for *_, lane, due in sorted(fresh, key=lambda row: -row[3])}
    for lane, count in counts.items():
        raise_ready(connection, lane, earliest[lane], count)


def stay(connection: apsw.Connection, messages: Iterable[int]) -> None:
    """Something of these messages waits or is held: they can be found by sender and expiry."""
    connection.executemany(_STAYS, [(message,) for message in messages])


def first_due(entry: Entry) -> float:
    """At once, or when the client asked for it (FUTURERELEASE, RFC 4865)."""
    return max(entry.received, entry.envelope.release_at or 0.0)


def pieces(parts: Iterable[bytes]) -> Iterable[bytes]:
    """The same octets in pieces of exactly CHUNK, the last one shorter; never all at once."""
    waiting = bytearray()
    for part in parts:
        for start in range(0, len(part), CHUNK):
            waiting += part[start : start + CHUNK]
            if len(waiting) >= CHUNK:
                yield bytes(waiting[:CHUNK])
                del waiting[:CHUNK]
    if waiting:
        yield bytes(waiting)


def _by_domain(entry: Entry) -> dict[str, list[int]]:
    numbers: dict[str, list[int]] = {}
    for n, recipient in enumerate(entry.envelope.recipients):
        numbers.setdefault(recipient.address.domain, []).append(n)
    return numbers
