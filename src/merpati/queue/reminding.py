"""Telling senders, once, that a message waits: also for what no attempt comes near.

Whoever attempts also tells. This is for the cohort of a site on hold, of which nothing is claimed.
Each message has a time to be looked at, so that a look costs nothing for those that are not due.
"""

from collections.abc import Container
from dataclasses import dataclass

import apsw

from merpati.queue.debts import delay_told_at, notice_of_delay
from merpati.queue.entry import Entry, State, Waiting
from merpati.queue.ledger import owe
from merpati.queue.rows import decode_entry
from merpati.storage.errors import StorageError
from merpati.storage.rows import rows

_LATE = "SELECT id, entry FROM message WHERE stays = 1 AND remind <= ? ORDER BY remind LIMIT ?"
_UNTOLD = (
    "SELECT r.n, r.due, r.attempts, r.reply, r.cause, CASE WHEN s.hold > ? THEN s.why ELSE '' END "
    "FROM recipient r JOIN lane l ON l.id = r.lane JOIN site s ON s.id = l.site "
    "WHERE r.message = ? AND r.state = 0 AND r.told = 0"
)


@dataclass(frozen=True, slots=True)
class Look:
    """One slice of looking around."""

    now: float
    patience: float
    """Seconds in the queue after which a sender is told."""
    limit: int
    """Messages looked at."""
    claimed: Container[tuple[int, int]]
    """Left to their attempts."""


def remind(connection: apsw.Connection, look: Look) -> int:
    """Owe what is due to be told; how many messages were looked at."""
    found = rows(connection, _LATE, (look.now, look.limit))
    for message, encoded in found:
        entry = _entry(encoded)
        if entry is None:
            connection.execute("UPDATE message SET remind = NULL WHERE id = ?", (message,))
            continue
        times = [
            delay_told_at(entry, recipient, look.patience)
            for recipient in entry.envelope.recipients
        ]
        if min(times) <= look.now:
            _tell(connection, look, message, entry, times)
        later = min((at for at in times if at > look.now), default=None)
        connection.execute("UPDATE message SET remind = ? WHERE id = ?", (later, message))
    return len(found)


def _entry(encoded: bytes) -> Entry | None:
    try:
        return decode_entry(encoded)
    except StorageError:
        return None  # Nobody can be told; the claim that comes upon it holds it.


def _tell(
    connection: apsw.Connection, look: Look, message: int, entry: Entry, times: list[float]
) -> None:
    for n, due, attempts, reply, cause, why in rows(connection, _UNTOLD, (look.now, message)):
        if times[n] > look.now or (message, n) in look.claimed:
            continue
        recipient = entry.envelope.recipients[n]
        waiting = Waiting(n, recipient, State.WAITING, due, attempts, reply=reply, cause=cause)
        owe(connection, (message, n), notice_of_delay(waiting, why), look.now)
        connection.execute(
            "UPDATE recipient SET told = 1 WHERE message = ? AND n = ?", (message, n)
        )
