"""Asking SQL: the one place where what a row holds is taken on the schema's word."""

from collections.abc import Iterable
from typing import Any

import apsw


def rows(
    connection: apsw.Connection, query: str, bindings: Iterable[object] = ()
) -> list[tuple[Any, ...]]:
    """All rows of an answer; their types are the columns' of the schema."""
    return connection.execute(query, tuple(bindings)).fetchall()
