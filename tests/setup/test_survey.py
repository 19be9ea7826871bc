"""What a domain should publish, and how what it publishes differs (RFC 6186)."""

import asyncio
from dataclasses import replace

import dns.rdatatype
import dns.zone
import pytest
from dns.rdtypes.ANY.TXT import TXT

from merpati.authenticity.spf.check import MAX_LOOKUPS
from merpati.certificates.tlsa import Identity
from merpati.clock import SystemClock
from merpati.delivery.sts.policy import parse_policy
from merpati.delivery.sts.record import policy_id
from merpati.dns.client import DnsClient, DnsSettings
from merpati.dns.update import RecordSet
from merpati.feedback.ordering import report_uris
from merpati.setup.caveat import Caveat, Harm
from merpati.setup.difference import Difference, Left, Reason, difference
from merpati.setup.finding import Finding, State
from merpati.setup.plan import Subject
from merpati.setup.record import Kind, Purpose, Record, zone_lines, zone_value
from merpati.setup.seen import ResolverWitness
from merpati.setup.spf import merged
from merpati.setup.sts import Mode, OwnPolicy
from merpati.setup.survey import survey
from merpati.setup.texts import cost, state_words, why
from merpati.testing.zone import Fault, serve_zone
from tests.cases import each

# A real key: what is no key verifies nothing.
KEY = (
    "one._domainkey.a.test",
    "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
)
POLICY = OwnPolicy(("mx.a.test",))
SHOWN = Identity(b"a key")
A_TEST = Subject("a.test", "mx.a.test", POLICY, (KEY,), SHOWN, 587, 465)
GOOD = f"""
a.test MX 20 mx.a.test
a.test TXT "v=spf1 mx -all"
a.test TXT "another word"
one._domainkey.a.test TXT "{KEY[1].replace(" ", "")}"
_dmarc.a.test TXT "v=DMARC1; p=reject"
mx.a.test A 192.0.2.1
mx.a.test AAAA 2001:db8::1
1.2.0.192.in-addr.arpa PTR mx.a.test
1.{"0." * 23}8.b.d.0.1.0.0.2.ip6.arpa PTR mx.a.test
_mta-sts.a.test TXT "v=STSv1; id=2026;"
_smtp._tls.a.test TXT "v=TLSRPTv1; rua=mailto:tls@a.test"
_25._tcp.mx.a.test TLSA 3 1 1 {SHOWN.digest}
_submissions._tcp.a.test SRV 5 9 465 mx.a.test
_submission._tcp.a.test SRV 0 0 587 mx.a.test
"""


def surveyed(
    zone: str,
    subject: Subject = A_TEST,
    faults: dict[str, Fault] | None = None,
    seconds: float = 1.0,
) -> tuple[Finding, ...]:
    async def run() -> tuple[Finding, ...]:
        async with serve_zone(zone) as server:
            server.faults |= faults or {}
            settings = DnsSettings(
                (server.address,), server_seconds=seconds, total_seconds=2 * seconds
            )
            resolver = DnsClient(SystemClock(), settings)
            return await survey(subject, ResolverWitness(resolver), resolver)

    return asyncio.run(run())


def states(findings: tuple[Finding, ...]) -> dict[Purpose, State]:
    return {one.record.purpose: one.state for one in findings}


def with_line(line: str, instead_of: str) -> str:
    kept = [each for each in GOOD.splitlines() if not each.startswith(instead_of)]
    return "\n".join([*kept, line])


def test_a_domain_that_has_everything_has_no_fault() -> None:
    findings = surveyed(GOOD)
    assert set(states(findings).values()) == {State.THERE, State.ADVICE}
    assert states(findings)[Purpose.AUTOCONFIG] is State.ADVICE
    assert not any(one.is_fault for one in findings)


def test_a_domain_that_has_nothing_misses_what_mail_needs() -> None:
    findings = surveyed("b.test A 192.0.2.9")
    missing = {one.record.purpose for one in findings if one.is_fault}
    assert missing == {Purpose.MX, Purpose.SPF, Purpose.DKIM, Purpose.DMARC, Purpose.PTR}


def test_a_policy_that_is_served_here_has_our_id() -> None:
    served = replace(A_TEST, serves_policy=True)
    assert states(surveyed(GOOD, served))[Purpose.STS] is State.WRONG
    zone = with_line(f'_mta-sts.a.test TXT "{POLICY.record}"', "_mta")
    assert states(surveyed(zone, served))[Purpose.STS] is State.THERE


