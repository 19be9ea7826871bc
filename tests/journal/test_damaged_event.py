"""An event that cannot be read is told as damaged, and hides no other."""

from pathlib import Path

import pytest

from merpati.journal.events import Expired, Lifecycle
from merpati.journal.rows import decode
from merpati.journal.store import JournalSettings, JournalStore
from merpati.storage.checksum import marked
from merpati.storage.connection import StorageSettings
from merpati.storage.database import Database
from merpati.storage.errors import StorageError
from tests.cases import each


async def test_a_damaged_event_stops_neither_the_story_nor_the_log_nor_retention(
    tmp_path: Path,
) -> None:
    database = Database(StorageSettings(tmp_path / "0.db", ride=0.0))
    await database.open()
    journal = JournalStore(database, JournalSettings(recent=0))
    await journal.append([Expired(at=float(n), message="ID") for n in range(3)])
    # The address of the event in between is another's: it can still be read as one.
    spoil = (
        "UPDATE event SET body = CAST(replace(body, CAST('ID' AS BLOB), 'IE') AS BLOB) "
        "WHERE seq = 2"
    )
    await database.write(lambda db: db.execute(spoil).fetchall())
    events = await journal.story("ID")
    assert events == [event for _, event in await journal.follow(0, 10)]
    assert [type(event) for event in events] == [Expired, Lifecycle, Expired]
    assert isinstance(events[1], Lifecycle)
    assert events[1].what == "damaged event"
    assert await journal.forget(100.0, 10) == 2
    await database.close()


def test_an_event_of_an_earlier_version_is_read_without_a_checksum() -> None:
    assert decode(7, b'{"kind":"expired","at":1.0}') == Expired(at=1.0)


def test_an_event_is_that_of_its_own_row() -> None:
    body = marked(b'{"kind":"expired","at":1.0}', 7)
    assert decode(7, body) == Expired(at=1.0)
    with pytest.raises(StorageError, match="its checksum does not match"):
        decode(8, body)


@each("body", [b"", b"{", b"[]", b'{"kind":"unheard of","at":1}', b"\xff"])
def test_what_is_no_event_is_called_damaged(body: bytes) -> None:
    with pytest.raises(StorageError, match="an event cannot be read") as refused:
        decode(1, body)
    assert refused.value.is_damaged
