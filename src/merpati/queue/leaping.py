"""The time of day was set while nobody ran, or while the last process ran: the queue moves along.

All times of a shard are kept in the time of day of the process that has it open, which follows no
leap (`clock.SystemClock`). The next one may find another time of day. Within one boot of the
machine the counter that no clock is set by says how far they lie apart. Across boots only a time
that was before, and cannot be again, is known to be wrong; a leap forth looks like a long rest, and
is believed. Everything that is due, expires or is on hold is moved in the transaction that writes
down the new reading, so that each leap counts once, whatever crashes.
"""

import apsw
from msgspec.structs import replace

from merpati.clock import LEAP, Reading
from merpati.journal.events import Lifecycle
from merpati.journal.rows import EventWriter
from merpati.queue.entry import Entry
from merpati.queue.rows import decode_entry, encode_entry
from merpati.storage.errors import StorageError
from merpati.storage.rows import rows

_SLICE = 500
"""Entries in memory at a time."""
_MOVED = (
    "UPDATE site SET hold = hold + :by WHERE hold > 0",
    "UPDATE site SET ready = ready + :by WHERE ready IS NOT NULL",
    "UPDATE lane SET ready = ready + :by WHERE ready IS NOT NULL",
    "UPDATE recipient SET due = due + :by",
    "UPDATE message SET received = received + :by, expires = expires + :by, remind = remind + :by",
)


def follow(connection: apsw.Connection, events: EventWriter, reading: Reading) -> None:
    """Move what is queued by as much as the time of day was set since the last opening."""
    if by := _leap(connection, reading):
        _move(connection, by)
        detail = f"the time of day was set by {by:+.0f} s: what is queued moved along"
        events.write(connection, [Lifecycle(at=reading.time, what="clock", detail=detail)])
    connection.execute("DELETE FROM clock")
    connection.execute(
        "INSERT INTO clock SELECT ?, ?, ?, coalesce(max(seq), 0) FROM event",
        (reading.boot, reading.steady, reading.time),
    )


def _leap(connection: apsw.Connection, reading: Reading) -> float:
    """Seconds; 0 for none that is known."""
    for boot, steady, time, seq in rows(connection, "SELECT boot, steady, time, seq FROM clock"):
        if boot and boot == reading.boot:
            leap = reading.time - time - (reading.steady - steady)
        else:
            last = "SELECT at FROM event WHERE seq > ? ORDER BY seq DESC LIMIT 1"
            leap = min(0.0, reading.time - max(time, connection.execute(last, (seq,)).get or time))
        return leap if abs(leap) > LEAP else 0.0
    return 0.0


def _move(connection: apsw.Connection, by: float) -> None:
    for statement in _MOVED:
        connection.execute(statement, {"by": by})
    last = 0
    while some := _entries(connection, last):
        for message, octets in some:
            _move_entry(connection, message, octets, by)
        last = some[-1][0]


def _entries(connection: apsw.Connection, last: int) -> list[tuple[int, bytes]]:
    query = "SELECT id, entry FROM message WHERE id > ? ORDER BY id LIMIT ?"
    return list(rows(connection, query, (last, _SLICE)))


def _move_entry(connection: apsw.Connection, message: int, octets: bytes, by: float) -> None:
    try:
        entry = moved(decode_entry(octets), by)
    except StorageError:
        return  # Damaged: what stands beside it, and has moved, is all that is left of it.
    connection.execute(
        "UPDATE message SET entry = ?, received = ?, expires = ? WHERE id = ?",
        (encode_entry(entry), entry.received, entry.expires, message),
    )


def moved(entry: Entry, by: float) -> Entry:
    """The same, as if it had come so many seconds later."""
    envelope = entry.envelope
    deadline = envelope.deliver_by
    return replace(
        entry,
        received=entry.received + by,
        expires=entry.expires + by,
        envelope=replace(
            envelope,
            deliver_by=deadline and replace(deadline, deadline=deadline.deadline + by),
            release_at=None if envelope.release_at is None else envelope.release_at + by,
        ),
    )
