"""Records as they stand in the DNS (RFC 7208 §4.5, §4.6, §5, §6, §12)."""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from merpati.authenticity.questions import TURN, Asking
from merpati.authenticity.spf.macro import Macro, MacroString, read_macros
from merpati.authenticity.spf.result import Result, SpfError


class Kind(Enum):
    """The mechanisms of RFC 7208 §5."""

    ALL = "all"
    INCLUDE = "include"
    A = "a"
    MX = "mx"
    PTR = "ptr"
    IP4 = "ip4"
    IP6 = "ip6"
    EXISTS = "exists"


@dataclass(frozen=True, slots=True)
class Directive:
    """A mechanism and the result that a match of it has."""

    kind: Kind
    result: Result
    text: str
    """As written."""
    domain: MacroString = ()
    """Empty: the domain whose record it is."""
    network: int = 0
    """Of ip4 and ip6."""
    ipv4_bits: int = 32
    ipv6_bits: int = 128


@dataclass(frozen=True, slots=True)
class Record:
    """A record without a fault in its syntax."""

    directives: tuple[Directive, ...]
    redirect: MacroString = ()
    exp: MacroString = ()


MAX_RECORD = 8192
"""Octets. RFC 7208 §3.4 recommends 450; the longest that honest domains have are about 4,000."""

MANY_TERMS = 32
"""Behind so many others have their turn. Most records have fewer, and wait for nobody."""

_RESULTS = {
    "+": Result.PASS,
    "": Result.PASS,
    "-": Result.FAIL,
    "~": Result.SOFTFAIL,
    "?": Result.NEUTRAL,
}
_KINDS = {kind.value: kind for kind in Kind}
_NEEDS_DOMAIN = frozenset({Kind.INCLUDE, Kind.EXISTS})
_HAS_CIDR = frozenset({Kind.A, Kind.MX})

#   name     = ALPHA *( ALPHA / DIGIT / "-" / "_" / "." )  # noqa: ERA001
_MODIFIER = re.compile(r"([A-Za-z][A-Za-z0-9._-]*)=(.*)", re.DOTALL)
_DIRECTIVE = re.compile(r"([-+~?]?)([A-Za-z][A-Za-z0-9]*)(?:(?=/)|:(?=.)|$)(.*)", re.DOTALL)
#   ip4-cidr-length = "/" ("0" / %x31-39 0*1DIGIT)
#   ip6-cidr-length = "/" ("0" / %x31-39 0*2DIGIT)
#   dual-cidr-length = [ ip4-cidr-length ] [ "/" ip6-cidr-length ]
_CIDR = re.compile(r"(?:/(0|[1-9][0-9]?))?(?://(0|[1-9][0-9]{0,2}))?\Z")
_ONE_CIDR = re.compile(r"([^/]+)(?:/(0|[1-9][0-9]{0,2}))?")
#   domain-end = ( "." toplabel [ "." ] ) / macro-expand
#   toplabel   = ( *alphanum ALPHA *alphanum ) / ( 1*alphanum "-" *( alphanum / "-" ) alphanum )
_DOMAIN_END = re.compile(r"\.(?![0-9]+\.?\Z)[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.?\Z")


def find_records(texts: Iterable[bytes]) -> list[bytes]:
    """Those for SPF among a domain's TXT records; there must be one (RFC 7208 §4.5)."""
    # The version is followed by a space or the end.
    return [text for text in texts if text[:7].lower().rstrip(b" ") == b"v=spf1"]


def read_record(octets: bytes) -> Record:
    """The terms of a record, all of them checked before one is evaluated (RFC 7208 §4.6).

    Raises SpfError for every fault.
    """
    if len(octets) > MAX_RECORD:
        raise SpfError(Result.PERMERROR, "the record is too long")
    return _read_again(octets) if len(octets) <= _COMMON else _read(octets)


def reading_record(octets: bytes) -> Asking[Record]:
    """The same as a check, in which others have their turn: the longest takes 5 ms."""
    if _COMMON < len(octets) <= MAX_RECORD:
        return (yield from _reading(octets))
    return read_record(octets)


def _read(octets: bytes) -> Record:
    reading = _reading(octets)
    try:
        while True:
            next(reading)
    except StopIteration as end:
        record: Record = end.value
        return record


