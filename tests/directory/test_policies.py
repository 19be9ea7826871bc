"""Both keepers of MTA-STS policies keep the promises."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from merpati.delivery.sts.policies import PolicyKeeper
from merpati.directory.policies import PolicyRoom, PolicyStore
from merpati.storage.connection import Kind, StorageSettings
from merpati.storage.database import Database
from merpati.testing.conformance.policies import CHECKS, Check, used
from merpati.testing.memory_policies import MemoryPolicies


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(StorageSettings(tmp_path / "directory.db", Kind.DIRECTORY))
    await database.open()
    yield database
    await database.close()


@pytest.fixture(params=["memory", "sqlite"])
def keeper(request: pytest.FixtureRequest, database: Database) -> PolicyKeeper:
    return MemoryPolicies() if request.param == "memory" else PolicyStore(database)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_a_keeper_of_policies(check: Check, keeper: PolicyKeeper) -> None:
    await check(keeper)


async def test_two_workers_fill_one_room(database: Database) -> None:
    """Each has the file open for itself, and nobody else's count to go by."""
    other = Database(database.settings)
    await other.open()
    stores = (PolicyStore(database), PolicyStore(other))
    room = PolicyRoom(domains=2, unused=0.0)
    for n in range(4):
        assert await stores[n % 2].keep(used(f"d{n}.test", float(n)), room)
    assert [await store.count() for store in stores] == [(0, 2), (0, 2)]
    await stores[0].use("d3.test", 9.0, 50.0, is_ours=True)
    claimed = await stores[1].claim(50.0, 400.0)
    assert claimed is not None
    assert (claimed.domain, claimed.used, claimed.is_ours) == ("d3.test", 9.0, True)
    assert await stores[0].claim(50.0, 400.0) is None
    await other.close()
