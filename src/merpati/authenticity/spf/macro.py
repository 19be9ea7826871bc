"""Macros in domain names and explanations (RFC 7208 §7)."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import quote

#   macro-expand   = ( "%{" macro-letter transformers *delimiter "}" ) / "%%" / "%_" / "%-"
#   macro-literal  = %x21-24 / %x26-7E
#   transformers   = *DIGIT [ "r" ]  # noqa: ERA001
#   delimiter      = "." / "-" / "+" / "," / "/" / "_" / "="  # noqa: ERA001
_EXPAND = r"%\{([slodiphvcrtSLODIPHVCRT])([0-9]*)([rR]?)([-.+,/_=]*)\}"
_PIECE = re.compile(rf"{_EXPAND}|%([%_-])|([!-$&-~]+)|( +)")
_SAME = {"%": "%", "_": " ", "-": "%20"}
_ONLY_EXPLAINING = frozenset("crt")
MAX_EXPANDED = 4096
"""Octets of an expansion: a record of 64 KiB could repeat a long local part ten thousand times."""


@dataclass(frozen=True, slots=True)
class Macro:
    """One `%{...}`."""

    letter: str
    """Lower case."""
    keep: int
    """How many of the right-most parts; 0: all."""
    is_reversed: bool
    delimiters: str
    is_escaped: bool

    def expand(self, value: str) -> str:
        """The value of the letter, taken apart as the transformers want it."""
        if self.keep or self.is_reversed or self.delimiters != ".":
            parts = re.split(f"[{re.escape(self.delimiters)}]", value)
            if self.is_reversed:
                parts.reverse()
            value = ".".join(parts[-self.keep :])
        return quote(value, safe="-._~") if self.is_escaped else value


MacroString: TypeAlias = tuple[str | Macro, ...]


def read_macros(text: str, *, explains: bool = False) -> MacroString | None:
    """Literal text and macros in their order; None: not of the grammar.

    `explains` allows what only an explanation may have: spaces and the letters c, r, t.
    """
    if "%" not in text and (explains or " " not in text):
        return (text,)
    pieces: list[str | Macro] = []
    end = 0
    while end < len(text):
        match = _PIECE.match(text, end)
        piece = None if match is None else _piece(match)
        if match is None or piece is None or not (explains or _is_for_names(piece, match)):
            return None
        pieces.append(piece)
        end = match.end()
    return tuple(pieces)


def _is_for_names(piece: str | Macro, match: re.Match[str]) -> bool:
    if isinstance(piece, Macro):
        return piece.letter not in _ONLY_EXPLAINING
    return match[7] is None


def _piece(match: re.Match[str]) -> str | Macro | None:
    letter, digits, reverse, delimiters, same, literal, spaces = match.groups()
    if letter is None:
        return _SAME[same] if same else literal or spaces
    digits = digits.lstrip("0") if digits else None
    if digits == "":  # RFC 7208 §7.3: the number is not zero
        return None
    keep = int(digits[:3]) if digits else 0  # no name has more than 127 labels
    is_escaped = letter.isupper()
    return Macro(letter.lower(), keep, bool(reverse), delimiters or ".", is_escaped)


def letters(macros: Sequence[str | Macro]) -> set[str]:
    """Which values an expansion needs."""
    return {piece.letter for piece in macros if isinstance(piece, Macro)}


def expand(macros: Sequence[str | Macro], values: Mapping[str, Callable[[], str]]) -> str:
    """The text with its macros expanded, cut at MAX_EXPANDED."""
    done: list[str] = []
    size = 0
    for piece in macros:
        text = piece.expand(values[piece.letter]()) if isinstance(piece, Macro) else piece
        done.append(text)
        size += len(text)
        if size > MAX_EXPANDED:
            break
    return "".join(done)
