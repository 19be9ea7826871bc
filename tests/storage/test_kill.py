"""kill -9 in the middle of commits: everything that was acknowledged is there afterwards."""

import asyncio
import os
import random
import signal
import sys
from pathlib import Path

import pytest

from merpati.journal.store import JournalStore
from merpati.queue.entry import Selection
from merpati.queue.store import QueueStore
from merpati.storage.connection import StorageSettings
from merpati.storage.database import Database
from merpati.testing.clock import VirtualClock
from merpati.testing.conformance.bench import NOW

pytestmark = pytest.mark.slow

KILLS = 10
PUTTER = """
import asyncio, sys
from pathlib import Path
from merpati.journal.store import JournalStore
from merpati.mail.envelope import Body
from merpati.queue.store import QueueStore
from merpati.storage.connection import StorageSettings
from merpati.storage.database import Database
from merpati.testing.clock import VirtualClock
from merpati.testing.conformance.bench import NOW, accepted, an_entry

async def session(queue, first):
    for number in range(first, first + 100_000):
        entry = an_entry(number)
        await queue.put(entry, Body((b"x" * 10_000,)), [accepted(entry)])
        print(entry.id, flush=True)

async def main():
    database = Database(StorageSettings(Path(sys.argv[1])))
    await database.open()
    queue = QueueStore(database, JournalStore(database), VirtualClock(NOW))
    await queue.open()
    base = int(sys.argv[2]) * 10_000_000
    await asyncio.gather(*(session(queue, base + n * 100_000) for n in range(8)))

asyncio.run(main())
"""


async def put_until_killed(path: Path, turn: int, seconds: float) -> set[str]:
    """The ids that a process acknowledged before it was killed."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PUTTER, str(path), str(turn), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    first = await child.stdout.readline()
    await asyncio.sleep(seconds)
    os.kill(child.pid, signal.SIGKILL)
    rest = await child.stdout.read()
    await child.wait()
    lines = (first + rest).split(b"\n")
    return {line.decode() for line in lines[:-1]}


async def what_is_there(path: Path) -> set[str]:
    database = Database(StorageSettings(path))
    await database.open()
    queue = QueueStore(database, JournalStore(database), VirtualClock(NOW))
    await queue.open()
    there = {line.entry.id for line in await queue.search(Selection(), 1_000_000)}
    assert await database.read(lambda db: db.pragma("quick_check")) == "ok"
    await database.close()
    return there


async def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path: Path) -> None:
    chance = random.Random(20)
    acknowledged: set[str] = set()
    for turn in range(KILLS):
        acknowledged |= await put_until_killed(tmp_path / "0.db", turn, chance.random() / 10)
    assert len(acknowledged) > KILLS
    assert acknowledged <= await what_is_there(tmp_path / "0.db")
