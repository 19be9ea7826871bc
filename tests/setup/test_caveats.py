"""What a set of records does though one of them is good: each is told, and what is usual is not."""

from dataclasses import replace

import pytest

from merpati.setup.caveat import Harm
from merpati.setup.finding import Finding, State
from merpati.setup.record import Purpose
from merpati.setup.sts import OwnPolicy
from merpati.setup.texts import cost
from merpati.testing.zone import Fault
from tests.setup.test_survey import A_TEST, GOOD, surveyed, with_line

pytestmark = pytest.mark.slow
STALE = f"_25._tcp.mx.a.test TLSA 3 1 2 {'cd' * 64}"
SRV = "_submission._tcp.a.test SRV"
RUA = '_dmarc.a.test TXT "v=DMARC1; p=reject; rua=mailto:x@b.test"'
VOIDS = "a:v1.test a:v2.test a:v3.test"
ALIAS = """
mx.a.test CNAME real.a.test
real.a.test A 192.0.2.1
real.a.test AAAA 2001:db8::1"""


def spf(terms: str) -> tuple[str, str]:
    return f'a.test TXT "v=spf1 {terms}"', 'a.test TXT "v'


def told(zone: str, purpose: Purpose) -> Finding:
    """The one record of which something is told, at which somebody has to look."""
    findings = surveyed(zone)
    (found,) = [one for one in findings if one.state not in (State.THERE, State.ADVICE)]
    assert found.record.purpose is purpose
    return found


@pytest.mark.parametrize(
    ("change", "purpose", "state", "harm"),
    [
        (("a.test MX 5 mx.evil.test", "#"), Purpose.MX, State.WRONG, Harm.ELSEWHERE),
        (("a.test MX 20 mx.evil.test", "#"), Purpose.MX, State.WARNING, Harm.BESIDE),
        (("a.test MX 30 mx.evil.test", "#"), Purpose.MX, State.WARNING, Harm.BESIDE),
        ((ALIAS, "mx.a.test"), Purpose.MX, State.WRONG, Harm.ALIAS),
        (spf("mx +all"), Purpose.SPF, State.WRONG, Harm.ANYBODY),
        (spf("mx ip4:128.0.0.0/1 -all"), Purpose.SPF, State.WRONG, Harm.ANYBODY),
        (spf("mx ip6:::/0 -all"), Purpose.SPF, State.WRONG, Harm.ANYBODY),
        (spf("mx"), Purpose.SPF, State.WARNING, Harm.OPEN),
        (spf("mx ?all"), Purpose.SPF, State.WARNING, Harm.OPEN),
        (spf("mx include:nowhere.test -all"), Purpose.SPF, State.WRONG, Harm.BROKEN),
        (spf(f"{VOIDS} mx -all"), Purpose.SPF, State.WRONG, Harm.BROKEN),
        (spf(f"mx {VOIDS} -all"), Purpose.SPF, State.WRONG, Harm.BROKEN),
        (spf("-ip4:192.0.2.0/24 mx -all"), Purpose.SPF, State.WRONG, Harm.NOT_US),
        ((STALE, "#"), Purpose.TLSA, State.WRONG, Harm.STRONGER),
        ((RUA, "_dmarc"), Purpose.DMARC, State.WARNING, Harm.REFUSED),
        ((RUA.replace("rua", "ruf"), "_dmarc"), Purpose.DMARC, State.WARNING, Harm.REFUSED),
        ((f"{SRV} 0 0 587 b.test", f"{SRV} "), Purpose.SUBMISSION, State.WRONG, None),
        (
            (f"{SRV} 0 0 587 b.test\n{SRV} 5 0 587 mx.a.test", f"{SRV} "),
            *(Purpose.SUBMISSION, State.WRONG, Harm.ELSEWHERE),
        ),
        (
            (f"{SRV} 0 0 25 mx.a.test\n{SRV} 5 0 587 mx.a.test", f"{SRV} "),
            *(Purpose.SUBMISSION, State.WRONG, Harm.ELSEWHERE),
        ),
        ((f"{SRV} 0 5 587 b.test", "#"), Purpose.SUBMISSION, State.WARNING, Harm.BESIDE),
    ],
)
def test_what_loses_or_shows_mail_beside_a_good_record_is_told(
    change: tuple[str, str], purpose: Purpose, state: State, harm: Harm | None
) -> None:
    found = told(with_line(*change), purpose)
    assert (found.state, {one.harm for one in found.caveats}) == (state, {harm} - {None})
    assert found.is_fault is (state is State.WRONG)
    texts = {cost(found, A_TEST, language) for language in ("en", "id")}
    assert len(texts) == 2
    assert all(texts)