def _reading(octets: bytes) -> Asking[Record]:
    try:
        text = octets.decode("ascii")
    except UnicodeDecodeError:
        raise SpfError(Result.PERMERROR, "the record is not ASCII") from None
    directives: list[Directive] = []
    modifiers: dict[str, MacroString] = {}
    for at, term in enumerate(text.split(" ")[1:], 1):
        if at % MANY_TERMS == 0:
            yield TURN
        if not term:
            continue
        if modifier := _MODIFIER.fullmatch(term):
            _read_modifier(modifier[1].lower(), modifier[2], modifiers)
        else:
            directives.append(_read_directive(term))
    return Record(tuple(directives), modifiers.get("redirect", ()), modifiers.get("exp", ()))


# A few providers' records stand behind most mail, and to read one of twenty networks takes 100 us.
# What a stranger can fill this with is at most 30 KB each.
_COMMON = 512
"""Octets of a record that is worth remembering."""
_read_again = lru_cache(maxsize=128)(_read)


def _read_modifier(name: str, value: str, modifiers: dict[str, MacroString]) -> None:
    if name not in ("redirect", "exp"):
        if read_macros(value) is None:
            raise _fault()
    elif name in modifiers:  # RFC 7208 §6: at most once
        raise SpfError(Result.PERMERROR, f"the record has {name} twice")
    else:
        modifiers[name] = _read_domain(value)


def _read_directive(term: str) -> Directive:
    match = _DIRECTIVE.fullmatch(term)
    kind = _KINDS.get(match[2].lower()) if match else None
    if match is None or kind is None:
        raise _fault()
    result, rest = _RESULTS[match[1]], match[3]
    has_domain = term[match.end(2) : match.end(2) + 1] == ":"
    if kind in (Kind.IP4, Kind.IP6):
        return _read_network(kind, result, term, rest if has_domain else "")
    if not has_domain if kind in _NEEDS_DOMAIN else kind is Kind.ALL and (rest or has_domain):
        raise _fault()
    ipv4_bits, ipv6_bits = 32, 128
    if kind in _HAS_CIDR:
        rest, ipv4_bits, ipv6_bits = _split_cidr(rest)
    if bool(rest) is not has_domain:
        raise _fault()
    domain = _read_domain(rest) if has_domain else ()
    return Directive(kind, result, term, domain, 0, ipv4_bits, ipv6_bits)


def _split_cidr(text: str) -> tuple[str, int, int]:
    if "/" not in text:
        return text, 32, 128
    match = _CIDR.search(text)
    assert match is not None  # noqa: S101 - it matches the empty end
    ipv4_bits, ipv6_bits = int(match[1] or 32), int(match[2] or 128)
    if ipv4_bits > 32 or ipv6_bits > 128:
        raise _fault()
    return text[: match.start()], ipv4_bits, ipv6_bits


def _read_network(kind: Kind, result: Result, term: str, text: str) -> Directive:
    match = _ONE_CIDR.fullmatch(text)
    if match is None:
        raise _fault()
    most = 32 if kind is Kind.IP4 else 128
    bits = int(match[2] or most)
    try:
        if kind is Kind.IP4:
            network = int(ipaddress.IPv4Address(match[1]))
        elif "%" in match[1]:  # a scope (RFC 4007), which Python would take
            raise _fault()
        else:
            network = int(ipaddress.IPv6Address(match[1]))
    except ipaddress.AddressValueError:
        raise _fault() from None
    if bits > most:
        raise _fault()
    if kind is Kind.IP4:
        return Directive(kind, result, term, (), network, ipv4_bits=bits)
    return Directive(kind, result, term, (), network, ipv6_bits=bits)


def _read_domain(text: str) -> MacroString:
    macros = read_macros(text) if text and text.isprintable() else None
    if macros is None:
        raise _fault()
    # A last piece that is a macro ends the domain; "%%", "%_" and "%-" are macro-expand as well.
    ends_in_macro = isinstance(macros[-1], Macro) or text[-2:] in ("%%", "%_", "%-")
    if not ends_in_macro and not _DOMAIN_END.search(text):
        raise _fault()
    return macros


def _fault() -> SpfError:
    return SpfError(Result.PERMERROR, "the record has a syntax error")
