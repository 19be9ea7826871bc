"""Whatever is damaged in a queue is found and named; what is sound is not accused."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import apsw
import pytest
from msgspec import structs

from merpati.config.places import Places
from merpati.journal.verifying import verify_journal
from merpati.queue.repairing import repair_queue
from merpati.queue.rows import CHUNK
from merpati.queue.verifying import verify_queue
from merpati.storage.connection import Kind, StorageSettings, change
from merpati.storage.finding import Damage, Finding
from merpati.storage.inspection import inspected, integrity
from merpati.system.stores import open_stores
from merpati.testing.clock import VirtualClock
from tests.upgrade import sample

Spoil = Callable[[str], None]

FRESH, DEFERRED, LARGE, HELD, REFUSED, MAILBOX = (
    sample.entry(n, subject).id for n, subject in enumerate(sample.MESSAGES)
)


@pytest.fixture
async def shard(tmp_path: Path) -> Path:
    """A queue with mail in every state."""
    places = Places(tmp_path)
    async with open_stores(places, VirtualClock(sample.RECEIVED)) as stores:
        await sample.fill(stores)
    return places.queue()


@pytest.fixture
async def spoil(shard: Path) -> AsyncIterator[Spoil]:
    connection = apsw.Connection(str(shard))
    yield lambda statement: connection.execute(statement).fetchall()  # type: ignore[misc,return-value]
    connection.close()


def found_in(shard: Path) -> list[Finding]:
    with inspected(shard, Kind.SHARD) as connection:
        checks = (
            integrity(connection),
            verify_queue(connection, count),
            verify_journal(connection, count),
        )
        return [finding for check in checks for finding in check]


def count(things: str, number: int) -> None:
    looked_at[things] = looked_at.get(things, 0) + number


looked_at: dict[str, int] = {}


def test_a_sound_queue_is_looked_at_whole_and_not_accused(shard: Path) -> None:
    looked_at.clear()
    assert found_in(shard) == []
    assert looked_at == {
        "messages": 6,
        "recipients": 6,
        "debts": 1,
        "octets": sum(len(sample.octets(subject)) for subject in sample.MESSAGES),
        "events": 12,
    }


async def test_what_stands_on_top_of_a_streamed_message_is_counted_apart(tmp_path: Path) -> None:
    """Its last chunk is full, so that one octet more would be another chunk."""
    places = Places(tmp_path)
    head, octets = b"X: y\r\n", bytes(2 * CHUNK)
    whole = sample.entry(0, next(iter(sample.MESSAGES)))
    entry = structs.replace(whole, size=len(head) + len(octets), head=head)
    async with open_stores(places, VirtualClock(sample.RECEIVED)) as stores:
        draft = stores.queue.draft()
        await draft.write(octets)
        await stores.queue.put(entry, draft)
    assert found_in(places.queue()) == []


PAGE = 8192
"""Octets; `storage.connection` says why."""
CHUNK_OF = "(SELECT id << 16 FROM message WHERE public = '{}')"
ENVELOPE_OF = "UPDATE message SET entry = CAST(replace(entry, {}) AS BLOB) WHERE public = '{}'"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statement", "damage", "message"),
    [
        (
            "UPDATE chunk SET octets = CAST('X' || substr(octets, 2) AS BLOB) WHERE id = "
            + CHUNK_OF.format(FRESH),
            Damage.CONTENT,
            FRESH,
        ),
        (
            "DELETE FROM chunk WHERE id = 1 + " + CHUNK_OF.format(LARGE),
            Damage.CONTENT,
            LARGE,
        ),
        (
            "UPDATE chunk SET octets = zeroblob(262144) WHERE id = 1 + " + CHUNK_OF.format(LARGE),
            Damage.CONTENT,
            LARGE,
        ),
        (
            "INSERT INTO chunk SELECT 9 + " + CHUNK_OF.format(LARGE) + ", x'00'",
            Damage.LEFTOVER,
            LARGE,
        ),
        ("INSERT INTO chunk VALUES (99 << 16, x'00')", Damage.LEFTOVER, ""),
        (ENVELOPE_OF.format("CAST('budi' AS BLOB), 'dudi'", DEFERRED), Damage.ENVELOPE, DEFERRED),
        (f"UPDATE message SET entry = x'c1' WHERE public = '{HELD}'", Damage.ENVELOPE, HELD),
        (f"UPDATE message SET expires = 9 WHERE public = '{HELD}'", Damage.ENVELOPE, HELD),
        (
            "UPDATE recipient SET address = 'eve@b.test' WHERE address = 'budi@b.test'",
            Damage.ENVELOPE,
            DEFERRED,
        ),
        ("UPDATE recipient SET n = 7 WHERE address = 'eko@b.test'", Damage.ENVELOPE, HELD),
        ("UPDATE recipient SET state = 5 WHERE address = 'eko@b.test'", Damage.ENVELOPE, HELD),
        (
            "DELETE FROM recipient WHERE address = 'bob@b.test'",
            Damage.RECIPIENT,
            FRESH,
        ),
        (f"DELETE FROM message WHERE public = '{HELD}'", Damage.ROWS, ""),
        ("UPDATE owed SET message = 99", Damage.DEBT, ""),
        ("UPDATE owed SET n = 3", Damage.DEBT, REFUSED),
        (f"UPDATE message SET stays = 0 WHERE public = '{MAILBOX}'", Damage.HIDDEN, MAILBOX),
        ("UPDATE lane SET waiting = 0 WHERE domain = 'b.test'", Damage.HIDDEN, ""),
        ("UPDATE lane SET ready = NULL WHERE domain = 'b.test'", Damage.HIDDEN, ""),
        ("UPDATE lane SET ready = 9e9 WHERE domain = 'b.test'", Damage.HIDDEN, ""),
        ("UPDATE site SET ready = NULL WHERE name = 'b.test'", Damage.HIDDEN, ""),
        ("DELETE FROM site WHERE name = 'b.test'", Damage.HIDDEN, ""),
        ("UPDATE event SET body = x'7b' WHERE seq = 3", Damage.EVENT, LARGE),
        (f"UPDATE event SET thread = '{HELD}' WHERE seq = 1", Damage.EVENT, HELD),
        (
            "UPDATE event SET body = CAST(replace(body, CAST('eko@b' AS BLOB), 'eco@b') AS BLOB) "
            f"WHERE thread = '{HELD}'",
            Damage.EVENT,
            HELD,
        ),
        ("UPDATE event SET thread = CAST(x'ff' AS TEXT) WHERE seq = 1", Damage.ROWS, ""),
        (
            "UPDATE party SET address = 'b.test@eco' WHERE address = 'b.test@eko'",
            Damage.EVENT,
            HELD,
        ),
    ],
)
def test_what_is_damaged_is_named(
    shard: Path, spoil: Spoil, statement: str, damage: Damage, message: str
) -> None:
    spoil(statement)
    named = {(one.damage, one.message) for one in found_in(shard)}
    assert (damage, message) in named
    assert {one for one, _ in named} <= {damage, Damage.LEFTOVER, Damage.RECIPIENT}
    assert all(one.lost and one.next for one, _ in named)


@pytest.mark.slow
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE lane SET waiting = 0, ready = NULL",
        "UPDATE site SET ready = 9e9",
        "DELETE FROM site",
        "DELETE FROM lane",
        "UPDATE message SET stays = 0",
    ],
)
def test_what_follows_from_the_rest_is_counted_again(
    shard: Path, spoil: Spoil, statement: str
) -> None:
    spoil(statement)
    assert {one.damage for one in found_in(shard)} == {Damage.HIDDEN}
    change(StorageSettings(shard), repair_queue)
    assert found_in(shard) == []


def test_a_recipient_whose_end_the_journal_told_is_not_missed(shard: Path, spoil: Spoil) -> None:
    spoil(
        "INSERT INTO event SELECT 100, 1, thread, CAST(json_object('kind', 'expired', 'at', 1, "
        f"'message', thread, 'address', 'bob@b.test') AS BLOB) FROM event WHERE thread = '{FRESH}'"
    )
    spoil("DELETE FROM recipient WHERE address = 'bob@b.test'")
    assert found_in(shard) == []


def test_a_forgotten_beginning_accuses_nobody(shard: Path, spoil: Spoil) -> None:
    spoil(f"DELETE FROM event WHERE thread = '{FRESH}'")
    spoil("DELETE FROM recipient WHERE address = 'bob@b.test'")
    assert found_in(shard) == []


@pytest.mark.slow
@pytest.mark.parametrize("table", ["message", "recipient", "chunk", "event", "lane"])
def test_pages_that_cannot_be_read_are_named_and_the_rest_is_looked_at(
    shard: Path, spoil: Spoil, table: str
) -> None:
    spoil("PRAGMA wal_checkpoint(TRUNCATE)")
    connection = apsw.Connection(str(shard))
    page = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).get
    connection.close()
    with shard.open("r+b") as file:
        file.seek((int(page) - 1) * PAGE)
        file.write(b"\xff" * PAGE)
    looked_at.clear()
    findings = found_in(shard)
    assert Damage.FILE in {one.damage for one in findings}
    assert all(one.detail for one in findings)
    if table != "event":
        assert looked_at["events"] == 12
    else:
        assert looked_at["messages"] == 6
