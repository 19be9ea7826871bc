"""Checksums of whole rows: a trigger of the table writes one whenever a row is written.

SQL writes these rows in many places, and a trigger forgets none of them. What is summed stands in
the schema alone: `<table>_changed` has the expression, and whoever looks takes it from there. Texts
are summed as octets, since apsw reads none that is not UTF-8.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import apsw

from merpati.storage.connection import Kind, in_memory
from merpati.storage.finding import Damage, Finding
from merpati.storage.inspection import UNREADABLE
from merpati.storage.rows import rows

_MOST = 1000
"""Rows of one table that are told."""
_TRIGGER = "SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND name = ? || '_changed'"
_SUM = re.compile(r"SET checksum = (row_checksum\(.*\))\s+WHERE", re.DOTALL)
_COLUMNS = 'SELECT name, lower(type), "notnull" OR pk FROM pragma_table_info(?)'


@dataclass(frozen=True, slots=True)
class Told:
    """How a row is told of: what it is, how it is called in SQL, and what is lost with it."""

    text: str
    name: str
    damage: Damage


def verify_sums(
    connection: apsw.Connection, kind: Kind, tables: Mapping[str, Told]
) -> Iterator[Finding]:
    """Rows that are not as they were written."""
    for table, told in tables.items():
        try:
            spoilt = rows(connection, _spoilt(kind, table, told.name))
        except UNREADABLE as error:
            yield Finding(Damage.ROWS, f"rows of {table} cannot be read: {error}")
            continue
        for (name,) in spoilt:
            shown = bytes(name or b"").decode(errors="replace")
            yield Finding(told.damage, f"{told.text.format(shown)} is not as it was written")


@cache
def _spoilt(kind: Kind, table: str, name: str) -> str:
    """The question for rows of other types than their columns', or with another checksum."""
    made = in_memory(kind)
    sum_ = _SUM.search(made.execute(_TRIGGER, (table,)).get)
    if sum_ is None:
        raise LookupError(f"no trigger sums the rows of {table}")
    types = " AND ".join(
        f"typeof({column}) IN ('{type_}', '{type_ if is_needed else 'null'}')"
        for column, type_, is_needed in rows(made, _COLUMNS, (table,))
    )
    made.close()
    # CASE, since no function is to be given text of which nobody knows whether it is one.
    return (
        f"SELECT CAST({name} AS BLOB) FROM {table} "  # noqa: S608 - constants
        f"WHERE CASE WHEN {types} THEN checksum IS NOT {sum_[1]} ELSE 1 END LIMIT {_MOST}"
    )
