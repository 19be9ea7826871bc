"""The record in the DNS that says what a domain asks of receivers (RFC 9989 §4.7), read leniently.

Records made for RFC 7489 are read too: `pct`, `rf` and `ri` mean nothing any more, but `pct=0`
was how its readers were told what `t=y` says now. The largest report that a receiver takes, `!10m`
behind its URI, still binds who sends one (RFC 9990 §2.6).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar
from urllib.parse import unquote_to_bytes

from merpati.authenticity.tags import TagError, Tags, parse_tags_leniently
from merpati.mail.address import Address, AddressError

T = TypeVar("T")
MAX_URIS = 10
"""Destinations of one kind that are looked at."""
_SHOWN = 1024

# RFC 9989 §4.8:
#   dmarc-record  = dmarc-version *(dmarc-sep dmarc-tag) [dmarc-sep]
#   dmarc-version = "v" equals %s"DMARC1" ; case sensitive
_VERSION = re.compile(rb"[ \t]*+[vV][ \t]*+=[ \t]*+DMARC1[ \t]*+(?:;|\Z)")
#   dmarc-urilist = dmarc-uri *(*WSP "," *WSP dmarc-uri); of RFC 7489 a "!" and a size behind each
_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*:[!-~]+?)(?:!([0-9]*)([kmgtKMGT]?))?")
_UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}
_MAX_DIGITS = 12
_FO = frozenset("01ds")


class Policy(Enum):
    """What is asked for mail that fails; the values are the RFC's words."""

    NONE = "none"
    QUARANTINE = "quarantine"
    REJECT = "reject"

    @property
    def below(self) -> "Policy":
        """One level less strict: what `t=y` makes of it."""
        return Policy.QUARANTINE if self is Policy.REJECT else Policy.NONE


class Suffix(Enum):
    """What a record says of public suffixes (psd)."""

    YES = "y"
    """The domain is one: organizations are registered below it."""
    NO = "n"
    """The domain is an organization's."""
    UNKNOWN = "u"


@dataclass(frozen=True, slots=True)
class Record:
    """What a record says, with the defaults of what it does not."""

    text: str
    """Its beginning, as it was found."""
    policy: Policy | None = None
    """p; None: not there, or no policy."""
    subdomains: Policy | None = None
    """sp: for domains below that exist."""
    missing: Policy | None = None
    """np: for domains below that do not."""
    strict_dkim: bool = False
    strict_spf: bool = False
    psd: Suffix = Suffix.UNKNOWN
    testing: bool = False
    aggregate: tuple[str, ...] = ()
    """rua: URIs for aggregate reports, sizes taken off."""
    limits: tuple[tuple[str, int], ...] = ()
    """Octets of the largest report, for the URIs of rua that say so."""
    failure: tuple[str, ...] = ()
    """ruf: URIs for reports of single failures."""
    when: frozenset[str] = frozenset("0")
    """fo: of what failure reports are wished: 0, 1, d, s."""
    flaws: tuple[str, ...] = ()
    """Tags whose value means nothing."""

    @property
    def applies(self) -> bool:
        """False: a policy in it is missing or void, and nobody wants reports (RFC 9989 §4.10.1)."""
        return self.policy is not None or bool(self.aggregate)

    def policy_for(self, *, below: bool, exists: bool) -> tuple[str, Policy]:
        """The tag that decides and its policy, for the record's own domain or one below it."""
        tags = [("p", self.policy)]
        if below:
            tags.insert(0, ("sp", self.subdomains))
            if not exists:
                tags.insert(0, ("np", self.missing))
        for tag, policy in tags:
            if policy is not None:
                return tag, policy
        return "p", Policy.NONE


def find_records(texts: Iterable[bytes]) -> list[bytes]:
    """Those of DMARC among the TXT records of a name; there must be one (RFC 9989 §4.10)."""
    return [text for text in texts if _VERSION.match(text)]


