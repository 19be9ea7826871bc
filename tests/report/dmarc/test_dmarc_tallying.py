"""Aggregate reports out of the journal (RFC 9990 §2)."""

from typing import Any

from merpati.feedback.aggregate import AggregateReport, DkimTold, Override, Period
from merpati.feedback.received import Kind
from merpati.feedback.tallies import DAY, Due, Subject
from merpati.journal.events import Accepted, Check, Refused
from merpati.mail.address import Address
from merpati.report.dmarc.outgoing import aggregate_report
from merpati.report.dmarc.reading import read_report
from merpati.report.dmarc.tallying import DmarcTally
from merpati.report.dmarc.writing import write_report
from merpati.report.outgoing import Identity
from tests.cases import each

WHO = Identity("B", Address.parse("dmarc@b.test"), "postmaster@b.test")
RECORD = "_dmarc.a.test: v=DMARC1; p=reject; sp=none; rua=mailto:r@a.test; adkim=s"
SPF = Check(method="spf", result="fail", about="c.test", alignment="another organization")
DKIM = Check(
    method="dkim", result="pass", about="a.test", selector="s", alignment="the same domain"
)


def dmarc(result: str = "fail", asks: str = "reject", record: str = RECORD) -> Check:
    return Check(method="dmarc", result=result, about="m.a.test", record=record, asks=asks)


def accepted(
    *checks: Check, ip: str = "192.0.2.7", to: tuple[str, ...] = ("x@b.test",), **more: Any
) -> Accepted:
    known = {"at": 90000.0, "sender": "ann@c.test", "recipients": to, "size": 1, "ip": ip}
    return Accepted(**{**known, **more}, checks=checks)


def refused(*checks: Check, rule: str = "dmarc", reply: str = "550") -> Refused:
    return Refused(
        at=90000.0,
        stage="message",
        reply=reply,
        rule=rule,
        ip="192.0.2.7",
        sender="",
        recipients=("x@b.test",),
        checks=checks,
    )


def due_of(*events: Accepted | Refused, left_out: int = 0) -> list[Due]:
    """What is due of what these are counted as, by domain."""
    tally = DmarcTally()
    for event in events:
        tally.take(event)
    return [
        Due(
            1,
            1,
            Subject(day, Kind.AGGREGATE, domain),
            "7",
            group.record,
            group.reasons,
            left_out,
            tuple(group.rows().items()),
        )
        for (day, domain), group in tally.groups()
    ]


def collected(*events: Accepted | Refused) -> list[AggregateReport]:
    return [aggregate_report(due, WHO, 1e9) for due in due_of(*events)]


def test_a_report_is_about_one_domain() -> None:
    other = RECORD.replace("a.test", "z.test")
    first, second = collected(accepted(SPF, dmarc()), accepted(SPF, dmarc(record=other)))
    assert (first.published.domain, second.published.domain) == ("a.test", "z.test")
    assert first.reporter.report_id == "a.test.7@b.test"
    assert (first.reporter.organization, first.reporter.email) == ("B", "dmarc@b.test")
    assert first.published.policy == "reject"
    assert first.published.subdomains == "none"
    assert first.published.strict_dkim
    assert first.published.method == "treewalk"
    assert first.period == Period(86400, 172799)


def test_a_day_is_one_of_utc() -> None:
    last, first = accepted(SPF, dmarc(), at=2 * DAY - 0.1), accepted(SPF, dmarc(), at=2.0 * DAY)
    assert [due.subject.day for due in due_of(last, first)] == [1, 2]


def test_a_report_that_is_made_early_is_about_what_there_was_of_the_day() -> None:
    (due,) = due_of(accepted(SPF, dmarc()))
    assert aggregate_report(due, WHO, 100_000.5).period == Period(86400, 100_000)


def test_of_a_record_that_changes_the_last_one_is_told() -> None:
    changed = RECORD.replace("p=reject", "p=quarantine")
    (report,) = collected(accepted(SPF, dmarc()), accepted(SPF, dmarc(record=changed)))
    assert report.published.policy == "quarantine"
    assert sum(row.count for row in report.rows) == 2


def test_what_a_record_does_not_say_has_its_default() -> None:
    (report,) = collected(accepted(dmarc(record="_dmarc.a.test: v=DMARC1; rua=mailto:r@a.test")))
    assert (report.published.policy, report.published.subdomains) == ("none", "none")


