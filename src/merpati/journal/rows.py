"""Events as rows: written on the writer thread, inside the transaction of what they tell."""

from collections.abc import Iterator, Sequence

import apsw
import msgspec

from merpati.journal.events import Event, Lifecycle, Opened
from merpati.journal.parties import Found, parties
from merpati.journal.recent import Recent
from merpati.storage.checksum import marked, unmarked
from merpati.storage.errors import StorageError
from merpati.storage.rows import Insert

_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Event)
_DAY = 86_400
_EVENTS = Insert("event", "(?, ?, ?, ?)")
_PARTIES = Insert("party", "(?, ?)")


class EventWriter:
    """Numbers and stores events. Belongs to the writer thread."""

    def __init__(self, recent: Recent) -> None:
        self._recent = recent
        self._last: int | None = None
        self._day = -1
        self._events: list[tuple[int, float, str, bytes]] = []
        self._parties: list[tuple[str, int]] = []

    def forget(self) -> None:
        """After a rollback the numbers given out may not exist."""
        self._last = None
        self._day = -1
        self._events.clear()
        self._parties.clear()
        self._recent.forget()

    def write(self, connection: apsw.Connection, events: Sequence[Event]) -> None:
        """Number events for the running transaction, with the addresses they can be found by.

        They are written by `write_late`, with those of other jobs.
        """
        if not events:
            return
        first = self._last_number(connection) + 1
        self._last = first + len(events) - 1
        for n, event in enumerate(events, first):
            body = _encode(event)
            self._events.append((n, event.at, thread_of(event), marked(body, n)))
            self._recent.add((n, event), len(body))
            if isinstance(event, Found):
                self._parties += [(key, n) for key in keys(event)]
        self._mark_day(connection, events[0].at, first)

    def write_late(self, connection: apsw.Connection) -> None:
        """Store what was numbered since the last time."""
        if self._events:
            _EVENTS.run(connection, self._events)
            self._events.clear()
        if self._parties:
            _PARTIES.run(connection, self._parties)
            self._parties.clear()

    def _last_number(self, connection: apsw.Connection) -> int:
        if self._last is None:
            self._last = connection.execute("SELECT coalesce(max(seq), 0) FROM event").get
        return self._last

    def _mark_day(self, connection: apsw.Connection, at: float, seq: int) -> None:
        day = int(at // _DAY)
        if day != self._day:
            connection.execute("INSERT OR IGNORE INTO day VALUES (?, ?)", (day, seq))
            self._day = day


def decode(seq: int, body: bytes) -> Event:
    """The event of a row; StorageError when the row holds something else."""
    try:
        event: Event = _decoder.decode(unmarked(body, seq))
    except (ValueError, TypeError, RecursionError, StorageError) as error:
        raise StorageError(f"an event cannot be read: {error}", is_damaged=True) from error
    return event


def told(seq: int, body: bytes) -> Event:
    """The event of a row, or one that says that it is damaged: all others are still told."""
    try:
        return decode(seq, body)
    except StorageError as error:
        return Lifecycle(at=0.0, what="damaged event", detail=str(error))


def keys(event: Found) -> Iterator[str]:
    """What `party` knows an event by."""
    return map(key, parties(event))


def key(address: str) -> str:
    """`domain@local`: all of one domain stand together, so that `@domain` is one range."""
    local, _, domain = address.lower().rpartition("@")
    return f"{domain}@{local}"


def thread_of(event: Event) -> str:
    """What its row is found by."""
    # An Opened event belongs to its connection, which many messages' attempts name.
    return event.connection if isinstance(event, Opened) else event.message
