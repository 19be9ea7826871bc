"""From the text of a merpati.toml to its Document, strictly: every mistake is found and placed."""

import difflib
import re
import tomllib
import types
import typing
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import TypeVar

import msgspec
from msgspec import Meta

from merpati.config.document import Document
from merpati.config.errors import ConfigError, Flaw
from merpati.config.locate import Lines, Path
from merpati.config.table import Table
from merpati.config.values import Duration, Size
from merpati.wire.endpoint import Endpoint
from merpati.wire.errors import WireError

_KINDS = {
    "str": "a text in quotes",
    "int": "a whole number",
    "bool": "true or false",
    "array": "a list in brackets",
    "object": "a table",
}
_UNQUOTED = re.compile(r"""\s*([A-Za-z0-9_-]+)\s*=\s*([^\s"'\[{#=][^"'#]*?)\s*(?:#.*)?""")
_PLAIN = re.compile(r"true|false|[0-9._+-]+")
T = TypeVar("T", bound=Table)


def metas(annotation: object) -> Iterator[Meta]:
    """Everything that is said of a field's values, or of each one of a list."""
    if typing.get_origin(annotation) is typing.Annotated:
        annotation, *said = typing.get_args(annotation)
        yield from (meta for meta in said if isinstance(meta, Meta))
    if typing.get_origin(annotation) in {types.UnionType, typing.Union}:
        for one in typing.get_args(annotation):
            yield from metas(one)


def span(annotation: object) -> tuple[float, float] | None:
    """The least and the greatest value of a field, where both are known."""
    for meta in metas(annotation):
        if meta.ge is not None and meta.le is not None:
            return meta.ge, meta.le
    return None


def bare(annotation: object) -> object:
    """A field's type without the Meta around it and without `| None`."""
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    if typing.get_origin(annotation) in {types.UnionType, typing.Union}:
        (annotation,) = (arg for arg in typing.get_args(annotation) if arg is not types.NoneType)
        return bare(annotation)
    return annotation


def table_of(annotation: object) -> type[Table] | None:
    """The table class behind a field: itself, optional, or in a list."""
    plain = bare(annotation)
    if typing.get_origin(plain) is tuple:
        plain = typing.get_args(plain)[0]
    return plain if isinstance(plain, type) and issubclass(plain, Table) else None


def is_list(annotation: object) -> bool:
    """Whether the field is a list in the file."""
    return typing.get_origin(bare(annotation)) is tuple


def say(path: Path) -> str:
    """A key as people say it: `port 2, listen`."""
    words: list[str] = []
    for part in path:
        if isinstance(part, int) and words:
            words[-1] += f" {part + 1}"
        else:
            words.append(str(part))
    return ", ".join(words)


class _Reader:
    """Walks the tables beside their classes and collects every flaw."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self.flaws: list[Flaw] = []

    def _blame(self, path: Path, what: str, allowed: str = "") -> None:
        self.flaws.append(Flaw(say(path), self._lines.of(path), what, allowed))

    def table(self, kind: type[T], value: object, path: Path) -> T | None:
        if not isinstance(value, dict):
            self._blame(path, "is no table", f"Write [{'.'.join(str(part) for part in path)}]")
            return None
        before = len(self.flaws)
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        for name in value.keys() - fields.keys():
            self._blame((*path, name), "is no key that Merpati knows", _suggest(name, fields))
        found: dict[str, object] = {}
        for name, field in fields.items():
            if name in value:
                found[name] = self._value(field.type, value[name], (*path, name))
            elif field.required:
                self._blame((*path, name), "is missing", _allowed(field.type))
        return kind(**found) if len(self.flaws) == before else None

    def _value(self, annotation: object, value: object, path: Path) -> object:
        kind = table_of(annotation)
        if kind is None:
            return self._leaf(annotation, value, path)
        if not is_list(annotation):
            return self.table(kind, value, path)
        if not isinstance(value, list):
            self._blame(path, "stands once but is a list", f"Write [[{path[-1]}]]")
            return ()
        return tuple(self.table(kind, item, (*path, n)) for n, item in enumerate(value))

    def _leaf(self, annotation: object, value: object, path: Path) -> object:
        try:
            return _convert(annotation, value)
        except ValueError as error:
            self._blame(path, *_explain(error, annotation, value))
            return None


def _convert(annotation: object, value: object) -> object:
    """A value of its type, or ValueError: msgspec's for plain types, what is allowed for ours."""
    kind = bare(annotation)
    if not is_list(annotation):
        if hasattr(kind, "parse"):
            return _within(annotation, _parse(kind, value))
        return msgspec.convert(value, annotation)
    (item, _) = typing.get_args(kind)
    if not hasattr(item, "parse"):
        return msgspec.convert(value, annotation)
    listed = msgspec.convert(value, list[object])
    return tuple(_within(annotation, _parse(item, one)) for one in listed)


