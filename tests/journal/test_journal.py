"""Both journals keep the promises."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from merpati.journal.events import Lifecycle
from merpati.journal.journal import Journal
from merpati.journal.store import JournalSettings, JournalStore
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


@pytest.mark.parametrize("spoilt", [b"", b"{", b'{"type":"server","at":1}', b'{"type":"\xff"}'])
async def test_a_damaged_row_says_so_and_the_rest_is_followed(
    tmp_path: Path, spoilt: bytes
) -> None:
    database = Database(StorageSettings(tmp_path / "0.db"))
    await database.open()
    # Without its memory: what was just written would be told from there.
    journal = JournalStore(database, JournalSettings(recent=0))
    first, second = (Lifecycle(at=at, what="started") for at in (1.0, 2.0))
    await journal.append([first, second])
    spoil = "UPDATE event SET body = ? WHERE seq = 1"
    await database.write(lambda db: db.execute(spoil, (spoilt,)).fetchall())
    (_, damaged), (_, after) = await journal.follow(0, 10)
    assert isinstance(damaged, Lifecycle)
    assert damaged.what == "damaged event"
    assert after == second
    await database.close()
