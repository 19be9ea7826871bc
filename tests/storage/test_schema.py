"""A schema that is not as the migrations make it is named; comments are no difference."""

from pathlib import Path

import pytest

from merpati.storage.connection import Kind, StorageSettings, connect, in_memory, newest_schema
from merpati.storage.errors import StorageError
from merpati.storage.inspection import inspected, schema
from merpati.storage.schema import differences
from tests.cases import each


def spoilt(*statements: str) -> list[str]:
    """What is said of a directory after these."""
    connection = in_memory(Kind.DIRECTORY)
    connection.execute("PRAGMA writable_schema=ON")
    for statement in statements:
        connection.execute(statement)
    return list(differences(connection, Kind.DIRECTORY, newest_schema(Kind.DIRECTORY)))


@each(
    ("statement", "words"),
    [
        (
            "UPDATE sqlite_schema SET sql = replace(sql, 'shown', 'shovn') WHERE name = 'user'",
            "the table user is not as it was made: CREATE TABLE user (",
        ),
        (
            "UPDATE sqlite_schema SET sql = CAST(replace(sql, 'shown', x'73ff') AS TEXT) "
            "WHERE name = 'user'",
            "the table user is not as it was made: CREATE TABLE user (",
        ),
        ("DROP INDEX user_stopped", "the index user_stopped is gone"),
        ("CREATE TABLE extra (x)", "there is a table extra that nobody made"),
    ],
)
def test_a_difference_is_named(statement: str, words: str) -> None:
    (told,) = spoilt(statement)
    assert told.startswith(words)


def test_other_comments_and_statistics_are_no_difference() -> None:
    comment = "UPDATE sqlite_schema SET sql = replace(sql, '-- the local part', '--') "
    assert (
        spoilt(
            comment + "WHERE name = 'user'", "INSERT INTO domain VALUES ('a.test', 0)", "ANALYZE"
        )
        == []
    )


@pytest.mark.parametrize("kind", Kind)
def test_every_schema_there_was_is_as_it_was_made(kind: Kind) -> None:
    for version in range(newest_schema(kind) + 1):
        assert list(differences(in_memory(kind, version), kind, version)) == []


def test_a_file_that_only_says_that_it_is_earlier_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "directory.db"
    connection = connect(StorageSettings(path, Kind.DIRECTORY))
    for version in (0, 1):
        connection.execute(f"PRAGMA user_version={version}")
        with pytest.raises(StorageError) as refused, inspected(path, Kind.DIRECTORY):
            pass
        assert refused.value.is_damaged
    connection.close()


def test_columns_of_the_counters_that_are_called_otherwise_are_told(tmp_path: Path) -> None:
    """Nobody but SQLite makes that table, and our own question for its columns fails then."""
    path = tmp_path / "directory.db"
    connection = connect(StorageSettings(path, Kind.DIRECTORY))
    connection.execute("PRAGMA writable_schema=ON")
    connection.execute(
        "UPDATE sqlite_schema SET sql = replace(sql, 'name', 'nbme') WHERE name = 'sqlite_sequence'"
    )
    connection.close()
    with inspected(path, Kind.DIRECTORY) as opened:
        told = [finding.detail for finding in schema(opened, Kind.DIRECTORY)]
    assert any("sqlite_sequence" in one for one in told)
