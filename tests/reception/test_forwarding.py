"""Mail that an alias leads elsewhere: under whose name it goes on, and how notices come back."""

from typing import Any

import pytest

from merpati.authenticity.examiner import Examiner
from merpati.authenticity.srs import MAX_DAYS, Rewriter
from merpati.dns.errors import DnsError, DnsTimeout
from merpati.journal.events import Accepted, Forward, Refused
from merpati.mail.address import Address
from merpati.mail.envelope import Notify, Recipient
from merpati.mail.headers import Headers
from merpati.mail.sealing import Sealing
from merpati.policy.forwarding import ForwardingSettings
from merpati.policy.rules.dmarc import DmarcSettings
from merpati.policy.rules.table import RuleSettings
from merpati.report.story import tell
from merpati.testing.answers import Answers, TableResolver
from merpati.testing.doors import HOSTNAME, House, greeted, networks
from tests.authenticity.dkim.signed import a_key, zone
from tests.reception.test_authenticity import MESSAGE, signed, spf

DAY = 86_400
ANN = "ann@bank.test"
OURS = MESSAGE.replace(b"ann@bank.test", b"ann@a.test")
SALES, AWAY = "sales@a.test", "x@c.test"


class Forwarder(House):
    """sales@a.test leads to x@c.test; SPF passes for bank.test alone, which also signs."""

    def __init__(
        self, dmarc: bytes = b"p=none", ours: bytes | DnsError = b"p=none", **settings: object
    ) -> None:
        rules = RuleSettings(dmarc=DmarcSettings())
        forwards = ForwardingSettings(HOSTNAME, **settings)  # type: ignore[arg-type]  # the caller names what exists
        super().__init__(rules=rules, forwards=forwards)
        known: dict[str, list[object] | DnsError] = {
            **zone(a_key(domain="bank.test")),
            "TXT _dmarc.bank.test": [b"v=DMARC1; " + dmarc],
            "TXT _dmarc.a.test": ours if isinstance(ours, DnsError) else [b"v=DMARC1; " + ours],
            "TXT bank.test": [b"v=spf1 -all"],
            "TXT news.a.test": [b"v=spf1 -all"],
        }
        self.examiner = Examiner(TableResolver(Answers(known)), self.clock, spf)
        self.residents.alias(SALES, AWAY)
        self.claimed: list[Recipient] = []

    async def receives(self, message: bytes = MESSAGE, to: str = SALES, sender: str = ANN) -> str:
        """From a stranger; the reply."""
        await self.clock.advance(1)  # Ids are made of the time.
        async with greeted(self.port()) as client:
            return await client.send(message, to, sender=sender)

    async def recipient(self, address: str = AWAY) -> Recipient:
        """One of the message that is there."""
        for claim in await self.queue.claim(self.clock.now(), 10):
            self.claimed += [one.recipient for one in claim.recipients]
        (found,) = {one for one in self.claimed if str(one.address) == address}
        return found

    async def forward(self) -> Forward:
        """What the journal says of the one recipient elsewhere."""
        (accepted,) = await self.events(Accepted)
        (forward,) = accepted.forwards
        return forward

    async def rewritten(self, sender: str = ANN) -> Address:
        """The sender that a copy of a message has."""
        assert (await self.receives(sender=sender)).startswith("250")
        path = (await self.recipient()).return_path
        assert path is not None
        return path


async def test_a_strangers_mail_goes_on_under_a_sender_of_the_alias() -> None:
    house = Forwarder()
    path = await house.rewritten()
    assert str(path).startswith("SRS0=")
    assert str(path).endswith("=bank.test=ann@a.test")
    assert await house.forward() == Forward(address=AWAY, sender=str(path), lost="none")


async def test_our_own_notices_go_to_the_true_sender() -> None:
    house = Forwarder()
    await house.receives()
    (claim,) = await house.queue.claim(house.clock.now(), 10)
    assert claim.entry.envelope.sender == Address.parse(ANN)
    assert claim.recipients[0].recipient.original == f"rfc822;{SALES}"


