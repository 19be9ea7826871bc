"""A row that cannot be read is held and shown; whatever else is in the queue goes on."""

from pathlib import Path

import pytest

from merpati.journal.events import Cancelled, Expired, Held
from merpati.journal.store import JournalStore
from merpati.mail.envelope import Body
from merpati.queue.entry import Notice, Selection, State
from merpati.queue.rows import decode_entry, encode_entry
from merpati.queue.store import QueueStore
from merpati.storage.connection import StorageSettings
from merpati.storage.database import Database
from merpati.storage.errors import StorageError
from merpati.testing.clock import VirtualClock
from merpati.testing.conformance.bench import NOW, an_entry, becomes

BAD, GOOD = an_entry(1), an_entry(2)


async def opened(path: Path) -> tuple[Database, JournalStore, QueueStore]:
    database = Database(StorageSettings(path, ride=0.0))
    await database.open()
    journal = JournalStore(database)
    queue = QueueStore(database, journal, VirtualClock(NOW))
    await queue.open()
    return database, journal, queue


async def with_a_bad_row(path: Path) -> tuple[Database, JournalStore, QueueStore]:
    database, _, queue = await opened(path)
    for entry in (BAD, GOOD):
        await queue.put(entry, Body((b"hello",)))
    spoil = "UPDATE message SET entry = x'ff' WHERE public = ?"
    await database.write(lambda db: db.execute(spoil, (BAD.id,)).fetchall())
    await database.close()
    return await opened(path)


async def test_what_cannot_be_read_is_held_and_the_rest_is_claimed(tmp_path: Path) -> None:
    database, journal, queue = await with_a_bad_row(tmp_path / "0.db")
    assert [one.entry for one in await queue.claim(NOW, 10)] == [GOOD]
    (held,) = await journal.story(BAD.id)
    assert isinstance(held, Held)
    assert (held.address, held.by) == ("bob@b.test", "merpati")
    assert held.why.startswith("an entry cannot be read")
    assert await queue.count() == {"waiting": 0, "in_hand": 1, "held": 1}
    await database.close()


async def test_what_cannot_be_read_is_listed_and_can_be_cancelled(tmp_path: Path) -> None:
    database, journal, queue = await with_a_bad_row(tmp_path / "0.db")
    await queue.claim(NOW, 10)
    (listed,) = await queue.search(Selection(state=State.HELD), 10)
    assert (listed.entry.id, str(listed.waiting.recipient.address)) == (BAD.id, "bob@b.test")
    assert await queue.alter(Selection(ids=[BAD.id]), "cancel", "ann") == 1
    assert [type(event) for event in await journal.story(BAD.id)] == [Held, Cancelled]
    await database.close()


async def test_what_cannot_be_read_ends_in_time_and_reminds_nobody(tmp_path: Path) -> None:
    database, journal, queue = await with_a_bad_row(tmp_path / "0.db")
    assert await queue.remind(NOW + 500, 100.0, 10) == 2
    assert await queue.expire(NOW + 90_000, 10) == 2
    assert any(isinstance(event, Expired) for event in await journal.story(BAD.id))
    assert {owed.entry.id for owed in await queue.owed(10)} == {GOOD.id}
    await database.close()


async def test_a_debt_about_what_cannot_be_read_is_kept_and_hides_no_other(tmp_path: Path) -> None:
    database, _, queue = await opened(tmp_path / "0.db")
    for entry in (BAD, GOOD):
        await queue.put(entry, Body((b"hello",)))
    told = Notice("failed", "5.1.1")
    for claim in await queue.claim(NOW, 10):
        await queue.settle(becomes(claim, State.FAILED, notice=told))
    spoil = "UPDATE message SET entry = x'ff' WHERE public = ?"
    await database.write(lambda db: db.execute(spoil, (BAD.id,)).fetchall())
    lost, sound = await queue.owed(10)
    assert (lost.entry.id, lost.entry.envelope.sender) == (BAD.id, None)
    assert lost.damage.startswith("an entry cannot be read")
    assert (sound.entry, sound.damage) == (GOOD, "")
    await database.close()


async def test_a_recipient_whose_message_is_gone_is_held_and_the_rest_is_claimed(
    tmp_path: Path,
) -> None:
    database, journal, queue = await with_a_bad_row(tmp_path / "0.db")
    lose = "DELETE FROM message WHERE public = ?"
    await database.write(lambda db: db.execute(lose, (BAD.id,)).fetchall())
    assert [one.entry for one in await queue.claim(NOW, 10)] == [GOOD]
    ((_, held),) = await journal.follow(0, 10)
    assert isinstance(held, Held)
    assert held.why == "an entry cannot be read: it is gone"
    assert (await queue.count())["held"] == 1
    await database.close()


async def test_a_recipient_that_its_entry_does_not_have_is_held_and_listed(tmp_path: Path) -> None:
    database, journal, queue = await opened(tmp_path / "0.db")
    for entry in (BAD, GOOD):
        await queue.put(entry, Body((b"hello",)))
    spoil = "UPDATE recipient SET n = 7 WHERE message = (SELECT id FROM message WHERE public = ?)"
    await database.write(lambda db: db.execute(spoil, (BAD.id,)).fetchall())
    await database.close()
    database, journal, queue = await opened(tmp_path / "0.db")
    assert [one.entry for one in await queue.claim(NOW, 10)] == [GOOD]
    (held,) = await journal.story(BAD.id)
    assert isinstance(held, Held)
    assert held.why == "an entry cannot be read: it has no recipient number 7"
    (listed,) = await queue.search(Selection(state=State.HELD), 10)
    assert str(listed.waiting.recipient.address) == "bob@b.test"
    await database.close()


def test_text_that_is_not_utf_8_is_damage_like_any_other() -> None:
    octets = encode_entry(BAD)[5:]  # as it was stored before checksums were
    with pytest.raises(StorageError) as told:
        decode_entry(octets.replace(BAD.id.encode(), b"\xff" * len(BAD.id)))
    assert told.value.is_damaged
