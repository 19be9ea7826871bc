"""Whether everything in a queue is whole and would be sent: message by message, each in one
snapshot of its own, so that it can be asked beside a server that works."""

from collections.abc import Iterator
from dataclasses import dataclass

import apsw

from merpati.journal.events import Accepted, Cancelled, Delivered, Expired, Failed
from merpati.journal.rows import decode
from merpati.queue.entry import Entry, State
from merpati.queue.reading import begin
from merpati.queue.rows import CHUNK, decode_entry, end_of_chunks, first_chunk
from merpati.queue.selection import plain
from merpati.storage.errors import StorageError
from merpati.storage.finding import Damage, Finding
from merpati.storage.inspection import UNREADABLE, Seen, last_key, walk
from merpati.storage.rows import rows

_IDS = "SELECT id FROM message WHERE id > ? ORDER BY id LIMIT ?"
_MESSAGE = (
    "SELECT public, received, expires, sender, stays, entry, checksum FROM message WHERE id = ?"
)
_RECIPIENTS = (
    "SELECT r.n, r.state, r.address, l.domain FROM recipient r LEFT JOIN lane l ON l.id = r.lane "
    "WHERE r.message = ?"
)
# One statement is one snapshot: whatever is put or removed meanwhile is seen whole or not at all.
_STRAYS = {
    "recipient": (
        "SELECT message, EXISTS (SELECT 1 FROM message m WHERE m.id = r.message) FROM "
        "(SELECT DISTINCT message FROM recipient WHERE message > ? ORDER BY message LIMIT ?) r"
    ),
    "owed": (
        "SELECT o.id, EXISTS (SELECT 1 FROM message m WHERE m.id = o.message) FROM owed o "
        "WHERE o.id > ? ORDER BY o.id LIMIT ?"
    ),
    "chunk": (
        "SELECT c.id, EXISTS (SELECT 1 FROM message m WHERE m.id = c.id >> 16) "
        "OR EXISTS (SELECT 1 FROM draft d WHERE d.id = c.id >> 16) FROM chunk c "
        "WHERE c.id > ? ORDER BY c.id LIMIT ?"
    ),
}
_STRAY = {
    "recipient": (Damage.ROWS, "recipients of message number {} are left, the message is gone"),
    "owed": (Damage.DEBT, "notice number {} is owed about a message that is gone"),
    "chunk": (Damage.LEFTOVER, "content is left that belongs to no message (row {})"),
}
_LANES = (
    "SELECT l.id, l.domain, l.route, l.waiting, l.ready, s.id, s.name, s.ready, s.hold, "
    "(SELECT count(*) FROM recipient WHERE lane = l.id AND state = 0), "
    "(SELECT min(due) FROM recipient WHERE lane = l.id AND state = 0) "
    "FROM lane l LEFT JOIN site s ON s.id = l.site WHERE l.id > ? ORDER BY l.id LIMIT ?"
)
_STATES = {State.WAITING.value, State.IN_HAND.value, State.HELD.value}
_ENDS = Delivered | Failed | Expired | Cancelled


@dataclass(frozen=True, slots=True)
class _Message:
    number: int
    public: str
    received: float
    expires: float
    sender: str
    stays: int
    encoded: bytes
    checksum: int | None


def verify_queue(connection: apsw.Connection, seen: Seen) -> Iterator[Finding]:
    """Everything that is wrong with the queue of a shard."""
    check = _Check(connection, seen)
    yield from check.messages()
    yield from check.strays()
    yield from check.lanes()


