"""Whether mail can be stored is asked of the store itself."""

import asyncio
import errno
from pathlib import Path

import pytest

from merpati.storage.connection import StorageSettings
from merpati.storage.database import Database
from merpati.system.health import Health
from merpati.testing.clock import VirtualClock
from merpati.testing.disk import Fault, FaultDisk

# What the disk raises while SQLite closes a file has no caller to go to; apsw then reports it here.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.mark.parametrize(
    ("code", "told"), [(errno.ENOSPC, "the disk is full"), (errno.EIO, "the store fails")]
)
async def test_a_disk_that_fails_is_told_and_its_recovery_too(
    tmp_path: Path, code: int, told: str
) -> None:
    fault, clock = Fault(), VirtualClock()
    disk = FaultDisk(fault)
    database = Database(StorageSettings(tmp_path / "queue.db", vfs=disk.name), clock)
    await database.open()
    health = Health(database.probe, clock)
    assert await health.trouble() == ""
    fault.operations.clear()
    fault.code, fault.only, fault.at, fault.lasting = code, "write", 1, 1000
    assert await health.trouble() == ""
    await clock.advance(6)
    assert (await health.trouble()).startswith(told)
    fault.at = 0
    # Also a store that had to be opened anew, which is tried once a second.
    await clock.advance(6)
    assert await health.trouble() == ""
    await database.close()


async def test_many_who_ask_cost_one_write() -> None:
    clock, asked = VirtualClock(), 0

    async def probe() -> None:
        nonlocal asked
        asked += 1

    health = Health(probe, clock)
    await asyncio.gather(*(health.trouble() for _ in range(50)))
    assert asked == 1
    await clock.advance(6)
    await health.trouble()
    assert asked == 2
