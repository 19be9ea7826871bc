"""What the journal keeps of a judgement."""

from dataclasses import replace

import msgspec

from merpati.authenticity.arc.verifier import ArcVerdict
from merpati.authenticity.dkim.result import Evidence
from merpati.authenticity.dkim.result import Result as Dkim
from merpati.authenticity.dkim.result import Verdict as Signature
from merpati.authenticity.dmarc.author import Author
from merpati.authenticity.dmarc.record import read_record
from merpati.authenticity.dmarc.verdict import (
    Alignment,
    Checked,
    Identifier,
    Method,
    Result,
    Verdict,
)
from merpati.authenticity.dmarc.walk import Published
from merpati.authenticity.iprev import Result as Reverse
from merpati.authenticity.iprev import ReverseName
from merpati.authenticity.judgement import Judgement, Origin, SpfFound
from merpati.journal.events import Check
from merpati.policy.evidence import checks_of

LONG = "x" * 5000


def signature(domain: str, result: Dkim, text: str = "s") -> Signature:
    return Signature(result, text, Evidence(domain=domain, selector=text, record=text))


def judged(*signatures: Signature, spf: SpfFound | None = None, text: str = "") -> Judgement:
    record = read_record(f"v=DMARC1; p=reject; n={text}".encode())
    assert record
    found = Identifier(Method.DKIM, "a.test", "pass")
    dmarc = Verdict(
        Result.PASS,
        f"why {text}",
        "a.test",
        published=Published("a.test", record),
        checked=(Checked(found, Alignment.STRICT),),
        flaws=(text,) if text else (),
    )
    return Judgement(
        origin=Origin("192.0.2.7", "b.test", None),
        author=Author("a.test"),
        reverse=ReverseName(Reverse.PASS, text),
        spf=spf,
        signatures=signatures,
        chain=ArcVerdict(Dkim.FAIL, text, ("one.test", text)) if text else ArcVerdict(Dkim.NONE),
        dmarc=dmarc,
    )


def test_each_check_is_kept_with_its_evidence() -> None:
    spf = SpfFound("fail", "c.test", "not listed", "v=spf1 -all")
    checks = checks_of(judged(signature("a.test", Dkim.PASS), spf=spf))
    assert [check.method for check in checks] == ["iprev", "spf", "dkim", "dmarc"]
    assert checks[1] == Check(
        method="spf", result="fail", about="c.test", why="not listed", record="v=spf1 -all"
    )
    assert (checks[2].about, checks[2].selector) == ("a.test", "s")
    assert checks[2].alignment == "the same domain"
    assert checks[3].record == "_dmarc.a.test: v=DMARC1; p=reject; n="


def test_signatures_of_the_author_that_pass_stand_first() -> None:
    """RFC 9990 §2.1.5; of the others so many are kept as there is room for."""
    others = [signature(f"d{n}.test", Dkim.FAIL) for n in range(10)]
    passing = [signature("b.test", Dkim.PASS), signature("a.test", Dkim.PASS)]
    checks = checks_of(judged(*others, *passing))
    kept = [check.about for check in checks if check.method == "dkim"]
    assert kept == ["a.test", "b.test", "d0.test", "d1.test", "d2.test"]


def test_what_a_stranger_makes_the_journal_grow_by_is_bounded() -> None:
    signatures = [signature(LONG, Dkim.FAIL, LONG) for _ in range(10)]
    spf = SpfFound("fail", LONG, LONG, LONG)
    octets = msgspec.json.encode(checks_of(judged(*signatures, spf=spf, text=LONG)))
    assert len(octets) < 9000


def test_what_was_not_checked_is_not_told() -> None:
    judgement = judged()
    without = Judgement(
        judgement.origin, judgement.author, judgement.reverse, None, (), judgement.chain, None
    )
    assert [check.method for check in checks_of(without)] == ["iprev"]


def test_what_spf_went_by_is_kept_of_both_names() -> None:
    spf = SpfFound("fail", "c.test", mechanism="-all of d.test", lookups=3, void_lookups=1)
    helo = SpfFound("pass", "mx.c.test", mechanism="a")
    judgement = replace(judged(spf=spf), helo=helo)
    _, kept, greeted, _ = checks_of(judgement)
    assert (kept.mechanism, kept.lookups, kept.void_lookups) == ("-all of d.test", 3, 1)
    assert kept.identity == ""
    assert (greeted.identity, greeted.about, greeted.mechanism) == ("helo", "mx.c.test", "a")
    nobody = replace(judgement, helo=SpfFound("none", ""))
    assert [check.method for check in checks_of(nobody)] == ["iprev", "spf", "dmarc"]
