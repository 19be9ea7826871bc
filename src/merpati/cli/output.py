"""How commands show things: tables for people, JSON for programs, never a stranger's controls."""

import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime

import click
import msgspec

# Controls (C0, C1, DEL) move the cursor or worse; the bidi marks reorder what is read.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def clean(text: str, keep: str = "") -> str:
    """Text of a stranger as a terminal may show it; characters in `keep` are left alone."""
    return _UNSAFE.sub(lambda m: m[0] if m[0] in keep else _escaped(m[0]), text)


def word(text: str) -> str:
    """Text of a stranger as one word of a command that can be copied into a shell."""
    return clean(shlex.quote(text))


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def say_json(value: object) -> None:
    """One JSON value, indented. What a terminal might obey is escaped, which means the same."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    click.echo(_UNSAFE.sub(lambda m: m[0] if m[0] == "\n" else f"\\u{ord(m[0]):04x}", text))


def say_table(headings: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """Columns that fit the terminal; whole, separated by tabs, when nobody looks at it."""
    lines = [[clean(_shown(cell)) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for line in lines:
            click.echo("\t".join(line))
    elif not lines:
        click.echo(empty)
    else:
        _say_rich(headings, lines)


def _say_rich(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    # rich takes longer to load than a command to run.
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    # The first column is what other commands are given: it stays whole, the others fold.
    fits = max(len(line[0]) for line in lines) < console.width
    for n, heading in enumerate(headings):
        table.add_column(heading, no_wrap=fits and n == 0, overflow="fold")
    for line in lines:
        table.add_row(*(cell.replace("[", "\\[") for cell in line))
    console.print(table)


def _shown(cell: object) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, datetime):
        return cell.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return str(cell)


def counted(number: int, thing: str, things: str = "") -> str:
    """`1 message`, `2 messages`."""
    return f"{number} {thing if number == 1 else things or thing + 's'}"
