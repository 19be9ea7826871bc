"""Evaluating a message (RFC 9989 §5.3): alignment, policies, and what a silent DNS makes of it."""

import pytest

from merpati.authenticity.dmarc.author import Author, AuthorFlaw
from merpati.authenticity.dmarc.evaluation import MAX_IDENTIFIERS, evaluate
from merpati.authenticity.dmarc.record import Policy
from merpati.authenticity.dmarc.verdict import Alignment, Identifier, Method, Result, Verdict
from merpati.dns.errors import DnsError, DnsTimeout
from merpati.testing.answers import Answers
from tests.cases import each

SILENT = DnsTimeout("nobody answered")


def spf(domain: str, result: str = "pass") -> Identifier:
    return Identifier(Method.SPF, domain, result)


def dkim(domain: str, result: str = "pass") -> Identifier:
    return Identifier(Method.DKIM, domain, result)


def zone(**records: str | DnsError) -> Answers:
    """Records of DMARC by domain, with `__` for a dot."""
    return Answers(
        {
            f"TXT _dmarc.{name.replace('__', '.')}": said
            if isinstance(said, DnsError)
            else [f"v=DMARC1; {said}".encode()]
            for name, said in records.items()
        }
    )


def check(author: str, *found: Identifier, **records: str | DnsError) -> Verdict:
    return zone(**records).answer(evaluate(Author(author), found))


class TestAlignment:
    """RFC 9989 §4.4, and the table of its examples."""

    def test_the_same_domain_passes(self) -> None:
        verdict = check("a.test", spf("a.test"), a__test="p=reject")
        assert (verdict.result, verdict.disposition) == (Result.PASS, Policy.NONE)
        assert verdict.why == "SPF passed for the same domain"
        assert verdict.checked[0].alignment is Alignment.STRICT

    @pytest.mark.parametrize(
        ("author", "found"),
        [("a.test", "mail.a.test"), ("mail.a.test", "a.test"), ("news.a.test", "mail.a.test")],
    )
    def test_the_same_organization_passes(self, author: str, found: str) -> None:
        verdict = check(author, dkim(found), a__test="p=reject")
        assert verdict.result is Result.PASS
        assert verdict.checked[0].alignment is Alignment.RELAXED
        assert verdict.aligned(Method.DKIM)
        assert not verdict.aligned(Method.SPF)

    @each("found", ["b.test", "aa.test", "test", "a.test.b.example", "example"])
    def test_another_organization_fails(self, found: str) -> None:
        verdict = check("a.test", spf(found), dkim(found), a__test="p=reject")
        assert (verdict.result, verdict.disposition) == (Result.FAIL, Policy.REJECT)
        assert verdict.checked[0].alignment is Alignment.ELSEWHERE

    def test_strict_wants_the_same_domain(self) -> None:
        strict = "p=reject; adkim=s; aspf=s"
        verdict = check("a.test", spf("m.a.test"), dkim("m.a.test"), a__test=strict)
        assert verdict.result is Result.FAIL
        assert {each.alignment for each in verdict.checked} == {Alignment.NOT_STRICT}
        assert check("a.test", dkim("a.test"), a__test=strict).result is Result.PASS

    def test_each_method_has_its_own_mode(self) -> None:
        verdict = check("a.test", spf("m.a.test"), dkim("m.a.test"), a__test="p=none; adkim=s")
        assert (verdict.aligned(Method.SPF), verdict.aligned(Method.DKIM)) == (True, False)

    def test_an_organization_within_another_is_a_stranger_to_it(self) -> None:
        records = {"a__test": "p=reject", "m__a__test": "p=none; psd=n"}
        assert check("a.test", dkim("m.a.test"), **records).result is Result.FAIL
        assert check("m.a.test", dkim("a.test"), **records).result is Result.FAIL
        assert check("m.a.test", dkim("x.m.a.test"), **records).result is Result.PASS

    def test_neighbours_below_a_public_suffix_are_strangers(self) -> None:
        records = {"test": "p=reject; psd=y"}
        verdict = check("a.test", dkim("b.test"), **records)
        assert (verdict.result, verdict.disposition) == (Result.FAIL, Policy.REJECT)
        assert check("a.test", dkim("m.a.test"), **records).result is Result.PASS

    @each("result", ["fail", "softfail", "neutral", "none", "permerror"])
    def test_only_a_pass_counts(self, result: str) -> None:
        verdict = check("a.test", spf("a.test", result), a__test="p=quarantine")
        assert (verdict.result, verdict.disposition) == (Result.FAIL, Policy.QUARANTINE)
        assert verdict.why == "SPF and DKIM of the domain did not pass"

    def test_one_of_many_signatures_is_enough(self) -> None:
        found = [dkim("b.test"), dkim("a.test", "fail"), dkim("a.test")]
        assert check("a.test", *found, a__test="p=reject").result is Result.PASS

    def test_nothing_authenticated_fails(self) -> None:
        verdict = check("a.test", a__test="p=reject")
        assert (verdict.result, verdict.why) == (Result.FAIL, "neither SPF nor DKIM passed")

    def test_identifiers_are_bounded(self) -> None:
        many = [dkim(f"d{n}.test") for n in range(MAX_IDENTIFIERS)]
        verdict = check("a.test", *many, dkim("a.test"), a__test="p=reject")
        assert verdict.result is Result.FAIL
        assert len(verdict.checked) == MAX_IDENTIFIERS


