"""The domain that a message claims to come from (RFC 9989 §5.3.1): that of From, or why none.

What programs for reading mail make of a From that is not plain differs, and DMARC must judge the
domain that people see. So only what all of them read alike has an author domain.
"""

import re
from dataclasses import dataclass
from enum import Enum

from merpati.mail.headers import Headers
from merpati.mail.mailboxes import MAX_FLAW, parse_mailboxes

MAX_FIELD = 2048
"""Characters of a From that is read. One of 8 KiB costs up to 10 ms, in which nobody else is
served, and nobody who wants to be known writes that much."""
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_COMMENT = re.compile(r"\([^()]*+\)")
_ANGLES = re.compile(r"<[^<>]*+>")


class AuthorFlaw(Enum):
    """Why a message has no author domain."""

    NO_FIELD = "there is no From field"
    SEVERAL_FIELDS = "there are several From fields"
    UNREADABLE = "the From field cannot be read without doubt"
    NO_ADDRESS = "the From field has no address"
    SEVERAL_DOMAINS = "the From field has addresses of several domains"
    NO_DOMAIN = "the address in From has no domain"


@dataclass(frozen=True, slots=True)
class Author:
    """An author domain, or the flaw that is in its place."""

    domain: str = ""
    """In A-labels and lower case."""
    flaw: AuthorFlaw | None = None


def find_author(headers: Headers) -> Author:
    """Never raises. Several addresses are one author when their domain is one."""
    values = headers.get_all("from")
    if len(values) != 1:
        return Author(flaw=AuthorFlaw.SEVERAL_FIELDS if values else AuthorFlaw.NO_FIELD)
    if len(values[0]) > MAX_FIELD:
        return Author(flaw=AuthorFlaw.UNREADABLE)
    mailboxes = parse_mailboxes(values[0])
    if any(map(_may_be_address, mailboxes.flaws)) or _is_ambiguous(values[0]):
        return Author(flaw=AuthorFlaw.UNREADABLE)
    domains = {address.domain for address in mailboxes.addresses}
    if len(domains) != 1:
        return Author(flaw=AuthorFlaw.SEVERAL_DOMAINS if domains else AuthorFlaw.NO_ADDRESS)
    (domain,) = domains
    if not domain or domain.startswith("["):
        return Author(flaw=AuthorFlaw.NO_DOMAIN)
    return Author(domain)


def _may_be_address(flaw: str) -> bool:
    """Whether somebody could read an address in it. A name with a comma that should have been
    quoted (`Merpati, Inc. <ann@a.test>`) is common, and no danger."""
    return "@" in flaw or "=?" in flaw or len(flaw) >= MAX_FLAW


def _is_ambiguous(value: str) -> bool:
    """Source routes (RFC 5322 §4.4) and groups: readers differ on which address counts."""
    plain = _COMMENT.sub("", _QUOTED.sub("", value))
    return any(":" in angle for angle in _ANGLES.findall(plain)) or ":" in _ANGLES.sub("", plain)
