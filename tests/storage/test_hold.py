"""Under load a commit waits a moment for company; without any it never does."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from merpati.storage.connection import StorageSettings
from merpati.storage.database import Database

HOLD = 0.4
"""Seconds to hold: who has to wait is seen to wait."""
BATCH = 3


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(StorageSettings(tmp_path / "0.db", hold=HOLD, batch=BATCH))
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def commits(database: Database) -> list[int]:
    """One number for each commit from now on."""
    counted: list[int] = []

    def count() -> bool:
        counted.append(1)
        return False

    await database.write(lambda connection: connection.set_commit_hook(count))
    counted.clear()
    return counted


def nothing(connection: apsw.Connection) -> None:
    connection.execute("UPDATE day SET day = day")


async def test_a_single_job_does_not_wait_for_others(
    database: Database, commits: list[int]
) -> None:
    async with asyncio.timeout(HOLD / 2):
        for _ in range(3):
            await database.write(nothing)
    assert len(commits) == 3


@pytest.mark.slow
async def test_under_load_the_first_waits_for_who_comes_later(
    database: Database, commits: list[int]
) -> None:
    await make_busy(database)
    commits.clear()
    first = asyncio.ensure_future(database.write(nothing))
    await asyncio.sleep(HOLD / 10)
    assert not first.done()
    await asyncio.gather(first, database.write(nothing))
    assert len(commits) == 1


async def test_a_full_batch_waits_for_nobody(database: Database) -> None:
    await make_busy(database)
    async with asyncio.timeout(HOLD / 2):
        await asyncio.gather(*(database.write(nothing) for _ in range(BATCH)))


async def make_busy(database: Database) -> None:
    """A full batch shows that there is load: the next one is held for company."""
    await asyncio.gather(*(database.write(nothing) for _ in range(BATCH)))
