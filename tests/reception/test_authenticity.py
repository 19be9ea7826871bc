"""What a door makes of the authenticity of mail: refused, marked, or only told of."""

from dataclasses import replace

import pytest

from merpati.authenticity.dkim.signer import sign
from merpati.authenticity.examiner import Examiner
from merpati.authenticity.judgement import Origin, SpfFound
from merpati.authenticity.questions import Asking, txt
from merpati.authenticity.results import AuthenticationResults, parse_results
from merpati.authenticity.seen import Seen
from merpati.dns.errors import DnsError, DnsTimeout
from merpati.journal.events import Accepted, Check, Refused, Replay
from merpati.mail.headers import Headers
from merpati.policy.replay import Action, ReplaySettings
from merpati.policy.rules.dmarc import DmarcSettings
from merpati.policy.rules.table import RuleSettings
from merpati.reception.port import Role
from merpati.report.story import tell
from merpati.testing.answers import Answers, TableResolver
from merpati.testing.clock import VirtualClock
from merpati.testing.doors import HOSTNAME, House, greeted, networks
from tests.authenticity.dkim.signed import a_key, zone

REFUSED = "550 5.7.1 Email rejected per DMARC policy for bank.test"
FIELDS = b"From: <ann@bank.test>\r\nTo: <ann@a.test>\r\nSubject: Money\r\n"
FORGED = b"Authentication-Results: mx.a.test;\r\n\tdmarc=pass header.from=bank.test\r\n"
MESSAGE = FIELDS + b"\r\nHi\r\n"
KEY = a_key(domain="bank.test")


def spf(origin: Origin) -> Asking[SpfFound]:
    """Lets pass bank.test alone; of a HELO name nothing is known."""
    domain = origin.sender.domain if origin.sender else origin.helo
    answer = yield from txt(domain)
    unknown = "fail" if origin.sender else "none"
    seen = (Seen.of(domain, b"v=spf1 include:c.test -all"), Seen.of("c.test", b"v=spf1 \x1b[2J"))
    return SpfFound("pass" if answer.records else unknown, domain, seen=seen)


class Bank(House):
    """A house that examines; the DNS knows bank.test."""

    def __init__(self, dmarc: bytes | DnsError = b"p=reject", **settings: bool) -> None:
        super().__init__(rules=RuleSettings(dmarc=DmarcSettings(**settings)))
        record = dmarc if isinstance(dmarc, DnsError) else [b"v=DMARC1; " + dmarc]
        known: dict[str, list[object] | DnsError] = {
            **zone(KEY),
            "TXT _dmarc.bank.test": record,
            "TXT bank.test": [b"v=spf1 -all"],
        }
        self.answers = Answers(known)
        self.examiner = Examiner(TableResolver(self.answers), self.clock, spf)

    async def receives(self, message: bytes = MESSAGE, sender: str = "eve@evil.test") -> str:
        """From a stranger; the reply."""
        async with greeted(self.port()) as client:
            return await client.send(message, "ann@a.test", sender=sender)

    async def stored(self) -> bytes:
        """The one message that is there, as it was put."""
        (claim,) = await self.queue.claim(self.clock.now(), 10)
        pieces = [piece async for piece in self.queue.read(claim.entry.id)]
        octets = b"".join(pieces)
        assert len(octets) == claim.entry.size
        return octets

    async def told(self) -> AuthenticationResults:
        """What the field on top of it says."""
        return told_in(await self.stored())


def told_in(octets: bytes) -> AuthenticationResults:
    """What the field on top of a message says; it is the only one."""
    headers = Headers.scan(octets)
    assert headers.fields[0].name == "Authentication-Results"
    assert headers.fields[1].name == "Received"
    assert headers.count("authentication-results") == 1
    return parse_results(headers.fields[0].value)


def signed(message: bytes) -> bytes:
    """With a signature of bank.test, made now."""
    return sign([message], [KEY], int(VirtualClock().now())) + message


