"""Reports that are due go out once, to those who want them (RFC 9990, RFC 8460)."""

import asyncio
import email
import email.policy
import gzip
import itertools
import json
from email.message import EmailMessage
from typing import Any

import pytest

from merpati.dns.errors import DnsTimeout
from merpati.feedback.aggregate import DkimTold, SpfTold
from merpati.feedback.aggregate import Row as AggregateRow
from merpati.feedback.received import Kind
from merpati.feedback.tallies import DAY, Subject, Tally
from merpati.feedback.tls import PolicyType, ResultType
from merpati.journal.events import Accepted, Reported
from merpati.mail.address import Address
from merpati.queue.entry import Entry
from merpati.report.dmarc import tallying as dmarc
from merpati.report.dmarc.outgoing import AggregateMaker
from merpati.report.dmarc.reading import read_report
from merpati.report.outgoing import MAX_DESTINATIONS, Identity
from merpati.report.sending import Sending, SendingParts, SendingSettings
from merpati.report.tlsrpt import tallying as tlsrpt
from merpati.report.tlsrpt.document import read_report as read_tls_report
from merpati.report.tlsrpt.outgoing import TlsMaker, TlsParts
from merpati.storage.errors import StorageError
from merpati.testing.answers import Answers, TableResolver
from merpati.testing.clock import VirtualClock
from merpati.testing.doors import House
from merpati.testing.memory_tallies import MemoryTallies
from merpati.wire.errors import WireError

US = Identity("B Inc.", Address.parse("reports@b.test"), "postmaster@b.test")
RECORD = "v=DMARC1; p=reject; rua=mailto:r@a.test"
DAY_OF_REPORT = 20_000
ROW = AggregateRow(
    "192.0.2.1",
    0,
    "reject",
    dkim=False,
    spf=False,
    author="a.test",
    signatures=(DkimTold("c.test", "s", "pass"),),
    spf_results=(SpfTold("c.test", "pass"),),
)


