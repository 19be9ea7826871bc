"""Both stores of tallies keep the promises."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from merpati.feedback.tallies import Tallies
from merpati.feedback.tally_store import TallyStore
from merpati.storage.connection import Kind, StorageSettings
from merpati.storage.database import Database
from merpati.testing.conformance.tallies import BOUNDS, CHECKS, SCARCE, SCARCE_CHECKS, Check, tally
from merpati.testing.memory_tallies import MemoryTallies


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(StorageSettings(tmp_path / "feedback.db", Kind.FEEDBACK))
    await database.open()
    yield database
    await database.close()


@pytest.fixture(params=["memory", "sqlite"])
def engine(request: pytest.FixtureRequest, database: Database) -> Tallies:
    return MemoryTallies(BOUNDS) if request.param == "memory" else TallyStore(database, BOUNDS)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_a_store_of_tallies(check: Check, engine: Tallies) -> None:
    await check(engine)


@pytest.mark.parametrize("check", SCARCE_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_room_is_shared_fairly(check: Check, kind: str, database: Database) -> None:
    await check(MemoryTallies(SCARCE) if kind == "memory" else TallyStore(database, SCARCE))


async def test_two_workers_share_one_file(tmp_path: Path) -> None:
    """Each with a connection of its own, as processes have them."""
    settings = StorageSettings(tmp_path / "feedback.db", Kind.FEEDBACK)
    databases = [Database(settings), Database(settings)]
    for database in databases:
        await database.open()
    first, second = map(TallyStore, databases)
    await first.add(0, 5, [tally(x=1)])
    await second.add(1, 9, [tally(x=2)])
    taken = [await first.take(0, 5000.0, 6000.0), await second.take(1, 5000.0, 6000.0)]
    assert [dict(due.rows) if due else None for due in taken] == [{b"x": 3}, None]
    for database in databases:
        await database.close()
