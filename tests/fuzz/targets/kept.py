"""What is kept and told: rows that may be damaged, notices and log lines from strangers' words."""

import json
import re

from msgspec import structs

from merpati.diagnosis.texts import LANGUAGES, known_causes
from merpati.journal.events import Refused
from merpati.journal.rows import told
from merpati.mail.address import Address
from merpati.mail.envelope import Envelope, Recipient
from merpati.mail.headers import Headers
from merpati.mail.parts import read_parts
from merpati.mail.trace import Client
from merpati.queue.entry import Entry, Owed
from merpati.queue.rows import decode_entry, encode_entry
from merpati.report.dsn import NoticeSettings, build
from merpati.report.logs import MAX_LINE, log_line
from merpati.report.metrics import Metrics
from merpati.report.story import tell
from merpati.storage.errors import StorageError
from merpati.testing.deliveries import an_entry
from tests.fuzz.target import Target

_ACTIVE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def queue_row(octets: bytes) -> None:
    """A damaged entry is said to be damaged; any other is the same when it is kept again."""
    try:
        entry = decode_entry(octets)
    except StorageError as error:
        assert error.is_damaged
        return
    again = encode_entry(entry)  # A time may be no number, which is not equal to itself.
    assert encode_entry(decode_entry(again)) == again


def journal_row(octets: bytes) -> None:
    """Whatever stands in a row, following the journal goes on and a log line can be written."""
    event = told(1, octets)
    line = log_line(event)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    json.loads(line)
    Metrics().take(event)
    for language in LANGUAGES:
        assert not _ACTIVE.search(tell([event], language).replace("\n", ""))


def log(octets: bytes) -> None:
    """A client's words, a field a line: one line of JSON, with nothing that acts on a terminal."""
    words = [*octets.decode("utf-8", "replace").split("\n"), "", "", "", ""]
    event = Refused(
        at=0.0,
        stage="rcpt",
        reply=words[0],
        rule="x",
        helo=words[1],
        sender=words[2],
        line=words[3],
    )
    line = log_line(event)
    assert len(line) <= max(MAX_LINE, 64 * 1024)
    text = line.removesuffix(b"\n").decode()
    assert not _ACTIVE.search(text)
    json.loads(text)


def notice(octets: bytes) -> None:
    """Lines: reply, host, cause, ENVID, ORCPT; then the message. The notice is well formed."""
    words = [*octets.decode("utf-8", "replace").split("\n", 5), *[""] * 6]
    reply, host, cause, envelope_id, original, rest = words[:6]
    message = re.sub("\r\n|\r|\n", "\r\n", rest).encode()
    owed = _owed(reply, host, cause if cause in known_causes() else "", envelope_id, original)
    settings = NoticeSettings("mx.test", max_returned=4096)
    report = build([owed], message, settings, 1_700_000_100.0)
    head = report.content.parts[0]
    whole = report.content.octets()
    for line in head.split(b"\r\n"):
        assert len(line) <= 998
        assert not set(line) & set(b"\r\n\0")
    headers = Headers.scan(head)
    for name in ("From", "To", "Subject", "Date", "Auto-Submitted", "Content-Type"):
        assert headers.count(name) == 1, name
    outer, text, status, *_ = read_parts(whole)
    assert outer.is_container
    assert text.media_type == "text/plain"
    assert not _ACTIVE.search(re.sub(r"\r\n", "", text.text))
    _check_status(status.content)


def _owed(reply: str, host: str, cause: str, envelope_id: str, original: str) -> Owed:
    recipient = Recipient(Address.parse("bob@b.test"), original=original or None)
    entry = structs.replace(an_entry(1, "bob@b.test", sender="ann@a.test"), size=100)
    envelope = Envelope(entry.envelope.sender, (recipient,), envelope_id=envelope_id or None)
    entry = structs.replace(entry, envelope=envelope)
    at = 1_700_000_000.0
    return Owed(1, entry, recipient, "failed", at, "5.1.1", reply, host, cause=cause)


def _check_status(content: bytes) -> None:
    assert b"\0" not in content
    of_message, of_recipient, *more = content.split(b"\r\n\r\n")
    assert not any(more)
    for block, once in ((of_message, "Reporting-MTA"), (of_recipient, "Final-Recipient")):
        headers = Headers.scan(block + b"\r\n\r\n")
        assert headers.count(once) == 1
        assert not headers.truncated
        assert all(len(line) <= 998 for line in block.split(b"\r\n"))
    assert Headers.scan(of_recipient + b"\r\n").count("Action") == 1
    assert Headers.scan(of_recipient + b"\r\n").get("Action") == "failed"


_ROW = encode_entry(
    Entry(
        "01J", 1.0, 2.0, Envelope(Address("a", "b.test"), (Recipient(Address("c", "d.test")),)),
        Client("192.0.2.1"), 5,
    )
)  # fmt: skip
_ROWS = (
    _ROW, _ROW[5:], b"\xc0", b"\xff", b"\x91", b"\xa1a", b"\xcb", bytes(8), b"\x80", b"\xd9\xff",
    b"\xdf\xff\xff\xff\xff", b"\xdd\x00\x10\x00\x00", b"\xa2id", b"\xa8received",
)  # fmt: skip
_EVENTS = (
    b'{"type":"refused","at":0,"stage":"rcpt","reply":"550 no","rule":"x"}',
    b'{"type":"server","at":1,"what":"started"}', b'{"type":"failed","at":1,"message":"1",',
    b'"attempt":{', b'"', b"{", b"}", b"[", b"]", b",", b'"\\ud800"', b"\xff", b"1e999", b"null",
    b"\\u0000", b":",
)  # fmt: skip
_WORDS = (
    b"550 5.1.1 no", b"\n", b"\r\n", b"\r", b"rfc822;x@y", b"utf-8;\\x{1F}", b"mx.b.test",
    b"\x1b[2J", b"unknown-user", "\u202e".encode(), "\u2028".encode(), "\ud7ff".encode(),
    b"Subject: =?utf-7?q?+2AA-?=", b"Message-ID: <1@a.test>", b"\0", b"x" * 1000,
    "é".encode() * 100, b"AUTH PLAIN AGE=", b"\\", b"\x85",
    b"Content-Type: multipart/mixed; boundary=x", b"--=_", b".", b"{", b"%s", b": ",
)  # fmt: skip

TARGETS = (
    Target("queue_row", queue_row, _ROWS),
    Target("journal_row", journal_row, _EVENTS),
    Target("log", log, _WORDS),
    Target("notice", notice, _WORDS, head=b"\n\n\n\n\n"),
)
