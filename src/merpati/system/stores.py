"""Everything that is kept, opened by its one owner and closed in the opposite order."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from merpati.clock import Clock
from merpati.config.places import Places
from merpati.directory.store import DirectoryStore
from merpati.journal.store import JournalStore
from merpati.queue.store import QueueStore
from merpati.storage.connection import Kind, StorageSettings
from merpati.storage.database import Database


@dataclass(frozen=True, slots=True)
class Stores:
    """The engines of one worker.

    The queue is also Sites, Ledger and Desk; the directory is also Registrar.
    """

    queue: QueueStore
    journal: JournalStore
    directory: DirectoryStore
    shard: Database
    """The file of queue and journal."""


@asynccontextmanager
async def open_stores(places: Places, clock: Clock) -> AsyncIterator[Stores]:
    """Open both files; the caller holds the owner lock. StorageError when one is refused."""
    async with AsyncExitStack() as opened:
        shard = Database(StorageSettings(places.queue), clock)
        await shard.open()
        opened.push_async_callback(shard.close)
        names = Database(StorageSettings(places.directory, Kind.DIRECTORY), clock)
        await names.open()
        opened.push_async_callback(names.close)
        journal = JournalStore(shard)
        queue = QueueStore(shard, journal, clock)
        await queue.open()
        directory = DirectoryStore(names)
        await directory.open()
        opened.callback(directory.close)
        yield Stores(queue, journal, directory, shard)