def test_a_domain_without_a_key_misses_one() -> None:
    assert states(surveyed(GOOD, replace(A_TEST, keys=())))[Purpose.DKIM] is State.MISSING


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "instead_of", "purpose", "state"),
    [
        ("a.test MX 10 other.test", "a.test MX", Purpose.MX, State.WRONG),
        ('a.test TXT "v=spf1 ip4:192.0.2.9 -all"', 'a.test TXT "v', Purpose.SPF, State.WRONG),
        ('a.test TXT "v=spf1 mx inclde:b.test"', 'a.test TXT "v', Purpose.SPF, State.WRONG),
        ('a.test TXT "v=spf1 -all"', "#", Purpose.SPF, State.DUPLICATE),
        ('_dmarc.a.test TXT "v=DMARC1; p=none"', "#", Purpose.DMARC, State.DUPLICATE),
        ('_dmarc.a.test TXT "v=DMARC1; p=no"', "_dmarc", Purpose.DMARC, State.WRONG),
        ('one._domainkey.a.test TXT "p=BBBB"', "one", Purpose.DKIM, State.WRONG),
        ("1.2.0.192.in-addr.arpa PTR x.test", "1.2", Purpose.PTR, State.WRONG),
        ('_mta-sts.a.test TXT "v=STSv1;"', "_mta", Purpose.STS, State.WRONG),
        ('_smtp._tls.a.test TXT "v=TLSRPTv1"', "_smtp", Purpose.TLS_REPORTS, State.WRONG),
        (f"_25._tcp.mx.a.test TLSA 3 1 1 {'cd' * 32}", "_25", Purpose.TLSA, State.WRONG),
        ("_submission._tcp.a.test SRV 0 0 25 mx.a.test", "_submission.", Purpose.SUBMISSION, 0),
    ],
)
def test_a_fault_is_named(line: str, instead_of: str, purpose: Purpose, state: State | int) -> None:
    findings = surveyed(with_line(line, instead_of))
    (fault,) = [one for one in findings if one.is_fault]
    assert (fault.record.purpose, fault.state) == (purpose, state or State.WRONG)
    for language in ("en", "id"):
        assert cost(fault, A_TEST, language)


BIMI = 'default._bimi.a.test TXT "v=BIMI1; l=https://a.test/logo.svg"'


@pytest.mark.parametrize(
    ("lines", "state"),
    [
        ((), State.ADVICE),
        ((BIMI,), State.THERE),
        ((BIMI.replace("https", "http"),), State.WRONG),
        ((BIMI, BIMI.replace("logo", "other")), State.DUPLICATE),
        ((BIMI, '_dmarc.a.test TXT "v=DMARC1; p=none"'), State.WRONG),
        ((BIMI, '_dmarc.a.test TXT "v=DMARC1; p=quarantine; pct=20"'), State.WRONG),
    ],
)
def test_a_logo_is_optional_and_wants_dmarc_that_is_enforced(
    lines: tuple[str, ...], state: State
) -> None:
    is_replaced = any(line.startswith("_dmarc") for line in lines)
    zone = with_line("\n".join(lines), "_dmarc" if is_replaced else "#")
    (found,) = [one for one in surveyed(zone) if one.record.purpose is Purpose.BIMI]
    assert found.state is state
    assert found.is_fault is (state in (State.WRONG, State.DUPLICATE))
    for language in ("en", "id"):
        assert bool(cost(found, A_TEST, language)) is found.is_fault


def test_a_record_that_says_that_there_is_no_host_leads_nobody_here() -> None:
    subject = replace(A_TEST, serves_autoconfig=True)
    service = "_autodiscover._tcp.a.test SRV 0 0 443"
    for target, state in (("mx.a.test", State.THERE), (".", State.WRONG)):
        assert states(surveyed(f"{service} {target}", subject))[Purpose.AUTODISCOVER] is state
    (mx,) = [one for one in surveyed("a.test MX 0 .") if one.record.purpose is Purpose.MX]
    assert (mx.state, mx.seen) == (State.WRONG, ("0 .",))


