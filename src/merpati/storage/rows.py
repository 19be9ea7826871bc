"""Rows out of SQL and into it.

Asking is the one place where what a row holds is taken on the schema's word.
"""

from array import array
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import apsw

_MOST = 32
"""Rows of one statement. There is one for each number of them, and all stay prepared."""


def rows(
    connection: apsw.Connection, query: str, bindings: Iterable[object] = ()
) -> list[tuple[Any, ...]]:
    """All rows of an answer; their types are the columns' of the schema."""
    return connection.execute(query, tuple(bindings)).fetchall()


def numbers(ids: Iterable[int]) -> "apsw.CArrayBinding":
    """A binding for `carray(?)`: these numbers, none of them negative."""
    # An array may not be empty; no row has a negative key.
    return apsw.carray(array("q", (-1, *ids)))


class Insert:
    """A statement for many rows of a table.

    Row by row it took three times as long (10.7 us a message against 3.6, with five tables), and
    the interpreter's lock was given up and fought for at each row.
    """

    def __init__(self, into: str, row: str) -> None:
        """`into` the table with its columns; `row` one row of VALUES, in brackets."""
        self._statements = [
            f"INSERT INTO {into} VALUES {', '.join([row] * size)}"  # noqa: S608 - constants
            for size in range(1, _MOST + 1)
        ]

    def run(self, connection: apsw.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """All of them, in order."""
        for at in range(0, len(rows), _MOST):
            piece = rows[at : at + _MOST]
            connection.execute(self._statements[len(piece) - 1], tuple(chain.from_iterable(piece)))
