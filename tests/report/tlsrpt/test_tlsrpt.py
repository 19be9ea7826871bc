"""Reports about TLS: who wants them, what they tell, how they are read (RFC 8460)."""

import email
import email.policy
import gzip
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from merpati.feedback.tls import DateRange
from merpati.journal.events import Attempt, Deferred, Delivered, Exchange, Failed
from merpati.mail.address import Address
from merpati.report.errors import ReportError
from merpati.report.tlsrpt.collecting import Collector
from merpati.report.tlsrpt.document import read_report, write_report
from merpati.report.tlsrpt.record import MAX_URIS, report_uris
from merpati.report.tlsrpt.writing import report_message

DAY = DateRange(
    start_datetime=datetime(2026, 4, 1, tzinfo=UTC),
    end_datetime=datetime(2026, 4, 1, 23, 59, 59, tzinfo=UTC),
)
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


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
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
        gzip.compress(b" " * 30_000_000, mtime=0),
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


def an_attempt(connection: str, policy: str = "sts-enforce", **more: Any) -> Attempt:
    known = {"route": "mx:", "host": "mx.a.test", "ip": "192.0.2.1", "tls": "TLSv1.3 X"}
    return Attempt(**{**known, "connection": connection, "policy": policy, **more})


def delivered(attempt: Attempt, to: str = "ann@a.test") -> Delivered:
    return Delivered(at=0.0, address=to, reply="250 ok", attempt=attempt)


def deferred(cause: str, attempt: Attempt | None, to: str = "ann@a.test") -> Deferred:
    return Deferred(at=0.0, address=to, reply="no", cause=cause, attempt=attempt)


def check(events: list[Any], expected: dict[str, tuple[int, dict[str, int]]]) -> None:
    """By the type of the policy: successes, and failures by result."""
    collector = Collector()
    collector.take(events)
    assert collector.domains == (["a.test"] if expected else [])
    if not expected:
        return
    report = collector.report("a.test", DAY, "us.test", "postmaster@us.test")
    assert read_report(write_report(report)) == report
    found = {}
    for result in report.policies:
        details = {one.result_type: one.failed_session_count for one in result.failure_details}
        assert result.summary.total_failure_session_count == sum(details.values())
        found[result.policy.policy_type] = (
            result.summary.total_successful_session_count,
            details,
        )
    assert found == expected


def test_a_session_counts_once_whatever_it_carries() -> None:
    events = [delivered(an_attempt("c1"), f"u{n}@a.test") for n in range(5)]
    events.append(delivered(an_attempt("c2")))
    check(events, {"sts": (2, {})})


def test_a_session_counts_for_each_domain() -> None:
    collector = Collector()
    attempt = an_attempt("c1", "opportunistic")
    collector.take([delivered(attempt), delivered(attempt, "bob@b.test")])
    assert collector.domains == ["a.test", "b.test"]


@pytest.mark.parametrize(
    ("cause", "result"),
    [
        ("policy-needs-tls", "starttls-not-supported"),
        ("certificate-wrong-name", "certificate-host-mismatch"),
        ("certificate-expired", "certificate-expired"),
        ("certificate-self-signed", "certificate-not-trusted"),
        ("tls-failed", "validation-failure"),
    ],
)
def test_a_session_that_failed_tells_why(cause: str, result: str) -> None:
    check([deferred(cause, an_attempt("c1", tls=""))], {"sts": (0, {result: 1})})


def test_dane_has_results_of_its_own() -> None:
    events = [
        deferred("tlsa-mismatch", an_attempt("c1", "dane")),
        deferred("dnssec-bogus", an_attempt("c2", "dane", tls="")),
        delivered(an_attempt("c3", "dane")),
    ]
    check(events, {"tlsa": (1, {"validation-failure": 1, "dnssec-invalid": 1})})


def test_hosts_that_no_policy_lists_are_a_failure_of_the_policy() -> None:
    check([deferred("sts-mx-unlisted", None)], {"sts": (0, {"validation-failure": 1})})


def test_mail_in_the_clear_is_a_session_without_starttls() -> None:
    attempt = an_attempt("c1", "opportunistic", tls="", dialogue=(Exchange("MAIL", "250 ok"),))
    check([delivered(attempt)], {"no-policy-found": (0, {"starttls-not-supported": 1})})


def test_a_refused_message_is_a_good_session() -> None:
    failed = Failed(
        at=0.0, address="ann@a.test", reply="550", cause="unknown-user", attempt=an_attempt("c1")
    )
    check([failed], {"sts": (1, {})})


def test_what_goes_by_an_operators_word_is_not_reported() -> None:
    events = [
        delivered(an_attempt("c1", "required")),
        delivered(an_attempt("c2", "none", tls="")),
        deferred("host-unreachable", an_attempt("c3", "opportunistic", tls="")),
        deferred("dns-failing", None),
    ]
    check(events, {})


def test_domains_of_a_period_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("merpati.report.tlsrpt.collecting.MAX_DOMAINS", 2)
    collector = Collector()
    collector.take(delivered(an_attempt(f"c{n}"), f"u@d{n}.test") for n in range(5))
    assert (len(collector.domains), collector.left_out) == (2, 3)


def test_the_mail_with_a_report_says_whose_it_is_and_holds_it() -> None:
    report = read_report(json.dumps(EXAMPLE).encode())
    sender, to = Address.parse("tls@us.test"), Address.parse("r@a.test")
    head, body = report_message(report, "a.test", sender, to, 1_600_000_000.0)
    mail = email.message_from_bytes(head + body, policy=email.policy.default)
    assert mail.get_content_type() == "multipart/report"
    assert mail.get_param("report-type") == "tlsrpt"
    assert (mail["TLS-Report-Domain"], mail["TLS-Report-Submitter"]) == ("a.test", "us.test")
    _, part = mail.iter_parts()
    assert part.get_content_type() == "application/tlsrpt+gzip"
    name = part.get_filename()
    assert name == "us.test!a.test!1459468800!1459555199!5065427c23d347cab6e0946ea0e8c4be.json.gz"
    assert read_report(part.get_content()) == report
