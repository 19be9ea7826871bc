"""Both stores of keys keep the promises, and a file with keys is private."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from merpati.directory.key_store import KeyStore, keep_private
from merpati.directory.keys import KeyState
from merpati.storage.connection import Kind, StorageSettings
from merpati.storage.database import Database
from merpati.storage.errors import StorageError
from merpati.testing.conformance.keys import CHECKS, Check, Engine, a_key
from merpati.testing.memory_keys import MemoryKeys


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(StorageSettings(tmp_path / "directory.db", Kind.DIRECTORY))
    await database.open()
    yield database
    await database.close()


@pytest.fixture(params=["memory", "sqlite"])
async def engine(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[Engine]:
    if request.param == "memory":
        yield MemoryKeys()
        return
    keys = KeyStore(database)
    keys.open()
    yield keys
    keys.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_a_store_of_keys(check: Check, engine: Engine) -> None:
    await check(engine)


async def test_the_file_is_made_private(database: Database) -> None:
    path = database.settings.path
    path.chmod(0o644)
    keys = KeyStore(database)
    keys.open()
    assert path.stat().st_mode & 0o777 == 0o600
    keys.close()


async def test_keys_that_are_not_open_cannot_be_asked_for(database: Database) -> None:
    with pytest.raises(StorageError, match="not open"):
        KeyStore(database).active("a.test")


async def test_a_new_key_that_signs_at_once_is_a_mistake_of_ours(database: Database) -> None:
    keys = KeyStore(database)
    with pytest.raises(ValueError, match="published before it signs"):
        await keys.add_key(replace(a_key("one"), state=KeyState.ACTIVE))


def test_a_file_that_cannot_be_made_private_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="others may read"):
        keep_private(tmp_path / "missing.db")


def test_a_private_key_is_not_shown_by_accident() -> None:
    assert b"private".decode() not in repr(a_key("one"))


async def test_a_removed_key_is_not_in_the_file_any_more(tmp_path: Path) -> None:
    path = tmp_path / "directory.db"
    database = Database(StorageSettings(path, Kind.DIRECTORY))
    await database.open()
    keys = KeyStore(database)
    keys.open()
    await keys.add_key(a_key("one"))
    await keys.remove_key("a.test", "one", 1.0, force=True)
    keys.close()
    await database.close()
    schema = (b"private BLOB", b"private)")
    stored = path.read_bytes()
    for words in schema:
        stored = stored.replace(words, b"")
    assert b"private" not in stored
