"""What a file says of its tables, held against what the migrations make.

SQLite believes the text that a table was made with: where one letter of it is another, a column has
another name, and nothing complains until somebody asks for it.
"""

import re
from collections.abc import Iterator
from functools import cache

import apsw

from merpati.storage.connection import Kind, in_memory
from merpati.storage.rows import rows

# Text that is not UTF-8 is compared, too. What ANALYZE leaves behind is nobody's business.
_SCHEMA = (
    "SELECT CAST(type || ' ' || name AS BLOB), CAST(coalesce(sql, '') AS BLOB) FROM sqlite_schema "
    "WHERE name NOT LIKE 'sqlite_stat%'"
)
# Which numbers of AUTOINCREMENT were given out, by table.
_LOST = (
    "SELECT CAST(name AS BLOB) FROM sqlite_sequence "
    "WHERE name NOT IN (SELECT name FROM sqlite_schema)"
)
_COMMENT = re.compile(rb"--[^\n]*")
Schema = dict[bytes, bytes]
"""Statements by what they make; empty where SQLite made it by itself."""


def differences(connection: apsw.Connection, kind: Kind, version: int) -> Iterator[str]:
    """What is not as it was made, in words. apsw.Error where SQLite cannot read it."""
    made, found = _made(kind, version), _read(connection)
    for name in sorted(made.keys() | found.keys()):
        shown = name.decode(errors="replace")
        if name not in found:
            yield f"the {shown} is gone"
        elif name not in made:
            yield f"there is a {shown} that nobody made"
        elif found[name] != made[name]:
            yield f"the {shown} is not as it was made: {found[name].decode(errors='replace')}"
    if b"table sqlite_sequence" in found:
        for (name,) in rows(connection, _LOST):
            yield f"numbers were given out of {bytes(name).decode(errors='replace')}, which is gone"


@cache
def _made(kind: Kind, version: int) -> Schema:
    connection = in_memory(kind, version)
    try:
        return _read(connection)
    finally:
        connection.close()


def _read(connection: apsw.Connection) -> Schema:
    """Words alone: a comment may have changed since the table was made."""
    return {
        name: b" ".join(_COMMENT.sub(b"", text).split()) for name, text in rows(connection, _SCHEMA)
    }
