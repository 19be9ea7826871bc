"""Builds delivery status notifications (RFC 3461-3464, 6522; RFC 6533 for UTF-8).

What people read comes first and in plain words: what happened, whose fault it is, what to do next.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from merpati.diagnosis.cause import Diagnosis
from merpati.diagnosis.own_words import translated
from merpati.diagnosis.texts import explain
from merpati.mail.envelope import Body, BodyType, Envelope, Recipient, Return
from merpati.mail.headers import Headers
from merpati.mail.mime import (
    Part,
    described,
    enclosed,
    field,
    message,
    multipart,
    text_part,
)
from merpati.mail.trace import date_time
from merpati.queue.entry import Entry, Owed
from merpati.report.shown import shown
from merpati.report.wording import WORDINGS, Wording
from merpati.smtp.outgoing import utf8_address

# RFC 5322 §2.1.1: a line has at most 998 octets, and a value without spaces cannot be folded.
_MAX_VALUE = 900


@dataclass(frozen=True, slots=True)
class NoticeSettings:
    """How this host signs its notices."""

    hostname: str
    languages: tuple[str, ...] = ("en", "id")
    """Each notice tells the same in all of these, in this order."""
    max_returned: int = 64 * 1024
    """Octets; a larger message is given back as its headers only."""


@dataclass(frozen=True, slots=True)
class Report:
    """A notice, ready for the queue."""

    envelope: Envelope
    content: Body


# RFC 3463 §3.5, RFC 2852 §4: what ended by the clock; its cause is why the last attempt failed.
_BY_TIME = {"4.4.7": "expired", "5.4.7": "deliver-by-missed"}
_UNTOLD = {"failed": "refused", "delayed": "server-error"}


def build(owed: Sequence[Owed], original: bytes, settings: NoticeSettings, now: float) -> Report:
    """One notice about recipients of one message that share an action.

    `original` is the message, or as much of its beginning as was read.
    """
    entry = owed[0].entry
    sender = entry.envelope.sender
    assert sender is not None  # noqa: S101 - RFC 5321 §4.5.5: the null sender is forgiven before
    utf8 = _is_international(owed)
    # RFC 6522 §3 (RFC 3462 before it): a part for people, one for programs, and the message
    # or its header section.
    report = multipart(
        "report",
        [
            described(text_part(_text(owed, original, settings)), "Notification"),
            _status_part(owed, settings, now, utf8),
            _returned(owed[0], original, settings, utf8),
        ],
        f"report-type={'global-delivery-status' if utf8 else 'delivery-status'}",
    )
    fields = [
        ("From", f"Mail Delivery System <MAILER-DAEMON@{settings.hostname}>"),
        ("To", f"<{sender}>"),
        ("Subject", WORDINGS[settings.languages[0]].subjects[owed[0].action]),
        ("Date", date_time(int(now))),
        ("Auto-Submitted", "auto-replied"),
        *_references(original),
    ]
    head, body = message(fields, report, utf8=utf8)
    envelope = Envelope(
        sender=None,
        recipients=(Recipient(sender),),
        body=BodyType.SEVEN_BIT if body.isascii() and head.isascii() else BodyType.EIGHT_BIT,
        smtputf8=utf8,
        # RFC 8689 §5: what tells of a protected message is protected as well.
        require_tls=entry.envelope.require_tls,
    )
    return Report(envelope, Body((head, body)))


def diagnose(owed: Owed, language: str) -> Diagnosis:
    """Why; of what ended by the clock, that its time was over."""
    by_time = _BY_TIME.get(owed.status, "") if owed.action == "failed" else ""
    return explain(by_time or owed.cause or _UNTOLD[owed.action], language)


def _is_international(owed: Sequence[Owed]) -> bool:
    # RFC 6533 §5: the international forms go only to a sender who can receive them.
    sender = owed[0].entry.envelope.sender
    return owed[0].entry.envelope.smtputf8 or not str(sender).isascii()


def _references(original: bytes) -> list[tuple[str, str]]:
    found = Headers.scan(original).get("Message-ID") or ""
    usable = found.isascii() and found.isprintable() and len(found) <= 250
    return [("In-Reply-To", found), ("References", found)] if usable and found else []


def _text(owed: Sequence[Owed], original: bytes, settings: NoticeSettings) -> str:
    about = shown(Headers.scan(original).text("Subject"), 200)
    tellings = [
        _telling(owed, about, settings.hostname, language) for language in settings.languages
    ]
    return ("\n" + "-" * 60 + "\n\n").join(tellings)


def _telling(owed: Sequence[Owed], about: str, hostname: str, language: str) -> str:
    words = WORDINGS[language]
    lines = [words.greeting.format(hostname=hostname), "", words.openings[owed[0].action], ""]
    if about:
        lines += [f"  {words.about}: {about}", ""]
    for one in owed:
        lines += _paragraph(one, words, language)
    return "\n".join(lines) + "\n"


def _paragraph(owed: Owed, words: Wording, language: str) -> list[str]:
    lines = [f"  <{shown(str(owed.recipient.address))}>"]
    if owed.action in ("failed", "delayed"):
        diagnosis = diagnose(owed, language)
        lines += [
            f"    {diagnosis.summary}",
            f"    {words.next}: {diagnosis.advice}",
            f"    {words.fault}: {words.faults[diagnosis.fault]}",
            *_last_attempt(owed, diagnosis, words, language),
        ]
    if _will_retry(owed):
        lines.append(f"    {words.until}: {date_time(int(owed.until))}")
    if owed.reply:
        who = shown(owed.host) or words.this_server
        reply = owed.reply if owed.host else translated(owed.reply, language)
        lines.append(f"    {words.said.format(host=who)}: {shown(reply)}")
    return [*lines, ""]


def _last_attempt(owed: Owed, diagnosis: Diagnosis, words: Wording, language: str) -> list[str]:
    """Why it was not delivered while there was time."""
    if owed.cause in ("", diagnosis.cause):
        return []
    met = explain(owed.cause, language)
    return [f"    {words.last_attempt}: {met.summary} {met.advice}"]


def _status_part(owed: Sequence[Owed], settings: NoticeSettings, now: float, utf8: bool) -> Part:
    blocks = [_message_fields(owed[0].entry, settings)]
    blocks += [_recipient_fields(one, now, utf8) for one in owed]
    # RFC 3464 §2.1: groups of fields with a blank line between them.
    octets = b"\r\n".join(
        b"".join(field(name, _fit(value, utf8), utf8=utf8) for name, value in block)
        for block in blocks
    )
    kind = "message/global-delivery-status" if utf8 else "message/delivery-status"
    return described(enclosed(octets, kind), "Delivery report")


def _message_fields(entry: Entry, settings: NoticeSettings) -> list[tuple[str, str]]:
    envelope, fields = entry.envelope, []
    if envelope.envelope_id:
        fields.append(("Original-Envelope-Id", shown(envelope.envelope_id)))
    fields.append(("Reporting-MTA", f"dns; {settings.hostname}"))
    fields.append(("Arrival-Date", date_time(int(entry.received))))
    if wish := envelope.deliver_by:  # RFC 2852 §5
        fields.append(("Deliver-By-Date", date_time(int(wish.deadline))))
    if envelope.release_at is not None:  # RFC 4865 adds it to those of RFC 3464 §2.2
        release = datetime.fromtimestamp(envelope.release_at, UTC)
        fields.append(("Future-Release-Request", f"until;{release:%Y-%m-%dT%H:%M:%SZ}"))
    return fields


def _fit(value: str, utf8: bool) -> str:
    """What a field may hold: strangers' words of any length and script."""
    coding, otherwise = ("utf-8", "replace") if utf8 else ("ascii", "backslashreplace")
    return value.encode(coding, otherwise)[:_MAX_VALUE].decode("utf-8", "ignore")


