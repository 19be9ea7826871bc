"""All that is found of a message, and how it is told."""

from dataclasses import replace

import pytest

from merpati.authenticity import iprev
from merpati.authenticity.arc.sealer import Sealer
from merpati.authenticity.arc.verifier import ArcVerdict
from merpati.authenticity.dkim.result import Evidence
from merpati.authenticity.dkim.result import Result as Dkim
from merpati.authenticity.dkim.result import Verdict as Signature
from merpati.authenticity.dkim.signer import sign
from merpati.authenticity.dmarc.author import Author
from merpati.authenticity.dmarc.record import Policy
from merpati.authenticity.dmarc.verdict import Alignment, Result, Verdict
from merpati.authenticity.examiner import Examiner, ExaminerSettings
from merpati.authenticity.judgement import Examination, Judgement, Origin, SpfFound
from merpati.authenticity.questions import Asking, txt
from merpati.authenticity.results import parse_results
from merpati.dns.errors import DnsError
from merpati.dns.resolver import Answer
from merpati.mail.address import Address
from merpati.mail.headers import Headers
from merpati.testing.answers import Answers, TableResolver
from merpati.testing.clock import VirtualClock
from tests.authenticity.arc.test_arc import KEYS, key
from tests.authenticity.dkim.signed import AT, MESSAGE, a_key, signed, zone
from tests.cases import each

ANN = Address.parse("ann@a.test")
RECORDS: dict[str, list[object] | DnsError] = {
    **zone(a_key()),
    **KEYS,
    "TXT _dmarc.a.test": [b"v=DMARC1; p=reject"],
    "PTR 192.0.2.7": ["mx.a.test"],
    "A mx.a.test": ["192.0.2.7"],
}


def passes(origin: Origin) -> Asking[SpfFound]:
    """An SPF that lets pass all of a.test."""
    domain = origin.sender.domain if origin.sender else origin.helo
    try:
        yield from txt(domain)
    except DnsError:
        return SpfFound("temperror", domain)
    return SpfFound("pass" if domain == "a.test" else "fail", domain)


def judged(
    message: bytes = MESSAGE,
    sender: Address | None = None,
    helo: str = "client.test",
    trusted: tuple[str, ...] = (),
) -> Judgement:
    headers = Headers.scan(message)
    examination = Examination(Origin("192.0.2.7", helo, sender), headers)
    for start in range(headers.size, len(message), 7):
        examination.update(message[start : start + 7])
    return Answers(RECORDS).answer(examination.judge(passes, AT, trusted))


def dmarc_of(judgement: Judgement) -> Verdict:
    assert judgement.dmarc
    return judgement.dmarc


def resealed(message: bytes, found: str) -> bytes:
    """As a list passes it on: sealed by what it found, then altered and sealed by no one."""
    altered = message.replace(b"Subject: Selamat", b"Subject: [list] Selamat")
    sealer = Sealer()
    sealer.update(altered)
    return sealer.fields(key("one.test"), found, Dkim.NONE, AT) + altered


class TestJudgement:
    def test_a_message_of_its_author(self) -> None:
        judgement = judged(signed(), ANN)
        assert dmarc_of(judgement).result is Result.PASS
        assert judgement.disposition is Policy.NONE
        assert judgement.results("mx.b.test").field() == (
            b"Authentication-Results: mx.b.test;\r\n"
            b"\tiprev=pass (mx.a.test) policy.iprev=192.0.2.7;\r\n"
            b"\tspf=pass smtp.mailfrom=ann@a.test;\r\n"
            b"\tspf=fail smtp.helo=client.test;\r\n"
            b"\tdkim=pass header.d=a.test header.s=rsa-2048 header.a=rsa-sha256;\r\n"
            b"\tdmarc=pass (DKIM and SPF passed for the same domain) header.from=a.test\r\n"
        )

    def test_a_forgery(self) -> None:
        judgement = judged(MESSAGE, Address.parse("eve@evil.test"))
        assert judgement.disposition is Policy.REJECT
        told = parse_results(judgement.results("mx.b.test").payload())
        spf, _, dkim, dmarc = told.findings[1:]
        assert (spf.result, dkim.result, dmarc.result) == ("fail", "none", "fail")
        assert dmarc.get("policy", "dmarc") == "reject"

    def test_the_null_sender_is_judged_by_its_helo(self) -> None:
        judgement = judged(MESSAGE, None, "a.test")
        assert dmarc_of(judgement).result is Result.PASS
        spf = parse_results(judgement.results("mx.b.test").payload()).findings[1]
        assert spf.get("smtp", "helo") == "a.test"

    def test_an_author_that_cannot_be_read_is_told_of(self) -> None:
        judgement = judged(MESSAGE.replace(b"From: ", b"From: eve@evil.test, "), ANN)
        assert dmarc_of(judgement).result is Result.PERMERROR
        dmarc = parse_results(judgement.results("mx.b.test").payload()).findings[-1]
        assert (dmarc.result, dmarc.properties) == ("permerror", ())

    def test_without_spf_there_is_no_dmarc(self) -> None:
        """Which would find that what SPF alone proves is forged."""
        headers = Headers.scan(MESSAGE)
        examination = Examination(Origin("192.0.2.7", "client.test", ANN), headers)
        judgement = Answers(RECORDS).answer(examination.judge(None, AT))
        assert (judgement.dmarc, judgement.disposition) == (None, Policy.NONE)
        told = parse_results(judgement.results("mx.b.test").payload())
        assert [one.method for one in told.findings] == ["iprev", "dkim"]

    def test_nothing_of_a_stranger_adds_a_finding(self) -> None:
        evil = Address.parse('"x; dmarc=pass (a)\\"b"@evil.test')
        told = judged(MESSAGE, evil, "a.test; dmarc=pass").results("mx.b.test")
        methods = [one.method for one in parse_results(told.payload()).findings]
        assert methods == ["iprev", "spf", "spf", "dkim", "dmarc"]


