"""Feedback reports (ARF, RFC 5965): complaints about mail, and failures of its authentication
(RFC 6591, 9991), read without trust and written.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from merpati.mail.address import Address
from merpati.mail.headers import Headers
from merpati.mail.mime import enclosed, field, message, multipart, subject, text_part
from merpati.mail.parts import Part, read_parts
from merpati.mail.trace import date_time

MAX_TEXT = 1000
MAX_VALUES = 20
"""Of a field that may stand several times."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MAX_INCIDENTS = 10**6
_TYPES = ("message/feedback-report",)
_RETURNED = ("message/rfc822", "message/global", "text/rfc822-headers", "message/rfc822-headers")
_METHODS = frozenset({"dkim", "spf"})


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a report says. Texts are a stranger's, clipped."""

    kind: str
    """Feedback-Type in lower case: abuse, fraud, auth-failure, not-spam …"""
    user_agent: str = ""
    incidents: int = 1
    ip: str = ""
    """Source-IP: whom the message came from."""
    sender: str = ""
    """Original-Mail-From, without angle brackets."""
    recipients: tuple[str, ...] = ()
    """Original-Rcpt-To."""
    arrived: str = ""
    """Arrival-Date, as it was written."""
    envelope_id: str = ""
    domains: tuple[str, ...] = ()
    """Reported-Domain."""
    failure: str = ""
    """Auth-Failure in lower case: dmarc, dkim, spf, signature, bodyhash …"""
    unaligned: tuple[str, ...] = ()
    """Identity-Alignment: the methods that did not pass for an aligned domain."""
    results: tuple[str, ...] = ()
    """Authentication-Results, for `authenticity.results` to read."""
    delivery: str = ""
    """Delivery-Result in lower case: delivered, spam, policy, reject, other."""
    dkim_domain: str = ""
    dkim_selector: str = ""
    dkim_identity: str = ""
    spf_record: str = ""
    """SPF-DNS."""
    original: Headers = Headers()  # noqa: RUF009 - a frozen value
    """The header section of the message that it is about, as far as it was given back."""


def read_feedback(octets: bytes) -> Feedback | None:
    """The report in a message; None for a message that is none. Never raises."""
    parts = read_parts(octets)
    report = next((part for part in parts if part.media_type in _TYPES), None)
    if report is None:
        return None
    # RFC 5965 §2 d: the part is a block of header fields.
    told = Headers.scan(report.content.lstrip(b"\r\n"))
    kind = _word(told, "feedback-type")
    return _feedback(kind, told, _original(parts, report)) if kind else None


def _original(parts: Sequence[Part], report: Part) -> Headers:
    """What was given back stands behind the report (RFC 5965 §2 e)."""
    behind = parts[parts.index(report) + 1 :]
    for part in behind:
        if part.media_type in _RETURNED:
            return Headers.scan(part.content.lstrip(b"\r\n"))
    return Headers()


def _feedback(kind: str, told: Headers, original: Headers) -> Feedback:
    return Feedback(
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


def failure_message(
    feedback: Feedback, sender: Address, to: Address, reporter: str, now: float
) -> tuple[bytes, bytes]:
    """Header section and body of the mail that tells of a message that failed DMARC (RFC 9991).

    Of the message itself only its header section is given back: what people wrote is theirs. It
    has no address of a recipient but those in `feedback`.
    """
    about = feedback.original.text("subject")[:MAX_TEXT]
    text = (
        f"A message in the name of {', '.join(feedback.domains)} failed DMARC at {reporter}.\n"
        f"It came from {feedback.ip or 'an address that is not told'}.\n"
    )
    report = multipart(
        "report",
        [
            text_part(text),
            enclosed(_fields(feedback), "message/feedback-report"),
            enclosed(feedback.original.section, "text/rfc822-headers"),
        ],
        "report-type=feedback-report",
    )
    fields = [
        ("From", f"<{sender}>"),
        ("To", f"<{to}>"),
        ("Subject", subject(f"FW: {about}")),
        ("Date", date_time(int(now))),
        ("Auto-Submitted", "auto-generated"),
    ]
    return message(fields, report)


def _fields(feedback: Feedback) -> bytes:
    """RFC 5965 §3, RFC 6591 §3.1 and RFC 9991 §4."""
    told = [
        ("Feedback-Type", feedback.kind),
        ("User-Agent", feedback.user_agent),
        ("Version", "1"),
        ("Auth-Failure", feedback.failure),
        *(("Authentication-Results", each) for each in feedback.results),
        ("Identity-Alignment", ", ".join(feedback.unaligned) or "none"),
        ("Original-Envelope-Id", feedback.envelope_id),
        ("Original-Mail-From", f"<{feedback.sender}>"),
        *(("Original-Rcpt-To", f"<{each}>") for each in feedback.recipients),
        ("Arrival-Date", feedback.arrived),
        ("Source-IP", feedback.ip),
        *(("Reported-Domain", each) for each in feedback.domains),
        ("Delivery-Result", feedback.delivery),
        ("DKIM-Domain", feedback.dkim_domain),
        ("DKIM-Selector", feedback.dkim_selector),
        ("DKIM-Identity", feedback.dkim_identity),
        ("SPF-DNS", feedback.spf_record),
        ("Incidents", str(feedback.incidents) if feedback.incidents > 1 else ""),
    ]
    return b"".join(field(name, _CONTROL.sub("?", value)) for name, value in told if value)