def test_of_two_records_the_places_for_reports_are_kept() -> None:
    zone = """
    _dmarc.a.test TXT "v=DMARC1; p=reject; rua=mailto:x@b.test!10m, mailto:y@b.test"
    _dmarc.a.test TXT "v=DMARC1; p=none; rua=mailto:x@b.test"
    _smtp._tls.a.test TXT "v=TLSRPTv1; rua=https://c.test/x , mailto:x@b.test"
    _smtp._tls.a.test TXT "v=TLSRPTv1; rua=mailto:postmaster@a.test"
    """
    values = {one.record.purpose: one.record.value for one in surveyed(zone)}
    ours = "mailto:postmaster@a.test"
    places = f"{ours},mailto:x@b.test,mailto:y@b.test"
    assert values[Purpose.DMARC] == f"v=DMARC1; p=none; rua={places}"
    first, *rest = values[Purpose.TLS_REPORTS].removeprefix("v=TLSRPTv1; rua=").split(",")
    assert (first, sorted(rest)) == (ours, ["https://c.test/x", "mailto:x@b.test"])


def dmarc(text: str) -> Finding:
    zone = with_line(f'_dmarc.a.test TXT "{text}"', "_dmarc")
    (found,) = [one for one in surveyed(zone) if one.record.purpose is Purpose.DMARC]
    return found


@each(
    ("tags", "flaw"),
    [
        ("rua=mailto:x@a.test,", "rua="),
        ("rua=x@a.test", "rua="),
        ("fo=2", "fo="),
        ("adkim=strict", "adkim="),
        ("t=yes", "t="),
        ("psd=no", "psd="),
    ],
)
def test_a_policy_that_can_be_read_stays_whatever_else_is_wrong(tags: str, flaw: str) -> None:
    text = f"v=DMARC1; p=reject; sp=quarantine; {tags}"
    found = dmarc(text)
    assert found.record.value == text
    assert (found.state, found.is_fault) == (State.WARNING, False)
    assert found.caveats == (Caveat(Harm.VOID, flaw),)
    assert cost(found, A_TEST, "en") != cost(found, A_TEST, "id")


@each(
    ("text", "mended"),
    [
        ("v=DMARC1; p=no", "v=DMARC1; p=none; rua=mailto:postmaster@a.test"),
        (
            "v=DMARC1; P=Reject; sp=rejct; adkim=s; rua=mailto:x@a.test!10m",
            "v=DMARC1; p=Reject; sp=none; adkim=s; rua=mailto:x@a.test!10m",
        ),
        (
            "v=DMARC1; rua=x@a.test; np=reject; what",
            "v=DMARC1; p=none; rua=mailto:postmaster@a.test; np=reject",
        ),
    ],
)
def test_of_a_void_policy_no_more_is_mended_than_is_void(text: str, mended: str) -> None:
    found = dmarc(text)
    assert (found.state, found.record.value) == (State.WRONG, mended)


def test_a_record_of_dmarc_is_known_whatever_blanks_are_in_it() -> None:
    assert dmarc(" v = DMARC1 ; p = reject").state is State.THERE


@each(
    ("text", "state"),
    [
        ("v=TLSRPTv1;rua=mailto:x@a.test;", State.THERE),
        ("v=TLSRPTv1 ; rua = mailto:x@a.test", State.THERE),
        ("v=TLSRPTv1; rua=x@a.test, https://a.test/x", State.THERE),
        ("v=TLSRPTv1; rua=x@a.test", State.WRONG),
        ("v=TLSRPTv1; rua=mailto:x@a.test; rua=mailto:y@a.test", State.WRONG),
        ("v=TLSRPTv1; rua=mailto:x@a.test; what", State.WRONG),
    ],
)
def test_reports_on_tls_are_ordered_if_those_read_it_who_report(text: str, state: State) -> None:
    zone = with_line(f'_smtp._tls.a.test TXT "{text}"', "_smtp")
    assert states(surveyed(zone))[Purpose.TLS_REPORTS] is state


def test_of_many_places_for_reports_as_many_are_kept_as_are_read() -> None:
    records = (
        f'_smtp._tls.a.test TXT "v=TLSRPTv1; rua=https://{each}.test/{"x" * 150}"'
        for each in "bcdefghijklmnop"
    )
    (found,) = [
        one
        for one in surveyed(with_line("\n".join(records), "_smtp"))
        if one.record.purpose is Purpose.TLS_REPORTS
    ]
    assert found.state is State.DUPLICATE
    assert "mailto:postmaster@a.test" in report_uris([found.record.value.encode()])


def spf(text: str, more: str = "", faults: dict[str, Fault] | None = None) -> Finding:
    zone = with_line(f'a.test TXT "{text}"\n{more}', 'a.test TXT "v')
    found = surveyed(zone, faults=faults, seconds=0.2 if faults else 1.0)
    (one,) = [each for each in found if each.record.purpose is Purpose.SPF]
    return one