def read_record(octets: bytes) -> Record | None:
    """The record in one TXT record; None for what is none of DMARC. Never raises."""
    if not _VERSION.match(octets):
        return None
    try:
        tags = parse_tags_leniently(octets)
    except TagError:
        return None
    reading = _Reading(tags)
    policies = {name: reading.one_of(name, _POLICIES) for name in ("p", "sp", "np")}
    if reading.flaws or policies["p"] is None:
        # §4.10.1: one void policy, or none, makes `p=none` of all, and without rua nothing.
        policies = {}
    strict = {name: reading.one_of(name, _STRICT) for name in ("adkim", "aspf")}
    aggregate = reading.uris("rua")
    return Record(
        text=octets[:_SHOWN].decode("ascii", "backslashreplace"),
        policy=policies.get("p"),
        subdomains=policies.get("sp"),
        missing=policies.get("np"),
        strict_dkim=bool(strict["adkim"]),
        strict_spf=bool(strict["aspf"]),
        psd=reading.one_of("psd", _SUFFIXES) or Suffix.UNKNOWN,
        testing=_is_test(reading, tags),
        aggregate=tuple(uri for uri, _ in aggregate),
        limits=tuple((uri, octets) for uri, octets in aggregate if octets),
        failure=tuple(uri for uri, _ in reading.uris("ruf")),
        when=reading.when(),
        flaws=tuple(reading.flaws),
    )


_POLICIES = {policy.value: policy for policy in Policy}
_SUFFIXES = {suffix.value: suffix for suffix in Suffix}
_STRICT = {"r": False, "s": True}
_YES_OR_NO = {"y": True, "n": False}


def _is_test(reading: "_Reading", tags: Tags) -> bool:
    if "t" in tags:
        return bool(reading.one_of("t", _YES_OR_NO))
    return (tags.get("pct") or "").strip("0") == "" and "pct" in tags


class _Reading:
    """Tags of one record, each with its own grammar."""

    def __init__(self, tags: Tags) -> None:
        self._tags = tags
        self.flaws: list[str] = []

    def one_of(self, name: str, values: Mapping[str, T]) -> T | None:
        """The value of a tag, in any case; None where it is not there or is none of these."""
        text = self._tags.get(name)
        if text is None:
            return None
        found = values.get(text.lower())
        if found is None:
            self.flaws.append(name)
        return found

    def uris(self, name: str) -> tuple[tuple[str, int], ...]:
        """Each with the size behind it, 0 for none."""
        text = self._tags.get(name)
        if text is None:
            return ()
        pieces = text.split(",", MAX_URIS)[:MAX_URIS]
        found = [_URI.fullmatch(piece.strip(" \t")) for piece in pieces]
        uris = tuple((match[1], _size(match)) for match in found if match)
        if not all(found):
            self.flaws.append(name)
        return uris

    def when(self) -> frozenset[str]:
        words = frozenset(word.strip(" \t") for word in (self._tags.get("fo") or "0").split(":"))
        if not words <= _FO:
            self.flaws.append("fo")
        return words & _FO or frozenset("0")


def _size(uri: re.Match[str]) -> int:
    # RFC 7489 §6.2: 10k is 10 x 2^10. A size without a number says nothing.
    digits, unit = uri[2] or "", (uri[3] or "").lower()
    return int(digits[:_MAX_DIGITS] or "0") << _UNITS[unit]


def mail_address(uri: str) -> Address | None:
    """Where a `mailto:` URI leads (RFC 6068); None for other schemes and for what is no address.

    Header fields behind `?` are not the domain owner's to choose and are left out.
    """
    scheme, _, rest = uri.partition(":")
    if scheme.lower() != "mailto":
        return None
    try:
        text = unquote_to_bytes(rest.partition("?")[0]).decode("utf-8")
        address = Address.parse(text)
    except (UnicodeDecodeError, AddressError):
        return None
    return address if address.domain and address.ip is None else None