class TestRefusing:
    async def test_what_its_domain_wants_refused_is_refused(self) -> None:
        house = Bank()
        assert await house.receives() == REFUSED
        assert await house.queue.claim(house.clock.now(), 10) == []
        (event,) = await house.events(Refused)
        assert (event.rule, event.stage) == ("dmarc", "message")
        assert event.checks[-1] == Check(
            method="dmarc",
            result="fail",
            about="bank.test",
            why="neither SPF nor DKIM passed",
            record="_dmarc.bank.test: v=DMARC1; p=reject",
            asks="reject",
        )

    async def test_what_is_authentic_is_taken_and_told_of(self) -> None:
        house = Bank()
        assert (await house.receives(sender="ann@bank.test")).startswith("250")
        told = await house.told()
        assert told.id == HOSTNAME
        results = {one.method: one.result for one in told.findings}
        assert results == {"iprev": "permerror", "spf": "pass", "dkim": "none", "dmarc": "pass"}
        (event,) = await house.events(Accepted)
        assert [one.method for one in event.checks] == ["iprev", "spf", "dkim", "dmarc"]
        assert event.checks[1].alignment == "the same domain"

    async def test_a_signature_is_enough(self) -> None:
        house = Bank()
        assert (await house.receives(signed(MESSAGE))).startswith("250")

    async def test_quarantine_marks(self) -> None:
        house = Bank(b"p=quarantine")
        assert (await house.receives()).startswith("250")
        dmarc = (await house.told()).findings[-1]
        assert (dmarc.result, dmarc.get("policy", "dmarc")) == ("fail", "quarantine")

    async def test_by_configuration_it_is_only_recorded(self) -> None:
        house = Bank(enforce=False)
        assert (await house.receives()).startswith("250")
        assert (await house.told()).findings[-1].result == "fail"

    async def test_a_domain_that_asks_for_nothing_gets_nothing(self) -> None:
        house = Bank()
        message = MESSAGE.replace(b"bank.test", b"other.test")
        assert (await house.receives(message)).startswith("250")

    @pytest.mark.parametrize("from_", [b"", b"From: ann@bank.test, eve@evil.test\r\n"])
    async def test_a_from_of_no_one_author_is_refused(self, from_: bytes) -> None:
        message = MESSAGE.replace(b"From: <ann@bank.test>\r\n", from_)
        house = Bank()
        assert (await house.receives(message)).startswith("550 5.7.1 From must name")
        house = Bank(refuse_unclear=False)
        assert (await house.receives(message)).startswith("250")

    async def test_what_cannot_be_told_from_a_forgery_now_comes_later(self) -> None:
        house = Bank()
        house.answers = Answers(
            {
                "TXT _dmarc.bank.test": [b"v=DMARC1; p=reject"],
                "TXT rsa-2048._domainkey.bank.test": DnsTimeout("none"),
            }
        )
        house.examiner = Examiner(TableResolver(house.answers), house.clock, spf)
        assert (await house.receives(signed(MESSAGE))).startswith("451 4.7.1 DMARC of bank.test")

    async def test_a_record_that_is_not_answered_for_is_no_reason(self) -> None:
        house = Bank(DnsTimeout("none"))
        assert (await house.receives()).startswith("250")

    async def test_a_judgement_is_of_one_message(self) -> None:
        house = Bank()
        async with greeted(house.port()) as client:
            assert await client.send(MESSAGE, "ann@a.test") == REFUSED
            reply = await client.send(MESSAGE, "ann@a.test", sender="ann@bank.test")
            assert reply.startswith("250")
            assert await client.send(MESSAGE, "nobody@a.test") != REFUSED
        _, by_rcpt = await house.events(Refused)
        assert by_rcpt.checks == ()


class TestWhoIsExamined:
    async def test_nobody_in_a_trusted_network(self) -> None:
        house = Bank()
        async with greeted(house.port(trusted=networks("192.0.2.0/24"))) as client:
            assert (await client.send(MESSAGE, "ann@a.test")).startswith("250")
        assert house.answers.asked == []

    async def test_nobody_who_logged_in(self) -> None:
        house = Bank()
        async with greeted(house.port(Role.SUBMISSION)) as client:
            await client.start_tls()
            assert (await client.login("ann@a.test", "ann's secret")).startswith("235")
            reply = await client.send(MESSAGE, "bob@a.test", sender="ann@a.test")
            assert reply.startswith("250")
        assert house.answers.asked == []

    async def test_nobody_on_this_machine(self) -> None:
        house = Bank()
        async with greeted(house.port(), "127.0.0.1") as client:
            assert (await client.send(MESSAGE, "ann@a.test")).startswith("250")
        assert house.answers.asked == []

    async def test_nobody_whose_message_another_rule_refuses(self) -> None:
        house = Bank()
        loop = b"Received: x\r\n" * 60 + MESSAGE
        assert (await house.receives(loop)).startswith("554 5.4.6")
        assert house.answers.asked == []


