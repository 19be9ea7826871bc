"""Reports about TLS: who wants them, what they tell, how they are read (RFC 8460)."""

import email
import email.policy
import gzip
import json
from typing import Any

import pytest

from merpati.feedback.ordering import MAX_URIS, report_uris
from merpati.mail.address import Address
from merpati.report.errors import ReportError
from merpati.report.tlsrpt.document import read_report, write_report
from merpati.report.tlsrpt.writing import report_message
from tests.cases import each

EXAMPLE = {
    "organization-name": "Company-X",
    "date-range": {
        "start-datetime": "2016-04-01T00:00:00Z",
        "end-datetime": "2016-04-01T23:59:59Z",
    },
    "contact-info": "sts-reporting@company-x.example",
    "report-id": "5065427c-23d3-47ca-b6e0-946ea0e8c4be",
    "policies": [
        {
            "policy": {
                "policy-type": "sts",
                "policy-string": ["version: STSv1", "mode: testing", "max_age: 86400"],
                "policy-domain": "company-y.example",
                "mx-host": "*.mail.company-y.example",
            },
            "summary": {
                "total-successful-session-count": 5326,
                "total-failure-session-count": 303,
            },
            "failure-details": [
                {
                    "result-type": "certificate-expired",
                    "sending-mta-ip": "2001:db8:abcd:0012::1",
                    "receiving-mx-hostname": "mx1.mail.company-y.example",
                    "failed-session-count": 100,
                    "something-new": {"x": [1]},
                },
            ],
        }
    ],
}


@each(
    ("records", "uris"),
    [
        ([b"v=TLSRPTv1; rua=mailto:r@a.test"], ("mailto:r@a.test",)),
        ([b"v=TLSRPTv1;rua=https://a.test/v1;"], ("https://a.test/v1",)),
        (
            [b"v=TLSRPTv1; rua=mailto:r@a.test , https://a.test/?a=b"],
            ("mailto:r@a.test", "https://a.test/?a=b"),
        ),
        ([b"v=spf1", b"v=TLSRPTv1; rua=mailto:r@a.test; x=y"], ("mailto:r@a.test",)),
        ([b"v=TLSRPTv1; rua=http://a.test/"], ()),
        ([b"v=TLSRPTv1; rua=mailto:r"], ()),
        ([b"v=TLSRPTv1"], ()),
        ([b"v=TLSRPTv1; rua=mailto:r@a.test"] * 2, ()),
        ([b"v=TLSRPTv1; rua=mailto:r@a.test; rua=mailto:s@a.test"], ()),
        ([b"v=TLSRPTv1; rua=" + b"x" * 3000], ()),
        ([], ()),
    ],
)
def test_a_domain_says_who_wants_reports(records: list[bytes], uris: tuple[str, ...]) -> None:
    assert report_uris(records) == uris


def test_receivers_of_one_domain_are_few() -> None:
    many = ",".join(f"mailto:r{n}@a.test" for n in range(50))
    assert len(report_uris([f"v=TLSRPTv1; rua={many}".encode()])) == MAX_URIS


def test_the_example_of_the_rfc_is_read_compressed_and_not() -> None:
    octets = json.dumps(EXAMPLE).encode()
    report = read_report(octets)
    assert read_report(gzip.compress(octets)) == report
    (result,) = report.policies
    assert result.summary.total_failure_session_count == 303
    assert result.failure_details[0].result_type == "certificate-expired"
    assert read_report(write_report(report)) == report


def changed(*path: str | int, value: object) -> bytes:
    """The example with one thing in another way."""
    whole = json.loads(json.dumps(EXAMPLE))
    place: Any = whole
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return json.dumps(whole).encode()


@each(
    "octets",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"x":' * 100_000,
        gzip.compress(b"{}", mtime=0),
        gzip.compress(gzip.compress(b"{}", mtime=0), mtime=0),
        gzip.compress(b" " * 30_000_000, 1, mtime=0),
        changed("policies", value=[{}]),
        changed("policies", value=EXAMPLE["policies"] * 1001),  # type: ignore[operator]  # a list
        changed("policies", 0, "summary", "total-failure-session-count", value=-1),
        changed("policies", 0, "summary", "total-failure-session-count", value=1e400),
        changed("policies", 0, "policy", "policy-domain", value="x" * 1001),
        changed("date-range", "start-datetime", value="yesterday"),
    ],
)
def test_what_is_no_report_is_refused(octets: bytes) -> None:
    with pytest.raises(ReportError):
        read_report(octets)


def test_the_mail_with_a_report_says_whose_it_is_and_holds_it() -> None:
    report = read_report(json.dumps(EXAMPLE).encode())
    sender, to = Address.parse("tls@us.test"), Address.parse("r@a.test")
    head, body = report_message(report, "a.test", sender, [to], 1_600_000_000.0)
    mail = email.message_from_bytes(head + body, policy=email.policy.default)
    assert mail.get_content_type() == "multipart/report"
    assert mail.get_param("report-type") == "tlsrpt"
    assert (mail["TLS-Report-Domain"], mail["TLS-Report-Submitter"]) == ("a.test", "us.test")
    _, part = mail.iter_parts()
    assert part.get_content_type() == "application/tlsrpt+gzip"
    name = part.get_filename()
    assert name == "us.test!a.test!1459468800!1459555199!5065427c23d347cab6e0946ea0e8c4be.json.gz"
    assert read_report(part.get_content()) == report
