"""Reading a database file without trusting it and without holding up whoever writes it.

Every look is one short snapshot, since a long one keeps the write-ahead log from being folded back;
only SQLite's own check needs a long one. What cannot be read is stepped over and told.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from merpati.storage.checksum import provide
from merpati.storage.connection import Kind, StorageSettings, check_identity, newest_schema
from merpati.storage.errors import StorageError
from merpati.storage.finding import Damage, Finding
from merpati.storage.foreign import translate
from merpati.storage.rows import rows
from merpati.storage.schema import differences

Seen = Callable[[str, int], None]
"""Told what was looked at: `("messages", 1)`."""

UNREADABLE = (apsw.CorruptError, apsw.IOError, apsw.NotADBError, UnicodeDecodeError)
"""What SQLite says of pages that are not as they should be, and apsw of text that is none."""

_TOLD = 100
_ONE_BY_ONE = 64
_PAGE = 512
"""Rows that are looked at together."""


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
        provide(connection)
        _check_version(connection, path, kind)
        yield connection
    finally:
        connection.close(True)


def _check_version(connection: apsw.Connection, path: Path, kind: Kind) -> None:
    try:
        version = check_identity(connection, StorageSettings(path, kind))
        is_earlier = version < newest_schema(kind)
        different = list(differences(connection, kind, version)) if is_earlier else []
    except apsw.SQLError as error:  # Of a statement that is never wrong by itself.
        raise StorageError(f"{path}: {error}", is_damaged=True) from error
    except apsw.Error as error:
        raise translate(error, str(path)) from error
    if is_earlier:
        if different:
            raise StorageError(f"{path}: {different[0]}", is_damaged=True)
        raise StorageError(
            f"{path} has the format of an earlier Merpati (schema {version}): "
            "start the server once, and it is brought up to date"
        )


def schema(connection: apsw.Connection, kind: Kind) -> Iterator[Finding]:
    """What is not as it was made: tables, their columns, indexes and triggers."""
    try:
        for text in differences(connection, kind, newest_schema(kind)):
            yield Finding(Damage.FILE, text)
    except (*UNREADABLE, apsw.SQLError) as error:  # The latter of a statement that is never wrong.
        yield Finding(Damage.FILE, str(error))


def integrity(connection: apsw.Connection) -> Iterator[Finding]:
    """SQLite's own check of every page and index, in one snapshot."""
    try:
        answers = connection.execute(f"PRAGMA integrity_check({_TOLD})").fetchall()
    except apsw.Error as error:
        yield Finding(Damage.FILE, str(error))
        return
    yield from (Finding(Damage.FILE, str(text)) for (text,) in answers if text != "ok")


def walk(
    connection: apsw.Connection, query: str, last: int, what: str
) -> Iterator[Sequence[tuple[Any, ...]] | Finding]:
    """Pages of rows that begin with their key; or a range of keys that cannot be read, one by one
    at first, then in larger steps. `query` asks for those behind a key, and so many at most."""
    after, failed, since, most = 0, 0, 0, _PAGE
    while after <= last:
        try:
            page = rows(connection, query, (after, most))
        except UNREADABLE:
            if most > 1:
                most //= 2
                continue
            since = since or after + 1
            failed += 1
            after += max(1, 2 ** (failed - _ONE_BY_ONE)) if failed > _ONE_BY_ONE else 1
            continue
        if since:
            yield Finding(Damage.ROWS, f"{what} {since} to {after} cannot be read")
            failed = since = 0
        if not page:
            return
        most = min(2 * most, _PAGE)
        yield page
        # A key that the disk has changed may be less than the one before, or no number.
        after = max(after + 1, *(key for key, *_ in page if isinstance(key, int)))
    if since:
        yield Finding(Damage.ROWS, f"{what} from {since} on cannot be read")


def last_key(connection: apsw.Connection, table: str, column: str = "id") -> int:
    """The greatest key of a table, or the greatest possible when that cannot be read."""
    try:
        found = connection.execute(f"SELECT max({column}) FROM {table}").get  # noqa: S608 - constants
    except UNREADABLE:
        return 2**62
    return int(found or 0)