@each(
    "terms",
    [
        "ip4:192.0.2.1 ip6:2001:db8::1",
        "ip4:192.0.2.0/24 ip6:2001:db8::/48",
        "a:mx.a.test.",
        "mx:a.test.",
        "mx/32",
        "a:mx.a.test/32",
        "include:b.test",
    ],
)
def test_a_record_that_each_address_of_ours_passes_is_good(terms: str) -> None:
    found = spf(f"v=spf1 {terms} -all", 'b.test TXT "v=spf1 a:mx.a.test -all"')
    assert (found.state, found.record.value) == (State.THERE, f"v=spf1 {terms} -all")


def test_a_record_that_one_address_of_ours_does_not_pass_is_wrong() -> None:
    found = spf("v=spf1 ip4:192.0.2.1 -all")
    assert (found.state, found.record.value) == (State.WRONG, "v=spf1 mx ip4:192.0.2.1 -all")


def test_whether_we_pass_is_unknown_where_others_do_not_answer() -> None:
    found = spf("v=spf1 include:b.test -all", faults={"b.test": Fault.SERVFAIL})
    assert (found.state, found.is_fault, found.caveats) == (State.UNKNOWN, False, ())


TEN = " ".join(f"include:e{n}.test" for n in range(MAX_LOOKUPS))
INCLUDED = "\n".join(f'e{n}.test TXT "v=spf1 ip4:198.51.100.{n} -all"' for n in range(MAX_LOOKUPS))


def test_where_lookups_run_out_our_addresses_are_named() -> None:
    found = spf(f"v=spf1 {TEN} -all", INCLUDED)
    ours = "ip4:192.0.2.1 ip6:2001:db8::1"
    assert (found.state, found.record.value) == (State.WRONG, f"v=spf1 {ours} {TEN} -all")
    assert found.caveats == ()


def test_what_has_no_room_for_us_is_left_and_that_is_said() -> None:
    zone = f'a.test TXT "v=spf1 {TEN} -all"\n{INCLUDED}'
    (found,) = [one for one in surveyed(zone) if one.record.purpose is Purpose.SPF]
    assert (found.state, found.record.value) == (State.WRONG, f"v=spf1 {TEN} -all")
    assert [one.harm for one in found.caveats] == [Harm.FULL]
    assert cost(found, A_TEST, "en") != cost(found, A_TEST, "id")
    there = RecordSet("a.test", "TXT", (zone_value(found.record),))
    left = difference(A_TEST, [found], {found.record: there})
    assert left == Difference((), (Left(found.record, Reason.LONG),))


def test_two_records_that_are_too_much_for_one_are_left() -> None:
    zone = with_line(f'a.test TXT "v=spf1 {TEN} -all"\n{INCLUDED}', "#")
    zone += '\na.test TXT "v=spf1 include:e10.test -all"'
    (found,) = [one for one in surveyed(zone) if one.record.purpose is Purpose.SPF]
    assert found.state is State.DUPLICATE
    assert [one.harm for one in found.caveats] == [Harm.FULL]


def test_more_than_ten_lookups_are_too_long_and_no_loop_is_followed() -> None:
    zone = with_line('a.test TXT "v=spf1 mx include:a.test -all"', 'a.test TXT "v')
    (spf,) = [one for one in surveyed(zone) if one.record.purpose is Purpose.SPF]
    assert spf.state is State.TOO_LONG
    ten = " ".join(f"a:e{n}.test" for n in range(MAX_LOOKUPS - 1))
    names = "\n".join(f"e{n}.test A 127.0.0.2" for n in range(MAX_LOOKUPS - 1))
    zone = with_line(f'a.test TXT "v=spf1 mx {ten} -all"\n{names}', 'a.test TXT "v')
    assert states(surveyed(zone))[Purpose.SPF] is State.THERE


@pytest.mark.slow
@pytest.mark.parametrize("fault", [Fault.SERVFAIL, Fault.GARBAGE, Fault.CUT])
def test_what_nobody_answers_is_unknown_and_no_fault(fault: Fault) -> None:
    findings = surveyed(GOOD, faults={"*": fault}, seconds=0.1)
    assert set(states(findings).values()) == {State.UNKNOWN, State.ADVICE}
    assert not any(one.is_fault for one in findings)


