"""Writes MIME messages (RFC 2045-2047, 2231, 5322). Nothing that is handed in can add a header.

Field names follow the grammar of RFC 5322 §2.2; a value with CR, LF or NUL is refused. A boundary
is the hash of what it separates, so it needs no chance and cannot stand inside.
"""

import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from merpati.errors import MerpatiError
from merpati.mail.words import encode_words, needs_words

_NAME = re.compile(r"[!-9;-~]{1,76}")
_FORBIDDEN = re.compile(r"[\r\n\x00]")
_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,64}/[A-Za-z0-9!#$&^_.+-]{1,64}")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]+")
_ATTRIBUTE = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$&+-.^_`{|}~"
)
_LINE_END = re.compile(rb"\r\n|\r|\n")
_MAX_FOLDED = 78  # RFC 5322 §2.1.1: should be no more than 78 characters
_MAX_LINE = 998  # RFC 5322 §2.1.1: must be no more than 998 characters


class HeaderError(MerpatiError):
    """A name or value that must not stand in a header field."""


@dataclass(frozen=True, slots=True)
class Part:
    """A MIME entity: its Content-* fields and its encoded content."""

    fields: tuple[tuple[str, str], ...]
    content: bytes

    @property
    def octets(self) -> bytes:
        """The entity as it stands between two boundaries."""
        return header_section(self.fields) + self.content


def field(name: str, value: str, *, utf8: bool = False) -> bytes:
    """One header field, folded, with its line end; `utf8` writes UTF-8 as it is (RFC 6532).

    Raises HeaderError for a name outside the grammar and for a value with CR, LF or NUL.
    """
    if not _NAME.fullmatch(name):
        raise HeaderError("not the name of a header field")
    if _FORBIDDEN.search(value):
        raise HeaderError(f"the value of {name} holds a line end or NUL")
    words = value.strip().split(" ")
    if not value.isascii() and not utf8:
        words = encode_words(value.strip())
    return _folded(f"{name}:", words) + b"\r\n"


def subject(text: str) -> str:
    """A value for an unstructured field: as it is, or as encoded words if it could be misread."""
    clean = _FORBIDDEN.sub(" ", text)
    return " ".join(encode_words(clean)) if needs_words(clean) else clean


def header_section(fields: Sequence[tuple[str, str]], *, utf8: bool = False) -> bytes:
    """Fields and the blank line behind them."""
    return b"".join(field(name, value, utf8=utf8) for name, value in fields) + b"\r\n"


def message(
    fields: Sequence[tuple[str, str]], part: Part, *, utf8: bool = False
) -> tuple[bytes, bytes]:
    """The header section and the body of a whole message."""
    every = (*fields, ("MIME-Version", "1.0"), *part.fields)
    return header_section(every, utf8=utf8), part.content


def text_part(text: str, subtype: str = "plain") -> Part:
    """Text in UTF-8, in the transfer encoding that suits it; line ends become CRLF."""
    octets = _LINE_END.sub(b"\r\n", text.encode("utf-8", "replace"))
    encoding, content = _encoded(octets)
    return Part(
        (
            ("Content-Type", f"text/{subtype}; charset=utf-8"),
            ("Content-Transfer-Encoding", encoding),
        ),
        content,
    )


def attachment(octets: bytes, filename: str, media_type: str = "application/octet-stream") -> Part:
    """A file, in base64. Raises HeaderError for a type or name that cannot be written."""
    if not _TYPE.fullmatch(media_type):
        raise HeaderError("not a media type")
    return Part(
        (
            ("Content-Type", media_type),
            ("Content-Disposition", f"attachment; {parameter('filename', filename)}"),
            ("Content-Transfer-Encoding", "base64"),
        ),
        _base64(octets),
    )


def enclosed(octets: bytes, media_type: str) -> Part:
    """Octets that are written as they are: message/rfc822, message/delivery-status and the like."""
    encoding = "7bit" if octets.isascii() else "8bit"
    return Part((("Content-Type", media_type), ("Content-Transfer-Encoding", encoding)), octets)


def multipart(subtype: str, parts: Sequence[Part], parameters: str = "") -> Part:
    """Several parts behind one another (RFC 2046 §5.1)."""
    pieces = [part.octets for part in parts]
    boundary = "=_" + hashlib.sha256(b"".join(pieces)).hexdigest()[:32]
    mark = b"--" + boundary.encode()
    content = b"".join(mark + b"\r\n" + piece + b"\r\n" for piece in pieces) + mark + b"--\r\n"
    extra = f"; {parameters}" if parameters else ""
    # RFC 2045 §6.4: a multipart may only be 7bit, 8bit or binary, as its widest part is.
    encoding = "7bit" if content.isascii() else "8bit"
    return Part(
        (
            ("Content-Type", f'multipart/{subtype}{extra}; boundary="{boundary}"'),
            ("Content-Transfer-Encoding", encoding),
        ),
        content,
    )


def described(part: Part, description: str) -> Part:
    """The part with a word about what it is, for people (RFC 2045 §8)."""
    return replace(part, fields=(*part.fields, ("Content-Description", description)))


def parameter(name: str, value: str) -> str:
    """`name=value` as RFC 2045 §5.1 writes it; with RFC 2231 where it is not ASCII."""
    if _FORBIDDEN.search(value):
        raise HeaderError(f"{name} holds a line end or NUL")
    if _TOKEN.fullmatch(value):
        return f"{name}={value}"
    if value.isascii():
        quoted = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'{name}="{quoted}"'
    octets = value.encode("utf-8", "replace")
    coded = "".join(chr(one) if one in _ATTRIBUTE else f"%{one:02X}" for one in octets)
    return f"{name}*=utf-8''{coded}"


def _folded(start: str, words: Sequence[str]) -> bytes:
    lines = [start]
    for word in words:
        # RFC 5322 §3.2.2: no line is blanks alone, so none begins with the blanks of a longer gap.
        if word and len(lines[-1]) + 1 + len(word) > _MAX_FOLDED and lines[-1] != start:
            lines.append("")
        lines[-1] += " " + word
    written = [line.encode("utf-8", "replace") for line in lines]
    # RFC 6532 §3.4: in UTF-8 the limit is one of octets.
    if any(len(line) > _MAX_LINE for line in written):
        raise HeaderError("a word is longer than a line may be")
    return b"\r\n".join(written)


def _encoded(octets: bytes) -> tuple[str, bytes]:
    if octets.isascii() and b"\x00" not in octets and _longest(octets) <= _MAX_LINE:
        return "7bit", octets
    quoted = _LINE_END.sub(b"\r\n", binascii.b2a_qp(octets, istext=True))
    coded = _base64(octets)
    return ("quoted-printable", quoted) if len(quoted) <= len(coded) else ("base64", coded)


def _longest(octets: bytes) -> int:
    return max(map(len, octets.split(b"\r\n")))


def _base64(octets: bytes) -> bytes:
    step = 57  # 57 octets are 76 characters, RFC 2045 §6.8
    lines = [
        binascii.b2a_base64(octets[at : at + step], newline=False)
        for at in range(0, len(octets), step)
    ]
    return b"".join(line + b"\r\n" for line in lines)
