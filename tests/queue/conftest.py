"""Queues to try: the one in memory and the one on disk."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from merpati.journal.store import JournalStore
from merpati.queue.store import QueueStore
from merpati.storage.connection import StorageSettings
from merpati.storage.database import Database
from merpati.testing.clock import VirtualClock
from merpati.testing.conformance.bench import NOW, Bench
from merpati.testing.memory import MemoryJournal, MemoryQueue


@pytest.fixture(params=["memory", "sqlite"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    clock = VirtualClock(NOW)
    if request.param == "memory":
        journal = MemoryJournal()
        yield Bench(MemoryQueue(clock, journal), journal)
        return
    database = Database(StorageSettings(tmp_path / "0.db", ride=0.0))
    await database.open()
    store = JournalStore(database)
    queue = QueueStore(database, store, clock)
    await queue.open()
    yield Bench(queue, store)
    await database.close()
