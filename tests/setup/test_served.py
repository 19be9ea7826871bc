"""What is wrong with a document that a domain's records lead people to (RFC 8461 §3)."""

from dataclasses import replace

from merpati.delivery.sts.policy import parse_policy
from merpati.mail.address import Address
from merpati.setup.autoconfig import MailHosts, outlook, thunderbird
from merpati.setup.finding import Finding, State
from merpati.setup.plan import Subject
from merpati.setup.record import Kind, Purpose, Record
from merpati.setup.served import (
    Flaw,
    Page,
    PolicySeen,
    Remark,
    ServedFinding,
    Visit,
    policy_remarks,
    settings_remarks,
    visits,
)
from merpati.setup.sts import Mode, OwnPolicy
from merpati.setup.texts import remark_words, visit_name, visit_why

OURS = OwnPolicy(("mx.a.test",), Mode.ENFORCE)
SERVES = Subject("a.test", "mx.a.test", OURS, serves_policy=True, serves_autoconfig=True)
ELSEWHERE = replace(SERVES, serves_policy=False, serves_autoconfig=False)
SRV = "_autodiscover._tcp.a.test"


def found(purpose: Purpose, *seen: str, name: str = "", state: State = State.THERE) -> Finding:
    return Finding(Record(purpose, Kind.TXT, name, "x"), state, seen)


def flaws(
    policy: OwnPolicy, subject: Subject = SERVES, *, ident: str = "1", mx: str = "10 mx.a.test"
) -> list[Flaw]:
    records = (found(Purpose.STS, f"v=STSv1; id={ident};"), found(Purpose.MX, *mx.split("|")))
    seen = PolicySeen(policy, parse_policy(policy.text.encode()).allows)
    return [one.flaw for one in policy_remarks(subject, records, seen)]


def test_our_own_policy_has_no_flaw() -> None:
    assert flaws(OURS, ident=OURS.ident) == []


def test_another_text_than_ours_is_told_whatever_its_order() -> None:
    two = replace(SERVES, policy=OwnPolicy(("mx.a.test", "mx2.a.test"), Mode.ENFORCE))
    assert flaws(OwnPolicy(("MX2.a.test", "mx.a.test"), Mode.ENFORCE), two) == []
    assert flaws(OURS, two) == [Flaw.OTHER]
    assert flaws(replace(OURS, max_age=700_000)) == [Flaw.OTHER]


def test_an_id_that_stayed_though_the_text_changed_is_told_where_it_can_be_known() -> None:
    changed = replace(OURS, max_age=700_000)
    assert flaws(changed, ELSEWHERE, ident=OURS.ident) == [Flaw.SAME_ID]
    assert flaws(changed, ELSEWHERE, ident="2026") == []
    assert flaws(OURS, ELSEWHERE, ident=OURS.ident) == []


def test_every_host_that_mail_goes_to_is_to_be_named() -> None:
    mx = "10 mx.a.test|20 MX.b.test|30 in.deep.b.test"
    named = OwnPolicy(("mx.a.test", "*.b.test"), Mode.ENFORCE)
    records = [found(Purpose.MX, *mx.split("|"))]
    seen = PolicySeen(named, parse_policy(named.text.encode()).allows)
    assert [*policy_remarks(ELSEWHERE, records, seen)] == [Remark(Flaw.REFUSED, "in.deep.b.test")]
    assert flaws(replace(named, mode=Mode.TESTING), ELSEWHERE, mx=mx) == [
        Flaw.UNLISTED,
        Flaw.TESTING,
    ]
    assert flaws(OwnPolicy(("x.test",), Mode.ENFORCE), ELSEWHERE, mx="0 .") == [Flaw.REFUSED]


def test_a_policy_that_demands_little_is_a_notice_and_no_fault() -> None:
    short = replace(OURS, max_age=3600)
    none = OwnPolicy((), Mode.NONE, 3600)
    testing = replace(OURS, mode=Mode.TESTING, max_age=3600)
    for policy, flaw in ((short, Flaw.SHORT), (none, Flaw.NONE), (testing, Flaw.TESTING)):
        assert flaws(policy, replace(SERVES, policy=policy)) == [flaw]
        finding = ServedFinding(Visit(Page.POLICY, "mta-sts.a.test", "/"), (Remark(flaw),))
        assert (finding.state, finding.is_fault) == (State.THERE, False)


def test_only_what_records_lead_to_is_asked_for() -> None:
    records = [
        found(Purpose.STS_HOST, "mx.a.test"),
        found(Purpose.AUTOCONFIG, "mx.a.test", name="autoconfig.a.test"),
        found(Purpose.AUTODISCOVER, "5 0 8443 b.test", "0 0 443 mx.a.test", name=SRV),
    ]
    assert [one.url for one in visits(SERVES, records)] == [
        "https://mta-sts.a.test/.well-known/mta-sts.txt",
        "https://autoconfig.a.test/mail/config-v1.1.xml",
        "https://mx.a.test/autodiscover/autodiscover.xml",
    ]
    assert [one.page for one in visits(ELSEWHERE, records)] == [Page.POLICY]
    nothing = [replace(one, seen=(), state=State.MISSING) for one in records]
    assert [*visits(SERVES, nothing)] == []
    nowhere = [found(Purpose.AUTODISCOVER, "0 0 0 .", state=State.WRONG)]
    assert [*visits(SERVES, nowhere)] == []


def test_settings_have_to_name_this_host() -> None:
    hosts = MailHosts("a.test", "mx.a.test", 465, imap="imap.a.test")
    somebody = Address.parse("ann@a.test")
    for text in (thunderbird(hosts), outlook(hosts, somebody)):
        assert [*settings_remarks(SERVES, text.encode())] == []
        other = text.replace("mx.a.test", "smtp.b.test").encode()
        (remark,) = settings_remarks(SERVES, other)
        assert (remark.flaw, remark.detail) == (Flaw.OTHER, "imap.a.test, smtp.b.test")
    assert [one.flaw for one in settings_remarks(SERVES, b"\xff<html>")] == [Flaw.OTHER]


def test_what_nobody_knows_is_no_fault() -> None:
    def state(page: Page, *told: Flaw) -> State:
        return ServedFinding(Visit(page, "x.a.test", "/"), tuple(map(Remark, told))).state

    assert state(Page.POLICY, Flaw.UNANSWERED) is State.UNKNOWN
    assert state(Page.AUTOCONFIG, Flaw.REDIRECT) is State.UNKNOWN
    assert state(Page.POLICY, Flaw.REDIRECT) is State.WRONG
    assert state(Page.POLICY, Flaw.TESTING, Flaw.UNLISTED) is State.WRONG


def test_every_flaw_has_its_words_in_both_languages() -> None:
    of_policies = {
        Flaw.SAME_ID, Flaw.REFUSED, Flaw.UNLISTED, Flaw.SHORT, Flaw.NONE, Flaw.TESTING, Flaw.TEXT,
    }  # fmt: skip
    of_programs = {Flaw.PORT}
    for page in Page:
        visit = Visit(page, "host.a.test", "/")
        not_here = of_programs if page is Page.POLICY else of_policies
        for language in ("en", "id"):
            assert visit_name(visit, language)
            assert visit_why(visit, SERVES, language)
            for flaw in [*{*Flaw} - not_here]:
                words = remark_words(Remark(flaw), visit, SERVES, language)
                assert words, (page, flaw)
                assert "{" not in words, words