AGREED = '\na.test._report._dmarc.b.test TXT "v=DMARC1;"'
BULK = """
news.test TXT "v=spf1 include:one.news.test include:two.news.test ~all"
one.news.test TXT "v=spf1 ip4:198.51.100.0/25 ?all"
two.news.test TXT "v=spf1 ip4:198.51.100.128/26 ip6:2001:db8:1::/48 -all"
"""


@pytest.mark.parametrize(
    "change",
    [
        ("a.test MX 10 mx2.a.test", "#"),
        ("a.test MX 30 mx2.a.test", "#"),
        (spf("mx include:news.test ~all")[0] + BULK, 'a.test TXT "v'),
        (spf("mx include:news.test include:two.news.test -all")[0] + BULK, 'a.test TXT "v'),
        (spf("mx redirect=news.test")[0] + BULK, 'a.test TXT "v'),
        (
            spf("mx a a:www.a.test ip4:198.51.100.7 -all")[0] + "\nwww.a.test A 192.0.2.3",
            spf("")[1],
        ),
        spf("mx exists:%{i}._spf.a.test -all"),
        (RUA + AGREED, "_dmarc"),
        (RUA.replace("x@b", "x@mail.a"), "_dmarc"),
        (STALE.replace("3 1 2", "3 1 1")[: -len("cd" * 32)], "#"),
        (STALE.replace("3 1 2", "3 0 2"), "#"),
        (f"{SRV} 5 0 587 mx2.a.test", "#"),
    ],
)
def test_what_is_usual_is_no_alarm(change: tuple[str, str]) -> None:
    findings = surveyed(with_line(*change))
    assert {one.state for one in findings} == {State.THERE, State.ADVICE}


def test_a_second_host_beside_ours_or_named_by_the_policy_is_no_stranger() -> None:
    zone = with_line("a.test MX 10 mx2.b.test", "#")
    wide = replace(A_TEST, policy=OwnPolicy(("mx.a.test", "*.b.test")))
    assert {one.state for one in surveyed(zone, wide)} == {State.THERE, State.ADVICE}
    zone = GOOD.replace("mx.a.test", "mx.host.test") + "a.test MX 10 mx2.host.test\n"
    hosted = replace(A_TEST, hostname="mx.host.test", policy=OwnPolicy(("mx.host.test",)))
    assert {one.state for one in surveyed(zone, hosted)} == {State.THERE, State.ADVICE}


def test_a_record_that_is_wrong_anyway_also_says_that_everybody_may_send() -> None:
    found = told(with_line(*spf("ip4:192.0.2.9 +all")), Purpose.SPF)
    assert (found.state, [one.harm for one in found.caveats]) == (State.WRONG, [Harm.ANYBODY])
    assert "not named" in cost(found, A_TEST, "en")
    assert "Everybody may send" in cost(found, A_TEST, "en")


def test_an_mx_record_that_leads_elsewhere_is_no_fault_of_spf_as_well() -> None:
    assert told(with_line("a.test MX 10 b.test", "a.test MX"), Purpose.MX).state is State.WRONG


def test_what_others_do_not_answer_is_said_and_is_no_fault() -> None:
    zone = with_line(*spf("mx include:slow.test -all"))
    findings = surveyed(zone, faults={"slow.test": Fault.SERVFAIL}, seconds=0.1)
    (found,) = [one for one in findings if one.record.purpose is Purpose.SPF]
    assert (found.state, found.is_fault, found.is_unsure) == (State.WARNING, False, True)
