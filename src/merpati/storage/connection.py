"""Opening a database file: pragmas, identity, integrity, migrations. Refuses, never overwrites."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib import resources
from pathlib import Path

import apsw

from merpati.storage.checksum import provide
from merpati.storage.errors import StorageError
from merpati.storage.foreign import translate
from merpati.storage.library import check_library

# A page goes into the log by two system calls and out of it by two, whatever it holds: with pages
# of 8 KiB a message of 10 KB takes 7 writes instead of 12, and 15 % more octets; with 16 KiB as
# many writes and twice the octets. A file that is there keeps the pages that it has.
_PRAGMAS = """
PRAGMA page_size=8192;
PRAGMA journal_mode=WAL;
PRAGMA synchronous=FULL;
PRAGMA cache_size=-{cache};
PRAGMA journal_size_limit=67108864;
"""
_STATEMENTS = 500
_PATIENCE = 10_000
"""Milliseconds that a lock of another process is waited for,"""
_SHORT_PATIENCE = 250
"""and where it is there for as long as it looks at the file, perhaps."""


class Kind(Enum):
    """What a file is for. The value is its folder of migrations."""

    SHARD = "shard"
    DIRECTORY = "directory"
    FEEDBACK = "feedback"

    @property
    def is_of_one(self) -> bool:
        """Whether one process alone has such a file open, but for commands that look."""
        return self is Kind.SHARD

    @property
    def application_id(self) -> int:
        """Written into the file's header (`file` and SQLite's own tools can show it)."""
        return {
            Kind.SHARD: 0x4D525054,
            Kind.DIRECTORY: 0x4D525044,
            Kind.FEEDBACK: 0x4D525046,
        }[self]


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """How one database file is kept and how commits are grouped."""

    path: Path
    kind: Kind = Kind.SHARD
    hold: float = 0.0005
    """Seconds that a commit waits for company while there is load; alone it never waits."""
    ride: float = 0.002
    """Seconds that settlements may wait for a commit to ride on.

    Each holds a permit to send meanwhile: 50 ms let a site with 20 permits have 317 messages/s.
    """
    riders: int = 32
    """That much of it is committed without waiting any longer."""
    batch: int = 256
    """Jobs of one commit at most."""
    cache: int = 16_000
    """KiB of pages that the writer keeps in memory."""
    log: int = 1000
    """Pages of the log from which on it is folded back into the file."""
    vfs: str = ""
    """The name of an apsw VFS; empty for the system's. Tests let the disk fail with it."""


def connect(settings: StorageSettings, *, is_alone: bool = False) -> apsw.Connection:
    """A connection that may write, to a file that is ours, sound and of this version.

    Raises StorageError; the file is then as it was. `is_alone`: nobody else may have it open, nor
    open it as long as this one does, and nothing is believed of how far the log was folded back.
    """
    check_library()
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    try:
        return _prepare(_open(settings, flags, is_alone=is_alone), settings)
    except apsw.Error as error:
        raise _refusal(translate(error, str(settings.path))) from error
    except UnicodeDecodeError as error:  # A migration has met text where there was none.
        raise _refusal(StorageError(f"{settings.path}: {error}", is_damaged=True)) from error
    except OSError as error:  # The migrations are files, too.
        raise StorageError(f"{settings.path} cannot be opened: {error}") from error


def _refusal(error: StorageError) -> StorageError:
    """What to do where there is no such file any more that SQLite can read."""
    if not error.is_damaged:
        return error
    advice = "it is left as it is, and `merpati verify` says what can be done"
    return StorageError(f"{error}; {advice}", is_damaged=True)


def change(settings: StorageSettings, work: Callable[[apsw.Connection], None]) -> None:
    """Open a file that nobody else works on, change it and close it. StorageError for a failure."""
    connection = connect(settings)
    try:
        work(connection)
    except apsw.Error as error:
        raise translate(error, str(settings.path)) from error
    finally:
        abandon(connection)


def connect_reader(settings: StorageSettings) -> apsw.Connection:
    """A connection for questions, to a file that `connect` has prepared."""
    try:
        connection = _open(settings, apsw.SQLITE_OPEN_READWRITE)
    except apsw.Error as error:
        raise translate(error, str(settings.path)) from error
    try:
        connection.execute("PRAGMA query_only=1; PRAGMA cache_size=-8000")
        if settings.kind.is_of_one:
            distrust(connection)  # Behind a writer that failed it would be the last to close.
    except apsw.Error as error:
        # Left open it would keep its lock for as long as somebody remembers the error.
        abandon(connection)
        raise translate(error, str(settings.path)) from error
    return connection


