"""The disk fails at its N-th operation: nothing that was acknowledged is lost, nothing hangs."""

import asyncio
import errno
from pathlib import Path

import pytest

from merpati.journal.store import JournalStore
from merpati.mail.envelope import Body
from merpati.queue.entry import Entry, Selection, Settlement, State
from merpati.queue.store import QueueStore
from merpati.storage.connection import StorageSettings
from merpati.storage.database import Database
from merpati.storage.errors import StorageError
from merpati.testing.clock import VirtualClock
from merpati.testing.conformance.bench import NOW, accepted, an_entry
from merpati.testing.disk import Fault, FaultDisk

# What the disk raises while SQLite closes a file has no caller to go to; apsw then reports it here.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


class Story:
    """The standard scenario, and what was promised on the way."""

    def __init__(self) -> None:
        self.acknowledged: set[str] = set()
        self.finished: set[str] = set()
        self.in_doubt: set[str] = set()
        self.errors: list[StorageError] = []

    async def live(self, path: Path, vfs: str) -> None:
        """Open, put three, claim, settle one, put two more, close; go on after every error."""
        database = Database(StorageSettings(path, ride=0.0, vfs=vfs))
        queue = QueueStore(database, JournalStore(database), VirtualClock(NOW))
        try:
            await database.open()
            await queue.open()
        except StorageError as error:
            self.errors.append(error)
            await database.close()
            return
        for number in (1, 2, 3):
            await self._put(queue, an_entry(number, size=20_000))
        await self._settle_first(queue)
        for number in (4, 5):
            await self._put(queue, an_entry(number, "x@x.test", "y@y.test", size=20_000))
        await database.close()

    async def _put(self, queue: QueueStore, entry: Entry) -> None:
        try:
            await queue.put(entry, Body((bytes(20_000),)), [accepted(entry)])
        except StorageError as error:
            self.errors.append(error)
        else:
            self.acknowledged.add(entry.id)

    async def _settle_first(self, queue: QueueStore) -> None:
        try:
            claims = await queue.claim(NOW, 1)
            settlements = [Settlement(one.entry.id, 0, State.DELIVERED) for one in claims]
            self.in_doubt |= {one.entry_id for one in settlements}
            await queue.settle(settlements)
        except StorageError as error:
            self.errors.append(error)
        else:
            self.finished |= {one.entry_id for one in settlements}


async def what_is_there(path: Path) -> set[str]:
    """The ids in the queue after a new start, each with its whole content and claimable."""
    database = Database(StorageSettings(path))
    await database.open()
    queue = QueueStore(database, JournalStore(database), VirtualClock(NOW))
    await queue.open()
    claims = await queue.claim(NOW, 100)
    ids = {line.entry.id for line in await queue.search(Selection(), 100)}
    assert {claim.entry.id for claim in claims} == ids
    for one in ids:
        assert sum([len(piece) async for piece in queue.read(one)]) == 20_000
    await database.close()
    return ids


async def check(path: Path, fault: Fault) -> Story:
    story = Story()
    disk = FaultDisk(fault)
    async with asyncio.timeout(90):
        await story.live(path, disk.name)
        there = await what_is_there(path)
    lost = story.acknowledged - story.finished - story.in_doubt - there
    assert not lost, f"false 250 when operation {fault.at} failed"
    assert not story.finished & there, "a settled message came back"
    return story


async def operations_of(tmp_path: Path) -> int:
    fault = Fault()
    await check(tmp_path / "whole.db", fault)
    return len(fault.operations)


@pytest.mark.parametrize(
    ("code", "lasting"),
    [
        pytest.param(errno.EIO, 1, id="EIO once"),
        pytest.param(errno.ENOSPC, 1000, id="ENOSPC for good"),
        pytest.param(errno.EIO, 1000, id="EIO for good"),
        pytest.param(errno.ENOSPC, 1, id="ENOSPC once"),
    ],
)
@pytest.mark.slow
async def test_no_failing_operation_loses_what_was_acknowledged(
    tmp_path: Path, code: int, lasting: int
) -> None:
    total = await operations_of(tmp_path)
    struck = 0
    for n in range(1, total + 1):
        story = await check(tmp_path / f"{n}.db", Fault(n, lasting, code))
        struck += bool(story.errors)
    assert struck > total // 3, "the disk failed and nobody noticed"


async def test_a_full_disk_says_so_and_recovers_without_a_restart(tmp_path: Path) -> None:
    fault = Fault()
    disk = FaultDisk(fault)
    database = Database(StorageSettings(tmp_path / "1.db", vfs=disk.name))
    await database.open()
    queue = QueueStore(database, JournalStore(database), VirtualClock(NOW))
    await queue.open()
    fault.at, fault.lasting, fault.code = len(fault.operations) + 1, 10**9, errno.ENOSPC
    with pytest.raises(StorageError) as refusal:
        await queue.put(an_entry(1), Body((b"x",)))
    assert refusal.value.is_full
    fault.at = 0
    await queue.put(an_entry(2), Body((b"x",)))
    assert [claim.entry.id for claim in await queue.claim(NOW, 10)] == [an_entry(2).id]
    await database.close()


async def test_a_failed_sync_is_never_retried_on_the_same_handle(tmp_path: Path) -> None:
    fault = Fault()
    disk = FaultDisk(fault)
    database = Database(StorageSettings(tmp_path / "0.db", vfs=disk.name))
    await database.open()
    queue = QueueStore(database, JournalStore(database), VirtualClock(NOW))
    await queue.open()
    fault.operations.clear()
    fault.at, fault.only = 1, "sync"
    with pytest.raises(StorageError):
        await queue.put(an_entry(2), Body((b"x",)))
    fault.at, fault.only = 0, ""
    fault.operations.clear()
    await queue.put(an_entry(3), Body((b"x",)))
    assert "open" in fault.operations, "the file was not opened again"
    await database.close()