@pytest.mark.parametrize(
    ("message", "sender", "told"),
    [
        (MESSAGE, "eve@evil.test", False),
        (signed(MESSAGE), "eve@evil.test", False),
        (signed(MESSAGE), "news@sub.bank.test", True),
        (MESSAGE, ANN, True),
    ],
)
async def test_who_is_named_in_forged_mail_hears_nothing_of_it(
    message: bytes, sender: str, told: bool
) -> None:
    house = Forwarder()
    house.residents.alias(SALES, "bob@a.test", AWAY)
    await house.receives(message, sender=sender)
    assert bool((await house.recipient()).notify) is told
    assert (await house.recipient("bob@a.test")).notify
    assert (await house.forward()).forged is not told
    story = tell(await house.events(Accepted))
    assert ("SPF or DMARC says that the sender is forged" in story) is not told


async def test_a_configured_domain_here_takes_the_place_of_the_aliass() -> None:
    house = Forwarder(domain="fwd.test")
    assert (await house.rewritten()).domain == "a.test"
    house = Forwarder(domain="fwd.test")
    house.residents.domains.add("fwd.test")
    assert (await house.rewritten()).domain == "fwd.test"


async def test_each_alias_sends_on_in_the_name_of_its_own_domain() -> None:
    house = Forwarder()
    house.residents.alias("news@other.test", "y@c.test")
    async with greeted(house.port()) as client:
        assert (await client.send(MESSAGE, SALES, "news@other.test", sender=ANN)).startswith("250")
    for address, domain in ((AWAY, "a.test"), ("y@c.test", "other.test")):
        path = (await house.recipient(address)).return_path
        assert path is not None
        assert path.domain == domain
    assert len(house.stamps.known()) == 1


async def test_who_lives_here_gets_the_same_message_with_its_own_sender() -> None:
    house = Forwarder()
    house.residents.alias(SALES, "bob@a.test", AWAY)
    await house.receives()
    assert (await house.recipient("bob@a.test")).return_path is None
    assert (await house.recipient()).return_path is not None


@pytest.mark.parametrize(
    ("sender", "settings", "kept"),
    [
        ("", {}, "null"),
        ("bob@a.test", {}, "ours"),
        (ANN, {"rewrite": False}, "off"),
        ("x" * 110 + "@" + "y" * 60 + "." + "z" * 60 + ".test", {}, "too-long"),
    ],
)
async def test_some_senders_stay(sender: str, settings: dict[str, Any], kept: str) -> None:
    house = Forwarder(**settings)
    await house.receives(signed(MESSAGE), sender=sender)
    assert (await house.recipient()).return_path is None
    forward = await house.forward()
    assert (forward.kept, forward.sender) == (kept, "")
    for language in ("en", "id"):
        assert f"{AWAY}{',' if kept == 'null' else ';'}" in tell(
            await house.events(Accepted), language
        )


async def test_mail_of_whoever_may_send_by_us_goes_on_as_it_is() -> None:
    house = Forwarder()
    async with greeted(house.port(trusted=networks("192.0.2.0/24"))) as client:
        await client.send(MESSAGE, SALES, sender=ANN)
    assert (await house.recipient()).return_path is None
    (accepted,) = await house.events(Accepted)
    assert accepted.forwards == ()