class TestVouching:
    """ARC: a message that a list altered."""

    FOUND = "lists.test; dmarc=pass header.from=a.test; dkim=pass header.d=a.test"

    def test_who_is_trusted_is_believed(self) -> None:
        judgement = judged(resealed(signed(), self.FOUND), trusted=("one.test",))
        assert dmarc_of(judgement).result is Result.FAIL
        assert dmarc_of(judgement).disposition is Policy.REJECT
        assert judgement.is_vouched_for
        assert judgement.disposition is Policy.NONE
        assert " arc=pass header.d=one.test;" in judgement.results("mx.b.test").payload()

    def test_who_is_not_is_not(self) -> None:
        judgement = judged(resealed(signed(), self.FOUND), trusted=("two.test",))
        assert not judgement.is_vouched_for
        assert judgement.disposition is Policy.REJECT

    @pytest.mark.parametrize(
        "found",
        [
            "lists.test; dmarc=fail header.from=a.test",
            "lists.test; dmarc=pass header.from=other.test",
            "lists.test; dkim=pass header.d=other.test; spf=pass smtp.mailfrom=ann@a.test",
            "lists.test; none",
            "; junk",
        ],
    )
    def test_who_found_nothing_vouches_for_nothing(self, found: str) -> None:
        assert not judged(resealed(signed(), found), trusted=("one.test",)).is_vouched_for

    def test_a_signature_of_the_author_is_enough(self) -> None:
        found = "lists.test; dkim=pass header.d=a.test"
        assert judged(resealed(signed(), found), trusted=("one.test",)).is_vouched_for


class SlowResolver(TableResolver):
    """Each TXT record takes ten seconds."""

    def __init__(self, answers: Answers, clock: VirtualClock) -> None:
        super().__init__(answers)
        self._clock = clock

    async def txt(self, name: str) -> Answer[bytes]:
        await self._clock.sleep(10.0)
        return await super().txt(name)


async def test_a_judgement_ends_in_time() -> None:
    clock = VirtualClock(AT)
    resolver = SlowResolver(Answers(RECORDS), clock)
    examiner = Examiner(resolver, clock, passes, ExaminerSettings(patience=5.0))
    message = sign([MESSAGE], [a_key(), key("one.test")], AT) + MESSAGE
    headers = Headers.scan(message)
    examination = examiner.begin(Origin("192.0.2.7", "a.test", ANN), headers)
    examination.update(message[headers.size :])
    async with clock.running():
        judgement = await examiner.judge(examination)
    assert clock.now() - AT == 10.0
    assert judgement.spf
    assert judgement.spf.result == "pass"
    assert [each.result.value for each in judgement.signatures] == ["pass", "pass"]
    assert judgement.dmarc
    assert judgement.dmarc.checked[-1].alignment is Alignment.UNKNOWN


async def test_a_judgement_takes_as_long_as_its_longest_check() -> None:
    clock = VirtualClock(AT)
    resolver = SlowResolver(Answers(RECORDS), clock)
    examiner = Examiner(resolver, clock, passes, ExaminerSettings(patience=1000.0))
    message = sign([MESSAGE], [a_key(), key("one.test"), key("two.test")], AT) + MESSAGE
    headers = Headers.scan(message)
    examination = examiner.begin(Origin("192.0.2.7", "a.test", ANN), headers)
    examination.update(message[headers.size :])
    async with clock.running():
        judgement = await examiner.judge(examination)
    # The policy of the author and its organization: two questions. SPF twice and three keys of
    # DKIM wait for one each, at the same time.
    assert clock.now() - AT == 20.0
    assert judgement.disposition is Policy.NONE