@pytest.mark.parametrize("text", [r"\255\000", ";" * 200, "v=spf1 v=DMARC1;p v=STSv1;id", "v=spf1"])
def test_nonsense_at_every_name_is_judged(text: str) -> None:
    names = ["a.test", *(f"{name}.a.test" for name in ("_dmarc", "_mta-sts", "_smtp._tls"))]
    zone = "\n".join(f'{name} TXT "{text}"' for name in (*names, KEY[0]))
    for finding in surveyed(zone):
        assert finding.state in (State.MISSING, State.WRONG, State.ADVICE)


def test_what_is_there_and_good_is_kept() -> None:
    zone = with_line('a.test TXT "v=spf1 include:b.test -all"', 'a.test TXT "v')
    values = {one.record.purpose: one.record.value for one in surveyed(zone)}
    assert values[Purpose.SPF] == "v=spf1 mx include:b.test -all"
    assert values[Purpose.DMARC] == "v=DMARC1; p=reject"
    assert values[Purpose.TLS_REPORTS] == "v=TLSRPTv1; rua=mailto:tls@a.test"


@each(
    ("there", "expected"),
    [
        ([], "v=spf1 mx ~all"),
        (["v=spf1 a:mx.a.test ?all"], "v=spf1 a:mx.a.test ?all"),
        (["v=spf1 -mx -all"], "v=spf1 mx -mx -all"),
        (["v=spf1 redirect=b.test"], "v=spf1 mx redirect=b.test"),
        (
            ["v=spf1 mx a -all", "v=spf1 a redirect=b.test", "v=spf1 ~all"],
            "v=spf1 mx a include:b.test ~all",
        ),
        (["v=spf1 \\xff ip4:300.1.1.1 a"], "v=spf1 mx a"),
        (["v=spf1 -all mx"], "v=spf1 mx -all mx"),
        (["v=spf1 mx exp=b.test EXP=c.test"], "v=spf1 mx exp=b.test"),
        (["v=spf1 mx redirect=b.test redirect=c.test"], "v=spf1 mx redirect=b.test"),
        (["v=spf1 " + "a " * 9000], "v=spf1 mx ~all"),
    ],
)
def test_spf_is_merged_into_what_is_there(there: list[str], expected: str) -> None:
    assert merged(there, "a.test", "mx.a.test") == expected


def test_a_parser_reads_the_zone() -> None:
    long = 'v=DKIM1; p="\\' + "A" * 600
    subject = replace(A_TEST, keys=((KEY[0], long),))
    lines = [
        zone_lines(one.record)
        for one in surveyed("b.test A 192.0.2.9", subject)
        if one.record.is_in("a.test")
    ]
    zone = dns.zone.from_text(
        "\n".join(lines), origin="a.test", relativize=False, check_origin=False
    )
    found = {
        (name.to_text(omit_final_dot=True), dns.rdatatype.to_text(rdata.rdtype)): rdata
        for name, _, rdata in zone.iterate_rdatas()
    }
    assert found["a.test", "MX"].to_text() == "10 mx.a.test."
    key = found[KEY[0], "TXT"]
    assert isinstance(key, TXT)
    assert b"".join(key.strings).decode() == long
    assert [len(one) for one in key.strings][:2] == [255, 255]
    assert found["_25._tcp.mx.a.test", "TLSA"].to_text() == f"3 1 1 {SHOWN.digest}"
    assert found["_submissions._tcp.a.test", "SRV"].to_text() == "0 1 465 mx.a.test."


def test_a_record_of_another_zone_is_not_in_this_one() -> None:
    assert Record(Purpose.TLSA, Kind.TLSA, "_25._tcp.a.test", "x").is_in("a.test")
    assert not Record(Purpose.TLSA, Kind.TLSA, "_25._tcp.aa.test", "x").is_in("a.test")


def test_senders_can_read_our_policy_and_its_id_follows_it() -> None:
    policy = POLICY
    assert parse_policy(policy.text.encode()).allows("mx.a.test")
    assert policy_id([policy.record.encode()]) == policy.ident
    assert replace(policy, mode=Mode.ENFORCE).ident != policy.ident


@pytest.mark.parametrize("language", ["en", "id"])
def test_every_record_says_why_in_every_language(language: str) -> None:
    nothing = Subject("a.test", "mx.a.test", POLICY, submission=587)
    for finding in surveyed("b.test A 192.0.2.9", nothing):
        told = why(finding.record, nothing, language)
        assert told.endswith((".", "!", "a.test"))
        assert "{" not in told


@each("language", ["en", "id"])
@each("state", list(State))
def test_every_state_has_a_word(language: str, state: State) -> None:
    assert state_words(state, language)
    assert (state_words(state, language) == state.value) is (language == "en")
