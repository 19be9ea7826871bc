"""Keys for stamps take turns, and every engine keeps to it."""

from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest

from merpati.directory.stamps import KEPT, TURN, Stamps, StampStore
from merpati.storage.connection import Kind, StorageSettings
from merpati.storage.database import Database
from merpati.testing.clock import VirtualClock
from merpati.testing.memory_stamps import MemoryStamps

NOW = 1_800_000_000.0


@pytest.fixture(params=["memory", "sqlite"])
async def stamps(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stamps]:
    if request.param == "memory":
        yield MemoryStamps()
        return
    database = Database(StorageSettings(tmp_path / "d.db", Kind.DIRECTORY), VirtualClock())
    await database.open()
    numbers = count(1)
    store = StampStore(database, lambda size: bytes([next(numbers)]) * size)
    store.open()
    yield store
    store.close()
    await database.close()


async def test_the_first_stamp_makes_the_first_key(stamps: Stamps) -> None:
    assert not stamps.known()
    (key,) = await stamps.current(NOW)
    assert (key.made, len(key.secret)) == (NOW, 32)
    assert list(stamps.known()) == [key]
    assert list(await stamps.current(NOW + TURN)) == [key]
    assert "secret" not in repr(key)


async def test_a_key_makes_room_for_the_next_and_is_known_until_its_stamps_are_void(
    stamps: Stamps,
) -> None:
    (first,) = await stamps.current(NOW)
    second, old = await stamps.current(NOW + TURN + 1)
    assert old == first
    assert second.secret != first.secret
    known = await stamps.current(NOW + 2 * TURN + 2)
    assert [key.id for key in known] == [3, 2]
    assert TURN > KEPT


async def test_a_key_that_took_over_lately_does_not_end_the_one_before(stamps: Stamps) -> None:
    await stamps.current(NOW)
    await stamps.turn(NOW + 1)
    assert len(await stamps.turn(NOW + KEPT)) == 3
    assert len(await stamps.turn(NOW + KEPT + 2)) == 3


async def test_a_key_that_fell_into_wrong_hands_is_forgotten_with_all_before_it(
    stamps: Stamps,
) -> None:
    (first,) = await stamps.current(NOW)
    (only,) = await stamps.turn(NOW + 1, forget=True)
    assert only.secret != first.secret
    assert list(stamps.known()) == [only]