class TestForged:
    """RFC 8601 §5."""

    async def test_a_stranger_says_nothing_in_our_name(self) -> None:
        house = Bank(b"p=none")
        message = FORGED + FIELDS + FORGED + b"X: y\r\n\r\n" + FORGED
        assert (await house.receives(message)).startswith("250")
        octets = await house.stored()
        assert octets.endswith(FIELDS + b"X: y\r\n\r\n" + FORGED)
        assert octets.count(FORGED) == 1

    @pytest.mark.parametrize(
        "id_", ["mx(x).a.test", "mx(x(y)).a.test", "mx. a.test", "mx.\r\n\ta.test", "mx(.a.test"]
    )
    async def test_a_name_that_is_ours_when_blanks_and_comments_are_gone_is_ours(
        self, id_: str
    ) -> None:
        house = Bank(b"p=none")
        forged = FORGED.replace(b"mx.a.test", id_.encode())
        await house.receives(forged + MESSAGE)
        assert b"dmarc=pass" not in await house.stored()

    @pytest.mark.parametrize("line", [b"no field", b": x", b">From x", b"Sub ject: x"])
    @pytest.mark.parametrize("lines", [1, 60_000])
    async def test_what_no_examination_saw_is_no_field_for_anybody(
        self, line: bytes, lines: int
    ) -> None:
        """Many readers pass over a line that is no field, and go on (Dovecot, mailparser)."""
        house = Bank(b"p=none")
        hidden = line + b"\r\nFrom: <ceo@rich.test>\r\n" + FORGED + b"\r\n" + b"Hi\r\n" * lines
        assert (await house.receives(signed(FIELDS + hidden))).startswith("250")
        octets = await house.stored()
        assert octets.endswith(FIELDS + b"\r\n" + hidden)
        assert told_in(octets).findings[2].result == "pass"

    async def test_a_message_without_a_body_stays_as_it_is(self) -> None:
        house = Bank(b"p=none")
        await house.receives(FIELDS)
        assert (await house.stored()).endswith(FIELDS)

    @pytest.mark.parametrize(("count", "left"), [(30, 30), (31, 0)])
    async def test_of_so_many_none_is_honest(self, count: int, left: int) -> None:
        house = Bank(b"p=none")
        await house.receives(FORGED.replace(b"mx.a.test", b"mx.b.test") * count + MESSAGE)
        assert (await house.stored()).count(b"mx.b.test") == left

    async def test_others_may_say_what_they_found(self) -> None:
        house = Bank(b"p=none")
        other = FORGED.replace(b"mx.a.test", b"mx.b.test")
        await house.receives(other + MESSAGE)
        assert (await house.stored()).endswith(other + MESSAGE)

    async def test_neither_does_a_login(self) -> None:
        house = Bank()
        async with greeted(house.port(Role.SUBMISSION)) as client:
            await client.start_tls()
            await client.login("ann@a.test", "ann's secret")
            await client.send(FORGED + MESSAGE, "bob@a.test", sender="ann@a.test")
        assert FORGED not in await house.stored()

    async def test_a_trusted_host_may(self) -> None:
        house = Bank()
        async with greeted(house.port(trusted=networks("192.0.2.0/24"))) as client:
            await client.send(FORGED + MESSAGE, "ann@a.test")
        assert (await house.stored()).endswith(FORGED + MESSAGE)

    async def test_it_is_verified_as_it_was_signed(self) -> None:
        house = Bank()
        assert (await house.receives(signed(FORGED + MESSAGE))).startswith("250")
        assert FORGED not in await house.stored()


class TestLargeMessages:
    """They are streamed: what was found is known only behind their end."""

    LARGE = FORGED + FIELDS + b"\r\n" + b"0123456789\r\n" * 60_000

    @pytest.mark.parametrize("size", [5_000, 10_000, 30_000, 60_000])
    async def test_they_are_verified_and_told_of_like_all(self, size: int) -> None:
        house = Bank()
        message = FORGED + FIELDS + b"\r\n" + b"0123456789\r\n" * size
        assert (await house.receives(signed(message))).startswith("250")
        octets = await house.stored()
        dkim = told_in(octets).findings[2]
        assert (dkim.method, dkim.result) == ("dkim", "pass")
        assert octets.endswith(message.removeprefix(FORGED))

    async def test_an_altered_one_is_refused(self) -> None:
        house = Bank()
        assert await house.receives(signed(self.LARGE) + b"more\r\n") == REFUSED


