"""A file is opened if it is ours and sound; anything else is refused and left as it was."""

import errno
from pathlib import Path

import apsw
import pytest

from merpati.storage.connection import Kind, StorageSettings, connect, migrations, newest_schema
from merpati.storage.errors import StorageError
from merpati.storage.library import check_library, is_safe
from merpati.storage.lock import Lock
from tests.cases import each


def refused(path: Path, kind: Kind = Kind.SHARD) -> str:
    before = path.read_bytes()
    with pytest.raises(StorageError) as refusal:
        connect(StorageSettings(path, kind))
    assert refusal.value.is_damaged
    assert path.read_bytes() == before
    return str(refusal.value)


def test_a_text_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "0.db"
    path.write_text("this is a letter, not a database\n" * 200)
    assert "file is not a database; it is left as it is, and `merpati verify`" in refused(path)


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "0.db"
    other = apsw.Connection(str(path))
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    assert "another program" in refused(path)


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "0.db"
    connection = connect(StorageSettings(path))
    connection.execute("PRAGMA user_version=99")
    connection.close()
    assert "newer Merpati (schema 99" in refused(path)


def test_a_directory_is_no_shard(tmp_path: Path) -> None:
    path = tmp_path / "directory.db"
    connect(StorageSettings(path, Kind.DIRECTORY)).close()
    assert "another program or purpose" in refused(path)


def test_a_new_file_is_synced_fully_and_written_ahead(tmp_path: Path) -> None:
    settings = StorageSettings(tmp_path / "0.db")
    connection = connect(settings)
    assert connection.pragma("journal_mode") == "wal"
    assert connection.pragma("synchronous") == 2
    assert connection.pragma("page_size") == 8192
    assert connection.pragma("cache_size") == -settings.cache
    assert connection.pragma("journal_size_limit") == 64 * 1024 * 1024
    connection.close()


@each(
    ("version", "safe"),
    [
        ("3.40.1", False),
        ("3.44.6", True),
        ("3.44.5", False),
        ("3.50.7", True),
        ("3.51.2", False),
        ("3.51.3", True),
        ("3.54.1", True),
    ],
)
def test_libraries_with_the_wal_reset_bug_are_known(version: str, safe: bool) -> None:
    assert is_safe(version) is safe


def test_an_unsafe_library_is_refused() -> None:
    with pytest.raises(StorageError, match="upgrade"):
        check_library("3.40.1")


def test_a_lock_has_one_owner(tmp_path: Path) -> None:
    one, two = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    with one:
        assert not two.try_take()
        with pytest.raises(StorageError, match="another Merpati"):
            two.take()
    assert two.try_take()
    two.release()


def test_a_step_that_cannot_be_read_is_a_refusal_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_descriptors(_: Kind) -> list[str]:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("merpati.storage.connection.migrations", without_descriptors)
    with pytest.raises(StorageError, match=r"queue-0.db cannot be opened: .*Too many open files"):
        connect(StorageSettings(tmp_path / "queue-0.db"))


def test_the_steps_are_read_once_for_all_files_that_are_opened() -> None:
    for kind in Kind:
        assert migrations(kind) is migrations(kind)
        assert len(migrations(kind)) == newest_schema(kind)
