"""Both journals keep the promises."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from merpati.journal.journal import Journal
from merpati.journal.store import JournalStore
from merpati.storage.connection import StorageSettings
from merpati.storage.database import Database
from merpati.testing.conformance.journal import CHECKS, Check
from merpati.testing.memory import MemoryJournal


@pytest.fixture(params=["memory", "sqlite"])
async def journal(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Journal]:
    if request.param == "memory":
        yield MemoryJournal()
        return
    database = Database(StorageSettings(tmp_path / "0.db"))
    await database.open()
    yield JournalStore(database)
    await database.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_a_journal(check: Check, journal: Journal) -> None:
    await check(journal)
