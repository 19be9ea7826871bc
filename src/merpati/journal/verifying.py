"""Whether every event is what was written, and can be found."""

from collections.abc import Iterator

import apsw

from merpati.journal.parties import Found
from merpati.journal.rows import decode, keys, thread_of
from merpati.storage.checksum import has_checksum
from merpati.storage.errors import StorageError
from merpati.storage.finding import Damage, Finding
from merpati.storage.inspection import UNREADABLE, Seen, last_key, walk

_PAGE = "SELECT seq, thread, at, CAST(body AS BLOB) FROM event WHERE seq > ? ORDER BY seq LIMIT ?"
# One statement is one snapshot: an event that is forgotten meanwhile misses nothing.
_NOT_FOUND = (
    "SELECT EXISTS (SELECT 1 FROM event WHERE seq = ?2) "
    "AND NOT EXISTS (SELECT 1 FROM party WHERE address = ?1 AND seq = ?2)"
)


def verify_journal(connection: apsw.Connection, seen: Seen) -> Iterator[Finding]:
    """Everything that is wrong with the journal of a shard."""
    for page in walk(connection, _PAGE, last_key(connection, "event", "seq"), "events"):
        if isinstance(page, Finding):
            yield page
            continue
        seen("events", len(page))
        for seq, thread, at, body in page:
            if not isinstance(body, bytes) or not has_checksum(body):
                seen("events without checksum", 1)
            yield from _event(connection, seq, thread, at, body)


def _event(
    connection: apsw.Connection, seq: int, thread: str, at: float, body: bytes
) -> Iterator[Finding]:
    try:
        event = decode(seq, body)
    except StorageError as error:
        yield Finding(Damage.EVENT, f"event {seq}: {error}", thread)
        return
    if (thread_of(event), event.at) != (thread, at):
        yield Finding(Damage.EVENT, f"event {seq} stands under another message or time", thread)
    # What an event was found by when an earlier version wrote it, nobody knows.
    if isinstance(event, Found) and has_checksum(body):
        yield from _parties(connection, seq, event)


def _parties(connection: apsw.Connection, seq: int, event: Found) -> Iterator[Finding]:
    for key in keys(event):
        try:
            is_lost = connection.execute(_NOT_FOUND, (key, seq)).get
        except UNREADABLE:
            return  # SQLite's own check has told of that page.
        if is_lost:
            yield Finding(Damage.EVENT, f"event {seq} is not found by {key}", event.message)
