"""Rows that jobs leave to be written together: before the commit, and before who may look."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import apsw
import pytest

from merpati.storage.connection import StorageSettings
from merpati.storage.database import Database
from merpati.storage.errors import StorageError
from merpati.storage.rows import Insert

pytestmark = pytest.mark.slow

DAYS = Insert("day", "(?, 0)")


class Calendar:
    """Days that are to be written late."""

    def __init__(self) -> None:
        self.left: list[tuple[int]] = []

    def add(self, connection: apsw.Connection, day: int) -> None:
        self.left.append((day,))

    def write_late(self, connection: apsw.Connection) -> None:
        DAYS.run(connection, self.left)
        self.left.clear()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(StorageSettings(tmp_path / "0.db", hold=0.2))
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def calendar(database: Database) -> Calendar:
    calendar = Calendar()
    database.write_late(calendar.write_late)
    database.on_rollback(calendar.left.clear)
    return calendar


async def gather(database: Database, calendar: Calendar, day: int) -> None:
    job = database.job(partial(calendar.add, day=day))
    job.gathers = True
    await database.submit(job)


def kept(connection: apsw.Connection) -> list[int]:
    return [day for (day,) in connection.execute("SELECT day FROM day ORDER BY day")]


async def test_any_number_of_rows_is_written_whole(database: Database, calendar: Calendar) -> None:
    async with asyncio.TaskGroup() as group:
        for day in range(75):
            group.create_task(gather(database, calendar, day))
    assert await database.read(kept) == list(range(75))


async def test_who_does_not_gather_finds_what_others_left(
    database: Database, calendar: Calendar
) -> None:
    # One turn of the loop hands both over, so that they share a transaction.
    _, found = await asyncio.gather(gather(database, calendar, 1), database.write(kept))
    assert found == [1]


async def test_a_row_that_cannot_be_written_fails_its_own_job(
    database: Database, calendar: Calendar
) -> None:
    days = (1, 2, 1, 3)
    ends = await asyncio.gather(
        *(gather(database, calendar, day) for day in days), return_exceptions=True
    )
    assert [type(end) for end in ends] == [type(None), type(None), StorageError, type(None)]
    assert await database.read(kept) == [1, 2, 3]
