"""The forms of a message that are signed, so that what mail servers change on the way does no harm.

RFC 6376 §3.4. Octets that are in canonical form already are passed on as they are, not copied.
"""

from collections.abc import Callable, Iterator
from enum import Enum
from typing import TypeAlias

_CRLF = b"\r\n"
_TABS = bytes.maketrans(b"\t", b" ")
_LINES = _CRLF * 4096

Take: TypeAlias = Callable[[bytes], object]
"""Is given the canonical form, piece by piece."""


class Canonicalization(Enum):
    """How much may change; the value is what c= says."""

    SIMPLE = "simple"
    RELAXED = "relaxed"

    # Enum hashes names in Python; a member is one of a kind, and looked up for every signature.
    __hash__ = object.__hash__


def canonical_field(raw: bytes, canon: Canonicalization) -> bytes:
    """One header field with its line end, from the octets that it came as (§3.4.1, §3.4.2)."""
    line = raw[:-2] if raw.endswith(_CRLF) else raw.removesuffix(b"\n")
    if canon is Canonicalization.SIMPLE:
        return line + _CRLF
    name, _, value = line.partition(b":")
    value = _shrunk(value.replace(_CRLF, b"")).strip(b" ")
    return b"%s:%s\r\n" % (name.rstrip(b" \t").lower(), value)


class CanonicalBody:
    """The canonical form of a body that comes in parts (§3.4.3, §3.4.4), in constant memory.

    What may yet turn out to be the end is held back: empty lines as their number, and of an
    unfinished line at most a blank and a CR.
    """

    def __init__(self, canon: Canonicalization, take: Take) -> None:
        self._relaxed = canon is Canonicalization.RELAXED
        self._take = take
        self._held = b""
        self._lines = 0
        self._is_empty = True

    def update(self, part: bytes) -> None:
        """The next octets."""
        text = self._held + part if self._held else part
        # Lines of base64 have neither, which is seen at once.
        if self._relaxed and (b" " in text or b"\t" in text):
            text = _shrunk(text).replace(b" \r\n", _CRLF)
        text = self._hold(text)
        end = _end(text)
        if end:
            self._emit(text if end == len(text) else text[:end])
        self._lines += (len(text) - end) // 2

    def finish(self) -> None:
        """There is no more: the end in its canonical form. Call once, last."""
        held = self._held.removesuffix(b" ") if self._relaxed else self._held
        if held:
            self._emit(held)
        # An empty body is an empty line by `simple` and nothing by `relaxed`.
        if not (self._is_empty and self._relaxed):
            self._take(_CRLF)

    def _hold(self, text: bytes) -> bytes:
        """All but what the next part decides about."""
        end = len(text)
        if end and text[end - 1] == 13:  # CR
            end -= 1
        if self._relaxed and end and text[end - 1] == 32:  # SP
            end -= 1
        self._held = text[end:]
        return text[:end] if self._held else text

    def _emit(self, text: bytes) -> None:
        for lines in _empty_lines(self._lines):
            self._take(lines)
        self._lines = 0
        self._is_empty = False
        self._take(text)


def _shrunk(text: bytes) -> bytes:
    """Each run of blanks and tabs as one blank. Halving runs, it takes no longer than a sort."""
    if b"\t" in text:
        text = text.translate(_TABS)
    while b"  " in text:
        text = text.replace(b"  ", b" ")
    return text


def _end(text: bytes) -> int:
    """Where the line ends begin that end the text; a bare CR or LF is not one."""
    if not text.endswith(_CRLF):
        return len(text)
    body = text.rstrip(_CRLF)
    marks = text[len(body) :].replace(_CRLF, b"  ")
    return len(body) + len(marks.rstrip(b" "))


def _empty_lines(count: int) -> Iterator[bytes]:
    whole, rest = divmod(count, len(_LINES) // 2)
    for _ in range(whole):
        yield _LINES
    if rest:
        yield _LINES[: 2 * rest]
