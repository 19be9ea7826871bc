"""Every key of merpati.toml in words: for `merpati config explain` and docs/configuration.md."""

import inspect
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import msgspec

from merpati.config.document import Document
from merpati.config.read import bare, is_list, metas, span, table_of
from merpati.config.settings import Settings
from merpati.config.table import Table
from merpati.config.values import (
    CertificateName,
    Domain,
    DomainName,
    Duration,
    LocalPart,
    Mailbox,
    Network,
    Size,
    Target,
)
from merpati.wire.endpoint import Endpoint

_KINDS: dict[object, str] = {
    str: "text",
    int: "number",
    bool: "true or false",
    Duration: "time",
    Size: "size",
    Endpoint: "address",
    Network: "network",
    Domain: "domain",
    DomainName: "domain",
    LocalPart: "local part",
    CertificateName: "host",
    Mailbox: "mail address",
    Target: "target",
}
_INTRODUCTION = """\
# Configuration

Merpati reads one file, `merpati.toml`: the one given by `--config`, else by `$MERPATI_CONFIG`, else
`./merpati.toml` (if it is yours or root's), else `/etc/merpati/merpati.toml`. Without any of them
`merpati serve` is a developer's inbox on 127.0.0.1:1025 (web on 127.0.0.1:8025) that takes every
message and sends none; it keeps them in `$MERPATI_DATA`, else `~/.local/share/merpati/inbox`. Where
there is a file, `merpati serve --inbox` is one all the same.
`merpati config check` says what is wrong with a file, `merpati config show` what is in force and
why, `merpati config explain KEY` what a key means. Paths are relative to the file. Times are
seconds or `"90s"`, `"15m"`, `"4h"`, `"5d"`, `"2w"`; sizes are octets or `"64KiB"`, `"50MiB"`.

This page is made from the table that reads the file.
"""


@dataclass(frozen=True, slots=True)
class Key:
    """One key as it is explained."""

    name: str
    """`port.listen`; the tables' names without the index."""
    kind: str
    default: str
    """As it would be written; empty when there is none."""
    text: str
    required: bool


def keys(kind: type[Table] = Document, within: str = "") -> Iterator[Key]:
    """Every key in the order of the file."""
    for field in msgspec.structs.fields(kind):
        name = f"{within}{field.name}"
        if table := table_of(field.type):
            yield from keys(table, f"{name}.")
        else:
            default = "" if field.required else toml(field.default)
            yield Key(name, _value(field.type), default, _text(field.type), field.required)


def _text(annotation: object) -> str:
    return next((meta.description for meta in metas(annotation) if meta.description), "")


def _value(annotation: object) -> str:
    """What may be written: the kind, and from which to which value."""
    if (limits := span(annotation)) is None:
        return _kind(annotation)
    plain = bare(annotation)
    kind = typing.get_args(plain)[0] if is_list(annotation) else plain
    least, most = (kind.parse(end) if kind in {Duration, Size} else end for end in limits)
    return f"{_kind(annotation)}, {least} to {most}"


def _kind(annotation: object) -> str:
    plain = bare(annotation)
    if is_list(annotation):
        return f"list: {_kind(typing.get_args(plain)[0])}"
    if isinstance(plain, type) and issubclass(plain, Enum):
        return " | ".join(f'"{member.value}"' for member in plain)
    return _KINDS[plain]


def toml(value: object) -> str:
    """A value as merpati.toml would have it."""
    if value is None:
        return ""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, int) and not isinstance(value, Size):
        return str(value)
    return msgspec.json.encode(str(value)).decode()


@dataclass(frozen=True, slots=True)
class Effective:
    """One value in force."""

    key: str
    value: str
    source: str


def effective(settings: Settings) -> Iterator[Effective]:
    """Every value in force and where it came from."""
    yield from _effective(settings, settings.document, ())


def _effective(
    settings: Settings, table: Table, path: tuple[str | int, ...]
) -> Iterator[Effective]:
    for field in msgspec.structs.fields(table):
        value, here = getattr(table, field.name), (*path, field.name)
        if table_of(field.type) is None:
            name = ".".join(str(p + 1) if isinstance(p, int) else p for p in here)
            yield Effective(name, toml(value), settings.source(*here))
        elif isinstance(value, tuple):
            for n, item in enumerate(value):
                yield from _effective(settings, item, (*here, n))
        elif value is not None:
            yield from _effective(settings, value, here)


def markdown() -> str:
    """docs/configuration.md, whole."""
    return "\n".join([_INTRODUCTION, *_sections(Document, "", "")])


def _default(value: object) -> str:
    return "" if value in (None, "") else f"`{toml(value)}`"


def _sections(kind: type[Table], heading: str, within: str) -> Iterator[str]:
    yield f"## {heading}\n" if heading else "## Before the first table\n"
    yield f"{inspect.getdoc(kind)}\n"
    yield "| key | value | default | meaning |\n|---|---|---|---|"
    tables = []
    for field in msgspec.structs.fields(kind):
        if table := table_of(field.type):
            tables.append((field, table))
            continue
        default = "required" if field.required else _default(field.default)
        value = _value(field.type).replace("|", "\\|")
        yield f"| `{field.name}` | {value} | {default} | {_text(field.type)} |"
    yield ""
    for field, table in tables:
        marks = "[[{}]]" if is_list(field.type) else "[{}]"
        name = f"{within}{field.name}"
        yield from _sections(table, f"`{marks.format(name)}`", f"{name}.")


def find(name: str) -> list[Key]:
    """The keys a person means by `listen`, `port.listen` or `port`."""
    wanted = name.strip("[]")
    known = list(keys())
    of_table = [key for key in known if key.name.rpartition(".")[0] == wanted]
    return of_table or [key for key in known if wanted in (key.name, key.name.rpartition(".")[2])]
