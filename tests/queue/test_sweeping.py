"""Large content goes in slices, and what a crash leaves of it goes after the next start."""

import asyncio
from pathlib import Path

import apsw
import pytest

from merpati.journal.store import JournalStore
from merpati.mail.envelope import Body
from merpati.queue.entry import Selection, Settlement, State
from merpati.queue.removal import SLICE, remove_finished, sweep
from merpati.queue.rows import CHUNK
from merpati.queue.store import QueueStore
from merpati.storage.connection import StorageSettings
from merpati.storage.database import Database
from merpati.storage.errors import StorageError
from merpati.testing.clock import VirtualClock
from merpati.testing.conformance.bench import NOW, an_entry
from merpati.testing.disk import Fault, FaultDisk

LARGE = Body((bytes(CHUNK * SLICE), bytes(CHUNK * SLICE), b"end"))


async def opened(path: Path) -> tuple[Database, QueueStore]:
    database = Database(StorageSettings(path, ride=0.0))
    await database.open()
    queue = QueueStore(database, JournalStore(database), VirtualClock(NOW))
    await queue.open()
    return database, queue


def counted(connection: apsw.Connection) -> tuple[int, int]:
    """How many chunks and drafts there are."""
    found: tuple[int, int] = connection.execute(
        "SELECT (SELECT count(*) FROM chunk), (SELECT count(*) FROM draft)"
    ).get
    return found


async def swept(database: Database) -> None:
    async with asyncio.timeout(60):
        while await database.read(counted) != (0, 0):
            await asyncio.sleep(0)


@pytest.mark.slow
async def test_large_content_is_stored_whole(tmp_path: Path) -> None:
    database, queue = await opened(tmp_path / "0.db")
    await queue.put(an_entry(1, size=LARGE.size), LARGE)
    assert [len(piece) async for piece in queue.read(an_entry(1).id)] == [CHUNK] * 32 + [3]
    await database.close()


@pytest.mark.slow
async def test_a_delivered_large_message_is_gone_with_all_its_content(tmp_path: Path) -> None:
    database, queue = await opened(tmp_path / "0.db")
    await queue.put(an_entry(1, size=LARGE.size), LARGE)
    await queue.claim(NOW, 1)
    await queue.settle([Settlement(an_entry(1).id, 0, State.DELIVERED)])
    assert await queue.search(Selection(), 10) == []
    await swept(database)
    await database.close()


@pytest.mark.slow
async def test_one_transaction_removes_one_chunk_and_each_sweep_one_slice(tmp_path: Path) -> None:
    database, queue = await opened(tmp_path / "0.db")
    await queue.put(an_entry(1, size=LARGE.size), LARGE)

    def end(connection: apsw.Connection) -> list[tuple[int, int]]:
        connection.execute("DELETE FROM recipient")
        message = connection.execute("SELECT id FROM message").get
        assert remove_finished(connection, [message])
        steps = [counted(connection)]
        while sweep(connection):
            steps.append(counted(connection))
        return steps

    assert await database.write(end) == [(2 * SLICE, 1), (SLICE, 1), (0, 1), (0, 0)]
    await database.close()


async def test_what_a_crash_left_is_swept_after_the_next_start(tmp_path: Path) -> None:
    database, queue = await opened(tmp_path / "0.db")
    draft = queue.draft()
    await draft.write(bytes(CHUNK * 3))
    await database.probe()  # The last of them was still on its way.
    assert await database.read(counted) == (3, 1)
    await database.close()
    database, queue = await opened(tmp_path / "0.db")
    await swept(database)
    await database.close()


async def test_a_draft_that_is_written_is_left_alone_by_the_sweep(tmp_path: Path) -> None:
    database, queue = await opened(tmp_path / "0.db")
    going, given_up = queue.draft(), queue.draft()
    await going.write(bytes(CHUNK))
    await given_up.write(bytes(CHUNK))
    await given_up.discard()
    async with asyncio.timeout(60):
        while await database.read(counted) != (1, 1):
            await asyncio.sleep(0)
    await queue.put(an_entry(1, size=CHUNK), going)
    assert [len(piece) async for piece in queue.read(an_entry(1).id)] == [CHUNK]
    await database.close()


async def test_a_chunk_that_was_not_stored_is_told_of_with_the_next_and_nothing_is_put(
    tmp_path: Path,
) -> None:
    fault = Fault()
    disk = FaultDisk(fault)
    database = Database(StorageSettings(tmp_path / "0.db", vfs=disk.name))
    await database.open()
    queue = QueueStore(database, JournalStore(database), VirtualClock(NOW))
    await queue.open()
    draft = queue.draft()
    fault.at, fault.only = len(fault.operations) + 1, "write"
    await draft.write(bytes(CHUNK))
    with pytest.raises(StorageError):
        await draft.write(bytes(CHUNK))
    with pytest.raises(StorageError):
        await queue.put(an_entry(1, size=3 * CHUNK), draft)
    await draft.discard()
    assert await queue.search(Selection(), 10) == []
    await database.close()


@pytest.mark.slow
async def test_content_with_a_piece_gone_is_never_read_as_a_shorter_one(tmp_path: Path) -> None:
    database, queue = await opened(tmp_path / "0.db")
    await queue.put(an_entry(1, size=LARGE.size), LARGE)
    await database.write(
        lambda db: db.execute("DELETE FROM chunk WHERE id = (SELECT max(id) FROM chunk)")
    )
    with pytest.raises(StorageError, match="gone"):
        assert [len(piece) async for piece in queue.read(an_entry(1).id)] == []
    await database.close()


async def test_content_of_another_size_than_was_accepted_is_not_read_to_its_end(
    tmp_path: Path,
) -> None:
    database, queue = await opened(tmp_path / "0.db")
    await queue.put(an_entry(1, size=5), Body((b"123456",)))
    with pytest.raises(StorageError, match="6 octets are where 5 were stored"):
        assert [piece async for piece in queue.read(an_entry(1).id)] == []
    await database.close()


async def test_what_is_not_in_the_queue_has_no_content_to_read(tmp_path: Path) -> None:
    database, queue = await opened(tmp_path / "0.db")
    with pytest.raises(StorageError, match="not in the queue"):
        assert [piece async for piece in queue.read(an_entry(1).id)] == []
    await database.close()
