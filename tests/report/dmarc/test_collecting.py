"""Aggregate reports out of the journal (RFC 9990 §2)."""

import pytest

from merpati.feedback.aggregate import AggregateReport, DkimTold, Override, Period, Reporter
from merpati.journal.events import Accepted, Check, Refused
from merpati.report.dmarc import collecting
from merpati.report.dmarc.collecting import Collector
from merpati.report.dmarc.reading import read_report
from merpati.report.dmarc.writing import write_report

REPORTER = Reporter("B", "dmarc@b.test", "1@mx.b.test")
PERIOD = Period(86400, 172799)
RECORD = "_dmarc.a.test: v=DMARC1; p=reject; sp=none; rua=mailto:r@a.test; adkim=s"
SPF = Check(method="spf", result="fail", about="c.test", alignment="another organization")
DKIM = Check(
    method="dkim", result="pass", about="a.test", selector="s", alignment="the same domain"
)


def dmarc(result: str = "fail", asks: str = "reject", record: str = RECORD) -> Check:
    return Check(method="dmarc", result=result, about="m.a.test", record=record, asks=asks)


def accepted(
    *checks: Check, ip: str = "192.0.2.7", to: tuple[str, ...] = ("x@b.test",)
) -> Accepted:
    sender = "ann@c.test"
    return Accepted(at=90000.0, sender=sender, recipients=to, size=1, ip=ip, checks=checks)


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


def collected(*events: Accepted | Refused) -> list[AggregateReport]:
    collector = Collector()
    collector.take(events)
    return [due.report for due in collector.due(REPORTER, PERIOD)]


def test_a_report_is_about_one_record() -> None:
    other = RECORD.replace("a.test", "z.test")
    collector = Collector()
    collector.take([accepted(SPF, dmarc()), accepted(SPF, dmarc(record=other))])
    first, second = collector.due(REPORTER, PERIOD)
    assert first.uris == ("mailto:r@a.test",)
    assert (first.report.published.domain, second.report.published.domain) == ("a.test", "z.test")
    assert first.report.reporter.report_id == "a.test.1@mx.b.test"
    assert first.report.published.policy == "reject"
    assert first.report.published.subdomains == "none"
    assert first.report.published.strict_dkim
    assert first.report.published.method == "treewalk"


def test_messages_that_are_alike_are_one_row() -> None:
    (report,) = collected(*[accepted(SPF, DKIM, dmarc("pass"))] * 3, accepted(SPF, dmarc()))
    alike, other = report.rows
    assert (alike.count, other.count) == (3, 1)
    assert (alike.ip, alike.author) == ("192.0.2.7", "m.a.test")
    assert (alike.sender, alike.recipient) == ("c.test", "b.test")
    assert (alike.dkim, alike.spf, alike.disposition) == (True, False, "pass")
    assert alike.signatures == (DkimTold("a.test", "s", "pass"),)


def test_what_is_written_of_it_is_a_report() -> None:
    (report,) = collected(accepted(SPF, DKIM, dmarc("pass")), refused(SPF, dmarc()))
    assert read_report(write_report(report)) == report


@pytest.mark.parametrize(
    ("event", "disposition", "overrides"),
    [
        (refused(SPF, dmarc()), "reject", ()),
        (accepted(SPF, dmarc(asks="quarantine")), "quarantine", ()),
        (accepted(SPF, dmarc(asks="none")), "none", ()),
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


@pytest.mark.parametrize(
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


def test_it_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "MAX_ROWS", 2)
    monkeypatch.setattr(collecting, "MAX_DOMAINS", 1)
    collector = Collector()
    collector.take(accepted(SPF, dmarc(), ip=f"192.0.2.{n}") for n in range(5))
    collector.take([accepted(SPF, dmarc(record=RECORD.replace("a.test", "z.test")))])
    (due,) = collector.due(REPORTER, PERIOD)
    assert len(due.report.rows) == 2
    assert collector.left_out == 4


def test_all_rows_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "MAX_ALL_ROWS", 3)
    collector = Collector()
    for n in range(5):
        record = RECORD.replace("a.test", f"a{n}.test")
        collector.take([accepted(SPF, dmarc(record=record))] * 2)
    assert sum(len(due.report.rows) for due in collector.due(REPORTER, PERIOD)) == 3
    assert collector.left_out == 4
