"""What looks damaged to a reader is looked at once more, over a fresh handle."""

from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from merpati.storage.connection import StorageSettings
from merpati.storage.database import Database
from merpati.storage.errors import StorageError


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(StorageSettings(tmp_path / "0.db"))
    await database.open()
    yield database
    await database.close()


class Question:
    """Fails as a damaged file does, so many times; keeps the handles that it was asked over."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.handles: list[apsw.Connection] = []

    def __call__(self, connection: apsw.Connection) -> str:
        self.handles.append(connection)
        if len(self.handles) <= self.failures:
            raise apsw.CorruptError("database disk image is malformed")
        return "an answer"


async def test_a_read_that_failed_once_is_no_damage(database: Database) -> None:
    question = Question(failures=1)
    assert await database.read(question) == "an answer"
    first, second = question.handles
    assert first is not second


async def test_what_a_fresh_handle_finds_damaged_is(database: Database) -> None:
    question = Question(failures=2)
    with pytest.raises(StorageError) as caught:
        await database.read(question)
    assert caught.value.is_damaged
    assert len(question.handles) == 2
