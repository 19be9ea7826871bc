"""Mail to the address of reports: read, kept, summed up and shown."""

import asyncio
import contextlib
import io
import re

from merpati.api import questions as ask
from merpati.api.reports import ReportOffice
from merpati.cli.reported import say_report, say_summary
from merpati.feedback.feedback import Room, Selection
from merpati.report.incoming import receive
from merpati.testing.clock import VirtualClock
from merpati.testing.deliveries import an_entry
from merpati.testing.memory_directory import MemoryDirectory
from merpati.testing.memory_feedback import MemoryFeedback
from tests.fuzz.target import Target

_ACTIVE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_ENTRY = an_entry(1, "mail-reports@a.test")


def report_mail(octets: bytes) -> None:
    """Whatever the mail is: it is kept once, given back whole, and obeyed by no terminal."""
    asyncio.run(_kept_and_shown(octets))


async def _kept_and_shown(octets: bytes) -> None:
    received = receive(_ENTRY, octets)
    engine = MemoryFeedback()
    assert await engine.keep(received, Room())
    assert not await engine.keep(received, Room())
    assert await engine.report(_ENTRY.id) == received
    (line,) = await engine.reports(Selection())
    assert line.origin == received.origin
    assert line.begin <= line.end <= _ENTRY.received
    await _show(engine)


async def _show(engine: MemoryFeedback) -> None:
    office = ReportOffice(engine, MemoryDirectory(), VirtualClock(_ENTRY.received))
    screen = io.StringIO()
    with contextlib.redirect_stdout(screen):
        say_report(await office.show(ask.ReadReport(id=_ENTRY.id)))
        for one in await office.summary(ask.SumReports(domain="a.test", seconds=1e10)):
            say_summary(one, "en")
    assert not _ACTIVE.search(screen.getvalue())


_MIME = (
    *(b"From: <r@b.test>\r\n", b"Content-Type: text/xml\r\n\r\n", b"\r\n--b\r\n", b"\r\n\r\n"),
    *(b"Content-Type: multipart/mixed; boundary=b\r\n", b"Content-Type: application/json\r\n\r\n"),
    *(b"Content-Transfer-Encoding: base64\r\n", b"Content-Type: message/feedback-report\r\n\r\n"),
    *(b"Authentication-Results: mx; dkim=pass header.d=b.test\r\n", b"Feedback-Type: abuse\r\n"),
)
_XML = (
    *(b"<feedback>", b"</feedback>", b"<policy_published><domain>a.test</domain>", b"<p>none"),
    *(b"</policy_published>", b"<record><row><source_ip>192.0.2.1</source_ip><count>9</count>"),
    *(b"</row></record>", b"<report_metadata><report_id>1</report_id><date_range><begin>1"),
    *(b"</begin><end>2</end></date_range></report_metadata>", b"9" * 13, b"\x1b[2J"),
)
_JSON = (
    *(b'{"organization-name":"B","contact-info":"c",', b'"report-id":"1"', b'"policies":['),
    *(b'"policy":{"policy-type":"sts",', b'"policy-domain":"a.test"}', b'"date-range":{'),
    *(b'"start-datetime":"2026-01-01T00:00:00Z",', b'"end-datetime":"0001-01-01T00:00:00"'),
    *(b'"summary":{"total-successful-session-count":1,', b'"total-failure-session-count":2}'),
    *(b'"failure-details":[{"result-type":"x","failed-session-count":1}]', b"}", b"]", b","),
)

TARGETS = (Target("report_mail", report_mail, (*_MIME, *_XML, *_JSON), room=4 * 1024 * 1024),)
