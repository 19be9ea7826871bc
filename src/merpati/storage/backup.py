"""A copy of a database file while others write it.

VACUUM INTO reads one snapshot and writes a new file without the free pages. Measured beside a
writer (293 MiB, 2 cores): 1.1 s where SQLite's backup API takes 1.9 s, and 0.1 s instead of 2.0 s
when nine tenths are free, as in a queue that was long once; the writer goes on, and the write-ahead
log grows by what it writes meanwhile. Structure that is damaged ends it, where the API copies it.
"""

import os
from pathlib import Path

import apsw

from merpati.storage.connection import Kind, StorageSettings, check_identity
from merpati.storage.errors import StorageError
from merpati.storage.foreign import translate


def copy_database(source: Path, kind: Kind, target: Path) -> None:
    """Everything that was committed when this began, in a new file that is synced.

    StorageError when the source is not ours or is damaged, or the target cannot be written.
    """
    try:
        connection = apsw.Connection(str(source), apsw.SQLITE_OPEN_READONLY)
    except apsw.Error as error:
        raise translate(error, str(source)) from error
    try:
        connection.set_busy_timeout(10_000)
        check_identity(connection, StorageSettings(source, kind))
        connection.execute("VACUUM INTO ?", (str(target),)).fetchall()
    except apsw.Error as error:
        raise translate(error, f"{source} to {target}") from error
    finally:
        connection.close(True)
    sync(target)


def check_copy(copy: Path, kind: Kind) -> None:
    """StorageError when a copy that nobody works on is not ours, or of a newer version."""
    try:
        connection = apsw.Connection(
            f"{copy.resolve().as_uri()}?immutable=1",
            apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI,
        )
    except apsw.Error as error:
        raise translate(error, str(copy)) from error
    try:
        if not check_identity(connection, StorageSettings(copy, kind)):
            raise StorageError(f"{copy} is empty", is_damaged=True)
    except apsw.Error as error:
        raise translate(error, str(copy)) from error
    finally:
        connection.close(True)


def sync(path: Path) -> None:
    """Return when a file, or the names in a directory, are on stable storage."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