class TestPolicy:
    """RFC 9989 §4.7 and §4.10.1."""

    @pytest.mark.parametrize("policy", list(Policy))
    def test_it_is_the_disposition_of_a_failure(self, policy: Policy) -> None:
        verdict = check("a.test", a__test=f"p={policy.value}")
        assert (verdict.policy, verdict.disposition, verdict.tag) == (policy, policy, "p")

    @pytest.mark.parametrize(
        ("policy", "disposition"),
        [("reject", Policy.QUARANTINE), ("quarantine", Policy.NONE), ("none", Policy.NONE)],
    )
    def test_a_domain_that_tests_gets_one_level_less(
        self, policy: str, disposition: Policy
    ) -> None:
        verdict = check("a.test", a__test=f"p={policy}; t=y")
        assert (verdict.policy, verdict.disposition) == (Policy(policy), disposition)

    def test_a_domain_below_has_the_policy_for_those(self) -> None:
        verdict = check("m.a.test", a__test="p=none; sp=reject")
        assert (verdict.tag, verdict.disposition) == ("sp", Policy.REJECT)
        assert verdict.published
        assert verdict.published.name == "_dmarc.a.test"

    def test_a_domain_that_does_not_exist_has_its_own_policy(self) -> None:
        records = {"TXT _dmarc.a.test": [b"v=DMARC1; p=none; sp=quarantine; np=reject"]}
        for known, tag in (({}, "np"), ({"A m.a.test": ["192.0.2.1"]}, "sp")):
            answers = Answers({**records, **known})
            verdict = answers.answer(evaluate(Author("m.a.test"), []))
            assert verdict.tag == tag

    def test_a_domain_that_is_not_answered_for_counts_as_existing(self) -> None:
        answers = Answers(
            {"TXT _dmarc.a.test": [b"v=DMARC1; p=none; np=reject"], "A m.a.test": SILENT}
        )
        assert answers.answer(evaluate(Author("m.a.test"), [])).tag == "p"

    def test_a_public_suffix_speaks_for_who_says_nothing(self) -> None:
        verdict = check("a.test", test="p=none; psd=y; np=reject; sp=quarantine")
        assert (verdict.tag, verdict.disposition) == ("np", Policy.REJECT)

    def test_without_a_record_there_is_no_dmarc(self) -> None:
        verdict = check("a.test", spf("a.test"))
        assert (verdict.result, verdict.disposition) == (Result.NONE, Policy.NONE)

    def test_a_void_record_is_told_of(self) -> None:
        verdict = check("a.test", a__test="p=rejct")
        assert (verdict.result, verdict.disposition) == (Result.PERMERROR, Policy.NONE)
        assert verdict.flaws == ("the tag p is void",)

    def test_several_records_are_told_of(self) -> None:
        answers = Answers({"TXT _dmarc.a.test": [b"v=DMARC1; p=none"] * 2})
        verdict = answers.answer(evaluate(Author("a.test"), []))
        assert verdict.result is Result.NONE
        assert verdict.flaws


class TestAuthor:
    def test_without_an_author_domain_there_is_no_result_and_no_question(self) -> None:
        for flaw in AuthorFlaw:
            answers = Answers({})
            verdict = answers.answer(evaluate(Author(flaw=flaw), [spf("a.test")]))
            assert (verdict.result, verdict.flaw) == (Result.PERMERROR, flaw)
            assert answers.asked == []


class TestSilentDns:
    """RFC 9989 §5.3.6: what was not answered neither passes nor fails."""

    def test_a_record_that_is_not_answered_for(self) -> None:
        verdict = check("a.test", spf("a.test"), a__test=SILENT)
        assert (verdict.result, verdict.disposition) == (Result.TEMPERROR, Policy.NONE)

    def test_a_check_of_the_domain_that_could_not_be_made(self) -> None:
        verdict = check("a.test", dkim("m.a.test", "temperror"), a__test="p=reject")
        assert (verdict.result, verdict.disposition) == (Result.TEMPERROR, Policy.NONE)
        assert verdict.policy is Policy.REJECT

    def test_a_check_of_another_domain_changes_nothing(self) -> None:
        verdict = check("a.test", dkim("b.test", "temperror"), a__test="p=reject")
        assert verdict.result is Result.FAIL

    def test_a_pass_is_a_pass(self) -> None:
        records = {"a__test": "p=reject", "test": SILENT}
        verdict = check("a.test", dkim("a.test"), spf("m.a.test"), **records)
        assert verdict.result is Result.PASS
        assert verdict.checked[1].alignment is Alignment.UNKNOWN

    def test_a_stranger_whose_dns_is_silent_makes_no_forgery_undecidable(self) -> None:
        verdict = check("bank.test", dkim("evil.test"), bank__test="p=reject", evil__test=SILENT)
        assert (verdict.result, verdict.disposition) == (Result.FAIL, Policy.REJECT)

    def test_an_unanswered_organization_is_undecided(self) -> None:
        verdict = check("a.test", dkim("m.a.test"), a__test="p=reject", test=SILENT)
        assert verdict.result is Result.TEMPERROR


class TestQuestions:
    """What it costs."""

    def test_one_domain_for_all_costs_one_question(self) -> None:
        answers = zone(a__test="p=reject")
        answers.answer(evaluate(Author("a.test"), [spf("a.test"), dkim("a.test")]))
        assert [each.name for each in answers.asked] == ["_dmarc.a.test"]

    def test_domains_in_another_top_level_cost_none(self) -> None:
        answers = zone(a__test="p=reject")
        answers.answer(evaluate(Author("a.test"), [spf("b.example")]))
        assert len(answers.asked) == 1

    def test_each_name_is_asked_for_once(self) -> None:
        answers = zone(a__test="p=reject; np=reject")
        found = [dkim(f"d{n}.m.a.test") for n in range(10)] + [dkim("e.m.a.test")] * 9
        answers.answer(evaluate(Author("x.m.a.test"), found))
        assert len({each.name for each in answers.asked}) == len(answers.asked)
        assert len(answers.asked) <= 8 * 20 + 1
