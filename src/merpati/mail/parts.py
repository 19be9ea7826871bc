"""Takes a received message apart for showing: iterative, bounded, never raising (RFC 2046).

Nothing is copied but what is shown: parts are places in the one message. What lies deeper than
`MAX_DEPTH` or behind `MAX_PARTS` stays one opaque part, and so does a multipart without boundary.
"""

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass

from merpati.mail.charset import decode
from merpati.mail.headers import MAX_OCTETS, Headers
from merpati.mail.words import decode_words

MAX_DEPTH = 50
MAX_PARTS = 1000
MAX_BOUNDARY = 2048
_MAX_PARAMETERS = 100
_MAX_FILENAME = 200

_TYPE = re.compile(r"[ \t]*([A-Za-z0-9!#$&^_.+-]{1,64}/[A-Za-z0-9!#$&^_.+-]{1,64})")
# RFC 2045 §5.1: parameter = attribute "=" value; value = token / quoted-string.
_PARAMETER = re.compile(
    r';[ \t]*+([A-Za-z0-9!#$%&\'+^_`{|}~.*-]{1,80})[ \t]*+=[ \t]*+("(?:[^"\\]|\\.)*+"|[^;" \t]*+)'
)
_CONTINUED = re.compile(r"([^*]+)\*(\d{1,3})(\*?)")
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")
_QUOTED_PAIR = re.compile(r"\\(.)")
_UNSAFE_IN_NAME = re.compile("[\x00-\x1f\x7f-\x9f\\\\/:\u200b-\u200f\u2028-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Part:
    """One entity of a message."""

    place: str
    """`1` is the whole message, `1.2` the second part of it."""
    headers: Headers
    media_type: str
    """Lower case; `text/plain` where the message says nothing that can be read."""
    parameters: tuple[tuple[str, str], ...]
    encoded: memoryview
    """The body as it came."""
    is_container: bool = False
    """Its parts follow it in the list."""

    @property
    def content(self) -> bytes:
        """The body without its transfer encoding; as it came if that is broken or unknown."""
        encoding = (self.headers.get("Content-Transfer-Encoding") or "").strip().lower()
        octets = bytes(self.encoded)
        if encoding == "base64":
            return _from_base64(octets)
        return binascii.a2b_qp(octets) if encoding == "quoted-printable" else octets

    @property
    def text(self) -> str:
        """The content as text; its charset if that can be used, else UTF-8, else Latin-1."""
        return decode(self.content, dict(self.parameters).get("charset", ""))

    @property
    def filename(self) -> str:
        """A name fit to save under: no path, no controls; empty when there is none."""
        disposition = dict(_parameters(self.headers.get("Content-Disposition") or ""))
        name = disposition.get("filename") or dict(self.parameters).get("name", "")
        return _UNSAFE_IN_NAME.sub("_", decode_words(name)).strip(". ")[:_MAX_FILENAME]


def read_parts(message: bytes) -> list[Part]:
    """Every entity, each container before its parts, at most `MAX_PARTS`."""
    found: list[Part] = []
    waiting = [("1", 0, len(message), "text/plain")]
    while waiting and len(found) < MAX_PARTS:
        place, start, end, default = waiting.pop()
        part, body = _entity(message, place, (start, end), default)
        room = MAX_PARTS - len(found) - len(waiting) - 1
        inner = _inner(message, part, (body, end), room) if place.count(".") < MAX_DEPTH else []
        found.append(_container(part) if inner else part)
        # RFC 2046 §5.1.5: inside multipart/digest the default is message/rfc822.
        kind = "message/rfc822" if part.media_type == "multipart/digest" else "text/plain"
        named = [(f"{place}.{n}", a, b, kind) for n, (a, b) in enumerate(inner, 1)]
        waiting += reversed(named)
    return found


def _entity(message: bytes, place: str, span: tuple[int, int], default: str) -> tuple[Part, int]:
    start, end = span
    headers = Headers.scan(message[start : min(end, start + MAX_OCTETS + 1)])
    body = min(start + headers.size, end)
    value = headers.get("Content-Type") or ""
    named = _TYPE.match(value)
    media_type = named[1].lower() if named else default
    encoded = memoryview(message)[body:end]
    return Part(place, headers, media_type, tuple(_parameters(value)), encoded), body


def _container(part: Part) -> Part:
    return Part(
        part.place, part.headers, part.media_type, part.parameters, part.encoded, is_container=True
    )


def _inner(message: bytes, part: Part, span: tuple[int, int], room: int) -> list[tuple[int, int]]:
    """Where the parts of a container lie; none for what is no container, or has no room."""
    if part.media_type in ("message/rfc822", "message/global"):
        return [span] if room > 0 and not _is_encoded(part) else []
    boundary = dict(part.parameters).get("boundary", "").encode("utf-8", "replace")
    if not part.media_type.startswith("multipart/") or not 0 < len(boundary) <= MAX_BOUNDARY:
        return []
    return _between(message, boundary, span, room)


def _is_encoded(part: Part) -> bool:
    encoding = (part.headers.get("Content-Transfer-Encoding") or "").strip().lower()
    return encoding in ("base64", "quoted-printable")


def _between(
    message: bytes, boundary: bytes, span: tuple[int, int], room: int
) -> list[tuple[int, int]]:
    # RFC 2046 §5.1.1: the line end before a boundary belongs to the boundary.
    mark = re.compile(
        rb"(?:\A|\r?\n|(?<=\n))--" + re.escape(boundary) + rb"(--)?[ \t]*+(?:\r?\n|\Z)"
    )
    spans: list[tuple[int, int]] = []
    begun: int | None = None
    # One octet back, so that a boundary at the very start of the body finds its line end.
    for found in mark.finditer(message, max(0, span[0] - 1), span[1]):
        if begun is not None:
            spans.append((begun, max(begun, found.start())))
        begun = None if found[1] else found.end()
        if found[1] or len(spans) >= room:
            return spans[: max(0, room)]
    if begun is not None:
        spans.append((begun, span[1]))
    return spans[: max(0, room)]


def _from_base64(octets: bytes) -> bytes:
    try:
        return binascii.a2b_base64(octets)
    except binascii.Error:
        # Cut short or damaged at the end: what is whole is shown.
        plain = b"".join(re.findall(rb"[A-Za-z0-9+/]+", octets))
        return binascii.a2b_base64(plain[: len(plain) // 4 * 4])


def _parameters(value: str) -> Iterator[tuple[str, str]]:
    """Parameters by lower-case name, RFC 2231 continuations joined and decoded."""
    pieces: dict[str, list[tuple[int, bool, str]]] = {}
    for count, found in enumerate(_PARAMETER.finditer(value)):
        if count >= _MAX_PARAMETERS:
            break
        name, text = found[1].lower(), found[2]
        if text.startswith('"'):
            text = _QUOTED_PAIR.sub(r"\1", text[1:-1])
        continued = _CONTINUED.fullmatch(name)
        if continued:
            piece = (int(continued[2]), bool(continued[3]), text)
            pieces.setdefault(continued[1], []).append(piece)
        elif name.endswith("*"):
            pieces.setdefault(name[:-1], []).append((0, True, text))
        else:
            yield name, text
    for name, several in pieces.items():
        yield name, _joined(sorted(several))


def _joined(pieces: list[tuple[int, bool, str]]) -> str:
    """RFC 2231 §4.1: charset'language'text in the first piece, percent octets where marked."""
    charset = ""
    if pieces[0][1] and pieces[0][2].count("'") >= 2:
        charset, _, rest = pieces[0][2].split("'", 2)
        pieces = [(0, True, rest), *pieces[1:]]
    octets = b"".join(
        _PERCENT.sub(lambda found: bytes([int(found[1], 16)]), text.encode("utf-8", "replace"))
        if is_coded
        else text.encode("utf-8", "replace")
        for _, is_coded, text in pieces
    )
    return decode(octets, charset)
