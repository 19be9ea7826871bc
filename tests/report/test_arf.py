"""Feedback reports (RFC 5965), and of failed authentication (RFC 6591, 9991)."""

import pytest

from merpati.feedback.complaint import Complaint
from merpati.mail.headers import Headers
from merpati.report.arf import MAX_VALUES, read_complaint
from tests.cases import each

HEAD = (
    b"From: <abuse@b.test>\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/report; report-type=feedback-report; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/plain\r\n\r\nA complaint.\r\n"
)
ORIGINAL = b"From: <ann@a.test>\r\nMessage-ID: <1@a.test>\r\nSubject: Offer\r\n"


def a_report(told: bytes, returned: bytes = b"message/rfc822") -> bytes:
    return (
        HEAD + b"--b\r\nContent-Type: message/feedback-report\r\n\r\n" + told + b"\r\n"
        b"--b\r\nContent-Type: " + returned + b"\r\n\r\n" + ORIGINAL + b"\r\nHi\r\n--b--\r\n"
    )


def read(told: bytes) -> Complaint:
    feedback = read_complaint(a_report(told))
    assert feedback
    return feedback


def test_a_complaint() -> None:
    """The second example of RFC 5965, shortened."""
    feedback = read(
        b"Feedback-Type: abuse\r\nUser-Agent: SomeGenerator/1.0\r\nVersion: 1\r\n"
        b"Original-Mail-From: <ann@a.test>\r\nOriginal-Rcpt-To: <bob@b.test>\r\n"
        b"Original-Rcpt-To: <cy@b.test>\r\nReceived-Date: Thu, 8 Mar 2005 14:00:00 EDT\r\n"
        b"Source-IP: 192.0.2.1\r\nReported-Domain: A.test\r\nIncidents: 3\r\n"
        b"Authentication-Results: mail.b.test;\r\n smtp.mail=ann@a.test; spf=fail\r\n"
    )
    assert (feedback.kind, feedback.incidents, feedback.ip) == ("abuse", 3, "192.0.2.1")
    assert (feedback.sender, feedback.recipients) == ("ann@a.test", ("bob@b.test", "cy@b.test"))
    assert feedback.domains == ("a.test",)
    assert feedback.arrived == "Thu, 8 Mar 2005 14:00:00 EDT"
    assert feedback.results == ("mail.b.test; smtp.mail=ann@a.test; spf=fail",)
    assert Headers.scan(feedback.original).get("message-id") == "<1@a.test>"


def test_a_failure_of_dmarc() -> None:
    """The example of RFC 9991, shortened."""
    feedback = read(
        b"Feedback-Type: auth-failure (x)\r\nVersion: 1\r\nAuth-Failure: dmarc\r\n"
        b"Identity-Alignment: dkim , SPF\r\nDKIM-Domain: a.test\r\nDKIM-Selector: epsilon\r\n"
        b"DKIM-Identity: @a.test\r\nSource-IP: [IPv6:2001:db8::1]\r\nDelivery-Result: reject\r\n"
    )
    assert (feedback.kind, feedback.failure, feedback.delivery) == (
        "auth-failure",
        "dmarc",
        "reject",
    )
    assert feedback.unaligned == ("dkim", "spf")
    assert (feedback.dkim_domain, feedback.dkim_selector) == ("a.test", "epsilon")
    assert feedback.ip == "2001:db8::1"


@pytest.mark.parametrize("returned", [b"message/rfc822", b"text/rfc822-headers", b"message/global"])
def test_the_message_is_told_of_by_its_header(returned: bytes) -> None:
    feedback = read_complaint(a_report(b"Feedback-Type: abuse\r\n", returned))
    assert feedback
    assert Headers.scan(feedback.original).get("subject") == "Offer"


@each("incidents", [b"", b"x", b"0", b"-1", b"9" * 30])
def test_incidents_are_a_number(incidents: bytes) -> None:
    assert read(b"Feedback-Type: abuse\r\nIncidents: " + incidents + b"\r\n").incidents == 1


def test_values_are_bounded() -> None:
    told = b"Feedback-Type: abuse\r\n" + b"Original-Rcpt-To: <a@a.test>\r\n" * 100
    feedback = read(told + b"User-Agent: " + b"x" * 5000 + b"\r\n")
    assert len(feedback.recipients) == MAX_VALUES
    assert len(feedback.user_agent) == 1000


@pytest.mark.parametrize(
    "octets", [b"", b"Subject: x\r\n\r\nHi\r\n", a_report(b"Version: 1\r\n"), HEAD]
)
def test_other_mail_is_no_report(octets: bytes) -> None:
    assert read_complaint(octets) is None
