"""A message as a person reads it in a terminal: its text, and what else is in it.

The standard library's parser is good enough here, since nothing but this command stands behind it;
it recurses on nested parts, so depth that it cannot bear is told and not a traceback.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from email.policy import default
from html.parser import HTMLParser

from merpati.errors import MerpatiError

_MAX_PARTS = 1000


class UnreadableError(MerpatiError):
    """Made so that it cannot be taken apart; the source still can be looked at."""


@dataclass(frozen=True, slots=True)
class PartLine:
    """One part of a message."""

    place: str
    """`1.2`: the second part of the first."""
    media_type: str
    filename: str
    size: int
    """Octets after decoding; 0 for what holds other parts."""


def parse(octets: bytes) -> Message:
    """Take a message apart."""
    try:
        return message_from_bytes(octets, policy=default)
    except (RecursionError, ValueError, LookupError, AttributeError, IndexError) as error:
        raise UnreadableError(f"its MIME structure cannot be read: {error}") from error


def parts(message: Message) -> Iterator[tuple[str, Message]]:
    """Every part with its place, depth first, at most a thousand."""
    waiting = [("1", message)]
    for _ in range(_MAX_PARTS):
        if not waiting:
            return
        place, part = waiting.pop()
        yield place, part
        if part.is_multipart():
            inner = part.get_payload()
            if isinstance(inner, list):
                named = [(f"{place}.{n}", one) for n, one in enumerate(inner, 1)]
                waiting += [(n, one) for n, one in reversed(named) if isinstance(one, Message)]


def part_lines(message: Message) -> list[PartLine]:
    """The structure as a list."""
    return [
        PartLine(place, part.get_content_type(), part.get_filename() or "", len(octets(part)))
        for place, part in parts(message)
    ]


def octets(part: Message) -> bytes:
    """A part's content, decoded; empty for what holds others."""
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def text(message: Message) -> str:
    """What a person would read: the first plain text, else HTML without its tags."""
    leaves = [part for _, part in parts(message) if not part.is_multipart()]
    for kind in ("text/plain", "text/html"):
        for part in leaves:
            if part.get_content_type() == kind and not part.get_filename():
                shown = _decoded(part)
                return shown if kind == "text/plain" else _without_tags(shown)
    return ""


def _decoded(part: Message) -> str:
    charset = part.get_content_charset() or "utf-8"
    try:
        return octets(part).decode(charset, "replace")
    except LookupError:
        return octets(part).decode("utf-8", "replace")


class _Stripper(HTMLParser):
    """Collects text; what browsers do not show is left out."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Blocks begin a line."""
        self._hidden += tag in {"script", "style", "head", "title"}
        if tag in {"p", "br", "div", "tr", "li", "h1", "h2", "h3"}:
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        """What was hidden ends."""
        if tag in {"script", "style", "head", "title"}:
            self._hidden = max(0, self._hidden - 1)

    def handle_data(self, data: str) -> None:
        """Text between tags."""
        if not self._hidden:
            self.pieces.append(data)


def _without_tags(html: str) -> str:
    stripper = _Stripper()
    stripper.feed(html)
    stripper.close()
    return "".join(stripper.pieces).strip() + "\n"
