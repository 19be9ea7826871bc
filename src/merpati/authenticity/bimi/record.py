"""The record in which a domain says where its logo is, and whether its DMARC allows for one.

Nothing here fetches anything: what a stranger's record points at is for whoever shows mail. The
numbers of sections are those of draft-brand-indicators-for-message-identification-14.
"""

import re
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from merpati.authenticity.dmarc.record import Policy
from merpati.authenticity.dmarc.record import Record as DmarcRecord
from merpati.authenticity.questions import Asking, txt
from merpati.authenticity.tags import TagError, Tags, parse_tags_leniently
from merpati.dns.errors import DnsError
from merpati.mail.address import MAX_DOMAIN, AddressError, parse_domain
from merpati.mail.headers import Headers

DEFAULT_SELECTOR = "default"
FIELD = "bimi-selector"
MAX_URI = 2048
MAX_PREFIXES = 50
# §4.3: v= comes first and is exactly this.
_VERSION = re.compile(rb"[ \t]*+v[ \t]*+=[ \t]*+BIMI1[ \t]*+(?:;|\Z)")
_IS_SELECTOR = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9-]{1,63})*").fullmatch
_IS_PREFIX = re.compile(r"[A-Za-z0-9-]{1,63}").fullmatch
_FULL = ("", "100")


class Avatar(Enum):
    """Which picture the domain would rather see, where a program has one of the person, too."""

    BRAND = "brand"
    PERSONAL = "personal"


@dataclass(frozen=True, slots=True)
class Assertion:
    """What a record says."""

    text: str
    location: str = ""
    """l: the URI of the logo; empty: none is to be shown."""
    evidence: str = ""
    """a: the URI of a certificate for it (VMC, CMC); empty: there is none."""
    avatar: Avatar = Avatar.BRAND
    prefixes: tuple[str, ...] = ()
    """lps: beginnings of local parts that have selectors of their own."""
    flaws: tuple[str, ...] = ()
    """Why receivers pass over it, in words for people."""

    @property
    def declines(self) -> bool:
        """Whether it says that there shall be no logo (§4.3)."""
        return not (self.location or self.evidence or self.flaws)


class Found(Enum):
    """What a look for a record came to; the values are the words of §7.7 for a header field."""

    PASS = "pass"  # noqa: S105 - no password
    NONE = "none"
    DECLINED = "declined"
    FAIL = "fail"
    """There is one, or several, of which nothing can be made."""
    TEMPERROR = "temperror"


@dataclass(frozen=True, slots=True)
class Lookup:
    """What was found, and under which name."""

    result: Found
    name: str = ""
    assertion: Assertion | None = None


def is_record(octets: bytes) -> bool:
    """Whether a TXT record is meant to be one."""
    return _VERSION.match(octets) is not None


def read_assertion(octets: bytes) -> Assertion | None:
    """The record in one TXT record; None for what is none of BIMI. Never raises."""
    if not is_record(octets):
        return None
    text = octets[:4096].decode("utf-8", "replace")
    try:
        tags = parse_tags_leniently(octets)
    except TagError as error:
        return Assertion(text, flaws=(str(error),))
    flaws = [f"{name}= is no https address" for name in "la" if not _is_uri(tags.get(name) or "")]
    if "l" not in tags:
        flaws.append("there is no l=")
    avatar = (tags.get("avp") or Avatar.BRAND.value).lower()
    return Assertion(
        text,
        location=tags.get("l") or "",
        evidence=tags.get("a") or "",
        avatar=Avatar.PERSONAL if avatar == Avatar.PERSONAL.value else Avatar.BRAND,
        prefixes=_prefixes(tags),
        flaws=tuple(flaws),
    )


def read_selector(headers: Headers) -> str:
    """Which of the author's records a message asks for (§5); the default where it cannot be read.

    A receiver that obeys it must know that the field is signed with the rest.
    """
    values = headers.get_all(FIELD)
    if len(values) != 1:
        return DEFAULT_SELECTOR
    try:
        tags = parse_tags_leniently(values[0].encode("utf-8", "surrogatepass"))
    except TagError:
        return DEFAULT_SELECTOR
    selector = (tags.get("s") or "").lower()
    is_ours = (tags.get("v") or "").upper() == "BIMI1" and _IS_SELECTOR(selector)
    return selector if is_ours and len(selector) <= MAX_DOMAIN else DEFAULT_SELECTOR


def record_name(domain: str, selector: str = DEFAULT_SELECTOR) -> str:
    """Where a record stands."""
    return f"{selector}._bimi.{domain}"


def enforces(dmarc: DmarcRecord | None) -> bool:
    """Whether a domain's policy of DMARC keeps forgers from its logo (§3.1): quarantine or reject,
    for all of its mail and what is below it. RFC 9989 knows pct= no more; receivers of BIMI do."""
    if dmarc is None or dmarc.policy in (None, Policy.NONE) or dmarc.testing:
        return False
    if dmarc.subdomains is Policy.NONE:
        return False
    try:
        tags = parse_tags_leniently(dmarc.text.encode("utf-8", "surrogatepass"))
    except TagError:
        return False
    return (tags.get("pct") or "") in _FULL


def find(author: str, organization: str, selector: str = DEFAULT_SELECTOR) -> Asking[Lookup]:
    """The record of a domain, else of its organization (§7.2). Two questions at most."""
    for domain in dict.fromkeys((author, organization)):
        name = record_name(domain, selector)
        if len(name) > MAX_DOMAIN:
            continue
        try:
            answer = yield from txt(name)
        except DnsError:
            return Lookup(Found.TEMPERROR, name)
        records = [octets for octets in answer.records if is_record(octets)]
        if records:
            return _judged(name, records)
    return Lookup(Found.NONE)


def _judged(name: str, records: list[bytes]) -> Lookup:
    assertion = read_assertion(records[0])
    if assertion is None or assertion.flaws or len(records) > 1:
        return Lookup(Found.FAIL, name, assertion)
    return Lookup(Found.DECLINED if assertion.declines else Found.PASS, name, assertion)


def _is_uri(text: str) -> bool:
    """Empty, or one https address of a host with a name."""
    if not text:
        return True
    if len(text) > MAX_URI or not text.isascii() or any(one in text for one in " \t,\\"):
        return False
    try:
        parts = urlsplit(text)
        host = parse_domain(parts.hostname or "")
        port = parts.port
    except (ValueError, AddressError):
        return False
    is_plain = parts.username is None and port in (None, 443)
    return parts.scheme.lower() == "https" and "." in host and is_plain and host[:1] != "["


def _prefixes(tags: Tags) -> tuple[str, ...]:
    told = [one.strip(" \t") for one in (tags.get("lps") or "").split(",")]
    return tuple(one for one in told[:MAX_PREFIXES] if _IS_PREFIX(one))
