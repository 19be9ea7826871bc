"""How sessions went, out of the journal (RFC 8460 §4)."""

from datetime import UTC, datetime
from typing import Any

import pytest

from merpati.feedback.received import Kind
from merpati.feedback.tallies import Due, Subject
from merpati.feedback.tls import TlsReport
from merpati.journal.events import (
    Attempt,
    Deferred,
    Delivered,
    Exchange,
    Failed,
    Opened,
    PolicyUnread,
)
from merpati.mail.address import Address
from merpati.report.outgoing import Identity
from merpati.report.tlsrpt import tallying
from merpati.report.tlsrpt.document import read_report, write_report
from merpati.report.tlsrpt.outgoing import tls_report
from merpati.report.tlsrpt.tallying import Memory, TlsTally
from tests.cases import each

WHO = Identity("Us", Address.parse("tls@us.test"), "postmaster@us.test")
POLICY = "version: STSv1\nmode: testing\nmx: *.a.test\nmax_age: 86400\n"
TLSA = ("3 1 1 ab12",)


def an_attempt(connection: str, policy: str = "sts-enforce", **more: Any) -> Attempt:
    known = {"route": "mx:", "host": "mx.a.test", "ip": "192.0.2.1", "tls": "TLSv1.3 X"}
    return Attempt(**{**known, "connection": connection, "policy": policy, **more})


def an_opened(connection: str, **more: Any) -> Opened:
    known = {"site": "mx.a.test", "host": "mx.a.test", "ip": "192.0.2.1", "local": "192.0.2.9"}
    return Opened(**{"at": 0.0, "connection": connection, **known, **more})


def delivered(attempt: Attempt, to: str = "ann@a.test", **more: Any) -> Delivered:
    return Delivered(at=0.0, address=to, reply="250 ok", attempt=attempt, **more)


def deferred(cause: str, attempt: Attempt | None, to: str = "ann@a.test") -> Deferred:
    return Deferred(at=0.0, address=to, reply="no", cause=cause, attempt=attempt)


def due_of(events: list[Any], record: str = POLICY) -> dict[str, Due]:
    """What is due of what these are counted as, by domain."""
    memory = Memory()
    tally = TlsTally(memory)
    for event in events:
        if isinstance(event, Opened):
            memory.note(event)
        else:
            tally.take(event)
    return {
        domain: Due(
            1,
            1,
            Subject(day, Kind.TLS, domain),
            "7",
            record,
            group.reasons,
            0,
            tuple(group.rows().items()),
        )
        for (day, domain), group in tally.groups()
    }


def reported(events: list[Any]) -> TlsReport:
    report = tls_report(due_of(events)["a.test"], WHO, 1e9)
    assert read_report(write_report(report)) == report
    return report


def check(events: list[Any], expected: dict[str, tuple[int, dict[str, int]]]) -> None:
    """By the type of the policy: successes, and failures by result."""
    if not expected:
        assert due_of(events) == {}
        return
    found = {}
    for result in reported(events).policies:
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
    attempt = an_attempt("c1", "opportunistic")
    assert list(due_of([delivered(attempt), delivered(attempt, "bob@B.test")])) == [
        "a.test",
        "b.test",
    ]


