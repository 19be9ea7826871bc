"""Taking away what is finished: messages without recipients and debts, and their content."""

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


def remove_finished(connection: apsw.Connection, messages: Iterable[int]) -> None:
    """Remove those of these messages that nobody waits for any more."""
    for message in messages:
        connection.execute(_MESSAGE, (message,))
        if connection.changes():
            remove_content(connection, message)


def remove_paid(connection: apsw.Connection, debts: Sequence[int]) -> None:
    """Clear debts, and the messages that were kept for them alone."""
    rows = [
        connection.execute("DELETE FROM owed WHERE id = ? RETURNING message", (debt,)).get
        for debt in debts
    ]
    remove_finished(connection, {message for message in rows if message is not None})


def remove_content(connection: apsw.Connection, message: int) -> None:
    """Delete the chunks of a message that is gone."""
    bounds = first_chunk(message), end_of_chunks(message)
    connection.execute("DELETE FROM chunk WHERE id >= ? AND id < ?", bounds)


def sweep(connection: apsw.Connection, message: int) -> bool:
    """Delete a slice of what an abandoned draft left; False when nothing is left."""
    connection.execute(_CHUNKS, (first_chunk(message), end_of_chunks(message), SLICE))
    if connection.changes() == SLICE:
        return True
    connection.execute("DELETE FROM draft WHERE id = ?", (message,))
    return False
