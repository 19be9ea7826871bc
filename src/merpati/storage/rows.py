"""Asking SQL: the one place where what a row holds is taken on the schema's word."""

from array import array
from collections.abc import Iterable
from typing import Any

import apsw


def rows(
    connection: apsw.Connection, query: str, bindings: Iterable[object] = ()
) -> list[tuple[Any, ...]]:
    """All rows of an answer; their types are the columns' of the schema."""
    return connection.execute(query, tuple(bindings)).fetchall()


def numbers(ids: Iterable[int]) -> "apsw.CArrayBinding":
    """A binding for `carray(?)`: these numbers, none of them negative."""
    # An array may not be empty; no row has a negative key.
    return apsw.carray(array("q", (-1, *ids)))
