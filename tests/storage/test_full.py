"""A disk without space is told as what it is, whichever way SQLite puts it."""

import errno
from pathlib import Path

import apsw
import pytest

from merpati.storage.connection import StorageSettings, connect
from merpati.storage.errors import StorageError
from merpati.storage.foreign import loses_trust, translate
from merpati.testing.disk import Fault, FaultDisk


def an_error(code: int) -> apsw.Error:
    error = apsw.exception_for(code)
    assert isinstance(error, apsw.Error)
    return error


@pytest.mark.parametrize("code", [apsw.SQLITE_FULL, apsw.SQLITE_IOERR_SHMSIZE])
def test_no_space_is_named(code: int) -> None:
    told = translate(an_error(code), "var/queue-0.db")
    assert told.is_full
    assert str(told).startswith("var/queue-0.db: no space left on the disk")


def test_another_error_of_the_disk_is_not_taken_for_a_full_one() -> None:
    assert not translate(an_error(apsw.SQLITE_IOERR_WRITE), "x").is_full


def test_a_handle_without_room_for_its_index_is_not_used_again() -> None:
    assert loses_trust(an_error(apsw.SQLITE_IOERR_SHMSIZE))


# Closing folds the log back, which fails as well; apsw reports here what has no caller to go to.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_disk_that_fills_up_at_the_first_start_is_named_wherever_it_does(tmp_path: Path) -> None:
    disk = FaultDisk(Fault(lasting=10**9, code=errno.ENOSPC, only="write"))
    whole = connect(StorageSettings(tmp_path / "whole.db", vfs=disk.name))
    writes = len(disk.fault.operations)
    whole.close()
    for n in range(1, writes + 1):
        disk.fault.at = n
        disk.fault.operations.clear()
        with pytest.raises(StorageError, match="no space left on the disk"):
            connect(StorageSettings(tmp_path / f"{n}.db", vfs=disk.name))
    assert writes > 10
