"""SPF where it is one of the checks of a message: alignment, what is told, what is kept."""

import pytest

from merpati.authenticity.dmarc.record import Policy
from merpati.authenticity.dmarc.verdict import Result
from merpati.authenticity.examiner import spf_check
from merpati.authenticity.judgement import Examination, Judgement, Origin
from merpati.authenticity.results import Finding, parse_results
from merpati.dns.errors import DnsTimeout
from merpati.journal.events import Check
from merpati.mail.address import Address
from merpati.mail.headers import Headers
from merpati.policy.evidence import checks_of
from merpati.testing.answers import Answers
from merpati.testing.clock import VirtualClock
from tests.cases import each

MESSAGE = b"From: ann@a.test\r\n\r\n"
RECORD = b"v=spf1 ip4:192.0.2.7 -all"
LISTED, UNLISTED = "192.0.2.7", "198.51.100.7"


def judged(ip: str, sender: str | None, helo: str = "client.test") -> Judgement:
    """Of an unsigned message by ann@a.test."""
    answers = Answers(
        {
            "TXT _dmarc.a.test": [b"v=DMARC1; p=reject"],
            "TXT a.test": [RECORD],
            "TXT mx.a.test": [RECORD],
            "TXT other.test": [RECORD],
            "TXT silent.a.test": DnsTimeout("no answer"),
        }
    )
    clock = VirtualClock(0.0)
    origin = Origin(ip, helo, Address.parse(sender) if sender else None)
    examination = Examination(origin, Headers.scan(MESSAGE))
    return answers.answer(examination.judge(spf_check("mx.b.test", clock), clock.now()))


def told_of(judgement: Judgement) -> Finding:
    findings = parse_results(judgement.results("mx.b.test").payload()).findings
    return next(one for one in findings if one.method == "spf")


def kept_of(judgement: Judgement) -> Check:
    return next(one for one in checks_of(judgement) if one.method == "spf")


@each(
    ("ip", "sender", "helo", "spf", "dmarc"),
    [
        pytest.param(LISTED, "eve@a.test", "client.test", "pass", "pass", id="the author's domain"),
        pytest.param(LISTED, "eve@mx.a.test", "client.test", "pass", "pass", id="one below it"),
        pytest.param(LISTED, "eve@other.test", "client.test", "pass", "fail", id="another's"),
        pytest.param(UNLISTED, "ann@a.test", "a.test", "fail", "fail", id="another's host"),
        pytest.param(LISTED, None, "mx.a.test", "pass", "pass", id="null sender, HELO aligned"),
        pytest.param(LISTED, None, "other.test", "pass", "fail", id="null sender, HELO another's"),
        pytest.param(LISTED, "ann@none.test", "a.test", "none", "fail", id="HELO helps no sender"),
    ],
)
def test_dmarc_passes_by_an_aligned_pass_of_spf_alone(
    ip: str, sender: str | None, helo: str, spf: str, dmarc: str
) -> None:
    judgement = judged(ip, sender, helo)
    assert judgement.dmarc
    assert (told_of(judgement).result, judgement.dmarc.result.value) == (spf, dmarc)


def test_a_dns_that_does_not_answer_refuses_nothing() -> None:
    judgement = judged(LISTED, "ann@silent.a.test")
    assert told_of(judgement).result == "temperror"
    assert judgement.dmarc
    assert judgement.dmarc.result is Result.TEMPERROR
    assert judgement.disposition is Policy.NONE


def test_the_identity_that_was_checked_is_told() -> None:
    assert told_of(judged(LISTED, "eve@a.test")).get("smtp", "mailfrom") == "eve@a.test"
    assert told_of(judged(LISTED, None, "mx.a.test")).get("smtp", "helo") == "mx.a.test"


def test_the_journal_keeps_whose_record_said_so() -> None:
    kept = kept_of(judged(UNLISTED, "ann@a.test"))
    assert (kept.result, kept.about, kept.record) == ("fail", "a.test", RECORD.decode())
    assert kept.why == "the record does not allow the host"
    assert judged(UNLISTED, "ann@a.test").disposition is Policy.REJECT
