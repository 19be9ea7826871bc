"""What stands in a row beside SQL: a change of it is a change of the format as well.

An earlier version passes over fields that it does not know. Of a message whose entry has one that
matters it would say that the disk has damaged it, or send it otherwise than was accepted; of a file
with a newer schema it says that it is newer.
"""

from collections.abc import Iterator
from pathlib import Path

from msgspec import inspect

from merpati.queue.entry import Entry
from merpati.storage.connection import Kind, newest_schema

HERE = Path(__file__).parent


def lines(kind: inspect.Type, seen: set[type]) -> Iterator[str]:
    """Each value that an entry is made of, with its fields; each closed set, with its members."""
    if isinstance(kind, inspect.UnionType):
        for one in kind.types:
            yield from lines(one, seen)
    elif isinstance(kind, inspect.VarTupleType):
        yield from lines(kind.item_type, seen)
    elif isinstance(kind, inspect.EnumType) and kind.cls not in seen:
        seen.add(kind.cls)
        yield " ".join([kind.cls.__name__, *(one.name for one in kind.cls)])
    elif isinstance(kind, inspect.StructType | inspect.DataclassType) and kind.cls not in seen:
        seen.add(kind.cls)
        yield " ".join([kind.cls.__name__, *(field.encode_name for field in kind.fields)])
        for field in kind.fields:
            yield from lines(field.type, seen)


def test_a_field_more_is_a_schema_more() -> None:
    schema = newest_schema(Kind.SHARD)
    kept = HERE / f"entry-{schema}.txt"
    now = "\n".join([*lines(inspect.type_info(Entry), set()), ""])
    assert kept.exists(), f"keep what an entry is made of in {kept}:\n{now}"
    assert kept.read_text() == now, (
        "an earlier version would misread this: write the next migration of the shard (a comment "
        f"alone will do), and keep what an entry is made of beside {kept}:\n{now}"
    )
