"""Checks of a host for a domain: identities, evidence, limits, and what others may say."""

from collections.abc import Mapping

import pytest

from merpati.authenticity.questions import Kind, drive
from merpati.authenticity.seen import MAX_SHOWN, Seen
from merpati.authenticity.spf.check import Client, Here, check_helo, check_mail_from
from merpati.authenticity.spf.record import read_record
from merpati.authenticity.spf.result import Identity, Result, SpfError, Verdict
from merpati.clock import SystemClock
from merpati.dns.client import DnsClient, DnsSettings
from merpati.dns.errors import DnsFailure, DnsTimeout
from merpati.dns.resolver import RECORD_LIMIT, Mx
from merpati.mail.address import Address
from merpati.testing.answers import Answers
from merpati.testing.zone import Fault, serve_zone
from tests.cases import each

Zone = Mapping[str, object]
IP = "192.0.2.7"


def found(zone: Zone, sender: str = "ann@a.test", ip: str = IP, helo: str = "mx.a.test") -> Verdict:
    client = Client(ip, helo, Address.parse(sender) if sender else None)
    return Answers(zone).answer(check_mail_from(client, Here("mx.b.test", 1_600_000_000.5)))  # type: ignore[arg-type]  # as they come


def of(record: str, **more: object) -> Verdict:
    return found({"TXT a.test": [record.encode()], **more})


def test_a_pass_carries_its_evidence() -> None:
    zone = {
        "TXT a.test": [b"v=spf1 a include:b.test -all"],
        "TXT b.test": [b"v=spf1 ip4:192.0.2.0/24"],
    }
    assert found(zone) == Verdict(
        Result.PASS,
        Identity.MAIL_FROM,
        "a.test",
        "the record allows the host",
        seen=(
            Seen("a.test", "v=spf1 a include:b.test -all", 28),
            Seen("b.test", "v=spf1 ip4:192.0.2.0/24", 23),
        ),
        mechanism="include:b.test",
        at="a.test",
        path=("a.test", "b.test"),
        lookups=2,
        void_lookups=1,
    )


def test_a_redirect_names_the_domain_that_decided() -> None:
    verdict = found({"TXT a.test": [b"v=spf1 redirect=b.test"], "TXT b.test": [b"v=spf1 ~all"]})
    assert (verdict.result, verdict.at, verdict.mechanism) == (Result.SOFTFAIL, "b.test", "~all")


def test_what_is_included_does_not_fail_for_the_whole() -> None:
    verdict = found({"TXT a.test": [b"v=spf1 include:b.test ?all"], "TXT b.test": [b"v=spf1 -all"]})
    assert (verdict.result, verdict.mechanism, verdict.at) == (Result.NEUTRAL, "?all", "a.test")


def test_without_a_match_it_is_neutral() -> None:
    assert of("v=spf1").result is Result.NEUTRAL
    zone = {"TXT a.test": [b"v=spf1 include:b.test"], "TXT b.test": [b"v=spf1 -all"]}
    assert found(zone).result is Result.NEUTRAL


def test_a_null_sender_is_checked_by_its_helo_name() -> None:
    verdict = found(
        {"TXT mx.a.test": [b"v=spf1 exists:%{l}.%{o}"], "A postmaster.mx.a.test": ["x"]}, ""
    )
    assert (verdict.result, verdict.identity, verdict.domain) == (
        Result.PASS,
        Identity.MAIL_FROM,
        "mx.a.test",
    )


def test_the_helo_name_is_an_identity_of_its_own() -> None:
    zone = Answers({"TXT mx.a.test": [b"v=spf1 -all"]})
    verdict = zone.answer(check_helo(Client(IP, "MX.a.test.", Address("ann", "a.test"))))
    assert (verdict.result, verdict.identity, verdict.domain) == (
        Result.FAIL,
        Identity.HELO,
        "mx.a.test",
    )


@each("helo", ["", "localhost", "[192.0.2.7]", "a..test", "x" * 300 + ".test", "ü..test"])
def test_a_helo_that_is_no_domain_has_no_result(helo: str) -> None:
    zone = Answers({})
    verdict = zone.answer(check_helo(Client(IP, helo)))
    assert (verdict.result, verdict.domain, zone.asked) == (Result.NONE, "", [])


