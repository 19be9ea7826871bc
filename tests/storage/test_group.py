"""Group commit: what shares a transaction, and that a bad job harms no other."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from merpati.storage.connection import StorageSettings
from merpati.storage.database import Database
from merpati.storage.errors import StorageError
from merpati.testing.disk import Fault, FaultDisk


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(StorageSettings(tmp_path / "0.db", hold=0.2, ride=30.0, riders=3))
    await database.open()
    yield database
    await database.close()


def add(connection: apsw.Connection, number: int) -> None:
    connection.execute("INSERT INTO day VALUES (?, 0)", (number,))


async def kept(database: Database) -> list[int]:
    return await database.read(
        lambda connection: [row[0] for row in connection.execute("SELECT day FROM day")]
    )


@pytest.mark.slow
async def test_a_bad_job_fails_alone(database: Database) -> None:
    def spoil(connection: apsw.Connection) -> None:
        add(connection, 2)
        raise ValueError("mine")

    ends = await asyncio.gather(
        database.write(lambda connection: add(connection, 1)),
        database.write(spoil),
        database.write(lambda connection: add(connection, 1)),
        database.write(lambda connection: add(connection, 3)),
        return_exceptions=True,
    )
    assert [type(end) for end in ends] == [type(None), ValueError, StorageError, type(None)]
    assert await kept(database) == [1, 3]


@pytest.mark.slow
async def test_what_rides_waits_for_company(database: Database) -> None:
    rider = asyncio.ensure_future(database.write(lambda connection: add(connection, 1), rides=True))
    await asyncio.sleep(0)
    assert await kept(database) == []
    await database.write(lambda connection: add(connection, 2))
    async with asyncio.timeout(20):
        await rider
    assert await kept(database) == [1, 2]


async def test_enough_riders_go_by_themselves(database: Database) -> None:
    async with asyncio.timeout(20):
        await asyncio.gather(
            *(
                database.write(lambda connection, n=n: add(connection, n), rides=True)  # type: ignore[misc]
                for n in range(3)
            )
        )
    assert await kept(database) == [0, 1, 2]


async def test_what_rides_is_kept_when_the_file_is_closed(tmp_path: Path) -> None:
    database = Database(StorageSettings(tmp_path / "1.db", ride=30.0))
    await database.open()
    rider = asyncio.ensure_future(database.write(lambda connection: add(connection, 1), rides=True))
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        await database.close()
        await rider
    again = Database(StorageSettings(tmp_path / "1.db"))
    await again.open()
    try:
        assert await kept(again) == [1]
    finally:
        await again.close()


async def test_questions_are_answered_again_after_the_disk_failed(tmp_path: Path) -> None:
    fault = Fault()
    disk = FaultDisk(fault)
    database = Database(StorageSettings(tmp_path / "2.db", vfs=disk.name))
    await database.open()
    fault.operations.clear()
    fault.at, fault.only = 1, "open"
    with pytest.raises(StorageError):
        await kept(database)
    fault.at = 0
    assert await kept(database) == []
    await database.close()


async def test_the_size_of_the_log_is_known(tmp_path: Path) -> None:
    database = Database(StorageSettings(tmp_path / "3.db"))
    assert database.log_octets == 0
    await database.open()
    before = database.log_octets
    await database.write(lambda connection: add(connection, 1))
    assert database.log_octets > before
    await database.close()
    assert database.log_octets == 0


async def test_a_long_question_does_not_hold_up_a_commit(database: Database) -> None:
    begun, over = threading.Event(), threading.Event()

    def ask(connection: apsw.Connection) -> int:
        rows = connection.execute("SELECT count(*) FROM event")
        begun.set()
        assert over.wait(60)
        return len(rows.fetchall())

    question = asyncio.ensure_future(database.read(ask))
    await asyncio.to_thread(begun.wait, 60)
    async with asyncio.timeout(20):
        await database.write(lambda connection: add(connection, 1))
    over.set()
    assert await question == 1


async def test_a_long_question_does_not_hold_up_the_next(database: Database) -> None:
    begun, over = threading.Event(), threading.Event()

    def ask(connection: apsw.Connection) -> int:
        begun.set()
        assert over.wait(60)
        return 1

    question = asyncio.ensure_future(database.read(ask))
    await asyncio.to_thread(begun.wait, 60)
    try:
        async with asyncio.timeout(20):
            assert await kept(database) == []
    finally:
        over.set()
    assert await question == 1