class TestDmarc:
    async def test_a_signature_of_the_author_survives_and_nothing_is_lost(self) -> None:
        house = Forwarder(b"p=reject")
        await house.receives(signed(MESSAGE))
        assert (await house.forward()).lost == ""
        assert "DMARC will fail" not in tell(await house.events(Accepted))

    @pytest.mark.parametrize(
        ("record", "lost", "told"),
        [
            (b"p=none", "none", "That domain asks for nothing"),
            (b"p=quarantine", "quarantine", "put it in quarantine"),
            (b"p=reject", "reject", "the author's domain asks to refuse it"),
            (b"p=reject; t=y", "quarantine", "put it in quarantine"),
        ],
    )
    async def test_what_only_spf_proved_fails_behind_us_and_that_is_told_ahead(
        self, record: bytes, lost: str, told: str
    ) -> None:
        house = Forwarder(record)
        await house.receives()
        assert (await house.forward()).lost == lost
        story = tell(await house.events(Accepted))
        assert told in story
        assert "DMARC will fail there" in story
        assert "sign with DKIM" in story
        assert "DMARC akan gagal di sana" in tell(await house.events(Accepted), "id")

    async def test_our_own_spf_proves_an_author_of_ours(self) -> None:
        """A service of others, which SPF of a domain here names, writes to an alias of ours."""
        house = Forwarder(ours=b"p=reject")
        house.residents.domains.add("news.a.test")
        assert (await house.receives(OURS, sender="x@news.a.test")).startswith("250")
        assert await house.forward() == Forward(address=AWAY, kept="ours")

    async def test_what_failed_here_loses_nothing(self) -> None:
        house = Forwarder()
        await house.receives(sender="eve@evil.test")
        assert (await house.forward()).lost == ""

    async def test_a_forged_author_of_ours_does_not_get_our_name(self) -> None:
        house = Forwarder()
        await house.receives(OURS, sender="eve@evil.test")
        assert (await house.forward()).kept == "unproved"
        assert (await house.recipient()).return_path is None

    @pytest.mark.parametrize("sender", ["ann@a.test", ""])
    async def test_one_whose_sender_is_of_ours_already_is_not_sent_on(self, sender: str) -> None:
        house = Forwarder()
        reply = await house.receives(OURS, sender=sender)
        assert reply.startswith("550 5.7.1 From names a domain here")
        (refused,) = await house.events(Refused)
        assert refused.rule == "forwarding"
        assert "would take the forgery for true" in tell([refused])

    async def test_it_is_taken_where_nobody_sends_it_on(self) -> None:
        house = Forwarder()
        assert (await house.receives(OURS, "bob@a.test", "ann@a.test")).startswith("250")

    async def test_what_cannot_be_proved_now_may_come_later(self) -> None:
        house = Forwarder(ours=DnsTimeout("no answer"))
        reply = await house.receives(OURS, sender="ann@a.test")
        assert reply.startswith("451 4.7.1")


class TestNotices:
    async def test_a_notice_to_a_rewritten_sender_goes_on_to_the_true_one(self) -> None:
        house = Forwarder()
        path = await house.rewritten()
        notice = MESSAGE.replace(b"ann@bank.test", b"mailer-daemon@c.test")
        assert (await house.receives(notice, str(path), "")).startswith("250")
        found = await house.recipient(ANN)
        assert found.return_path is None
        assert found.notify == Notify.FAILURE | Notify.DELAY
        accepted = (await house.events(Accepted))[-1]
        assert accepted.sender == ""
        assert accepted.aliases == ((str(path), ANN),)

    async def test_case_that_a_host_folded_does_not_matter(self) -> None:
        house = Forwarder()
        path = await house.rewritten()
        assert (await house.receives(to=str(path).lower(), sender="")).startswith("250")

    async def test_anything_else_than_a_notice_is_refused(self) -> None:
        house = Forwarder()
        path = await house.rewritten()
        reply = await house.receives(to=str(path), sender="eve@evil.test")
        assert reply.startswith("550 5.7.1 This address takes notices")

    async def test_one_that_is_outworn_is_refused(self) -> None:
        house = Forwarder()
        path = await house.rewritten()
        await house.clock.advance((MAX_DAYS + 1) * DAY)
        reply = await house.receives(to=str(path), sender="")
        assert reply.startswith("550 5.1.1 No such return address here: ")
        assert "too old" in reply

    async def test_a_turned_key_is_known_and_a_forgotten_one_is_not(self) -> None:
        house = Forwarder()
        path = await house.rewritten()
        await house.stamps.turn(house.clock.now())
        assert (await house.receives(to=str(path), sender="")).startswith("250")
        await house.stamps.turn(house.clock.now(), forget=True)
        assert (await house.receives(to=str(path), sender="")).startswith("550 5.1.1")

    @pytest.mark.parametrize(
        "local",
        [
            "SRS0=AAAAAA=AA=victim.test=bob",
            "srs0+AAAAAA=AA=victim.test=bob",
            "SRS1=AAAAAA=victim.test==AAAA=AA=other.test=bob",
            "SRS0=",
            "SRS0==AA=victim.test=bob",
            "SRS1-x",
        ],
    )
    @pytest.mark.parametrize("used", [True, False])
    async def test_a_forged_one_relays_nothing(self, local: str, used: bool) -> None:
        house = Forwarder()
        house.residents.alias("*@a.test", "bob@a.test")
        if used:
            await house.rewritten()
        reply = await house.receives(to=f"{local}@a.test", sender="")
        assert reply.startswith("550 5.1.1 No such return address")
        (refused,) = await house.events(Refused)
        assert "(SRS)" in tell([refused])

    async def test_a_user_whose_name_looks_like_one_keeps_his_mail(self) -> None:
        house = Forwarder()
        house.residents.move_in("srs0-team@a.test")
        assert (await house.receives(to="srs0-team@a.test")).startswith("250")
        assert await house.recipient("srs0-team@a.test")

    async def test_what_is_sent_on_for_the_host_itself_comes_back_to_its_name(self) -> None:
        house = Forwarder()
        house.postmaster = Address.parse(AWAY)
        await house.receives(to=f"root@{HOSTNAME}")
        path = (await house.recipient()).return_path
        assert path is not None
        assert path.domain == HOSTNAME
        assert (await house.receives(to=str(path), sender="")).startswith("250")
        assert await house.recipient(ANN)
        reply = await house.receives(to=f"SRS0=AAAAAA=AA=b.test=x@{HOSTNAME}", sender="")
        assert reply.startswith("550 5.1.1")

    async def test_one_of_a_domain_that_is_not_here_is_none_of_ours(self) -> None:
        house = Forwarder()
        path = await house.rewritten()
        reply = await house.receives(to=f"{path.local}@elsewhere.test", sender="")
        assert reply == "550 5.7.1 Relaying denied"

    async def test_who_guesses_hashes_is_cut_off(self) -> None:
        house = Forwarder()
        await house.rewritten()
        async with greeted(house.port()) as client:
            await client.say("MAIL FROM:<>")
            replies = [
                await client.say(f"RCPT TO:<SRS0=AAAA{n:02}=AA=victim.test=bob@a.test>")
                for n in range(21)
            ]
        assert replies[-1].endswith("Too many unknown recipients")

    async def test_who_forwarded_before_us_is_given_the_notice(self) -> None:
        house = Forwarder()
        theirs = Rewriter("b.test", [b"k" * 16]).forward(Address.parse(ANN), house.clock.now())
        path = await house.rewritten(str(theirs))
        assert path.local.startswith("SRS1=")
        assert (await house.receives(to=str(path), sender="")).startswith("250")
        assert await house.recipient(str(theirs))

    async def test_a_long_sender_makes_a_local_part_beyond_64_octets_that_comes_back(self) -> None:
        house = Forwarder()
        sender = f"bounces+{'x' * 60}@mail.bank.test"
        path = await house.rewritten(sender)
        assert len(path.local) > 64
        assert (await house.receives(to=str(path), sender="")).startswith("250")
        assert await house.recipient(sender)