def test_a_domain_of_other_scripts_is_asked_in_a_labels() -> None:
    zone = Answers({"TXT xn--bcher-kva.test": [b"v=spf1 +all"]})
    assert zone.answer(check_helo(Client(IP, "Bücher.test"))).domain == "xn--bcher-kva.test"


def test_a_local_part_of_other_scripts_matches_no_name_made_of_it() -> None:
    zone = {"TXT a.test": [b"v=spf1 -exists:%{l}.b.test ?all"]}
    assert found(zone, "jürgen@a.test").result is Result.NEUTRAL


def test_what_is_no_ip_address_has_no_result() -> None:
    assert found({}, ip="nonsense").result is Result.NONE


def test_a_mapped_address_is_of_ipv4() -> None:
    zone = {"TXT a.test": [b"v=spf1 ip4:192.0.2.7 -all"]}
    assert found(zone, ip="::ffff:192.0.2.7").result is Result.PASS


def test_an_explanation_tells_of_the_client_and_of_us() -> None:
    verdict = of(
        "v=spf1 -all exp=e.%{d}", **{"TXT e.a.test": [b"%{c} is not %{o} at %{r}, %{t} %{S}"]}
    )
    assert verdict.explanation == "192.0.2.7 is not a.test at mx.b.test, 1600000000 ann%40a.test"


@each("records", [[], [b"a", b"b"], [b"\xc3\xbc"], [b"a\x1bb"], [b"%{x}"], DnsTimeout("none")])
def test_a_faulty_explanation_is_none_and_changes_no_result(records: object) -> None:
    verdict = of("v=spf1 -all exp=e.test", **{"TXT e.test": records})
    assert (verdict.result, verdict.explanation) == (Result.FAIL, "")


def test_an_included_record_does_not_explain() -> None:
    zone = {
        "TXT a.test": [b"v=spf1 include:b.test -all"],
        "TXT b.test": [b"v=spf1 -all exp=e.test"],
        "TXT e.test": [b"why"],
    }
    assert found(zone).explanation == ""


def test_a_loop_of_records_ends_at_ten_lookups() -> None:
    zone = Answers({"TXT a.test": [b"v=spf1 include:a.test -all"]})
    verdict = zone.answer(check_mail_from(Client(IP, "x", Address("ann", "a.test"))))
    assert (verdict.result, verdict.lookups, len(zone.asked)) == (Result.PERMERROR, 10, 11)
    assert of("v=spf1 redirect=a.test").why == "more than ten lookups"


def test_a_third_void_lookup_is_an_error() -> None:
    assert of("v=spf1 a:x.test a:y.test -all").result is Result.FAIL
    verdict = of("v=spf1 a:x.test a:y.test a:z.test -all")
    assert (verdict.result, verdict.mechanism) == (Result.PERMERROR, "a:z.test")


def test_an_eleventh_exchange_is_an_error() -> None:
    hosts = [Mx(0, f"m{n}.test") for n in range(11)]
    assert of("v=spf1 mx -all", **{"MX a.test": hosts}).result is Result.PERMERROR
    assert of("v=spf1 mx -all", **{"MX a.test": hosts[1:]}).result is Result.FAIL


def test_an_eleventh_name_of_the_client_is_not_looked_at() -> None:
    zone = {f"A n{n}.a.test": ["192.0.2.9"] for n in range(10)} | {
        "A n10.a.test": [IP],
        f"PTR {IP}": [f"n{n}.a.test" for n in range(11)],
    }
    assert of("v=spf1 ptr -all", **zone).result is Result.FAIL


def test_names_of_the_client_are_asked_for_once() -> None:
    zone = Answers(
        {
            "TXT a.test": [b"v=spf1 ptr:b.test ptr:c.test exists:%{p}.d.test ptr -all"],
            f"PTR {IP}": ["Mail.A.test."],
            "A mail.a.test": [IP],
        }
    )
    verdict = zone.answer(check_mail_from(Client(IP, "x", Address("ann", "a.test"))))
    assert (verdict.result, verdict.lookups, zone.count(Kind.PTR)) == (Result.PASS, 5, 1)


