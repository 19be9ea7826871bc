"""Recording what became of recipients, on the writer thread."""

from collections import Counter
from collections.abc import Sequence

import apsw
import msgspec

from merpati.journal.events import Event
from merpati.journal.rows import EventWriter
from merpati.queue.entry import Settlement, State
from merpati.queue.lanes import look_again
from merpati.queue.ledger import owe
from merpati.queue.putting import stay
from merpati.queue.removal import remove_finished
from merpati.queue.rows import decode_entry
from merpati.storage.errors import StorageError
from merpati.storage.rows import numbers

_UPDATE = (
    "UPDATE recipient SET state = ?, due = ?, attempts = attempts + ?, "
    "told = coalesce(?, told), reply = coalesce(nullif(?, ''), reply), "
    "cause = coalesce(nullif(?, ''), cause) WHERE message = ? AND n = ?"
)


_REMOVE = "DELETE FROM recipient WHERE message = ? AND n = ?"
_AMONG = "(message, n) IN (SELECT value >> 16, value & 65535 FROM carray(?))"
_THERE = f"SELECT count(*) FROM recipient WHERE {_AMONG}"  # noqa: S608 - constants
_REMOVE_ALL = f"DELETE FROM recipient WHERE {_AMONG}"  # noqa: S608 - constants

Key = tuple[int, int]
"""A row: (message, n)."""


class Place(msgspec.Struct, frozen=True):
    """Where a recipient's row is and whether it says WAITING."""

    message: int
    lane: int
    waits: bool


class Verdicts(msgspec.Struct, frozen=True):
    """One call of `settle`."""

    settlements: Sequence[tuple[Settlement, Place | None]]
    """With the row's place if it is in hand, else it is looked up."""
    events: Sequence[Event]
    at: float


class Settling:
    """Stores settlements."""

    def __init__(self, events: EventWriter) -> None:
        self._events = events

    def settle(self, connection: apsw.Connection, verdicts: Verdicts) -> bool:
        """All of one call; whether there is a rest that is to be swept.

        What has ended meanwhile stays ended, and events that tell otherwise are not written.
        """
        lanes: Counter[int] = Counter()
        ended: set[int] = set()
        kept: set[int] = set()
        unmoved: set[tuple[str, str]] = set()
        placed = [
            (one, place or find(connection, one.entry_id, one.n))
            for one, place in verdicts.settlements
        ]
        removed = _remove(
            connection,
            [(place.message, one.n) for one, place in placed if place and one.state.is_final],
        )
        for settlement, place in placed:
            if place is None or not _moved(connection, settlement, place, removed):
                unmoved.add(_subject(connection, settlement))
                continue
            if settlement.notice is not None:
                owe(connection, (place.message, settlement.n), settlement.notice, verdicts.at)
            _count(lanes, place, settlement.state)
            (ended if settlement.state.is_final else kept).add(place.message)
        if kept:
            stay(connection, kept)
        if lanes:
            look_again(connection, lanes)
        events = verdicts.events
        if unmoved:
            events = [event for event in events if unmoved.isdisjoint(_subjects(event))]
        self._events.write(connection, events)
        return remove_finished(connection, ended)


def find(connection: apsw.Connection, entry_id: str, n: int) -> Place | None:
    """A row by its public name."""
    row = connection.execute(
        "SELECT r.message, r.lane, r.state = 0 FROM message m JOIN recipient r ON r.message = m.id "
        "WHERE m.public = ? AND r.n = ?",
        (entry_id, n),
    ).fetchone()
    return None if row is None else Place(*row)


def _remove(connection: apsw.Connection, keys: Sequence[Key]) -> set[Key]:
    """Take finished rows away; which of them were there.

    All are, unless an operator was quicker, and then two statements do for all: between two the
    thread must wait for the interpreter's lock.
    """
    if len(keys) > 1:
        bindings = (numbers(message << 16 | n for message, n in keys),)
        if connection.execute(_THERE, bindings).get == len(keys):
            connection.execute(_REMOVE_ALL, bindings)
            return set(keys)
    return {key for key in keys if _changes(connection, _REMOVE, key)}


def _moved(
    connection: apsw.Connection, settlement: Settlement, place: Place, removed: set[Key]
) -> bool:
    """Whether its row was there; each of those removed counts once."""
    key = (place.message, settlement.n)
    if settlement.state.is_final:
        was_there = key in removed
        removed.discard(key)
        return was_there
    bindings = (
        settlement.state.value,
        settlement.due,
        settlement.attempted,
        settlement.delay_told,
        settlement.reply,
        settlement.cause,
        *key,
    )
    return _changes(connection, _UPDATE, bindings)


def _changes(connection: apsw.Connection, statement: str, bindings: tuple[object, ...]) -> bool:
    connection.execute(statement, bindings)
    return connection.changes() > 0


def _subject(connection: apsw.Connection, settlement: Settlement) -> tuple[str, str]:
    """Message and address of a recipient whose row is gone; no address when the message is, too,
    or cannot be read."""
    encoded = connection.execute(
        "SELECT entry FROM message WHERE public = ?", (settlement.entry_id,)
    ).get
    if encoded is None:
        return settlement.entry_id, ""
    try:
        recipient = decode_entry(encoded).envelope.recipients[settlement.n]
    except StorageError:
        return settlement.entry_id, ""
    return settlement.entry_id, str(recipient.address)


def _subjects(event: Event) -> tuple[tuple[str, str], ...]:
    """What an event may be about: one recipient, or anybody of its message."""
    return (event.message, event.address), (event.message, "")


def _count(lanes: "Counter[int]", place: Place, after: State) -> None:
    """Note a lane whose waiting rows changed; fresh mail that ends never touched its lane."""
    change = (after is State.WAITING) - place.waits
    if change or place.waits:
        lanes[place.lane] += change
