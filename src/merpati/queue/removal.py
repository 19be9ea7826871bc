"""Taking away what is finished: messages without recipients and debts, and their content.

A message goes in one transaction, but of its content only the first chunk goes with it, which is
all that most have. The rest is noted as a draft that nobody continues, and swept slice by slice; a
crash leaves it to the next start.
"""

from collections.abc import Collection, Sequence

import apsw

from merpati.queue.rows import end_of_chunks, first_chunk
from merpati.storage.rows import numbers, rows

SLICE = 16
"""Chunks that one sweep deletes at most: 4 MB, so that small mail is not held up."""

_NO_MORE = (
    "NOT EXISTS (SELECT 1 FROM recipient WHERE message = message.id) "
    "AND NOT EXISTS (SELECT 1 FROM owed WHERE message = message.id)"
)
_MESSAGES = f"DELETE FROM message WHERE id IN (SELECT value FROM carray(?)) AND {_NO_MORE}"  # noqa: S608 - constants
_LEFT = "SELECT id FROM message WHERE id IN (SELECT value FROM carray(?))"
_FIRST_CHUNKS = "DELETE FROM chunk WHERE id IN (SELECT value << 16 FROM carray(?))"
_CHUNKS = "DELETE FROM chunk WHERE id IN (SELECT id FROM chunk WHERE id >= ? AND id < ? LIMIT ?)"
_REST = (
    "INSERT INTO draft SELECT value, 1 FROM carray(?) WHERE EXISTS "
    "(SELECT 1 FROM chunk WHERE id > value << 16 AND id < value + 1 << 16)"
)


def remove_finished(connection: apsw.Connection, messages: Collection[int]) -> bool:
    """Remove those of these messages that nobody waits for any more; whether there is a rest that
    is to be swept.

    Few statements for all of them: between two the thread must wait for the interpreter's lock.
    """
    if not messages:
        return False
    finished = set(messages)
    connection.execute(_MESSAGES, (numbers(finished),))
    if connection.changes() < len(finished):
        finished -= {left for (left,) in rows(connection, _LEFT, (numbers(finished),))}
    connection.execute(_FIRST_CHUNKS, (numbers(finished),))
    connection.execute(_REST, (numbers(finished),))
    return connection.changes() > 0


def remove_paid(connection: apsw.Connection, debts: Sequence[int]) -> None:
    """Clear debts, and the messages that were kept for them alone."""
    owing = [
        connection.execute("DELETE FROM owed WHERE id = ? RETURNING message", (debt,)).get
        for debt in debts
    ]
    remove_finished(connection, {message for message in owing if message is not None})


def sweep(connection: apsw.Connection) -> bool:
    """Delete a slice of what an abandoned draft left; False when nothing is left of any."""
    draft = connection.execute("SELECT id FROM draft WHERE abandoned = 1 LIMIT 1").get
    if draft is None:
        return False
    if not _remove_slice(connection, draft):
        connection.execute("DELETE FROM draft WHERE id = ?", (draft,))
    return True


def _remove_slice(connection: apsw.Connection, message: int) -> bool:
    """Delete some chunks of what is no message any more; whether there may be more."""
    connection.execute(_CHUNKS, (first_chunk(message), end_of_chunks(message), SLICE))
    return connection.changes() == SLICE
