"""A directory whose disk failed once answers again, over another handle."""

from pathlib import Path

import pytest

from merpati.directory.store import DirectoryStore
from merpati.storage.connection import Kind, StorageSettings
from merpati.storage.database import Database
from merpati.storage.errors import StorageError
from merpati.testing.disk import Fault, FaultDisk


async def test_a_handle_that_failed_to_read_is_not_asked_again(tmp_path: Path) -> None:
    fault = Fault()
    disk = FaultDisk(fault)
    settings = StorageSettings(tmp_path / "directory.db", Kind.DIRECTORY, vfs=disk.name)
    database = Database(settings)
    await database.open()
    directory = DirectoryStore(database)
    await directory.add_domain("a.test")
    await directory.open()
    fault.operations.clear()
    fault.at, fault.only = 1, "read"
    with pytest.raises(StorageError, match=r"directory\.db"):
        directory.is_local("a.test")
    fault.operations.clear()
    fault.at, fault.only = 0, "open"
    assert directory.is_local("a.test")
    assert "open" in fault.operations
    directory.close()
    with pytest.raises(StorageError, match="not open"):
        directory.is_local("b.test")
    await database.close()