def test_messages_that_are_alike_are_one_row() -> None:
    (report,) = collected(*[accepted(SPF, DKIM, dmarc("pass"))] * 3, accepted(SPF, dmarc()))
    alike, other = report.rows
    assert (alike.count, other.count) == (3, 1)
    assert (alike.ip, alike.author) == ("192.0.2.7", "m.a.test")
    assert (alike.sender, alike.recipient) == ("c.test", "b.test")
    assert (alike.dkim, alike.spf, alike.disposition) == (True, False, "pass")
    assert alike.signatures == (DkimTold("a.test", "s", "pass"),)


def test_of_a_message_without_a_signature_none_is_told() -> None:
    unsigned = Check(method="dkim", result="none", why="the message has no signature")
    (report,) = collected(accepted(SPF, unsigned, dmarc()))
    assert report.rows[0].signatures == ()


def test_the_null_sender_was_checked_by_its_greeting() -> None:
    (report,) = collected(refused(SPF, dmarc()))
    assert report.rows[0].spf_results[0].scope == "helo"


def test_what_is_written_of_it_is_a_report() -> None:
    (report,) = collected(accepted(SPF, DKIM, dmarc("pass")), refused(SPF, dmarc()))
    assert read_report(write_report(report)) == report


def test_what_is_left_out_is_told() -> None:
    (due,) = due_of(accepted(SPF, dmarc()), left_out=3)
    assert aggregate_report(due, WHO, 1e9).reporter.errors == (
        "3 messages are left out: too many rows",
    )


def test_a_flaw_of_the_record_is_told() -> None:
    flawed = RECORD.replace("sp=none", "sp=maybe")
    (due,) = due_of(accepted(SPF, dmarc(record=flawed)))
    assert "sp" in aggregate_report(due, WHO, 1e9).reporter.errors[0]


def test_nobody_hides_what_he_forges_behind_the_subject_of_a_report() -> None:
    (due,) = due_of(accepted(SPF, dmarc("fail"), subject="Report Domain: a.test"))
    assert due.reasons == 1


def test_a_report_alone_is_no_reason_for_a_report() -> None:
    brought = accepted(SPF, dmarc("pass"), subject="Report Domain: b.test Submitter: a.test")
    (due,) = due_of(brought)
    assert due.reasons == 0
    (due,) = due_of(brought, accepted(SPF, dmarc("pass")))
    assert due.reasons == 1
    assert sum(count for _, count in due.rows) == 2


@each(
    ("event", "disposition", "overrides"),
    [
        (refused(SPF, dmarc()), "reject", ()),
        (accepted(SPF, dmarc(asks="quarantine")), "quarantine", ()),
        (accepted(SPF, dmarc(asks="none")), "none", ()),
        (
            accepted(SPF, dmarc(asks="quarantine", record=f"{RECORD}; t=y")),
            "quarantine",
            (Override("policy_test_mode"),),
        ),
        (accepted(SPF, dmarc()), "none", (Override("local_policy"),)),
        (refused(SPF, dmarc(), rule="space"), "none", (Override("local_policy"),)),
        (
            accepted(SPF, Check(method="arc", result="pass", vouched="l.test"), dmarc()),
            "none",
            (Override("trusted_forwarder", "arc=l.test"),),
        ),
    ],
)
def test_what_was_done_is_told(
    event: Accepted | Refused, disposition: str, overrides: tuple[Override, ...]
) -> None:
    (report,) = collected(event)
    assert report.rows[0].disposition == disposition
    assert report.rows[0].overrides == overrides


def test_recipients_of_several_domains_are_not_told() -> None:
    (report,) = collected(accepted(SPF, dmarc(), to=("x@b.test", "y@d.test")))
    assert report.rows[0].recipient == ""


@each(
    "event",
    [
        accepted(),
        accepted(SPF),
        accepted(SPF, dmarc(record="")),
        accepted(SPF, dmarc(record="_dmarc.a.test: v=DMARC1; p=reject")),
        accepted(SPF, dmarc(record="junk")),
        refused(SPF, dmarc(), reply="451"),
    ],
)
def test_nothing_else_is_reported(event: Accepted | Refused) -> None:
    assert collected(event) == []
