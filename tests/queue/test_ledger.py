"""Debts come oldest first, those of one message together, and cost no look at all the others."""

from pathlib import Path

import apsw
import pytest

from merpati.journal.store import JournalStore
from merpati.mail.envelope import Body
from merpati.queue.entry import Notice
from merpati.queue.ledger import owe, owed
from merpati.queue.store import QueueStore
from merpati.storage.connection import StorageSettings
from merpati.storage.database import Database
from merpati.testing.clock import VirtualClock
from merpati.testing.conformance.bench import NOW, an_entry


async def owing(path: Path, debts: list[tuple[int, int]]) -> Database:
    """Two messages to two recipients each, and these debts (message, n) in this order."""
    database = Database(StorageSettings(path))
    await database.open()
    queue = QueueStore(database, JournalStore(database), VirtualClock(NOW))
    await queue.open()
    for number in (1, 2):
        await queue.put(an_entry(number, "a@x.test", "b@y.test"), Body((b"hello",)))

    def write(connection: apsw.Connection) -> None:
        for row in debts:
            owe(connection, row, Notice("failed", "5.1.1"), NOW)

    await database.write(write)
    return database


async def test_debts_of_one_message_come_together(tmp_path: Path) -> None:
    database = await owing(tmp_path / "0.db", [(2, 0), (1, 0), (2, 1), (1, 1)])
    assert [one.id for one in await database.read(lambda db: owed(db, 3))] == [1, 3, 2]
    assert [one.id for one in await database.read(lambda db: owed(db, 1))] == [1]
    await database.close()


def steps_of_a_page(connection: apsw.Connection) -> int:
    """How much SQLite did for one page of debts, in hundreds of its steps."""
    steps = 0

    def step() -> bool:
        nonlocal steps
        steps += 1
        return False

    connection.set_progress_handler(step, 100)
    assert len(owed(connection, 50)) == 50
    connection.set_progress_handler(None)
    return steps


@pytest.mark.slow
async def test_a_page_costs_the_same_however_many_debts_there_are(tmp_path: Path) -> None:
    few = await owing(tmp_path / "0.db", [(1, 0), (2, 0)] * 30)
    many = await owing(tmp_path / "1.db", [(1, 0), (2, 0)] * 30)

    def fill(connection: apsw.Connection) -> None:
        copy = "INSERT INTO message SELECT ?, ?, received, expires, sender, 1, remind, entry, 0 "
        for number in range(10, 5_010):
            connection.execute(copy + "FROM message WHERE id = 1", (number, str(number)))
            owe(connection, (number, 0), Notice("failed", "5.1.1"), NOW)

    await many.write(fill)
    assert await many.read(steps_of_a_page) <= 2 * await few.read(steps_of_a_page)
    await few.close()
    await many.close()
