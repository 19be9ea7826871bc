"""Everything that is kept, opened by its one owner and closed in the opposite order."""

import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from merpati.clock import Clock
from merpati.config.places import Places
from merpati.directory.key_store import KeyStore
from merpati.directory.policies import PolicyStore
from merpati.directory.stamps import StampStore
from merpati.directory.store import DirectoryStore
from merpati.directory.usage_store import UsageStore
from merpati.feedback.store import FeedbackStore
from merpati.feedback.tally_store import TallyStore
from merpati.journal.store import JournalStore
from merpati.queue.store import QueueStore
from merpati.storage.connection import Kind, StorageSettings, abandon, connect
from merpati.storage.database import Database
from merpati.system.secret import installation_secret


@dataclass(frozen=True, slots=True)
class Stores:
    """The engines of one shard.

    The queue is also Sites, Ledger and Desk; the directory is also Registrar, the keys KeyKeeper.
    """

    queue: QueueStore
    journal: JournalStore
    shard: Database
    """The file of queue and journal."""
    directory: DirectoryStore
    keys: KeyStore
    policies: PolicyStore
    stamps: StampStore
    feedback: FeedbackStore
    tallies: TallyStore
    usage: UsageStore
    """The last seven the same for all shards."""


def make_shared(places: Places) -> bytes:
    """Make what several workers will open at once, while there is one process; the secret.

    Blocks. StorageError or MerpatiError when a file is refused.
    """
    abandon(connect(StorageSettings(places.directory, Kind.DIRECTORY)))
    abandon(connect(StorageSettings(places.feedback, Kind.FEEDBACK)))
    return installation_secret(places.secret)


@asynccontextmanager
async def open_all(
    places: Places, clock: Clock, shards: Iterable[int]
) -> AsyncIterator[dict[int, Stores]]:
    """Open the directory, the reports and these shards, by number.

    The caller owns the data, and no other process works on these shards. StorageError when a file
    is refused.
    """
    async with AsyncExitStack() as opened:
        names = Database(StorageSettings(places.directory, Kind.DIRECTORY), clock)
        await names.open()
        opened.push_async_callback(names.close)
        directory, keys = DirectoryStore(names), KeyStore(names)
        await directory.open()
        opened.callback(directory.close)
        keys.open()
        opened.callback(keys.close)
        stamps = StampStore(names, secrets.token_bytes)
        stamps.open()
        opened.callback(stamps.close)
        usage = UsageStore(names)
        usage.open()
        opened.callback(usage.close)
        reports = Database(StorageSettings(places.feedback, Kind.FEEDBACK), clock)
        await reports.open()
        opened.push_async_callback(reports.close)
        yield {
            number: Stores(
                *await _open_shard(opened, places, clock, number),
                directory,
                keys,
                PolicyStore(names),
                stamps,
                FeedbackStore(reports),
                TallyStore(reports),
                usage,
            )
            for number in shards
        }


@asynccontextmanager
async def open_stores(places: Places, clock: Clock, shard: int = 0) -> AsyncIterator[Stores]:
    """The same of one shard."""
    async with open_all(places, clock, [shard]) as stores:
        yield stores[shard]


async def _open_shard(
    opened: AsyncExitStack, places: Places, clock: Clock, number: int
) -> tuple[QueueStore, JournalStore, Database]:
    shard = Database(StorageSettings(places.queue(number)), clock)
    await shard.open()
    opened.push_async_callback(shard.close)
    journal = JournalStore(shard)
    queue = QueueStore(shard, journal, clock)
    await queue.open()
    return queue, journal, shard
