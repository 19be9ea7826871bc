"""What the journal keeps of a judgement."""

from dataclasses import replace

import msgspec

from merpati.authenticity.arc.chain import Claim
from merpati.authenticity.arc.verifier import ArcVerdict, SetFound
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
from merpati.authenticity.judgement import UNSIGNED, Judgement, Origin, SpfFound
from merpati.authenticity.seen import Seen
from merpati.journal.events import Check, RecordSeen, SealSeen
from merpati.policy.evidence import checks_of

LONG = "x" * 5000


def a_record(name: str, text: str) -> Seen:
    return Seen.of(name, text.encode())


def signature(domain: str, result: Dkim, text: str = "s") -> Signature:
    key = a_record(f"s._domainkey.{domain}"[:253], text)
    return Signature(result, text, Evidence(domain=domain, selector=text, key=key))


def spf_of(*records: str, path: tuple[str, ...] = (), name: str = "c{}.test") -> SpfFound:
    """It fails; what was found at c0.test, c1.test, and so on."""
    seen = tuple(a_record(name.format(n), text) for n, text in enumerate(records))
    return SpfFound("fail", "c0.test", "not listed", seen=seen, path=path)


def a_set(
    instance: int, result: Dkim | None = Dkim.PASS, domain: str = "", key: str = ""
) -> SetFound:
    domain = domain or f"l{instance}.test"
    claim = Claim(instance, domain, "s", "pass" if instance > 1 else "none")
    return SetFound(claim, result, a_record(f"s._domainkey.{domain}"[:253], key) if key else None)


def judged(
    *signatures: Signature,
    spf: SpfFound | None = None,
    text: str = "",
    chain: ArcVerdict | None = None,
) -> Judgement:
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
        chain=chain or ArcVerdict(Dkim.NONE),
        dmarc=dmarc,
    )


def size(*checks: Check) -> int:
    """Characters of the records with their names, but for DMARC's, and of who sealed."""
    texts = [one.record for one in checks if one.method != "dmarc"]
    texts += [text for one in checks for seen in one.seen for text in (seen.name, seen.record)]
    texts += [text for one in checks for seal in one.seals for text in (seal.sealer, seal.selector)]
    return sum(map(len, texts))


def test_each_check_is_kept_with_its_evidence() -> None:
    checks = checks_of(judged(signature("a.test", Dkim.PASS), spf=spf_of("v=spf1 -all")))
    assert [check.method for check in checks] == ["iprev", "spf", "dkim", "dmarc"]
    assert checks[1] == Check(
        method="spf", result="fail", about="c0.test", why="not listed", record="v=spf1 -all"
    )
    assert (checks[2].about, checks[2].selector, checks[2].record) == ("a.test", "s", "s")
    assert checks[2].alignment == "the same domain"
    assert checks[3].record == "_dmarc.a.test: v=DMARC1; p=reject; n="


def test_a_record_of_dmarc_is_kept_as_reports_read_it_and_that_it_is_cut_is_told() -> None:
    *_, dmarc = checks_of(judged(text="x" * 1000))
    assert dmarc.record == ("_dmarc.a.test: v=DMARC1; p=reject; n=" + "x" * 1000)[:1000]
    assert dmarc.why.endswith("; the record is longer than the 1000 characters that are kept")
    *_, dmarc = checks_of(judged(text="x" * 900))
    assert "are kept" not in dmarc.why


def test_that_there_is_no_signature_is_kept_in_words() -> None:
    _, dkim, _ = checks_of(judged())
    assert dkim == Check(method="dkim", result="none", why=UNSIGNED)


def test_signatures_of_the_author_that_pass_stand_first() -> None:
    """RFC 9990 §2.1.5; of the others so many are kept as there is room for."""
    others = [signature(f"d{n}.test", Dkim.FAIL) for n in range(10)]
    passing = [signature("b.test", Dkim.PASS), signature("a.test", Dkim.PASS)]
    checks = checks_of(judged(*others, *passing))
    kept = [check.about for check in checks if check.method == "dkim"]
    assert kept == ["a.test", "b.test", "d0.test", "d1.test", "d2.test"]
    assert [check.left_off for check in checks if check.method == "dkim"] == [0, 0, 0, 0, 7]


def test_what_a_stranger_makes_the_journal_grow_by_is_bounded() -> None:
    signatures = [signature(LONG, Dkim.FAIL, LONG) for _ in range(10)]
    spf = replace(spf_of(*[LONG] * 12), domain=LONG, why=LONG, mechanism=LONG)
    small = replace(spf_of(*["-" * 9] * 12), domain=LONG, why=LONG, mechanism=LONG)
    chain = ArcVerdict(Dkim.FAIL, LONG, tuple(a_set(n, None, LONG) for n in range(1, 51)))
    for found in (spf, small):
        judgement = replace(judged(*signatures, spf=found, text=LONG, chain=chain), helo=found)
        checks = checks_of(judgement)
        assert size(*checks) <= 2048
        assert len(msgspec.json.encode(checks)) < 11_500


def test_records_are_kept_whole_while_there_is_room() -> None:
    key, record = "p=" + "k" * 400, "v=spf1 " + "ip4:192.0.2.1 " * 40 + "-all"
    signatures = [signature("a.test", Dkim.PASS, key)] * 2
    checks = checks_of(judged(*signatures, spf=spf_of(record, "v=spf1 ~all")))
    assert [check.record for check in checks if check.method == "dkim"] == [key] * 2
    assert checks[1].record == record
    assert checks[1].seen == (RecordSeen("c1.test", "v=spf1 ~all"),)