@each(
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


def test_what_went_through_a_smarthost_counts_for_the_smarthost() -> None:
    """RFC 8461 §3.4: its name is the domain of the policy. Others have none."""
    route = {"route": "smtp://relay.a.test:587", "host": "relay.a.test"}
    events = [
        delivered(an_attempt("c1", **route), "bob@b.test"),
        delivered(an_attempt("c1", **route), "eve@c.test"),
        delivered(an_attempt("c2", route="smtp://192.0.2.1:25", host="192.0.2.1"), "bob@b.test"),
        delivered(an_attempt("c3", route="lmtp://b.test:24", host="b.test"), "bob@b.test"),
        delivered(an_attempt("c4", route="smtp://relay:25", host="relay"), "bob@b.test"),
    ]
    assert list(due_of(events)) == ["relay.a.test"]
    failed = an_attempt("c5", tls="", tls_failure="validation-failure", **route)
    (due,) = due_of([deferred("sts-host-unlisted", failed, "bob@b.test")]).values()
    (result,) = tls_report(due, WHO, 1e9).policies
    assert result.policy.policy_domain == "relay.a.test"
    assert [one.result_type for one in result.failure_details] == ["validation-failure"]


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


def test_what_goes_by_an_operators_or_a_senders_word_is_not_reported() -> None:
    events = [
        delivered(an_attempt("c1", "required")),
        delivered(an_attempt("c2", "none", tls="")),
        delivered(an_attempt("c4", "waived", tls_failure="certificate-expired")),
        deferred("host-unreachable", an_attempt("c3", "opportunistic", tls="")),
        deferred("dns-failing", None),
    ]
    check(events, {})


def test_a_report_tells_who_made_it_and_of_which_day() -> None:
    report = reported([delivered(an_attempt("c1"))])
    assert report.organization_name == "Us"
    assert report.contact_info == "postmaster@us.test"
    assert report.report_id == "a.test.7@us.test"
    assert report.date_range.start_datetime == datetime(1970, 1, 1, tzinfo=UTC)
    assert report.date_range.end_datetime == datetime(1970, 1, 1, 23, 59, 59, tzinfo=UTC)


def test_a_policy_of_mta_sts_is_told_in_its_lines() -> None:
    (result,) = reported([delivered(an_attempt("c1"))]).policies
    assert result.policy.policy_domain == "a.test"
    assert result.policy.policy_string == tuple(POLICY.splitlines())
    assert result.policy.mx_host == ("*.a.test",)


def test_dane_is_told_by_the_records_of_each_host() -> None:
    events = [
        an_opened("c1", tls="X", tlsa=TLSA),
        an_opened("c2", tls="X", tlsa=("2 0 1 cd",), host="mx2.a.test"),
        delivered(an_attempt("c1", "dane")),
        delivered(an_attempt("c2", "dane")),
    ]
    policies = [result.policy for result in reported(events).policies]
    assert {(policy.policy_string, policy.mx_host) for policy in policies} == {
        (TLSA, ("mx.a.test",)),
        (("2 0 1 cd",), ("mx2.a.test",)),
    }


def test_a_failure_is_told_with_all_that_is_known_of_it() -> None:
    why = "the certificate was not accepted: certificate has expired"
    hello = (Exchange("", "220 hello"), Exchange("EHLO", "250 relay.a.test at your service"))
    events = [
        an_opened("c1", error=why, dialogue=hello),
        deferred("certificate-expired", an_attempt("c1", tls="")),
    ]
    ((detail,),) = (result.failure_details for result in reported(events).policies)
    assert detail.result_type == "certificate-expired"
    assert detail.sending_mta_ip == "192.0.2.9"
    assert detail.receiving_mx_hostname == "mx.a.test"
    assert detail.receiving_mx_helo == "relay.a.test"
    assert detail.receiving_ip == "192.0.2.1"
    assert detail.failure_reason_code == why


def test_mail_in_the_clear_after_a_broken_handshake_tells_of_the_handshake() -> None:
    mail = (Exchange("MAIL", "250 ok"),)
    plain = an_attempt("c2", "sts-testing", tls="", site="mx.a.test", dialogue=mail)
    events = [
        an_opened("c1", policy="sts-testing", error="TLS failed: no shared cipher"),
        an_opened("c2", policy="sts-testing"),
        delivered(plain),
    ]
    ((detail,),) = (result.failure_details for result in reported(events).policies)
    assert detail.result_type == "validation-failure"
    assert detail.failure_reason_code == "TLS failed: no shared cipher"


@pytest.mark.parametrize(
    ("flaw", "result"),
    [
        ("fetch", "sts-policy-fetch-error"),
        ("certificate", "sts-webpki-invalid"),
        ("text", "sts-policy-invalid"),
    ],
)
def test_a_policy_that_could_not_be_had_is_a_failure(flaw: str, result: str) -> None:
    event = PolicyUnread(at=0.0, domain="a.test", flaw=flaw, why="x")
    check([event], {"sts": (0, {result: 1})})


def test_sessions_for_reports_alone_are_no_reason_for_a_report() -> None:
    ours = delivered(an_attempt("c1"), is_ours=True)
    assert due_of([ours])["a.test"].reasons == 0
    assert due_of([ours, delivered(an_attempt("c2"))])["a.test"].reasons == 1


def test_a_policy_that_is_missed_on_the_way_of_a_report_is_no_reason_for_another() -> None:
    missed = PolicyUnread(at=0.0, domain="a.test", flaw="fetch", why="x")
    ours = delivered(an_attempt("c1"), is_ours=True)
    assert due_of([missed, ours])["a.test"].reasons == 0
    assert due_of([missed, delivered(an_attempt("c2"))])["a.test"].reasons == 1


def test_what_was_counted_and_not_written_is_counted_again() -> None:
    memory = Memory()
    assert memory.is_new("a.test", "c1")
    memory.unwritten()
    assert memory.is_new("a.test", "c1")
    memory.written()
    memory.unwritten()
    assert not memory.is_new("a.test", "c1")


def test_what_is_remembered_of_connections_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_SESSIONS", "_OPENED", "_BROKEN"):
        monkeypatch.setattr(tallying, name, 2)
    memory = Memory()
    for n in range(5):
        memory.is_new("a.test", f"c{n}")
        memory.note(an_opened(f"c{n}", ip=f"192.0.2.{n}", error="TLS failed: x"))
    memory.written()
    assert [memory.is_new("a.test", f"c{n}") for n in range(5)] == [True] * 3 + [False] * 2
    assert [memory.opened(f"c{n}") is not None for n in range(5)] == [False] * 3 + [True] * 2
    assert memory.broken("mx.a.test", "192.0.2.2") is None
    assert memory.broken("mx.a.test", "192.0.2.3") is not None


def test_mail_that_went_with_less_than_a_policy_in_testing_wants_is_a_failure() -> None:
    why = "the certificate was not accepted: Hostname mismatch"
    lacking = {"policy": "sts-testing", "tls_failure": "certificate-host-mismatch"}
    events = [
        an_opened("c1", error=why, **lacking),
        an_opened("c2", tls="TLSv1.3 X", **lacking),
        delivered(an_attempt("c2", site="mx.a.test", **lacking)),
        delivered(an_attempt("c3", "sts-testing", host="mx2.a.test", ip="192.0.2.2")),
    ]
    check(events, {"sts": (1, {"certificate-host-mismatch": 1})})
    ((detail,),) = (result.failure_details for result in reported(events).policies)
    assert detail.failure_reason_code == why


def test_a_host_whose_records_are_all_useless_is_a_failure() -> None:
    lacking = {"policy": "dane", "tls_failure": "tlsa-invalid"}
    events = [an_opened("c1", tls="TLSv1.3 X", **lacking), delivered(an_attempt("c1", **lacking))]
    check(events, {"tlsa": (0, {"tlsa-invalid": 1})})
