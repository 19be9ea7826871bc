"""Under load a commit waits a moment for company; without any it never does."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from merpati.storage.connection import StorageSettings
from merpati.storage.database import Database

HOLD = 30.0
"""Seconds to hold: who waits for their end is seen to wait."""
BATCH = 3


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(StorageSettings(tmp_path / "0.db", hold=HOLD, batch=BATCH))
    await database.open()
    yield database
    await database.close()


async def counted(database: Database) -> list[int]:
    """One number for each commit from now on."""
    commits: list[int] = []

    def count() -> bool:
        commits.append(1)
        return False

    await database.write(lambda connection: connection.set_commit_hook(count))
    commits.clear()
    return commits


def nothing(connection: apsw.Connection) -> None:
    connection.execute("UPDATE day SET day = day")


async def test_a_single_job_does_not_wait_for_others(database: Database) -> None:
    commits = await counted(database)
    async with asyncio.timeout(HOLD / 2):
        for _ in range(3):
            await database.write(nothing)
    assert len(commits) == 3


async def test_the_verdict_on_the_last_message_is_no_company_for_a_single_one(
    tmp_path: Path,
) -> None:
    database = Database(StorageSettings(tmp_path / "1.db", hold=HOLD, batch=BATCH, ride=2 * HOLD))
    await database.open()
    async with asyncio.timeout(HOLD / 2):
        rider = asyncio.ensure_future(database.write(nothing, rides=True))
        await asyncio.sleep(0)
        await database.write(nothing)
        await rider
    await database.close()


@pytest.mark.slow
async def test_under_load_the_first_waits_for_who_comes_later(tmp_path: Path) -> None:
    database = Database(StorageSettings(tmp_path / "1.db", hold=1.0, batch=BATCH))
    await database.open()
    commits = await counted(database)
    await make_busy(database)
    commits.clear()
    first = asyncio.ensure_future(database.write(nothing))
    await asyncio.sleep(0.04)
    assert not first.done()
    await asyncio.gather(first, database.write(nothing))
    assert len(commits) == 1
    await database.close()


async def test_a_full_batch_waits_for_nobody(database: Database) -> None:
    async with asyncio.timeout(HOLD / 2):
        await make_busy(database)


async def make_busy(database: Database) -> None:
    """A full batch shows that there is load: the next one is held for company."""
    begun, all_there = threading.Event(), threading.Event()

    def wait(_: apsw.Connection) -> None:
        begun.set()
        assert all_there.wait(60)

    before = asyncio.ensure_future(database.write(wait))
    assert await asyncio.to_thread(begun.wait, 60)
    full = [asyncio.ensure_future(database.write(nothing)) for _ in range(BATCH)]
    await asyncio.sleep(0)
    all_there.set()
    await asyncio.gather(before, *full)