async def test_a_forger_with_many_names_leaves_questions_for_the_policy() -> None:
    """However many the names are that he owns and however fast they are answered."""

    def many(origin: Origin) -> Asking[SpfFound]:
        for n in range(1000):
            try:
                yield from txt(f"{n}.evil.test")
            except DnsError:
                return SpfFound("temperror", "evil.test")
        return SpfFound("fail", "evil.test")

    class Late(TableResolver):
        async def txt(self, name: str) -> Answer[bytes]:
            if name.startswith("_dmarc."):
                await clock.sleep(1.0)
            return await super().txt(name)

    clock = VirtualClock(AT)
    answers = Answers(RECORDS)
    examiner = Examiner(Late(answers), clock, many)
    headers = Headers.scan(MESSAGE)
    eve = Address.parse("eve@evil.test")
    examination = examiner.begin(Origin("192.0.2.7", "evil.test", eve), headers)
    async with clock.running():
        judgement = await examiner.judge(examination)
    assert judgement.disposition is Policy.REJECT
    assert len(answers.asked) <= 100


class ForgersResolver(TableResolver):
    """Whatever a forger owns is answered after eight seconds: his address and evil.test."""

    def __init__(self, answers: Answers, clock: VirtualClock) -> None:
        super().__init__(answers)
        self._clock = clock

    async def txt(self, name: str) -> Answer[bytes]:
        if name.endswith("evil.test"):
            await self._clock.sleep(8.0)
        return await super().txt(name)

    async def ptr(self, ip: str) -> Answer[str]:
        await self._clock.sleep(8.0)
        return await super().ptr(ip)


async def test_a_forger_whose_dns_is_slow_is_refused_as_others_are() -> None:
    """He must not use up the time in which the policy of whom he feigns to be can be asked for."""
    clock = VirtualClock(AT)
    examiner = Examiner(ForgersResolver(Answers(RECORDS), clock), clock, passes)
    forged = b"".join(
        b"DKIM-Signature: v=1; a=rsa-sha256; d=evil.test; s=%d; h=from; bh=YQ==; b=YQ==\r\n" % n
        for n in range(10)
    )
    headers = Headers.scan(forged + MESSAGE)
    examination = examiner.begin(
        Origin("192.0.2.7", "evil.test", Address.parse("eve@evil.test")), headers
    )
    async with clock.running():
        judgement = await examiner.judge(examination)
    assert clock.now() - AT <= 8.0
    assert judgement.disposition is Policy.REJECT


async def test_one_message_leads_to_so_many_questions_and_no_more() -> None:
    clock = VirtualClock(AT)
    answers = Answers(RECORDS)
    examiner = Examiner(TableResolver(answers), clock, passes, ExaminerSettings(questions=4))
    message = sign([MESSAGE], [a_key(), key("one.test")], AT) + MESSAGE
    headers = Headers.scan(message)
    examination = examiner.begin(Origin("192.0.2.7", "a.test", ANN), headers)
    examination.update(message[headers.size :])
    judgement = await examiner.judge(examination)
    assert len(answers.asked) == 4
    assert [each.result.value for each in judgement.signatures] == ["temperror", "temperror"]
    assert judgement.dmarc
    assert judgement.dmarc.policy is Policy.REJECT


EVE = Origin("192.0.2.7", "evil.test", Address.parse("eve@evil.test"))


@each(
    ("sender", "spf", "signer", "disproved"),
    [
        ("eve@evil.test", "fail", "", True),
        ("eve@evil.test", "softfail", "", True),
        ("eve@evil.test", "pass", "", False),
        ("eve@evil.test", "temperror", "", False),
        # Nothing is known of the sender: the author's DMARC says nothing of another domain.
        ("eve@evil.test", "none", "", False),
        ("ann@a.test", "none", "", True),
        ("ann@sub.a.test", "neutral", "", True),
        ("ann@a.test", "fail", "a.test", False),
        ("ann@sub.a.test", "fail", "a.test", False),
        ("eve@evil.test", "fail", "a.test", True),
        (None, "fail", "", False),
    ],
)
def test_a_sender_is_disproved_by_spf_or_by_dmarc_of_its_own_domain(
    sender: str | None, spf: str, signer: str, disproved: bool
) -> None:
    passed = Signature(Dkim.PASS, "", Evidence(domain=signer))
    judgement = Judgement(
        origin=replace(EVE, sender=Address.parse(sender) if sender else None),
        author=Author("a.test"),
        reverse=iprev.ReverseName(iprev.Result.FAIL),
        spf=SpfFound(spf, "evil.test"),
        signatures=(passed,) if signer else (),
        chain=ArcVerdict(Dkim.NONE),
        dmarc=Verdict(Result.FAIL, "", "a.test"),
    )
    assert judgement.disproves_sender is disproved
