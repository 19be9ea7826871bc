"""Reading a database file without trusting it and without holding up whoever writes it.

Every look is one short snapshot, since a long one keeps the write-ahead log from being folded back;
only SQLite's own check needs a long one. What cannot be read is stepped over and told.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from merpati.storage.connection import Kind, StorageSettings, check_identity, newest_schema
from merpati.storage.errors import StorageError
from merpati.storage.finding import Damage, Finding
from merpati.storage.foreign import translate

Seen = Callable[[str, int], None]
"""Told what was looked at: `("messages", 1)`."""

UNREADABLE = (apsw.CorruptError, apsw.IOError, apsw.NotADBError)
"""What SQLite says of pages that are not as they should be."""

_TOLD = 100
_ONE_BY_ONE = 64


@contextmanager
def inspected(path: Path, kind: Kind) -> Iterator[apsw.Connection]:
    """A connection that cannot write. StorageError for a file that is not ours or of another
    format than the present one."""
    try:
        connection = apsw.Connection(str(path), apsw.SQLITE_OPEN_READONLY)
    except apsw.Error as error:
        raise translate(error, str(path)) from error
    try:
        connection.set_busy_timeout(10_000)
        _check_version(connection, path, kind)
        yield connection
    finally:
        connection.close(True)


def _check_version(connection: apsw.Connection, path: Path, kind: Kind) -> None:
    try:
        version = check_identity(connection, StorageSettings(path, kind))
    except apsw.Error as error:
        raise translate(error, str(path)) from error
    if version < newest_schema(kind):
        raise StorageError(
            f"{path} has the format of an earlier Merpati (schema {version}): "
            "start the server once, and it is brought up to date"
        )


def integrity(connection: apsw.Connection) -> Iterator[Finding]:
    """SQLite's own check of every page and index, in one snapshot."""
    try:
        answers = connection.execute(f"PRAGMA integrity_check({_TOLD})").fetchall()
    except apsw.Error as error:
        yield Finding(Damage.FILE, str(error))
        return
    yield from (Finding(Damage.FILE, str(text)) for (text,) in answers if text != "ok")


def walk(
    page_behind: Callable[[int], Sequence[tuple[Any, ...]]], last: int, what: str
) -> Iterator[Sequence[tuple[Any, ...]] | Finding]:
    """Pages of rows that begin with their key, each behind the key before; or a range of keys that
    cannot be read, one by one at first, then in larger steps."""
    after, failed, since = 0, 0, 0
    while after <= last:
        try:
            page = page_behind(after)
        except UNREADABLE:
            since = since or after + 1
            failed += 1
            after += max(1, 2 ** (failed - _ONE_BY_ONE)) if failed > _ONE_BY_ONE else 1
            continue
        if since:
            yield Finding(Damage.ROWS, f"{what} {since} to {after} cannot be read")
            failed = since = 0
        if not page:
            return
        yield page
        after = page[-1][0]
    if since:
        yield Finding(Damage.ROWS, f"{what} from {since} on cannot be read")


def last_key(connection: apsw.Connection, table: str, column: str = "id") -> int:
    """The greatest key of a table, or the greatest possible when that cannot be read."""
    try:
        found = connection.execute(f"SELECT max({column}) FROM {table}").get  # noqa: S608 - constants
    except UNREADABLE:
        return 2**62
    return int(found or 0)