@pytest.mark.parametrize("key", ["TXT a.test", "TXT b.test", "A c.test", "MX a.test"])
def test_a_dns_that_does_not_answer_is_temporary(key: str) -> None:
    zone: dict[str, object] = {
        "TXT a.test": [b"v=spf1 include:b.test a:c.test mx -all"],
        "TXT b.test": [b"v=spf1 -all"],
        key: DnsFailure("SERVFAIL"),
    }
    assert found(zone).result is Result.TEMPERROR


def test_a_record_may_be_long_but_not_without_bound() -> None:
    record = b"v=spf1 " + b"ip4:192.0.2.1 " * 1000
    assert found({"TXT a.test": [record[:4011]]}).result is Result.NEUTRAL
    assert found({"TXT a.test": [record]}).why == "the record is too long"


def test_all_records_together_are_bounded() -> None:
    """To read eleven long ones anew for each small message would cost more than the mail."""
    filler = " ip4:192.0.2.99" * 400
    zone = {f"TXT i{n}.test": [f"v=spf1 include:i{n + 1}.test{filler}".encode()] for n in range(9)}
    verdict = of("v=spf1 include:i0.test -all", **zone)
    assert (verdict.result, verdict.why) == (
        Result.PERMERROR,
        "the records are too long together",
    )
    assert verdict.lookups == 3


def addresses(count: int) -> list[str]:
    return [f"10.0.{n >> 8}.{n & 255}" for n in range(count)]


@each("record", ["v=spf1 a -all", "v=spf1 mx -all", "v=spf1 a/30 -all", "v=spf1 ptr -all"])
def test_a_name_has_as_many_addresses_as_an_answer_has_room_for(record: str) -> None:
    """RFC 7208 §4.6.4 limits names, not their addresses."""
    zone = {
        "A a.test": [*addresses(RECORD_LIMIT - 1), IP],
        "MX a.test": [Mx(1, "a.test")],
        f"PTR {IP}": ["a.test"],
        "PTR 192.0.2.8": ["a.test"],
    }
    assert of(record, **zone).result is Result.PASS
    zone["TXT a.test"] = [record.encode()]
    assert found(zone, ip="192.0.2.8").result is Result.FAIL


def test_an_address_of_ipv6_is_found_however_it_is_written() -> None:
    zone = {"TXT a.test": [b"v=spf1 a -all"], "AAAA a.test": ["2001:DB8:0::7"]}
    assert found(zone, ip="2001:db8::7").result is Result.PASS
    assert found(zone, ip="2001:db8::8").result is Result.FAIL


def test_all_addresses_together_are_bounded() -> None:
    """A hundred hosts of large pools would cost more to compare than the mail."""
    zone: dict[str, object] = {
        "A m.test": addresses(RECORD_LIMIT),
        **{f"MX d{n}.test": [Mx(0, "m.test")] * n for n in (9, 10)},
    }
    assert of("v=spf1 mx:d9.test a:m.test -all", **zone).result is Result.FAIL
    verdict = of("v=spf1 mx:d10.test a:m.test -all", **zone)
    assert (verdict.result, verdict.why) == (
        Result.PERMERROR,
        "the names have too many addresses together",
    )


def test_a_record_that_comes_again_is_read_once_if_it_is_short() -> None:
    def again(length: int) -> bool:
        record = b"v=spf1 ?all".ljust(length)
        return read_record(record) is read_record(bytes(bytearray(record)))

    assert again(512)
    assert not again(513)
    for _ in range(2):
        with pytest.raises(SpfError, match="syntax"):
            read_record(b"v=spf1 nonsense:")


def test_evidence_is_printable_and_bounded() -> None:
    verdict = found({"TXT a.test": [b"v=spf1 \x1b[31m" + b"x" * 5000]})
    assert verdict.result is Result.PERMERROR
    (seen,) = verdict.seen
    assert verdict.record == seen.record
    assert seen.record.startswith("v=spf1 ?[31m")
    assert (len(seen.record), seen.size) == (MAX_SHOWN, 5012)


