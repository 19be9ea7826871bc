"""Feedback reports (ARF, RFC 5965): complaints about mail, and failures of its authentication
(RFC 6591, 9991), read without trust.
"""

import ipaddress
import re
from collections.abc import Sequence

from merpati.feedback.complaint import Complaint
from merpati.mail.headers import Headers
from merpati.mail.parts import Part, read_parts

MAX_TEXT = 1000
MAX_VALUES = 20
"""Of a field that may stand several times."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MAX_INCIDENTS = 10**6
MEDIA_TYPE = "message/feedback-report"
_RETURNED = ("message/rfc822", "message/global", "text/rfc822-headers", "message/rfc822-headers")
_METHODS = frozenset({"dkim", "spf"})


def read_complaint(octets: bytes) -> Complaint | None:
    """The report in a message; None for a message that is none. Never raises."""
    parts = read_parts(octets)
    report = next((part for part in parts if part.media_type == MEDIA_TYPE), None)
    if report is None:
        return None
    # RFC 5965 §2 d: the part is a block of header fields.
    told = Headers.scan(report.content.lstrip(b"\r\n"))
    kind = _word(told, "feedback-type")
    return _complaint(kind, told, _original(parts, report)) if kind else None


def _original(parts: Sequence[Part], report: Part) -> bytes:
    """What was given back stands behind the report (RFC 5965 §2 e)."""
    behind = parts[parts.index(report) + 1 :]
    for part in behind:
        if part.media_type in _RETURNED:
            return Headers.scan(part.content.lstrip(b"\r\n")).section
    return b""


def _complaint(kind: str, told: Headers, original: bytes) -> Complaint:
    return Complaint(
        kind=kind,
        user_agent=_text(told, "user-agent"),
        incidents=_incidents(_text(told, "incidents")),
        ip=_ip(_text(told, "source-ip")),
        sender=_text(told, "original-mail-from").strip("<> "),
        recipients=tuple(each.strip("<> ") for each in _texts(told, "original-rcpt-to")),
        arrived=_text(told, "arrival-date") or _text(told, "received-date"),
        envelope_id=_text(told, "original-envelope-id"),
        domains=tuple(each.lower().removesuffix(".") for each in _texts(told, "reported-domain")),
        failure=_word(told, "auth-failure"),
        unaligned=_unaligned(_text(told, "identity-alignment")),
        results=_texts(told, "authentication-results"),
        delivery=_word(told, "delivery-result"),
        dkim_domain=_word(told, "dkim-domain"),
        dkim_selector=_text(told, "dkim-selector"),
        dkim_identity=_text(told, "dkim-identity"),
        spf_record=_text(told, "spf-dns"),
        original=original,
    )


def _text(told: Headers, name: str) -> str:
    return (told.get(name) or "")[:MAX_TEXT]


def _texts(told: Headers, name: str) -> tuple[str, ...]:
    return tuple(value[:MAX_TEXT] for value in told.get_all(name)[:MAX_VALUES])


def _word(told: Headers, name: str) -> str:
    return _text(told, name).partition("(")[0].strip().lower()


def _unaligned(text: str) -> tuple[str, ...]:
    words = {word.strip(" \t").lower() for word in text.split(",")}
    return tuple(sorted(words & _METHODS))


def _incidents(text: str) -> int:
    is_number = text.isascii() and text.isdigit() and len(text) <= 7
    return max(1, min(int(text), _MAX_INCIDENTS)) if is_number else 1


def _ip(text: str) -> str:
    # RFC 5965 allows an IPv6 address with its tag.
    text = text.strip("[] ")
    try:
        return str(ipaddress.ip_address(text.removeprefix("IPv6:")))
    except ValueError:
        return ""