def distrust(connection: apsw.Connection) -> None:
    """Its close is to leave the log as it is: to fold it back would sync it again, and after a sync
    that failed the kernel may say yes to octets that it has dropped."""
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)


def abandon(connection: apsw.Connection) -> None:
    """Close without trusting the outcome: what matters was synced with its commit, and the next
    open recovers the rest."""
    # Closing checkpoints, and the disk may fail at that; apsw closes the handle all the same.
    with suppress(apsw.Error, OSError):
        connection.close(True)


def _open(settings: StorageSettings, flags: int, *, is_alone: bool = False) -> apsw.Connection:
    connection = apsw.Connection(
        str(settings.path), flags, settings.vfs or None, statementcachesize=_STATEMENTS
    )
    provide(connection)
    # From the first look on: another process may be recovering the same file.
    connection.set_busy_timeout(_SHORT_PATIENCE if is_alone else _PATIENCE)
    if is_alone:
        # Before the first look SQLite then takes no index of the log that others share, but makes
        # one of its own.
        connection.execute("PRAGMA locking_mode=EXCLUSIVE").fetchall()
    return connection


def _prepare(connection: apsw.Connection, settings: StorageSettings) -> apsw.Connection:
    try:
        version = check_identity(connection, settings)
        # All of them: each that answers keeps those behind it waiting until its rows are fetched.
        connection.execute(_PRAGMAS.format(cache=settings.cache)).fetchall()
        if settings.kind is Kind.DIRECTORY:
            # A trigger writes each row twice: of a key or a hash that goes nothing is to be left.
            connection.execute("PRAGMA secure_delete=ON").fetchall()
        if version:
            _check_integrity(connection, settings)
        _migrate(connection, settings.kind, version)
    except BaseException:
        abandon(connection)
        raise
    return connection


def check_identity(connection: apsw.Connection, settings: StorageSettings) -> int:
    """The file's schema version; 0 for a new, empty file. Nothing was written yet.

    StorageError for a file of another program or of a newer Merpati.
    """
    application, version, tables = connection.execute(
        "SELECT * FROM pragma_application_id, pragma_user_version, "
        "(SELECT count(*) FROM sqlite_schema)"
    ).get
    if (application, version, tables) == (0, 0, 0):
        return 0
    if application != settings.kind.application_id:
        raise StorageError(
            f"{settings.path} is a database of another program or purpose; "
            "move it away or name another data directory",
            is_damaged=True,
            is_foreign=True,
        )
    newest = newest_schema(settings.kind)
    if version > newest:
        raise StorageError(
            f"{settings.path} was written by a newer Merpati (schema {version}, this one knows "
            f"{newest}); run that version, or restore a backup made before the upgrade",
            is_damaged=True,
            is_foreign=True,
        )
    return int(version)


def _check_integrity(connection: apsw.Connection, settings: StorageSettings) -> None:
    """The tree that every other hangs on. A full check reads the whole file: `quick_check` is
    offered to operators, not run at each start of a queue of gigabytes."""
    answer = connection.execute("PRAGMA quick_check('sqlite_schema')").get
    if answer != "ok":
        raise StorageError(f"{settings.path} is damaged: {answer}", is_damaged=True)


def _migrate(connection: apsw.Connection, kind: Kind, version: int) -> None:
    for number, text in enumerate(migrations(kind)[version:], version + 1):
        # Not rolled back here: whatever fails closes the connection, and that undoes it.
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(text)
        connection.execute(f"PRAGMA user_version={number}")
        connection.execute(f"PRAGMA application_id={kind.application_id}")
        connection.execute("COMMIT")


def in_memory(kind: Kind, version: int | None = None) -> apsw.Connection:
    """An empty database of this kind, of the newest schema or of an earlier one."""
    connection = apsw.Connection(":memory:")
    provide(connection)
    for text in migrations(kind)[:version]:
        connection.execute(text)
    return connection


def newest_schema(kind: Kind) -> int:
    """The version that this program writes."""
    return len(migrations(kind))


@cache
def migrations(kind: Kind) -> tuple[str, ...]:
    """The SQL of every step, in order; the number of steps is the schema version.

    Read once a process: a package that is replaced under it must not mix two versions.
    """
    folder = resources.files("merpati.storage.migrations") / kind.value
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return tuple(file.read_text("utf-8") for file in files if file.name.endswith(".sql"))