class _Check:
    def __init__(self, connection: apsw.Connection, seen: Seen) -> None:
        self._connection = connection
        self._seen = seen

    def messages(self) -> Iterator[Finding]:
        pages = walk(self._connection, _IDS, last_key(self._connection, "message"), "messages")
        for page in pages:
            if isinstance(page, Finding):
                yield page
                continue
            for (number,) in page:
                yield from self._whole(number)

    def _whole(self, number: int) -> list[Finding]:
        """Everything of one message, in one snapshot."""
        found: list[Finding] = []
        try:
            with self._connection:
                found += self._message(number)
        except UNREADABLE as error:
            found.append(Finding(Damage.ROWS, f"message number {number}: {error}"))
        return found

    def _message(self, number: int) -> Iterator[Finding]:
        row = self._connection.execute(_MESSAGE, (number,)).fetchone()
        if row is None:
            return  # It was finished since its number was read.
        message = _Message(number, *row)
        self._seen("messages", 1)
        try:
            entry = decode_entry(message.encoded)
        except StorageError as error:
            yield Finding(Damage.ENVELOPE, str(error), message.public)
            return
        yield from _columns(message, entry)
        yield from self._recipients(message, entry)
        yield from self._debts(message, entry)
        yield from self._content(message, entry)

    def _recipients(self, message: _Message, entry: Entry) -> Iterator[Finding]:
        found = rows(self._connection, _RECIPIENTS, (message.number,))
        self._seen("recipients", len(found))
        for n, state, address, domain in found:
            wrong = _wrong_row(entry, n, state, address) or _wrong_lane(entry, n, domain)
            if wrong:
                damage, why = wrong
                yield Finding(damage, f"the row of {address}: {why}", message.public)
        if not message.stays and any(state != State.IN_HAND.value for _, state, *_ in found):
            yield Finding(Damage.HIDDEN, "it waits and would not expire", message.public)
        yield from self._absent(message, entry, {n for n, *_ in found})

    def _absent(self, message: _Message, entry: Entry, present: set[int]) -> Iterator[Finding]:
        """Whose row is gone must have ended, as the journal tells if it goes back so far."""
        recipients = entry.envelope.recipients
        absent = [str(one.address) for n, one in enumerate(recipients) if n not in present]
        told = self._told(message.public) if absent else None
        if told is not None:
            for address in absent:
                if address not in told:
                    text = f"the row of {address} is gone, and no end of it was told"
                    yield Finding(Damage.RECIPIENT, text, message.public)

    def _told(self, public: str) -> set[str] | None:
        """Whose end the journal tells; None when its beginning is forgotten or unreadable."""
        query = "SELECT seq, CAST(body AS BLOB) FROM event WHERE thread = ?"
        found = rows(self._connection, query, (public,))
        try:
            events = [decode(*row) for row in found]
        except StorageError:
            return None
        if not any(isinstance(event, Accepted) for event in events):
            return None
        return {event.address for event in events if isinstance(event, _ENDS)}

    def _debts(self, message: _Message, entry: Entry) -> Iterator[Finding]:
        found = rows(
            self._connection, "SELECT id, n FROM owed WHERE message = ?", (message.number,)
        )
        self._seen("debts", len(found))
        for debt, n in found:
            if not 0 <= n < len(entry.named):
                text = f"notice number {debt} is owed about a recipient that it does not have"
                yield Finding(Damage.DEBT, text, message.public)

    def _content(self, message: _Message, entry: Entry) -> Iterator[Finding]:
        self._seen("octets", entry.size)
        if message.checksum is None:
            self._seen("without checksum", 1)
        try:
            reading = begin(self._connection, message.public)
            while not reading.is_over:
                reading.next(self._connection)
        except StorageError as error:
            yield Finding(Damage.CONTENT, str(error), message.public)
            return
        except UNREADABLE as error:
            text = f"the content of {message.public} cannot be read: {error}"
            yield Finding(Damage.CONTENT, text, message.public)
            return
        surplus = self._chunks(message.number) - max(1, -(-entry.stored // CHUNK))
        if surplus > 0:
            yield Finding(Damage.LEFTOVER, f"{surplus} chunks behind its end", message.public)

    def _chunks(self, number: int) -> int:
        between = (first_chunk(number), end_of_chunks(number))
        query = "SELECT count(*) FROM chunk WHERE id >= ? AND id < ?"
        return int(self._connection.execute(query, between).get)

    def strays(self) -> Iterator[Finding]:
        for table, query in _STRAYS.items():
            column = "message" if table == "recipient" else "id"
            pages = walk(
                self._connection,
                query,
                last_key(self._connection, table, column),
                f"rows of {table}",
            )
            damage, text = _STRAY[table]
            for page in pages:
                if isinstance(page, Finding):
                    yield page
                    continue
                yield from (
                    Finding(damage, text.format(key)) for key, is_known in page if not is_known
                )

    def lanes(self) -> Iterator[Finding]:
        pages = walk(self._connection, _LANES, last_key(self._connection, "lane"), "lanes")
        for page in pages:
            if isinstance(page, Finding):
                yield page
                continue
            for row in page:
                why = _hidden(_Lane(*row))
                if why:
                    yield Finding(Damage.HIDDEN, why)


@dataclass(frozen=True, slots=True)
class _Lane:
    """A lane as it is and as its rows say that it should be."""

    id: int
    domain: str
    route: str
    waiting: int
    ready: float | None
    site: int | None
    site_name: str | None
    site_ready: float | None
    hold: float | None
    count: int
    due: float | None


def _hidden(lane: _Lane) -> str:
    """Why what waits in a lane would not be found in time; empty when it would."""
    if lane.site is None:
        return f"mail for {lane.domain} hangs on a site that is gone"
    if lane.waiting != lane.count:
        return f"mail for {lane.domain} is counted as {lane.waiting}, and {lane.count} wait"
    if lane.due is not None and (lane.ready is None or lane.ready > lane.due):
        return f"mail for {lane.domain} is due before its lane is looked at"
    if lane.ready is None:
        return ""
    if lane.site_ready is None or lane.site_ready > max(lane.hold or 0.0, lane.ready):
        return f"mail for {lane.domain} is due before its site {lane.site_name} is looked at"
    return ""


def _columns(message: _Message, entry: Entry) -> Iterator[Finding]:
    """What is kept beside the entry must agree with it."""
    beside = (message.public, message.received, message.expires, message.sender)
    if beside != (entry.id, entry.received, entry.expires, plain(entry.envelope.sender)):
        text = "its columns and its entry do not say the same"
        yield Finding(Damage.ENVELOPE, text, message.public)


def _wrong_row(entry: Entry, n: int, state: int, address: str) -> tuple[Damage, str] | None:
    recipients = entry.envelope.recipients
    if not 0 <= n < len(recipients):
        return Damage.ENVELOPE, "the message has no such recipient"
    if address != plain(recipients[n].address):
        return Damage.ENVELOPE, f"the entry says {recipients[n].address}"
    return None if state in _STATES else (Damage.ENVELOPE, f"there is no state {state}")


def _wrong_lane(entry: Entry, n: int, domain: str | None) -> tuple[Damage, str] | None:
    if domain is None:
        return Damage.HIDDEN, "its lane is gone"
    if domain != entry.envelope.recipients[n].address.domain:
        return Damage.ENVELOPE, f"it stands in the lane of {domain}"
    return None
