"""What the disk gives back is compared with what was accepted before anybody is given the end."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from merpati.journal.events import Held
from merpati.journal.store import JournalStore
from merpati.mail.envelope import Body
from merpati.queue.entry import Entry, State
from merpati.queue.reading import checksum_of
from merpati.queue.rows import CHUNK, decode_entry, encode_entry
from merpati.queue.store import QueueStore
from merpati.storage.checksum import has_checksum
from merpati.storage.connection import StorageSettings
from merpati.storage.database import Database
from merpati.storage.errors import StorageError
from merpati.testing.clock import VirtualClock
from merpati.testing.conformance.bench import NOW, an_entry, becomes

LARGE = bytes(range(250)) * 2400
SMALL = b"Subject: x\r\n\r\nhello\r\n"
SPOILT = {
    "a flipped bit": "UPDATE chunk SET octets = CAST(x'ff' || substr(octets, 2) AS BLOB) "
    "WHERE id & 65535 = 0",
    "octets of another message": "UPDATE chunk SET octets = zeroblob(length(octets))",
    "a lost piece": "DELETE FROM chunk WHERE id & 65535 = (SELECT max(id & 65535) FROM chunk)",
    "an octet too many": "UPDATE chunk SET octets = CAST(octets || x'00' AS BLOB) WHERE id = "
    "(SELECT max(id) FROM chunk)",
    "text instead of octets": "UPDATE chunk SET octets = substr(hex(octets), 1, length(octets))",
    "an octet too few": "UPDATE chunk SET octets = substr(octets, 2) WHERE id & 65535 = 0",
}


class Store:
    """A queue in a file, with ways to spoil what is in it."""

    def __init__(self, path: Path) -> None:
        self.database = Database(StorageSettings(path, ride=0.0))
        self.journal = JournalStore(self.database)
        self.queue = QueueStore(self.database, self.journal, VirtualClock(NOW))

    async def put(self, content: bytes, *, streamed: bool = False, number: int = 1) -> Entry:
        entry = an_entry(number, size=len(content))
        if not streamed:
            await self.queue.put(entry, Body((content[:7], content[7:])))
            return entry
        draft = self.queue.draft()
        await draft.write(content)
        await self.queue.put(entry, draft)
        return entry

    async def read(self, entry: Entry) -> tuple[bytes, str]:
        """What was given out, and why no more was."""
        given = b""
        try:
            async for piece in self.queue.read(entry.id):
                given += piece
        except StorageError as error:
            return given, str(error) if error.is_damaged else "not called damaged"
        return given, ""

    async def spoil(self, statement: str) -> None:
        await self.database.write(lambda db: db.execute(statement).fetchall())


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(tmp_path / "0.db")
    await store.database.open()
    await store.queue.open()
    yield store
    await store.database.close()


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
async def test_what_is_whole_is_given_whole(store: Store, content: bytes, streamed: bool) -> None:
    entry = await store.put(content, streamed=streamed)
    assert await store.read(entry) == (content, "")
    kept = await store.database.read(lambda db: db.execute("SELECT checksum FROM message").get)
    assert kept == checksum_of([content])


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("how", SPOILT)
async def test_nobody_is_given_the_end_of_a_damaged_message(
    store: Store, content: bytes, streamed: bool, how: str
) -> None:
    entry = await store.put(content, streamed=streamed)
    await store.spoil(SPOILT[how])
    given, why = await store.read(entry)
    last = (len(content) - 1) // CHUNK * CHUNK
    assert len(given) <= last
    assert why.startswith(f"the content of {entry.id} is damaged: ")


async def test_without_a_checksum_the_octets_are_counted_alone(store: Store) -> None:
    entry = await store.put(SMALL)
    await store.spoil("UPDATE message SET checksum = NULL")
    await store.spoil(SPOILT["octets of another message"])
    assert await store.read(entry) == (bytes(len(SMALL)), "")
    await store.spoil(SPOILT["an octet too many"])
    assert (await store.read(entry))[1].endswith("22 octets are where 21 were stored")


async def test_an_entry_with_one_wrong_bit_is_held_and_not_sent_to_another(store: Store) -> None:
    entry = await store.put(SMALL)
    for claim in await store.queue.claim(NOW, 10):
        await store.queue.settle(becomes(claim, State.WAITING, due=NOW))
    flipped = encode_entry(entry).replace(b"bob", b"cob")
    await store.database.write(
        lambda db: db.execute("UPDATE message SET entry = ?", (flipped,)).fetchall()
    )
    assert await store.queue.claim(NOW, 10) == []
    (held,) = await store.journal.story(entry.id)
    assert isinstance(held, Held)
    assert held.why == "an entry cannot be read: its checksum does not match"


def test_an_entry_stored_before_checksums_were_kept_is_read() -> None:
    entry = an_entry(1)
    encoded = encode_entry(entry)
    assert has_checksum(encoded)
    assert not has_checksum(encoded[5:])
    assert decode_entry(encoded[5:]) == entry
