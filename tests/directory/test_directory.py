"""Both directories keep the promises."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from merpati.directory.store import DirectoryStore
from merpati.storage.connection import Kind, StorageSettings
from merpati.storage.database import Database
from merpati.testing.conformance.directory import CHECKS, Check, Engine
from merpati.testing.memory_directory import MemoryDirectory


@pytest.fixture(params=["memory", "sqlite"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    if request.param == "memory":
        yield MemoryDirectory()
        return
    database = Database(StorageSettings(tmp_path / "directory.db", Kind.DIRECTORY))
    await database.open()
    directory = DirectoryStore(database)
    await directory.open()
    yield directory
    directory.close()
    await database.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_a_directory(check: Check, engine: Engine) -> None:
    await check(engine)
