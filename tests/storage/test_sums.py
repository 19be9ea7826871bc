"""Each table with checksums sums all that stands in a row, whenever one is written."""

import pytest

from merpati.directory.verifying import verify_directory
from merpati.storage.connection import Kind, in_memory
from merpati.storage.rows import rows
from tests.cases import each

_SUMMED = (
    "SELECT t.name FROM sqlite_schema t, pragma_table_info(t.name) c "
    "WHERE t.type = 'table' AND c.name = 'checksum' AND t.name != 'message'"
)
_COLUMNS = "SELECT name, type FROM pragma_table_info(?) WHERE name != 'checksum'"
_TRIGGER = "SELECT sql FROM sqlite_schema WHERE name = ? || '_changed'"


@pytest.mark.parametrize("kind", Kind)
def test_every_column_is_summed(kind: Kind) -> None:
    connection = in_memory(kind)
    for (table,) in rows(connection, _SUMMED):
        columns = ", ".join(
            f"CAST({name} AS BLOB)" if type_ == "TEXT" else name
            for name, type_ in rows(connection, _COLUMNS, (table,))
        )
        assert f"row_checksum({columns})" in connection.execute(_TRIGGER, (table,)).get


@each(
    ("statement", "told"),
    [
        ("UPDATE user SET why = 'x'", "user ann@a.test is not as it was written"),
        ("UPDATE user SET shown = CAST(shown AS BLOB)", "user ann@a.test is not as it was written"),
        (
            "UPDATE user SET local = CAST(x'ff' AS TEXT)",
            "user \ufffd@a.test is not as it was written",
        ),
        ("UPDATE domain SET checksum = NULL", "domain a.test is not as it was written"),
    ],
)
def test_a_row_that_is_not_as_it_was_written_is_named(statement: str, told: str) -> None:
    connection = in_memory(Kind.DIRECTORY)
    connection.execute("INSERT INTO domain (name) VALUES ('a.test')")
    connection.execute("INSERT INTO user (domain, local, shown) VALUES ('a.test', 'ann', 'Ann')")
    connection.execute("UPDATE user SET stopped = 1.0, messages = 7")
    assert list(verify_directory(connection, lambda _things, _number: None)) == []
    # What a disk does, no trigger sees.
    connection.execute("DROP TRIGGER user_changed; DROP TRIGGER domain_changed")
    connection.execute(statement)
    found = verify_directory(connection, lambda _things, _number: None)
    assert [finding.detail for finding in found] == [told]
