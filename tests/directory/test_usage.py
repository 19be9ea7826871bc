"""Both engines count accounts alike."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from merpati.directory.store import DirectoryStore
from merpati.directory.usage_store import UsageStore
from merpati.storage.connection import Kind, StorageSettings
from merpati.storage.database import Database
from merpati.testing.conformance.usage import CHECKS, Bench, Check
from merpati.testing.memory_directory import MemoryDirectory, MemoryUsage


@pytest.fixture(params=["memory", "sqlite"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    if request.param == "memory":
        directory = MemoryDirectory()
        yield Bench(MemoryUsage(directory), directory)
        return
    database = Database(StorageSettings(tmp_path / "directory.db", Kind.DIRECTORY))
    await database.open()
    usage = UsageStore(database)
    usage.open()
    yield Bench(usage, DirectoryStore(database))
    usage.close()
    await database.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_usage(check: Check, bench: Bench) -> None:
    await check(bench)
