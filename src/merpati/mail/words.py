"""Encoded words: text that is not ASCII inside header fields (RFC 2047)."""

import binascii
import re

from merpati.mail.charset import decode

# RFC 2047 §2: encoded-word = "=?" charset ["*" language] "?" encoding "?" encoded-text "?=".
# An encoded word has at most 75 characters; writers that ignore this are read up to 1,000.
_WORD = re.compile(
    r"=\?([A-Za-z0-9_.:+-]{1,40})(?:\*[A-Za-z0-9-]{1,20})?\?([BbQq])\?([^? ]{0,1000})\?="
)
_BETWEEN = re.compile(r"[ \t\r\n]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_HEX = re.compile(rb"=([0-9A-Fa-f]{2})")
_MAX_TEXT = 128 * 1024

_PRINTABLE = re.compile(r"[ -~]*")
# RFC 2047 §5 (3): what may stand for itself in a Q word anywhere, also inside a phrase.
_Q_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
_MAX_WORD = 63  # 75 are allowed; fewer leave room for a field name on the first line
_OVERHEAD = len("=?utf-8?q??=")


def decode_words(text: str) -> str:
    """The text with every well-formed encoded word decoded; anything else stays as it is.

    Words that only white space separates belong together (§6.2), and a character may be split
    between two of them (forbidden, yet common). Control characters become spaces.
    """
    if "=?" not in text:
        return _CONTROL.sub(" ", text[:_MAX_TEXT])
    pieces: list[str] = []
    run: list[bytes] = []
    charset = ""
    at = 0
    for word in _WORD.finditer(text[:_MAX_TEXT]):
        between = text[at : word.start()]
        joins = bool(run) and (not between or _BETWEEN.fullmatch(between) is not None)
        if not joins or word[1].lower() != charset:
            pieces.append(decode(b"".join(run), charset))
            run = []
        if not joins:
            pieces.append(between)
        charset = word[1].lower()
        run.append(_octets(word[2], word[3]))
        at = word.end()
    pieces += [decode(b"".join(run), charset), text[at:_MAX_TEXT]]
    return _CONTROL.sub(" ", "".join(pieces))


def _octets(encoding: str, encoded: str) -> bytes:
    raw = encoded.encode("utf-8")
    if encoding in "Qq":
        return _HEX.sub(lambda found: bytes([int(found[1], 16)]), raw.replace(b"_", b" "))
    try:
        return binascii.a2b_base64(raw + b"=" * (-len(raw) % 4))
    except binascii.Error:
        return raw


def encode_words(text: str) -> list[str]:
    """The text as encoded words in UTF-8, each at most 63 characters, to be joined by a space."""
    words: list[str] = []
    current = ""
    for character in text:
        coded = "".join(_q(octet) for octet in character.encode("utf-8", "replace"))
        if len(current) + len(coded) > _MAX_WORD - _OVERHEAD:
            words.append(current)
            current = ""
        current += coded
    words.append(current)
    return [f"=?utf-8?q?{word}?=" for word in words]


def _q(octet: int) -> str:
    if octet in _Q_PLAIN:
        return chr(octet)
    return "_" if octet == 0x20 else f"={octet:02X}"


def needs_words(text: str) -> bool:
    """Whether the text cannot stand in a header field as it is."""
    return not _PRINTABLE.fullmatch(text) or "=?" in text