class World:
    """Tallies, a queue, the DNS as a table, and whoever sends."""

    def __init__(self, records: dict[str, Any] | None = None) -> None:
        self.clock = VirtualClock((DAY_OF_REPORT + 1) * DAY + 3600.0)
        self.house = House(self.clock)
        self.tallies = MemoryTallies()
        self.records: dict[str, Any] = {
            "TXT _dmarc.a.test": [RECORD.encode()],
            "TXT _smtp._tls.a.test": [b"v=TLSRPTv1; rua=mailto:t@a.test"],
            **(records or {}),
        }
        self.posted: list[tuple[str, bytes, str]] = []
        self.post_failures = 0
        self.is_wanted = True
        self.defects: list[str] = []
        self._ids = map("M{:025}".format, itertools.count())
        self.door: Any = self.house.intake()

    def sending(self, shard: int = 0) -> Sending:
        """A worker, fresh from its start."""
        resolver = TableResolver(Answers(self.records))
        tls = TlsParts(resolver, self._post, self._policy, self.clock.now)
        parts = SendingParts(
            tallies=self.tallies,
            journal=self.house.journal,
            makers={Kind.AGGREGATE: AggregateMaker(resolver), Kind.TLS: TlsMaker(tls)},
            identity=lambda: US,
            new_id=self._ids.__next__,
            clock=self.clock,
            is_wanted=lambda: self.is_wanted,
            defect=lambda what, error: self.defects.append(f"{what}: {error!r}"),
        )
        return Sending(shard, SendingSettings(), parts, self.door)

    async def _post(self, uri: str, octets: bytes, media_type: str) -> None:
        if self.post_failures:
            self.post_failures -= 1
            raise WireError("it answers 503")
        self.posted.append((uri, octets, media_type))

    async def _policy(self, domain: str) -> bytes:
        return b"version: STSv1\nmode: enforce\nmx: mx.a.test\nmax_age: 86400\n"

    async def count(self, kind: Kind = Kind.AGGREGATE, domain: str = "a.test", **more: Any) -> None:
        """Something that a report is due about."""
        sessions = tlsrpt.Sessions(PolicyType.STS, tlsrpt.Failure(ResultType.EXPIRED, "mx.a.test"))
        row = dmarc._encode(ROW) if kind is Kind.AGGREGATE else tlsrpt._encode(sessions)
        known = {"record": f"_dmarc.{domain}: {RECORD}", "reasons": 3, "rows": {row: 3}}
        subject = Subject(DAY_OF_REPORT, kind, domain)
        tally = Tally(subject=subject, due=self.clock.now(), name="n7", **{**known, **more})
        await self.tallies.add(0, 1, [tally])

    async def mail(self) -> list[tuple[Entry, EmailMessage]]:
        """What lies in the queue."""
        claims = await self.house.queue.claim(self.clock.now(), 1000)
        entries = {claim.entry.id: claim.entry for claim in claims}
        return [(entry, await self._read(entry)) for entry in entries.values()]

    async def _read(self, entry: Entry) -> EmailMessage:
        octets = b"".join([piece async for piece in self.house.queue.read(entry.id)])
        message = email.message_from_bytes(octets, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        return message

    async def reported(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(event.outcome, event.to) for event in await self.house.events(Reported)]

    async def waits(self) -> bool:
        return bool((await self.tallies.standing()).waiting)


def attachment(message: EmailMessage) -> bytes:
    """Of the report's part."""
    *_, part = message.iter_parts()
    content = part.get_content()
    assert isinstance(content, bytes)
    return content


async def test_an_aggregate_report_goes_to_who_asks_for_it() -> None:
    world = World()
    await world.count()
    await world.sending().send()
    ((entry, message),) = await world.mail()
    assert [str(one.address) for one in entry.envelope.recipients] == ["r@a.test"]
    assert str(entry.envelope.sender) == "reports@b.test"
    assert message["From"] == "reports@b.test"
    assert message["Subject"] == (
        "Report Domain: a.test Submitter: b.test Report-ID: <a.test.n7@b.test>"
    )
    report = read_report(gzip.decompress(attachment(message)))
    assert report.reporter.organization == "B Inc."
    assert (report.period.begin, report.period.end) == (
        DAY_OF_REPORT * DAY,
        DAY_OF_REPORT * DAY + DAY - 1,
    )
    assert [(row.ip, row.count) for row in report.rows] == [("192.0.2.1", 3)]
    assert not await world.waits()
    assert await world.reported() == [("mailed", ("r@a.test",))]


async def test_a_report_is_ours_and_its_failure_is_told_to_nobody() -> None:
    world = World()
    await world.count()
    await world.sending().send()
    ((entry, _),) = await world.mail()
    assert entry.is_notice
    assert entry.is_ours, "so that it is signed"
    assert entry.expires == entry.received + DAY


async def test_a_report_about_tls_goes_by_mail_and_by_https() -> None:
    rua = b"v=TLSRPTv1; rua=mailto:t@a.test,https://r.a.test/v1"
    world = World({"TXT _smtp._tls.a.test": [rua]})
    await world.count(Kind.TLS)
    await world.sending().send()
    ((entry, message),) = await world.mail()
    assert entry.waives_tls, "what tells of broken TLS does not wait for TLS"
    assert message["TLS-Report-Domain"] == "a.test"
    assert message["TLS-Report-Submitter"] == "b.test"
    ((uri, octets, media_type),) = world.posted
    assert (uri, media_type) == ("https://r.a.test/v1", "application/tlsrpt+gzip")
    assert octets == attachment(message)
    assert read_tls_report(octets).policies[0].summary.total_failure_session_count == 3
    assert await world.reported() == [
        ("mailed", ("t@a.test",)),
        ("posted", ("https://r.a.test/v1",)),
    ]


async def test_a_report_about_tls_has_the_shape_of_the_rfc() -> None:
    world = World()
    await world.count(Kind.TLS)
    await world.sending().send()
    ((_, message),) = await world.mail()
    assert json.loads(gzip.decompress(attachment(message))) == {
        "organization-name": "B Inc.",
        "date-range": {
            "start-datetime": "2024-10-04T00:00:00Z",
            "end-datetime": "2024-10-04T23:59:59Z",
        },
        "contact-info": "postmaster@b.test",
        "report-id": "a.test.n7@b.test",
        "policies": [
            {
                "policy": {
                    "policy-type": "sts",
                    "policy-domain": "a.test",
                    "policy-string": [
                        "version: STSv1",
                        "mode: enforce",
                        "mx: mx.a.test",
                        "max_age: 86400",
                    ],
                    "mx-host": ["mx.a.test"],
                },
                "summary": {
                    "total-successful-session-count": 0,
                    "total-failure-session-count": 3,
                },
                "failure-details": [
                    {
                        "result-type": "certificate-expired",
                        "failed-session-count": 3,
                        "receiving-mx-hostname": "mx.a.test",
                    }
                ],
            }
        ],
    }


@pytest.mark.parametrize(
    ("kind", "records"),
    [
        (Kind.AGGREGATE, {"TXT _dmarc.a.test": []}),
        (Kind.AGGREGATE, {"TXT _dmarc.a.test": [b"v=DMARC1; p=reject"]}),
        (Kind.TLS, {"TXT _smtp._tls.a.test": []}),
        (Kind.TLS, {"TXT _smtp._tls.a.test": [b"v=TLSRPTv1; rua=mailto:t@a.test"] * 2}),
    ],
)
async def test_who_wants_none_any_more_gets_none(kind: Kind, records: dict[str, Any]) -> None:
    world = World(records)
    await world.count(kind)
    await world.sending().send()
    assert await world.mail() == []
    assert await world.reported() == []
    assert not await world.waits()


async def test_reports_alone_are_no_reason_for_a_report() -> None:
    world = World()
    await world.count(reasons=0)
    await world.sending().send()
    assert await world.mail() == []
    assert not await world.waits()


async def test_who_is_elsewhere_and_has_not_agreed_gets_none() -> None:
    record = b"v=DMARC1; p=reject; rua=mailto:r@a.test,mailto:victim@v.test,mailto:x@agrees.test"
    world = World(
        {
            "TXT _dmarc.a.test": [record],
            "TXT a.test._report._dmarc.agrees.test": [b"v=DMARC1"],
        }
    )
    await world.count()
    await world.sending().send()
    ((entry, message),) = await world.mail()
    to = [str(one.address) for one in entry.envelope.recipients]
    assert to == ["r@a.test", "x@agrees.test"]
    assert message["To"] == "r@a.test, x@agrees.test"
    (event,) = await world.house.events(Reported)
    assert "victim@v.test: it has not agreed" in event.why


async def test_nobody_who_has_agreed_is_told_of() -> None:
    world = World({"TXT _dmarc.a.test": [b"v=DMARC1; p=none; rua=mailto:victim@v.test"]})
    await world.count()
    await world.sending().send()
    assert await world.mail() == []
    assert await world.reported() == [("given-up", ())]


async def test_destinations_are_few() -> None:
    rua = ",".join(f"mailto:r{n}@a.test" for n in range(MAX_DESTINATIONS + 2))
    world = World({"TXT _dmarc.a.test": [f"v=DMARC1; p=none; rua={rua}".encode()]})
    await world.count()
    await world.sending().send()
    ((entry, _),) = await world.mail()
    assert len(entry.envelope.recipients) == MAX_DESTINATIONS


async def test_whoever_takes_only_smaller_reports_gets_none() -> None:
    rua = b"v=DMARC1; p=none; rua=mailto:small@a.test!1k,mailto:large@a.test!10m"
    world = World({"TXT _dmarc.a.test": [rua]})
    await world.count()
    await world.sending().send()
    ((entry, _),) = await world.mail()
    assert [str(one.address) for one in entry.envelope.recipients] == ["large@a.test"]
    (event,) = await world.house.events(Reported)
    assert "small@a.test: it takes 1024 octets" in event.why


async def test_a_dns_that_is_silent_is_asked_again_for_a_day() -> None:
    world = World({"TXT _dmarc.a.test": DnsTimeout("silent")})
    await world.count()
    sending = world.sending()
    await sending.send()
    assert await world.waits()
    asked = 1
    while await world.waits():
        await world.clock.advance(900.0)
        await sending.send()
        asked += 1
    assert 80 <= asked <= 120, "a day of quarters of an hour, give and take the last wait"
    assert await world.reported() == [("given-up", ())]
    assert await world.mail() == []


async def test_a_dns_that_speaks_again_is_heard() -> None:
    world = World({"TXT _dmarc.a.test": DnsTimeout("silent")})
    await world.count()
    await world.sending().send()
    world.records["TXT _dmarc.a.test"] = [RECORD.encode()]
    await world.clock.advance(1000.0)
    await world.sending().send()
    assert len(await world.mail()) == 1


async def test_a_post_that_fails_is_tried_again_and_the_mail_goes_once() -> None:
    rua = b"v=TLSRPTv1; rua=mailto:t@a.test,https://r.a.test/v1,https://s.a.test/v1"
    world = World({"TXT _smtp._tls.a.test": [rua]})
    world.post_failures = 1
    await world.count(Kind.TLS)
    await world.sending().send()
    assert [uri for uri, *_ in world.posted] == ["https://s.a.test/v1"]
    await world.clock.advance(1000.0)
    await world.sending(1).send()
    assert [uri for uri, *_ in world.posted] == ["https://s.a.test/v1", "https://r.a.test/v1"]
    assert world.posted[0][1] == world.posted[1][1]
    assert len(await world.mail()) == 1
    assert not await world.waits()


async def test_a_post_that_nobody_takes_is_given_up_after_a_day() -> None:
    world = World({"TXT _smtp._tls.a.test": [b"v=TLSRPTv1; rua=https://r.a.test/v1"]})
    world.post_failures = 1000
    await world.count(Kind.TLS)
    sending = world.sending()
    for _ in range(60):
        await sending.send()
        await world.clock.advance(1800.0)
    assert not await world.waits()
    assert await world.reported() == [("given-up", ("https://r.a.test/v1",))]
    assert 5 < 1000 - world.post_failures < 20, "each wait is twice the last one"


@pytest.mark.parametrize("stored", [False, True])
async def test_a_crash_beside_the_store_of_the_message_loses_and_doubles_nothing(
    stored: bool,
) -> None:
    world = World()
    await world.count()
    intake = world.house.intake()

    class Door:
        async def accept_report(self, *given: Any) -> None:
            if stored:
                await intake.accept_report(*given)
            raise StorageError("the worker dies here")

    world.door = Door()
    with pytest.raises(StorageError):
        await world.sending().send()
    world.door = intake
    await world.clock.advance(2000.0)
    await world.sending(shard=1).send()
    assert len(await world.house.events(Accepted)) == stored, "only its own journal knows"
    await world.sending(shard=0).send()
    assert len(await world.house.events(Accepted)) == 1
    assert not await world.waits()


async def test_a_crash_before_anything_is_kept_loses_nothing() -> None:
    world = World()
    await world.count()
    await world.tallies.take(0, world.clock.now(), world.clock.now() + 900.0)
    await world.sending(1).send()
    assert await world.mail() == []
    await world.clock.advance(901.0)
    await world.sending(1).send()
    assert len(await world.mail()) == 1


async def test_whoever_lost_a_report_to_another_stores_nothing() -> None:
    world = World()
    await world.count()
    slow, quick = world.sending(0), world.sending(1)
    keep, answers = world.tallies.keep, asyncio.Event()

    async def late(*given: Any) -> bool:
        world.tallies.keep = keep  # type: ignore[method-assign]
        await answers.wait()
        return await keep(*given)

    world.tallies.keep = late  # type: ignore[method-assign]
    task = asyncio.create_task(slow.send())
    await world.clock.advance(901.0)
    await quick.send()
    answers.set()
    await task
    assert len(await world.house.events(Accepted)) == 1


async def test_a_store_that_fails_is_told_and_the_report_goes_later() -> None:
    world = World()
    await world.count()

    class Door:
        async def accept_report(self, *_: Any) -> None:
            raise StorageError("full", is_full=True)

    intake, world.door = world.door, Door()
    with pytest.raises(StorageError):
        await world.sending().send()
    world.door = intake
    await world.clock.advance(1000.0)
    await world.sending().send()
    assert len(await world.mail()) == 1


async def test_a_defect_keeps_the_others_going() -> None:
    world = World()
    await world.count(rows={b"junk": 1})
    await world.count(Kind.TLS)
    await world.sending().send()
    assert len(await world.mail()) == 1
    assert len(world.defects) == 1


async def test_what_nobody_could_send_for_days_is_forgotten() -> None:
    world = World()
    await world.count(rows={b"junk": 1})
    await world.clock.advance(5.0 * DAY)
    await world.sending().send()
    assert not await world.waits()
    assert world.defects == []


async def test_it_runs_by_itself() -> None:
    world = World()
    sending = world.sending()
    task = asyncio.create_task(sending.run())
    await world.clock.advance(1.0)
    await world.count()
    await world.clock.advance(58.0)
    assert await world.mail() == []
    await world.clock.advance(2.0)
    assert len(await world.mail()) == 1
    await world.count(Kind.TLS)
    world.is_wanted = False
    await world.clock.advance(60.0)
    await task
    assert await world.waits()
