"""A commit whose sync failed may stand all the same: what is found is dealt with first."""

from pathlib import Path

import pytest

from merpati.journal.store import JournalStore
from merpati.mail.envelope import Body
from merpati.queue.store import QueueStore
from merpati.storage.connection import StorageSettings
from merpati.storage.database import Database
from merpati.storage.errors import StorageError
from merpati.testing.clock import VirtualClock
from merpati.testing.conformance.bench import NOW, an_entry
from merpati.testing.disk import Fault, FaultDisk

# What the disk raises while SQLite closes a file has no caller to go to; apsw then reports it here.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

# All of the commit lies in the log when its sync fails. The close that follows would throw the log
# away, so that fails as well: recovery finds the commit whole.
LASTING = 1000


async def test_a_message_that_stands_after_a_failed_sync_is_delivered(tmp_path: Path) -> None:
    fault = Fault()
    disk = FaultDisk(fault)
    database = Database(StorageSettings(tmp_path / "0.db", vfs=disk.name))
    await database.open()
    queue = QueueStore(database, JournalStore(database), VirtualClock(NOW))
    await queue.open()
    fault.operations.clear()
    fault.at, fault.only, fault.lasting = 1, "sync", LASTING
    with pytest.raises(StorageError):
        await queue.put(an_entry(1), Body((b"doubt",)))
    fault.at, fault.only = 0, ""
    await queue.put(an_entry(2), Body((b"sure!",)))
    claims = await queue.claim(NOW, 10) + await queue.claim(NOW, 10)
    # Its client was told 451 and comes again: twice is allowed, lying about for ever is not.
    assert {claim.entry.id for claim in claims} == {an_entry(1).id, an_entry(2).id}
    assert b"".join([piece async for piece in queue.read(an_entry(1).id)]) == b"doubt"
    await database.close()


async def test_what_is_in_doubt_is_dealt_with_once(tmp_path: Path) -> None:
    fault = Fault()
    disk = FaultDisk(fault)
    database = Database(StorageSettings(tmp_path / "0.db", vfs=disk.name))
    await database.open()
    await database.probe()  # The first commit into an empty log syncs its head before all else.
    recovered: list[int] = []

    job = database.job(lambda connection: connection.execute("INSERT INTO day VALUES (1, 0)"))
    job.recover = lambda connection: recovered.append(
        connection.execute("SELECT count(*) FROM day").get
    )
    fault.operations.clear()
    fault.at, fault.only, fault.lasting = 1, "sync", LASTING
    with pytest.raises(StorageError):
        await database.submit(job)
    assert recovered == []
    fault.at, fault.only = 0, ""
    await database.probe()
    await database.probe()
    assert recovered == [1]
    await database.close()


async def test_a_file_whose_sync_failed_is_not_synced_again_by_its_close(tmp_path: Path) -> None:
    fault = Fault()
    disk = FaultDisk(fault)
    database = Database(StorageSettings(tmp_path / "0.db", vfs=disk.name))
    await database.open()
    fault.operations.clear()
    fault.at, fault.only = 1, "sync"
    with pytest.raises(StorageError):
        await database.probe()
    assert fault.operations == ["sync"]
    await database.probe()
    await database.close()
