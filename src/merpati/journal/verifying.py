"""Whether every event can be told."""

from collections.abc import Iterator

import apsw

from merpati.journal.rows import decode, thread_of
from merpati.storage.errors import StorageError
from merpati.storage.finding import Damage, Finding
from merpati.storage.inspection import Seen, last_key, walk
from merpati.storage.rows import rows

_PAGE = "SELECT seq, thread, at, body FROM event WHERE seq > ? ORDER BY seq LIMIT 500"


def verify_journal(connection: apsw.Connection, seen: Seen) -> Iterator[Finding]:
    """Everything that is wrong with the journal of a shard."""
    pages = walk(
        lambda after: rows(connection, _PAGE, (after,)),
        last_key(connection, "event", "seq"),
        "events",
    )
    for page in pages:
        if isinstance(page, Finding):
            yield page
            continue
        seen("events", len(page))
        for row in page:
            yield from _event(*row)


def _event(seq: int, thread: str, at: float, body: bytes) -> Iterator[Finding]:
    try:
        event = decode(body)
    except StorageError as error:
        yield Finding(Damage.EVENT, f"event {seq}: {error}", thread)
        return
    if (thread_of(event), event.at) != (thread, at):
        yield Finding(Damage.EVENT, f"event {seq} stands under another message or time", thread)