def _recipient_fields(owed: Owed, now: float, utf8: bool) -> list[tuple[str, str]]:
    final = owed.final_address or str(owed.recipient.address)
    fields = []
    kind, _, original = (owed.recipient.original or "").partition(";")
    written = _typed(kind, original, utf8)
    if original and len(written.encode()) <= _MAX_VALUE:  # a cut address would be another's
        fields.append(("Original-Recipient", written))
    fields += [
        ("Final-Recipient", _typed("rfc822" if final.isascii() else "utf-8", final, utf8)),
        ("Action", owed.action),
        ("Status", owed.status or _DEFAULT_STATUS[owed.action]),
    ]
    if owed.host:
        fields.append(("Remote-MTA", f"dns; {shown(owed.host)}"))
    # RFC 3464 §2.3.6: `smtp` says that these are a host's own words.
    if owed.host and owed.reply:
        fields.append(("Diagnostic-Code", f"smtp; {shown(owed.reply, 800)}"))
    fields.append(("Last-Attempt-Date", date_time(int(owed.at or now))))
    if _will_retry(owed):
        fields.append(("Will-Retry-Until", date_time(int(owed.until))))
    return [*fields, ("Final-Log-ID", owed.entry.id)]


def _typed(kind: str, address: str, utf8: bool) -> str:
    clean = shown(address)
    if kind.lower() == "utf-8":
        # RFC 6533 §3: escaped where the report is ASCII, or where a character acts on who reads.
        clean = utf8_address(address, unitext=utf8 and clean == address)
    return f"{shown(kind)}; {clean}"


def _will_retry(owed: Owed) -> bool:
    # RFC 3464 §2.3.9: Will-Retry-Until is for delayed recipients only.
    return owed.action == "delayed" and owed.until > 0


_DEFAULT_STATUS = {
    "failed": "5.0.0",
    "delayed": "4.0.0",
    "delivered": "2.0.0",
    "relayed": "2.0.0",
    "expanded": "2.0.0",
}


def _returned(owed: Owed, original: bytes, settings: NoticeSettings, utf8: bool) -> Part:
    headers = Headers.scan(original)
    section = headers.without(())[: settings.max_returned]
    kind = "message/global-headers" if utf8 else "text/rfc822-headers"
    part = enclosed(_with_crlf(section), kind)
    if _gives_all_back(owed, original, settings):
        part = enclosed(original, "message/global" if utf8 else "message/rfc822")
    return described(part, "Undelivered message")


def _gives_all_back(owed: Owed, original: bytes, settings: NoticeSettings) -> bool:
    # RFC 3461 §4.3: FULL is about failures; other notices give back headers only. RFC 8689 §5: so
    # do notices about mail that requires TLS. A binary message, or one of a program of this host
    # with a NUL in it, cannot stand between boundaries that are lines.
    envelope = owed.entry.envelope
    return (
        owed.action == "failed"
        and envelope.ret is not Return.HEADERS
        and not envelope.require_tls
        and envelope.body is not BodyType.BINARY
        and original != b""
        and b"\0" not in original
        and owed.entry.size <= settings.max_returned
        and len(original) <= settings.max_returned
    )


def _with_crlf(octets: bytes) -> bytes:
    """Octets of a header section, which BINARYMIME lets hold anything, as lines of text."""
    return b"\r\n".join(octets.replace(b"\0", b"").splitlines()) + b"\r\n"