def test_a_record_that_is_cut_says_so_and_short_ones_stay_whole() -> None:
    signatures = [signature("a.test", Dkim.PASS, LONG), signature("b.test", Dkim.PASS, LONG)]
    _, kept, *keys, _ = checks_of(judged(*signatures, spf=spf_of("v=spf1 -all")))
    assert kept.record == "v=spf1 -all"
    assert all(key.record.endswith("x... (5000 characters)") for key in keys)
    assert 2000 < size(kept, *keys) <= 2048


def test_what_was_not_checked_is_not_told() -> None:
    judgement = judged()
    without = Judgement(
        judgement.origin, judgement.author, judgement.reverse, None, (), judgement.chain, None
    )
    assert [check.method for check in checks_of(without)] == ["iprev", "dkim"]


def test_what_spf_went_by_is_kept_of_both_names() -> None:
    spf = SpfFound("fail", "c.test", mechanism="-all of d.test", lookups=3, void_lookups=1)
    helo = SpfFound("pass", "mx.c.test", mechanism="a")
    judgement = replace(judged(spf=spf), helo=helo)
    _, kept, greeted, *_ = checks_of(judgement)
    assert (kept.mechanism, kept.lookups, kept.void_lookups) == ("-all of d.test", 3, 1)
    assert kept.identity == ""
    assert (greeted.identity, greeted.about, greeted.mechanism) == ("helo", "mx.c.test", "a")
    nobody = replace(judgement, helo=SpfFound("none", ""))
    assert [check.method for check in checks_of(nobody)] == ["iprev", "spf", "dkim", "dmarc"]


def test_records_that_spf_was_led_to_are_kept_in_the_order_of_the_questions() -> None:
    missing = (Seen("gone.test"), Seen("silent.test", is_answered=False))
    spf = spf_of("v=spf1 include:c1.test", "v=spf1 include:gone.test")
    _, kept, *_ = checks_of(judged(spf=replace(spf, seen=(*spf.seen, *missing))))
    assert kept.record == "v=spf1 include:c1.test"
    assert kept.seen == (
        RecordSeen("c1.test", "v=spf1 include:gone.test"),
        RecordSeen("gone.test"),
        RecordSeen("silent.test", answered=False),
    )


def test_the_record_that_decided_is_left_off_last() -> None:
    """Of what does not fit, first what decided nothing; how many there were is said."""
    other = "v=spf1 " + "o" * 600
    spf = spf_of(other, other, other, other, other, path=("c0.test", "c2.test", "c4.test"))
    helo = spf_of(other, "v=spf1 -all", name="h{}.test")
    _, kept, greeted, *_ = checks_of(replace(judged(spf=spf), helo=helo))
    assert (kept.record, greeted.record) == (other, other)
    assert [one.name for one in kept.seen] == ["c4.test"]
    assert kept.seen[0].record == other
    assert kept.left_off == 3
    assert ([one.name for one in greeted.seen], greeted.left_off) == (["h1.test"], 0)


def test_a_chain_is_kept_with_its_sets_and_keys() -> None:
    why = "the seal of set 2: the key is revoked"
    sets = (a_set(1, None), a_set(2, Dkim.FAIL, key="p="), a_set(3, key="p=k"))
    _, _, arc, _ = checks_of(judged(chain=ArcVerdict(Dkim.FAIL, why, sets)))
    assert arc == Check(
        method="arc",
        result="fail",
        about="l3.test",
        why=why,
        seals=(
            SealSeen(1, "l1.test", "s", "none"),
            SealSeen(2, "l2.test", "s", "pass", "fail"),
            SealSeen(3, "l3.test", "s", "pass", "pass"),
        ),
        seen=(
            RecordSeen("s._domainkey.l2.test", "p="),
            RecordSeen("s._domainkey.l3.test", "p=k"),
        ),
    )


def test_of_a_long_chain_the_set_at_fault_and_the_newest_are_kept() -> None:
    sets = [a_set(n, key="p=" + "k" * 300) for n in range(1, 51)]
    sets[6] = a_set(7, Dkim.FAIL, key="p=" + "b" * 300)
    _, _, arc, _ = checks_of(judged(chain=ArcVerdict(Dkim.FAIL, "why", tuple(sets))))
    kept = [seal.instance for seal in arc.seals]
    assert kept[0] == 7
    assert kept[1:] == list(range(51 - len(kept[1:]), 51))
    assert len(kept) >= 10
    assert arc.seen[0].name == "s._domainkey.l1.test"
    assert "s._domainkey.l7.test" in [one.name for one in arc.seen]
    assert len(arc.seals) + len(arc.seen) + arc.left_off == 100


def test_sets_that_are_no_chain_are_kept_though_nobody_sealed() -> None:
    chain = ArcVerdict(Dkim.FAIL, "a part of a set has no number")
    _, _, arc, _ = checks_of(judged(chain=chain))
    assert arc == Check(method="arc", result="fail", why="a part of a set has no number")


def test_a_key_that_several_sealed_with_is_kept_once() -> None:
    sets = tuple(a_set(n, domain="l.test", key="p=k") for n in (1, 2, 3))
    _, _, arc, _ = checks_of(judged(chain=ArcVerdict(Dkim.PASS, "", sets)))
    assert [one.name for one in arc.seen] == ["s._domainkey.l.test"]