class TestSealing:
    async def sealed(self, house: Forwarder, message: bytes = MESSAGE) -> Sealing | None:
        await house.receives(message)
        (claim,) = await house.queue.claim(house.clock.now(), 10)
        return claim.entry.sealing

    async def test_nothing_is_sealed_by_default(self) -> None:
        assert await self.sealed(Forwarder()) is None

    async def test_a_seal_says_what_was_found_when_it_came(self) -> None:
        house = Forwarder(seals=True)
        sealing = await self.sealed(house)
        (accepted,) = await house.events(Accepted)
        pieces = [piece async for piece in house.queue.read(accepted.message)]
        top = Headers.scan(b"".join(pieces))
        assert sealing is not None
        assert (sealing.domain, sealing.chain) == ("a.test", "none")
        assert top.fields[0].raw == f"Authentication-Results: {sealing.found}\r\n".encode()

    async def test_a_chain_that_fails_is_known_to(self) -> None:
        sealing = await self.sealed(Forwarder(seals=True), b"ARC-Seal: i=1; cv=none\r\n" + MESSAGE)
        assert sealing is not None
        assert sealing.chain == "fail"

    async def test_what_stays_here_is_not_sealed(self) -> None:
        house = Forwarder(seals=True)
        await house.receives(to="bob@a.test")
        (claim,) = await house.queue.claim(house.clock.now(), 10)
        assert claim.entry.sealing is None


async def test_the_message_itself_is_not_touched() -> None:
    house = Forwarder(b"p=reject")
    message = signed(MESSAGE)
    await house.receives(message)
    (claim,) = await house.queue.claim(house.clock.now(), 10)
    octets = b"".join([piece async for piece in house.queue.read(claim.entry.id)])
    assert octets.endswith(message)
    added = octets.removesuffix(message)
    assert {field.name for field in Headers.scan(added).fields} == {
        "Authentication-Results",
        "Received",
    }
