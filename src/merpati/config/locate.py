"""On which line of a TOML text a key stands. Knows just enough TOML to point a person there.

The text was already accepted by tomllib; a key that cannot be found (inside an inline table, say)
is given the line of the nearest thing around it.
"""

import re
from collections.abc import Iterator, Sequence

Path = tuple[str | int, ...]

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_KEYS = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_KEYS})\s*\]")
_ASSIGNMENT = re.compile(rf"\s*({_KEYS})\s*=")
_SPLIT = re.compile(_PART)
_MULTILINE = re.compile(r"\"\"\"|'''")


def _names(keys: str) -> Path:
    return tuple(part.strip("\"'") for part in _SPLIT.findall(keys))


def _outside_strings(text: str) -> Iterator[tuple[int, str]]:
    """Numbered lines that do not lie inside a multi-line string."""
    closing = ""
    for number, line in enumerate(text.splitlines(), 1):
        if not closing:
            yield number, line
        for mark in _MULTILINE.findall(line):
            if not closing:
                closing = mark
            elif mark == closing:
                closing = ""


class Lines:
    """The lines of every table and key in a text."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Path, int] = {}
        self._table: Path = ()
        self._counts: dict[Path, int] = {}
        for number, line in _outside_strings(text):
            self._take(number, line)

    def _take(self, number: int, line: str) -> None:
        if header := _HEADER.match(line):
            self._enter(_names(header[2]), is_array=header[1] == "[[")
            self._note((), number)
        elif assignment := _ASSIGNMENT.match(line):
            self._note(_names(assignment[1]), number)

    def _enter(self, names: Path, is_array: bool) -> None:
        path: Path = ()
        for n, name in enumerate(names, 1):
            path = (*path, name)
            if n == len(names) and is_array:
                self._counts[path] = self._counts.get(path, -1) + 1
            if path in self._counts:
                path = (*path, self._counts[path])
        self._table = path

    def _note(self, key: Path, number: int) -> None:
        path = self._table + key
        for depth in range(1, len(path) + 1):
            self._lines.setdefault(path[:depth], number)

    def of(self, path: Sequence[str | int]) -> int:
        """The line of a key, or of the nearest table around it; 0 when nothing is known."""
        for depth in range(len(path), 0, -1):
            if number := self._lines.get(tuple(path[:depth])):
                return number
        return 0

    def said(self, path: Sequence[str | int]) -> int | None:
        """The line of exactly this key, or None."""
        return self._lines.get(tuple(path))