def seen_of(verdict: Verdict) -> list[str]:
    """What was found at each name, in words."""
    return [f"{one.name}: {one.record if one.is_answered else 'no answer'}" for one in verdict.seen]


def test_every_record_that_was_asked_for_is_seen() -> None:
    """Those of includes that did not match, too; the path is what led to the result."""
    verdict = found(
        {
            "TXT a.test": [b"v=spf1 include:b.test include:c.test -all"],
            "TXT b.test": [b"v=spf1 -all"],
            "TXT c.test": [b"v=spf1 redirect=d.test"],
            "TXT d.test": [b"other", b"v=spf1 include:e.test"],
            "TXT e.test": [b"v=spf1 ip4:192.0.2.0/24"],
        }
    )
    assert verdict.result is Result.PASS
    assert seen_of(verdict) == [
        "a.test: v=spf1 include:b.test include:c.test -all",
        "b.test: v=spf1 -all",
        "c.test: v=spf1 redirect=d.test",
        "d.test: v=spf1 include:e.test",
        "e.test: v=spf1 ip4:192.0.2.0/24",
    ]
    assert verdict.path == ("a.test", "d.test", "e.test")


@each(
    ("zone", "seen", "path"),
    [
        ({}, ["a.test: "], ("a.test",)),
        ({"TXT a.test": DnsTimeout("none")}, ["a.test: no answer"], ("a.test",)),
        (
            {"TXT a.test": [b"v=spf1 include:b.test"]},
            ["a.test: v=spf1 include:b.test", "b.test: "],
            ("a.test", "b.test"),
        ),
        (
            {"TXT a.test": [b"v=spf1 include:b.test"], "TXT b.test": DnsTimeout("none")},
            ["a.test: v=spf1 include:b.test", "b.test: no answer"],
            ("a.test", "b.test"),
        ),
        (
            {"TXT a.test": [b"v=spf1 -all", b"v=spf1 ~all", b"v=spf1 ?all"]},
            ["a.test: v=spf1 -all", "a.test: v=spf1 ~all"],
            ("a.test",),
        ),
        (
            {"TXT a.test": [b"v=spf1 include:a.test"]},
            ["a.test: v=spf1 include:a.test"],
            ("a.test",) * 11,
        ),
        (
            {"TXT a.test": [b"v=spf1 include:%{l}.b..test"]},
            ["a.test: v=spf1 include:%{l}.b..test"],
            ("a.test",),
        ),
        ({"TXT a.test": [b"v=spf1 ip4:198.51.100.1"]}, ["a.test: v=spf1 ip4:198.51.100.1"], ()),
    ],
)
def test_what_was_not_there_is_seen_too(zone: Zone, seen: list[str], path: tuple[str, ...]) -> None:
    verdict = found(zone)
    assert (seen_of(verdict), verdict.path) == (seen, path)


async def test_a_real_client_of_the_dns_answers() -> None:
    zone = """
    a.test    TXT  "v=spf1 mx include:b.test -all"
    a.test    MX   10 mx.a.test
    mx.a.test A    192.0.2.7
    b.test    TXT  "v=spf1 ip6:2001:db8::/32"
    7.2.0.192.in-addr.arpa PTR mx.a.test
    c.test    TXT  "v=spf1 ptr:a.test -all"
    """
    async with serve_zone(zone) as server:
        resolver = DnsClient(SystemClock(), DnsSettings(servers=(server.address,)))

        async def judged(ip: str, domain: str) -> Result:
            client = Client(ip, "x.test", Address("ann", domain))
            return (await drive(check_mail_from(client), resolver)).result

        assert await judged("192.0.2.7", "a.test") is Result.PASS
        assert await judged("192.0.2.8", "a.test") is Result.FAIL
        assert await judged("2001:db8::1", "a.test") is Result.PASS
        assert await judged("192.0.2.7", "c.test") is Result.PASS
        assert await judged("192.0.2.7", "d.test") is Result.NONE
        server.faults["e.test"] = Fault.SERVFAIL
        assert await judged("192.0.2.7", "e.test") is Result.TEMPERROR
