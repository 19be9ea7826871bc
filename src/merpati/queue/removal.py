"""Taking away what is finished: messages without recipients and debts, and their content.

A message goes in one transaction, but of a large content only the first slice goes with it. The
rest is noted as a draft that nobody continues, and swept slice by slice; a crash leaves it to the
next start.
"""

from collections.abc import Iterable, Sequence

import apsw

from merpati.queue.rows import end_of_chunks, first_chunk

SLICE = 16
"""Chunks that one sweep deletes at most: 4 MB, so that small mail is not held up."""

_MESSAGE = (
    "DELETE FROM message WHERE id = ?1 "
    "AND NOT EXISTS (SELECT 1 FROM recipient WHERE message = ?1) "
    "AND NOT EXISTS (SELECT 1 FROM owed WHERE message = ?1)"
)
_CHUNKS = "DELETE FROM chunk WHERE id IN (SELECT id FROM chunk WHERE id >= ? AND id < ? LIMIT ?)"


def remove_finished(connection: apsw.Connection, messages: Iterable[int]) -> bool:
    """Remove those of these messages that nobody waits for any more; whether there is a rest that
    is to be swept."""
    leaves_rest = False
    for message in messages:
        connection.execute(_MESSAGE, (message,))
        if connection.changes() and _remove_slice(connection, message):
            connection.execute("INSERT INTO draft VALUES (?, 1)", (message,))
            leaves_rest = True
    return leaves_rest


def remove_paid(connection: apsw.Connection, debts: Sequence[int]) -> None:
    """Clear debts, and the messages that were kept for them alone."""
    rows = [
        connection.execute("DELETE FROM owed WHERE id = ? RETURNING message", (debt,)).get
        for debt in debts
    ]
    remove_finished(connection, {message for message in rows if message is not None})


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
