"""What every store of reports does."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime

from merpati.feedback.aggregate import (
    AggregateReport,
    DkimTold,
    Override,
    Period,
    Published,
    Reporter,
    Row,
    SpfTold,
)
from merpati.feedback.complaint import Complaint
from merpati.feedback.feedback import Feedback, Room, Selection
from merpati.feedback.received import Content, Kind, Origin, Proof, Received, Unreadable
from merpati.feedback.tls import DateRange, Detail, Policy, PolicyResult, Summary, TlsReport

Check = Callable[[Feedback], Awaitable[None]]
DAY = 86400.0
NOW = 100 * DAY
ROOM = Room()
GOOD = Row(
    *("192.0.2.1", 10, "pass", True, False, "a.test"),
    signatures=(DkimTold("a.test", "s", "pass"),),
)
BAD = Row(
    *("192.0.2.9", 4, "none", False, False, "a.test"),
    signatures=(DkimTold("a.test", "s", "fail"), DkimTold("list.test", "t", "pass")),
    spf_results=(SpfTold("bounce.test", "pass"),),
)


def aggregate(*rows: Row, id_: str = "1", domain: str = "a.test") -> AggregateReport:
    """A report of the last day."""
    return AggregateReport(
        Reporter("B", "dmarc@b.test", id_),
        Period(int(NOW - DAY), int(NOW) - 1),
        Published(domain, "none"),
        rows or (GOOD,),
    )


def tls(*details: Detail, good: int = 7, domain: str = "a.test") -> TlsReport:
    """A report of the last day."""
    bad = sum(each.failed_session_count for each in details)
    summary = Summary(total_successful_session_count=good, total_failure_session_count=bad)
    policy = Policy(policy_type="sts", policy_domain=domain)
    return TlsReport(
        organization_name="B",
        date_range=DateRange(
            start_datetime=datetime.fromtimestamp(NOW - DAY, UTC),
            end_datetime=datetime.fromtimestamp(NOW, UTC),
        ),
        contact_info="tls@b.test",
        report_id="t1",
        policies=(PolicyResult(policy=policy, summary=summary, failure_details=details),),
    )


def received(
    content: Content, id_: str = "M1", author: str = "b.test", proof: Proof = Proof.PASSED
) -> Received:
    """Brought by a message, now."""
    return Received(Origin(id_, NOW, author, proof, "dmarc=pass"), content)


async def _keep(engine: Feedback, *reports: Received) -> None:
    for n, report in enumerate(reports):
        each = replace(report, origin=replace(report.origin, id=f"M{n}"))
        assert await engine.keep(each, ROOM)


async def _ids(engine: Feedback, selection: Selection | None = None) -> list[str]:
    return [line.origin.id for line in await engine.reports(selection or Selection())]


async def a_report_is_given_back_whole(engine: Feedback) -> None:
    complaint = Complaint("abuse", sender="ann@a.test", original=b"Subject: \xff\r\n")
    broken = Unreadable("no XML", b"\x00\xff")
    contents: list[Content] = [aggregate(GOOD, BAD), tls(), complaint, broken]
    await _keep(engine, *[received(content) for content in contents])
    for n, content in enumerate(contents):
        found = await engine.report(f"M{n}")
        assert found == received(content, f"M{n}")
    assert await engine.report("M9") is None


async def a_list_says_what_each_report_is_about(engine: Feedback) -> None:
    await _keep(
        *(engine, received(aggregate(GOOD, BAD))),
        received(Complaint("abuse", incidents=2, domains=("a.test",))),
        received(Unreadable("no XML", b"x")),
    )
    broken, complaint, line = await engine.reports(Selection())
    assert (line.kind, line.domain, line.total, line.failed) == (Kind.AGGREGATE, "a.test", 14, 4)
    assert (line.organization, line.report_id) == ("B", "1")
    assert (line.begin, line.end) == (NOW - DAY, NOW - 1)
    assert (complaint.kind, complaint.total, complaint.why) == (Kind.COMPLAINT, 2, "abuse")
    assert (broken.kind, broken.domain, broken.why) == (Kind.UNREADABLE, "", "no XML")


async def reports_are_selected(engine: Feedback) -> None:
    old = received(aggregate(id_="2", domain="c.test"))
    old = replace(old, origin=replace(old.origin, at=NOW - 9 * DAY))
    await _keep(engine, old, received(aggregate()), received(tls()))
    assert await _ids(engine) == ["M2", "M1", "M0"]
    assert await _ids(engine, Selection(domain="c.test")) == ["M0"]
    assert await _ids(engine, Selection(since=NOW - DAY)) == ["M2", "M1"]
    assert await _ids(engine, Selection(kind=Kind.TLS)) == ["M2"]
    assert await _ids(engine, Selection(most=1)) == ["M2"]


async def the_same_report_is_kept_once(engine: Feedback) -> None:
    assert await engine.keep(received(aggregate()), ROOM)
    assert not await engine.keep(received(aggregate(), "M2"), ROOM)
    assert await engine.keep(received(aggregate(id_="2"), "M3"), ROOM)
    assert (await engine.alignment("a.test", 0.0)).messages == 20


async def a_message_brings_one_report(engine: Feedback) -> None:
    assert await engine.keep(received(Unreadable("no XML", b"x")), ROOM)
    assert not await engine.keep(received(aggregate()), ROOM)


async def a_forgery_does_not_keep_the_real_report_out(engine: Feedback) -> None:
    assert await engine.keep(received(aggregate(BAD), "M1", proof=Proof.FAILED), ROOM)
    assert await engine.keep(received(aggregate(GOOD), "M2"), ROOM)
    assert await engine.keep(received(aggregate(BAD), "M3", author="evil.test"), ROOM)


async def a_forgery_counts_nowhere(engine: Feedback) -> None:
    await _keep(
        *(engine, received(aggregate(GOOD))),
        received(aggregate(BAD), proof=Proof.FAILED),
        received(tls(), proof=Proof.FAILED),
    )
    alignment = await engine.alignment("a.test", 0.0)
    assert (alignment.messages, alignment.reports, alignment.unproven) == (10, 1, 1)
    assert [source.ip for source in await engine.sources("", 0.0, 10)] == ["192.0.2.1"]
    assert await engine.sessions("a.test", 0.0) == []


async def sources_are_summed_up(engine: Feedback) -> None:
    both = Row("192.0.2.1", 1, "reject", True, True, "a.test")
    passed_on = replace(BAD, count=1, disposition="quarantine", overrides=(Override("forwarded"),))
    await _keep(
        *(engine, received(aggregate(GOOD, BAD))),
        received(aggregate(both, passed_on), author="c.test"),
        received(aggregate(GOOD, domain="other.test")),
    )
    bad, good = await engine.sources("a.test", 0.0, 10)
    assert (bad.ip, bad.messages, bad.passed, bad.failed) == ("192.0.2.9", 5, 0, 5)
    assert (bad.signer, bad.envelope, bad.forwarded) == ("list.test", "bounce.test", 1)
    assert (bad.quarantined, bad.rejected, bad.reporters) == (1, 0, 2)
    assert (good.by_dkim, good.by_spf, good.passed, good.rejected) == (11, 1, 11, 1)
    assert (good.signer, good.last) == ("", NOW - 1)
    assert len(await engine.sources("", 0.0, 10)) == 3
    assert await engine.sources("a.test", 0.0, 1) == [bad]
    assert await engine.sources("a.test", NOW, 10) == []


async def alignment_is_told_for_advice(engine: Feedback) -> None:
    await _keep(engine, received(aggregate(GOOD, BAD)), received(aggregate(), author="c.test"))
    alignment = await engine.alignment("a.test", 0.0)
    assert (alignment.messages, alignment.passed, alignment.reports) == (24, 20, 2)
    assert alignment.reporters == ("b.test", "c.test")
    assert (alignment.first, alignment.last) == (NOW - DAY, NOW - 1)
    assert [(one.ip, one.failed) for one in alignment.failing] == [("192.0.2.9", 4)]
    nothing = await engine.alignment("c.test", 0.0)
    assert (nothing.messages, nothing.reports, nothing.last) == (0, 0, 0.0)


async def what_failed_and_may_be_ours_is_found_among_many_forgers(engine: Feedback) -> None:
    forged = [Row(f"203.0.113.{n}", 99, "none", False, False, "a.test") for n in range(40)]
    mixed = [replace(GOOD, ip="192.0.2.5", count=7), replace(forged[0], ip="192.0.2.5", count=3)]
    passed_on = replace(BAD, ip="192.0.2.6", overrides=(Override("mailing_list"),))
    await _keep(engine, received(aggregate(*forged, GOOD, BAD, *mixed, passed_on)))
    alignment = await engine.alignment("a.test", 0.0)
    assert alignment.doubtful == BAD.count + 3
    assert len(alignment.failing) == 20


async def sessions_are_summed_up(engine: Feedback) -> None:
    expired = Detail(
        result_type="certificate-expired",
        failed_session_count=2,
        receiving_mx_hostname="MX.a.test.",
        failure_reason_code="x509",
    )
    await _keep(engine, received(tls(expired)), received(tls(expired), author="c.test"))
    (sessions,) = await engine.sessions("a.test", 0.0)
    assert (sessions.policy, sessions.succeeded, sessions.failed) == ("sts", 14, 4)
    (fault,) = sessions.faults
    assert (fault.result, fault.sessions, fault.host) == ("certificate-expired", 4, "mx.a.test")
    assert (fault.reason, fault.reporters, fault.last) == ("x509", 2, NOW)
    assert await engine.sessions("", 0.0) == [sessions]
    assert await engine.sessions("c.test", 0.0) == []
    assert await engine.sessions("a.test", NOW) == []


async def counts_that_no_mail_has_are_borne(engine: Feedback) -> None:
    huge = Row("192.0.2.1", 2**62, "none", False, False, "a.test")
    await _keep(
        engine,
        *(received(aggregate(huge, huge, id_=str(n))) for n in range(4)),
        received(tls(good=2**53)),
        received(tls(good=2**53), author="c.test"),
    )
    assert (await engine.sources("a.test", 0.0, 10))[0].messages == 2**55
    assert (await engine.alignment("a.test", 0.0)).passed == 0
    assert (await engine.sessions("a.test", 0.0))[0].succeeded == 2**54


async def no_report_is_from_the_future(engine: Feedback) -> None:
    late = replace(aggregate(), period=Period(10**12, 10**12))
    assert await engine.keep(received(late), ROOM)
    (line,) = await engine.reports(Selection())
    assert (line.begin, line.end) == (NOW, NOW)


async def what_is_old_goes(engine: Feedback) -> None:
    await _keep(engine, *(received(aggregate(BAD, id_=str(n))) for n in range(3)))
    late = NOW + ROOM.age
    assert await engine.forget(late, ROOM, 10) == 0
    assert await engine.forget(late + 1, ROOM, 2) == 2
    assert len(await engine.sources("a.test", 0.0, 10)) == 1
    assert await engine.forget(late + 1, ROOM, 2) == 1
    assert await _ids(engine) == []
    assert await engine.sources("a.test", 0.0, 10) == []


async def there_are_never_more_than_there_is_room_for(engine: Feedback) -> None:
    for n in range(5):
        kept = received(aggregate(id_=str(n)), f"M{n}")
        assert await engine.keep(kept, Room(reports=3))
    assert await _ids(engine) == ["M4", "M3", "M2"]
    assert await engine.forget(NOW, Room(reports=1), 10) == 2
    assert await engine.keep(received(aggregate(id_="9"), "M9"), Room(octets=1))
    assert await _ids(engine) == []


async def what_nobody_proved_goes_first(engine: Feedback) -> None:
    await _keep(engine, received(aggregate()))
    for n in range(1, 4):
        forged = received(aggregate(id_=str(n)), f"M{n}", proof=Proof.FAILED)
        assert await engine.keep(forged, Room(reports=2))
    assert await _ids(engine) == ["M3", "M0"]


async def who_sends_many_pushes_out_his_own(engine: Feedback) -> None:
    await _keep(engine, received(aggregate()))
    for n in range(1, 9):
        flood = received(aggregate(id_=str(n)), f"M{n}", "evil.test")
        assert await engine.keep(flood, Room(reports=4))
    assert await _ids(engine) == ["M8", "M7", "M6", "M0"]


async def many_small_reports_push_out_no_large_ones_of_others(engine: Feedback) -> None:
    large = [replace(GOOD, ip=f"192.0.2.{n}") for n in range(200)]
    await _keep(engine, received(aggregate(*large)))
    for n in range(1, 9):
        flood = received(aggregate(id_=str(n)), f"M{n}", "evil.test")
        assert await engine.keep(flood, Room(reports=4))
    assert await _ids(engine) == ["M8", "M7", "M6", "M0"]


CHECKS: tuple[Check, ...] = (
    a_report_is_given_back_whole,
    a_list_says_what_each_report_is_about,
    reports_are_selected,
    the_same_report_is_kept_once,
    a_message_brings_one_report,
    a_forgery_does_not_keep_the_real_report_out,
    a_forgery_counts_nowhere,
    sources_are_summed_up,
    alignment_is_told_for_advice,
    what_failed_and_may_be_ours_is_found_among_many_forgers,
    sessions_are_summed_up,
    counts_that_no_mail_has_are_borne,
    no_report_is_from_the_future,
    what_is_old_goes,
    there_are_never_more_than_there_is_room_for,
    what_nobody_proved_goes_first,
    who_sends_many_pushes_out_his_own,
    many_small_reports_push_out_no_large_ones_of_others,
)
