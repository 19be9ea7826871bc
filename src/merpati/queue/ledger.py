"""Notices that are owed, as rows beside the message that they are about."""

import apsw

from merpati.queue.damage import Known
from merpati.queue.entry import Entry, Notice, Owed
from merpati.queue.rows import decode_entry
from merpati.storage.errors import StorageError
from merpati.storage.rows import rows

# The messages of the oldest debts are all that a page of this size can hold: of any other, the
# first debt already comes behind it. CROSS JOIN keeps this order, or all debts would be sorted.
_OWED = (
    "WITH oldest AS (SELECT message, min(id) AS first FROM "
    "(SELECT id, message FROM owed ORDER BY id LIMIT ?1) GROUP BY message) "
    "SELECT o.id, m.entry, m.public, m.received, m.expires, "
    "o.n, o.at, o.action, o.status, o.reply, o.host, o.cause "
    "FROM oldest CROSS JOIN owed o ON o.message = oldest.message "
    "CROSS JOIN message m ON m.id = o.message ORDER BY oldest.first, o.id LIMIT ?1"
)
_OWE = (
    "INSERT INTO owed (message, n, action, at, status, reply, host, cause) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)


def owe(connection: apsw.Connection, row: tuple[int, int], notice: Notice, at: float) -> None:
    """Write a debt about recipient `row` (message, n)."""
    words = notice.status, notice.reply, notice.host, notice.cause
    connection.execute(_OWE, (*row, notice.action, at, *words))


def owed(connection: apsw.Connection, limit: int) -> list[Owed]:
    """The oldest debts, those of one message together."""
    return [
        _debt(number, *_entry(encoded, Known(*known), debt[0]), *debt)
        for number, encoded, *known, debt in (
            (*row[:5], row[5:]) for row in rows(connection, _OWED, (limit,))
        )
    ]


def _entry(encoded: bytes, known: Known, n: int) -> tuple[Entry, str]:
    """The entry, or what stands in for it and why."""
    try:
        return decode_entry(encoded), ""
    except StorageError as error:
        return known.stand_in(n, "unknown@"), str(error)


def _debt(number: int, entry: Entry, damage: str, n: int, at: float, *words: str) -> Owed:
    recipient = entry.named[n]
    action, status, reply, host, cause = words
    return Owed(
        number,
        entry,
        recipient,
        action,
        at,
        status,
        reply,
        host,
        final_address=str(recipient.address),
        until=entry.expires,
        cause=cause,
        damage=damage,
    )