class TestReplays:
    """One signed message that a stranger brings again and again (threats: DKIM replay)."""

    def house(self, action: Action = Action.RECORD) -> Bank:
        house = Bank()
        house.rules = replace(house.rules, replay=ReplaySettings(recipients=5, action=action))
        return house

    async def test_it_is_told_of_and_taken(self) -> None:
        house, message = self.house(), signed(MESSAGE)
        for _ in range(7):
            assert (await house.receives(message)).startswith("250")
        *before, sixth, seventh = await house.events(Accepted)
        assert [one.replay for one in before] == [None] * 5
        assert sixth.replay == Replay(
            domain="bank.test", selector="rsa-2048", copies=6, recipients=6
        )
        assert seventh.replay is not None
        assert seventh.replay.recipients == 7
        assert house.limits.totals == {}
        assert (
            "    repeated signature: that of bank.test (rsa-2048) came with 6 messages to 6 "
            "recipients within 1 min, from hosts that are not its signer's:"
        ) in tell([sixth], "en")
        assert "tanda tangan berulang: milik bank.test (rsa-2048) datang" in tell([sixth], "id")

    async def test_by_configuration_filters_find_it(self) -> None:
        for copies, mark in ((5, None), (6, "suspected")):
            house, message = self.house(Action.MARK), signed(MESSAGE)
            for _ in range(copies):
                assert (await house.receives(message)).startswith("250")
            dkim = (await house.told()).findings[2]
            assert (dkim.method, dkim.result) == ("dkim", "pass")
            assert dkim.get("policy", "replay") == mark

    async def test_by_configuration_it_comes_later(self) -> None:
        house, message = self.house(Action.DEFER), signed(MESSAGE)
        for _ in range(5):
            assert (await house.receives(message)).startswith("250")
        for _ in range(2):
            assert await house.receives(message) == (
                "450 4.7.28 One message signed by bank.test comes too often from others, try again "
                "later"
            )
        *_, refused = await house.events(Refused)
        assert refused.replay is not None
        assert (refused.rule, refused.replay.recipients) == ("replay", 6)
        assert house.limits.totals == {"mx: replay_recipients": 2}
        assert (await house.receives(signed(MESSAGE + b"another\r\n"))).startswith("250")

    async def test_the_signers_own_hosts_may_send_it_to_whomever_they_like(self) -> None:
        house, message = self.house(Action.DEFER), signed(MESSAGE)
        for _ in range(20):
            reply = await house.receives(message, sender="ann@bank.test")
            assert reply.startswith("250")


class TestStory:
    """`merpati trace` says why, and whose fault it is."""

    async def test_in_english(self) -> None:
        house = Bank()
        await house.receives()
        story = tell(await house.events(Refused), "en")
        assert (
            "    SPF: fail evil.test; another organization; v=spf1 include:c.test -all\n"
            "    SPF, record of c.test: v=spf1 ?[2J\n"
            "    DKIM: none; the message has no signature: nothing in it proves who wrote it\n"
        ) in story
        assert (
            "DMARC: fail bank.test; neither SPF nor DKIM passed; its domain asks to refuse it;"
            " _dmarc.bank.test: v=DMARC1; p=reject"
        ) in story
        assert "Neither SPF nor DKIM proves" in story
        assert "the sender" in story

    async def test_in_indonesian(self) -> None:
        house = Bank()
        await house.receives(signed(MESSAGE) + b"more\r\n")
        story = tell(await house.events(Refused), "id")
        assert "DKIM: fail bank.test (rsa-2048); domain yang sama; isi diubah;" in story
        assert "domainnya meminta agar ditolak" in story
        assert "SPF maupun DKIM tidak membuktikan" in story

    async def test_of_what_was_taken(self) -> None:
        house = Bank()
        await house.receives(sender="ann@bank.test")
        story = tell(await house.events(Accepted), "id")
        assert "DMARC: pass bank.test; SPF lulus untuk domain yang sama" in story
        assert "SPF, catatan c.test: v=spf1" in story
        assert "DKIM: none; pesan ini tidak ditandatangani: tidak ada apa pun di" in story