def _within(annotation: object, found: object) -> object:
    if isinstance(found, Duration | Size) and (limits := span(annotation)):
        least, most = limits
        if not least <= found <= most:
            raise ValueError(f"{type(found).parse(least)} to {type(found).parse(most)}")
    return found


def _parse(kind: object, value: object) -> object:
    if kind is not Endpoint:
        return kind.parse(value)  # type: ignore[attr-defined]  # the caller looked
    try:
        return Endpoint.parse(str(value))
    except WireError as error:
        allowed = '"127.0.0.1:2525", "[::1]:2525" or "unix:run/lmtp"'
        raise ValueError(f"{allowed} ({error})") from None


def _explain(error: ValueError, annotation: object, value: object) -> tuple[str, str]:
    """(what is wrong, what is allowed) for a value that does not fit."""
    shown = msgspec.json.encode(value).decode()[:80]
    if is_list(annotation) and isinstance(value, str | int):
        return f"{shown} is not a list", f"Write [{shown}]"
    if not isinstance(error, msgspec.ValidationError):
        return f"{shown} does not fit", f"Allowed: {error}"
    if allowed := _allowed(annotation):
        return f"{shown} does not fit", allowed
    text = str(error).partition(" - at ")[0].partition(", got ")[0]
    allowed = text.replace("Expected", "Allowed:").replace("`", "").removesuffix(" | null")
    return f"{shown} does not fit", re.sub(r"\bint\b", _KINDS["int"], allowed)


def _allowed(annotation: object) -> str:
    plain = bare(annotation)
    if isinstance(plain, type) and issubclass(plain, Enum):
        return "Allowed: " + ", ".join(f'"{member.value}"' for member in plain)
    kind = plain.__name__ if isinstance(plain, type) else ""
    return f"Allowed: {_KINDS[kind]}" if kind in {"str", "bool"} else ""


def _suggest(name: str, known: typing.Iterable[str]) -> str:
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"Did you mean {close[0]}?" if close else "Known here: " + ", ".join(names)


def read(text: str, file: str) -> tuple[Document, Lines]:
    """The document and where its keys stand, or ConfigError with every flaw."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(file, [_unreadable(error, text)]) from None
    lines = Lines(text)
    reader = _Reader(lines)
    document = reader.table(Document, content, ())
    if document is None:
        raise ConfigError(file, sorted(reader.flaws, key=lambda flaw: flaw.line))
    return document, lines


def _unreadable(error: tomllib.TOMLDecodeError, text: str) -> Flaw:
    """tomllib puts the place into its words: `… (at line 3, column 7)`."""
    what, _, place = str(error).rpartition(" (at ")
    digits = place.removeprefix("line ").partition(",")[0]
    line = int(digits) if digits.isdigit() else 0
    hint = _quotes(text.splitlines()[line - 1 : line]) if line else ""
    return Flaw("", line, f"this is not TOML: {what or error}", hint)


def _quotes(lines: Sequence[str]) -> str:
    """For the most frequent slip of all."""
    for line in lines:
        if (slip := _UNQUOTED.fullmatch(line)) and not _PLAIN.fullmatch(slip[2]):
            return f'A text stands in quotes: {slip[1]} = "{slip[2]}"'
    return ""
