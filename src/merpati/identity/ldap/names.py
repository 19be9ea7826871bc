"""Templates of names and filters, in which nothing that a client says can become syntax.

`{user}` stands for the whole address, `{local}` and `{domain}` for its parts. In a name they are
escaped (RFC 4514); a filter is read before they are put in, so that they are octets to compare with
and nothing else.
"""

import re
from collections.abc import Mapping

from merpati.errors import MerpatiError
from merpati.identity.ldap.ber import OCTETS, encode
from merpati.mail.address import Address

_PLACE = re.compile(r"\{([^{}]*)\}")
_KNOWN = {"user", "local", "domain"}
# RFC 4514 §2.4; "=" is escaped too, which is allowed, so that a value never looks like a name.
_SPECIAL = re.compile(r'[\\"+,;<>=\0]|^[ #]|[ ]$')
_ESCAPED = re.compile(rb"\\([0-9A-Fa-f]{2})|\\")
# RFC 4515 §3: item = attr filtertype assertionvalue; attr may have options, or a rule (extensible)
_ITEM = re.compile(r"([A-Za-z0-9.;-]*)((?::dn)?(?::[A-Za-z0-9.-]+)?:|[~<>])?=([^()]*)")
_AND, _OR, _NOT = 0xA0, 0xA1, 0xA2
_EQUAL, _PARTS, _PRESENT, _EXTENSIBLE = 0xA3, 0xA4, 0x87, 0xA9
_COMPARED = {">": 0xA5, "<": 0xA6, "~": 0xA8}
_MOST_NESTED = 20


class TemplateError(MerpatiError):
    """A template that cannot be used; says what is wrong with it."""


def fill_name(template: str, account: Address) -> str:
    """A distinguished name with the account in it. Raises TemplateError."""
    values = values_of(account)
    return _PLACE.sub(lambda place: _escape(_value(place[1], values)), template)


def values_of(account: Address) -> dict[str, str]:
    """What the places of a template stand for."""
    return {"user": str(account), "local": account.local, "domain": account.domain}


def _escape(value: str) -> str:
    return _SPECIAL.sub(lambda found: f"\\{ord(found[0]):02X}", value)


def _value(place: str, values: Mapping[str, str]) -> str:
    if place not in _KNOWN:
        raise TemplateError(f"{{{place}}} stands for nothing: use {{user}}, {{local}}, {{domain}}")
    return values[place]


def fill_filter(template: str, account: Address) -> bytes:
    """A filter (RFC 4515) in BER, with the account in it. Raises TemplateError."""
    octets, end = _filter(template, 0, values_of(account), _MOST_NESTED)
    if end != len(template):
        raise TemplateError(f"the filter goes on behind its end: {template[end:]}")
    return octets


def _filter(text: str, at: int, values: Mapping[str, str], deep: int) -> tuple[bytes, int]:
    """The filter that begins at `at`, and where it ends."""
    if not deep or text[at : at + 1] != "(":
        raise TemplateError("a filter stands in parentheses, at most 20 deep")
    sign = text[at + 1 : at + 2]
    if sign in {"&", "|"}:
        parts, at = _several(text, at + 2, values, deep)
        octets = encode(_AND if sign == "&" else _OR, *parts)
    elif sign == "!":
        part, at = _filter(text, at + 2, values, deep - 1)
        octets = encode(_NOT, part)
    else:
        found = _ITEM.match(text, at + 1)
        if found is None:
            raise TemplateError(f"no filter: {text[at:]}")
        octets, at = _item(found, values), found.end()
    if text[at : at + 1] != ")":
        raise TemplateError("a filter without its end")
    return octets, at + 1


def _several(text: str, at: int, values: Mapping[str, str], deep: int) -> tuple[list[bytes], int]:
    parts = []
    while text[at : at + 1] == "(":
        part, at = _filter(text, at, values, deep - 1)
        parts.append(part)
    if not parts:
        raise TemplateError("& and | need a filter behind them")
    return parts, at


def _item(found: re.Match[str], values: Mapping[str, str]) -> bytes:
    attribute, kind, text = found[1], found[2] or "", found[3]
    if not attribute and not kind.endswith(":"):
        raise TemplateError("an attribute is missing before =")
    if kind.endswith(":"):
        return _extensible(attribute, kind, _octets(text, values))
    name = encode(OCTETS, attribute.encode())
    if kind:
        return encode(_COMPARED[kind], name, encode(OCTETS, _octets(text, values)))
    if text == "*":
        return encode(_PRESENT, attribute.encode())
    if "*" in text:
        pieces = [_octets(piece, values) for piece in text.split("*")]
        return encode(_PARTS, name, encode(0x30, *_substrings(pieces)))
    return encode(_EQUAL, name, encode(OCTETS, _octets(text, values)))


def _substrings(pieces: list[bytes]) -> list[bytes]:
    # RFC 4511 §4.5.1: initial [0], any [1], final [2]; none of them empty.
    last = len(pieces) - 1
    tags = [0x80 if n == 0 else 0x82 if n == last else 0x81 for n in range(len(pieces))]
    return [encode(tag, piece) for tag, piece in zip(tags, pieces, strict=True) if piece]


def _extensible(attribute: str, kind: str, value: bytes) -> bytes:
    # RFC 4511 §4.5.1.7.7: matchingRule [1], type [2], matchValue [3], dnAttributes [4].
    words = kind.strip(":").split(":")
    is_dn = words[:1] == ["dn"]
    rule = ":".join(words[is_dn:])
    parts = [encode(0x81, rule.encode())] if rule else []
    parts += [encode(0x82, attribute.encode())] if attribute else []
    parts.append(encode(0x83, value))
    parts += [encode(0x84, b"\xff")] if is_dn else []
    return encode(_EXTENSIBLE, *parts)


def _octets(text: str, values: Mapping[str, str]) -> bytes:
    """An assertion value: the operator's escapes are read, then the account is put in."""
    pieces = _PLACE.split(text)
    # `split` gives text and places in turn.
    return b"".join(
        _value(piece, values).encode() if n % 2 else _unescape(piece)
        for n, piece in enumerate(pieces)
    )


def _unescape(text: str) -> bytes:
    def octet(found: re.Match[bytes]) -> bytes:
        if found[1] is None:
            raise TemplateError(r"\ in a filter is followed by two hexadecimal digits")
        return bytes.fromhex(found[1].decode())

    return _ESCAPED.sub(octet, text.encode())
