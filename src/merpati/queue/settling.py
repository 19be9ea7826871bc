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

_UPDATE = (
    "UPDATE recipient SET state = ?, due = ?, attempts = attempts + ?, "
    "told = coalesce(?, told), reply = coalesce(nullif(?, ''), reply), "
    "cause = coalesce(nullif(?, ''), cause) WHERE message = ? AND n = ?"
)


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
        for settlement, place in verdicts.settlements:
            place = place or find(connection, settlement.entry_id, settlement.n)
            if place is None or not _move(connection, settlement, place, verdicts.at):
                unmoved.add(_subject(connection, settlement))
                continue
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


def _move(connection: apsw.Connection, settlement: Settlement, place: Place, at: float) -> bool:
    row = (place.message, settlement.n)
    if settlement.state.is_final:
        connection.execute("DELETE FROM recipient WHERE message = ? AND n = ?", row)
    else:
        connection.execute(
            _UPDATE,
            (
                settlement.state.value,
                settlement.due,
                settlement.attempted,
                settlement.delay_told,
                settlement.reply,
                settlement.cause,
                *row,
            ),
        )
    if not connection.changes():
        return False
    if settlement.notice is not None:
        owe(connection, row, settlement.notice, at)
    return True


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
