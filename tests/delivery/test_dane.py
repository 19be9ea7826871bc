"""DANE: which records a host has, and which certificates they are of (RFC 6698, 7671 and 7672)."""

import datetime
import hashlib
import ssl
from dataclasses import replace

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from merpati.delivery.backing import Backing, StsMode
from merpati.delivery.dane import MAX_RECORDS, Dane, Tlsa, Tlsas, Undecided, Usage, prove
from merpati.delivery.lesson import SiteMemory, Waived
from merpati.delivery.mx import Exchanges, HostFinder, MxSettings
from merpati.delivery.security import Decider, Policy, decide
from merpati.delivery.transaction import Host, TlsDemand, Way
from merpati.feedback.tls import ResultType
from merpati.testing.deliveries import ScriptedDns
from merpati.wire.errors import TlsError
from tests import issuers
from tests.cases import each
from tests.issuers import Issuer

NAME = "mx.a.test"
HOST = Host(NAME, "192.0.2.1")
PLACE = f"_25._tcp.{NAME}"
RECORD = (3, 1, 1, b"x" * 32)

ROOT = trustme.CA()
AUTHORITY = ROOT.create_child_ca()
LEAF = AUTHORITY.issue_cert(NAME)


def der(pem: bytes) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pem.decode())


CHAIN = tuple(der(blob.bytes()) for blob in LEAF.cert_chain_pems)
OWN = CHAIN[0]
ROOT_DER = der(ROOT.cert_pem.bytes())
AUTHORITY_DER = CHAIN[1]
STRANGER = der(trustme.CA().cert_pem.bytes())
NOW = x509.load_der_x509_certificate(OWN).not_valid_before_utc.timestamp() + 60
LATER = x509.load_der_x509_certificate(OWN).not_valid_after_utc.timestamp() + 60


def key(certificate: bytes) -> bytes:
    public = x509.load_der_x509_certificate(certificate).public_key()
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def sha256(octets: bytes) -> bytes:
    return hashlib.sha256(octets).digest()


def sha512(octets: bytes) -> bytes:
    return hashlib.sha512(octets).digest()


def check(
    records: list[tuple[int, int, int, bytes]],
    expected: Usage | None,
    chain: tuple[bytes, ...] = CHAIN,
    name: str | tuple[str, ...] = NAME,
    now: float = NOW,
) -> None:
    tlsas = [Tlsa(*one) for one in records]
    assert all(one.is_usable for one in tlsas)
    names = (name,) if isinstance(name, str) else name
    assert prove(tlsas, chain, names, now) is expected


@each(
    "record",
    [
        (3, 0, 0, OWN),
        (3, 0, 1, sha256(OWN)),
        (3, 0, 2, sha512(OWN)),
        (3, 1, 0, key(OWN)),
        (3, 1, 1, sha256(key(OWN))),
        (3, 1, 2, sha512(key(OWN))),
    ],
)
def test_a_host_shows_the_certificate_or_key_that_its_record_names(
    record: tuple[int, int, int, bytes],
) -> None:
    check([record], Usage.END_ENTITY)


def test_of_an_end_entity_nothing_else_has_to_be_readable() -> None:
    far = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)
    odd = Issuer.named("authority").leaf(NAME, end=far)
    odd = odd.replace(b"21000101000000Z", b"00000101000000Z")
    check([(3, 1, 1, sha256(key(odd)))], Usage.END_ENTITY, (odd,))
    check([(3, 0, 1, sha256(odd))], Usage.END_ENTITY, (odd,))
    check([(3, 0, 1, sha256(b"garbage"))], Usage.END_ENTITY, (b"garbage",))
    check([(3, 1, 1, sha256(b""))], None, (b"garbage",))


def test_an_end_entity_needs_no_name_and_no_time() -> None:
    check([(3, 1, 1, sha256(key(OWN)))], Usage.END_ENTITY, name="other.test", now=LATER)


def test_one_fitting_record_of_several_is_enough() -> None:
    check([(3, 1, 1, b"-" * 32), (3, 0, 1, sha256(OWN))], Usage.END_ENTITY)


def test_another_certificate_proves_nothing() -> None:
    check([(3, 1, 1, b"-" * 32)], None)
    check([(2, 1, 1, b"-" * 32)], None)


def test_an_end_entitys_record_is_not_of_an_authority_in_the_chain() -> None:
    check([(3, 0, 1, sha256(AUTHORITY_DER))], None)


def test_an_anchors_record_is_not_of_the_hosts_own_certificate() -> None:
    check([(2, 0, 1, sha256(OWN))], None)


@pytest.mark.parametrize("anchor", [AUTHORITY_DER, ROOT_DER])
def test_a_host_comes_from_the_authority_that_its_record_names(anchor: bytes) -> None:
    check([(2, 1, 1, sha256(key(anchor)))], Usage.TRUST_ANCHOR, (*CHAIN, ROOT_DER))


def test_a_record_with_the_whole_anchor_stands_for_one_that_was_not_sent() -> None:
    check([(2, 0, 0, ROOT_DER)], Usage.TRUST_ANCHOR)


def test_an_anchor_by_its_digest_has_to_be_sent() -> None:
    check([(2, 0, 1, sha256(ROOT_DER))], None, CHAIN[:1])


def test_below_an_anchor_names_and_times_count() -> None:
    record = (2, 0, 1, sha256(AUTHORITY_DER))
    check([record], None, name="other.test")
    check([record], None, now=LATER)


def test_an_authority_that_did_not_sign_proves_nothing() -> None:
    other = der(trustme.CA().cert_pem.bytes())
    check([(2, 0, 1, sha256(other))], None, (*CHAIN, other))
    check([(2, 0, 0, other)], None)


def test_a_certificate_that_may_not_sign_is_no_authority() -> None:
    other = trustme.CA().issue_cert(NAME)
    theirs = der(other.cert_chain_pems[0].bytes())
    check([(2, 0, 1, sha256(theirs))], None, (OWN, theirs, AUTHORITY_DER))


@pytest.mark.parametrize("chain", [(), (b"",), (b"garbage",), (b"\x30\x82\xff\xff", OWN)])
def test_garbage_for_a_certificate_proves_nothing(chain: tuple[bytes, ...]) -> None:
    check([(3, 0, 1, sha256(OWN)), (2, 0, 0, ROOT_DER)], None, chain)


def test_below_an_anchor_the_name_may_be_any_that_leads_there() -> None:
    """RFC 7672 §3.2.2."""
    issuer = Issuer.named("authority")
    record, chain = (2, 0, 1, sha256(issuer.der)), (issuer.leaf("a.test"), issuer.der)
    names = (NAME, "alias.test", "a.test")
    check([record], Usage.TRUST_ANCHOR, chain, names, issuers.NOW)
    check([record], None, chain, names[:2], issuers.NOW)


def test_a_bare_key_stands_for_an_authority_that_was_not_sent() -> None:
    """RFC 7671 §5.2.3."""
    bare = (2, 1, 0, key(ROOT_DER))
    check([bare], Usage.TRUST_ANCHOR)
    check([bare], Usage.TRUST_ANCHOR, (*CHAIN, ROOT_DER))
    check([(2, 1, 0, key(AUTHORITY_DER))], Usage.TRUST_ANCHOR, CHAIN[:1])
    check([(2, 1, 0, key(STRANGER)), bare], Usage.TRUST_ANCHOR)


def test_below_a_bare_key_all_else_counts() -> None:
    bare = (2, 1, 0, key(ROOT_DER))
    check([bare], None, CHAIN[:1])
    check([bare], None, (OWN, STRANGER))
    check([bare], None, name="other.test")
    check([bare], None, now=LATER)
    check([(2, 1, 0, key(STRANGER))], None)
    check([(2, 1, 1, sha256(key(ROOT_DER)))], None)


@each("garbage", [b"x", b"\x30\x00", b"\x30" * 500, OWN])
def test_garbage_in_one_record_hides_no_good_one(garbage: bytes) -> None:
    check([(2, 1, 0, garbage)], None)
    check([(2, 1, 0, garbage), (2, 1, 0, key(ROOT_DER))], Usage.TRUST_ANCHOR)
    check([(2, 0, 0, garbage), (2, 0, 0, ROOT_DER)], Usage.TRUST_ANCHOR)


def test_who_has_a_certificate_below_a_bare_key_can_make_no_other() -> None:
    authority = Issuer.named("authority")
    holder = Issuer.named("holder", authority, is_authority=False)
    chain = (holder.leaf(NAME), holder.der)
    check([(2, 1, 0, key(authority.der))], None, chain, now=issuers.NOW)


@each(
    "record",
    [
        (0, 1, 1, b"x" * 32),
        (1, 1, 1, b"x" * 32),
        (4, 1, 1, b"x" * 32),
        (3, 2, 1, b"x" * 32),
        (3, 1, 3, b"x" * 32),
        (3, 1, 1, b"x" * 31),
        (3, 1, 2, b"x" * 32),
        (3, 1, 0, b""),
    ],
)
def test_other_records_are_unusable(record: tuple[int, int, int, bytes]) -> None:
    assert not Tlsa(*record).is_usable


def a_zone(*secure: str) -> ScriptedDns:
    dns = ScriptedDns(v4={NAME: ("192.0.2.1",)}, tlsas={PLACE: (RECORD,)})
    dns.secure |= set(secure)
    dns.names |= {NAME, PLACE}
    # No IPv6 address is an answer as well, and as validated.
    dns.v6 = {NAME: ("2001:db8::1",)}
    return dns


async def test_records_count_where_all_was_validated() -> None:
    found = await Dane(a_zone(NAME, PLACE)).of(HOST)
    assert found == Tlsas(NAME, (Tlsa(*RECORD),))


async def test_usable_records_count_wherever_they_stand_among_a_thousand() -> None:
    dns = a_zone(NAME, PLACE)
    many = tuple((3, 1, 1, bytes([n]) * 32) for n in range(60))
    dns.tlsas[PLACE] = (*((1, 1, 1, b"x" * 32) for _ in range(940)), *many)
    found = await Dane(dns).of(HOST)
    assert found is not None
    assert found.usable == tuple(Tlsa(*one) for one in many[:MAX_RECORDS])


async def test_of_two_digests_the_stronger_counts() -> None:
    """RFC 7671 §9: for each usage and selector."""
    dns = a_zone(NAME, PLACE)
    stays = ((3, 1, 2, b"2" * 64), (3, 1, 0, b"0"), (3, 0, 1, b"1" * 32), (2, 1, 1, b"1" * 32))
    dns.tlsas[PLACE] = ((3, 1, 1, b"1" * 32), (3, 1, 2, b"2" * 63), *stays)
    found = await Dane(dns).of(HOST)
    assert found is not None
    assert found.usable == tuple(Tlsa(*one) for one in stays)


async def test_an_insecure_address_means_that_nobody_asks_for_records() -> None:
    dns = a_zone(PLACE)
    dns.broken.add(PLACE)
    assert await Dane(dns).of(HOST) is None


async def test_addresses_that_are_not_told_are_no_permission_to_go_without() -> None:
    dns = a_zone(NAME, PLACE)
    dns.broken.add(NAME)
    with pytest.raises(Undecided, match="does not say what certificate"):
        await Dane(dns).of(HOST)


async def test_insecure_records_are_none() -> None:
    assert await Dane(a_zone(NAME)).of(HOST) is None


async def test_a_failing_question_for_records_is_no_permission_to_go_without() -> None:
    dns = a_zone(NAME, PLACE)
    dns.broken.add(PLACE)
    with pytest.raises(Undecided, match="does not say what certificate"):
        await Dane(dns).of(HOST)


async def test_the_end_of_an_alias_is_asked_before_the_alias_itself() -> None:
    dns = a_zone(NAME, PLACE, "_25._tcp.end.test")
    dns.aliases[NAME] = "end.test"
    dns.names.add("_25._tcp.end.test")
    found = await Dane(dns).of(HOST)
    assert found is not None
    assert found.base == NAME
    dns.tlsas["_25._tcp.end.test"] = (RECORD,)
    found = await Dane(dns).of(HOST)
    assert found is not None
    assert found.base == "end.test"


def an_alias_out_of_a_signed_zone() -> ScriptedDns:
    dns = a_zone(PLACE)
    dns.aliases[NAME] = "mx.unsigned.test"
    dns.broken.add("_25._tcp.mx.unsigned.test")
    return dns


async def test_an_alias_in_a_signed_zone_counts_wherever_it_leads() -> None:
    """RFC 7672 §2.2.2: "insecure CNAME"; the unsigned zone is not asked."""
    dns = an_alias_out_of_a_signed_zone()
    dns.links.add(NAME)
    assert await Dane(dns).of(HOST) == Tlsas(NAME, (Tlsa(*RECORD),))
    del dns.tlsas[PLACE]
    assert await Dane(dns).of(HOST) is None


async def test_an_alias_in_an_unsigned_zone_means_that_nobody_asks_for_records() -> None:
    dns = an_alias_out_of_a_signed_zone()
    dns.broken.add(PLACE)
    assert await Dane(dns).of(HOST) is None


async def test_an_alias_that_is_not_told_is_no_permission_to_go_without() -> None:
    dns = an_alias_out_of_a_signed_zone()
    dns.broken.add(f"CNAME {NAME}")
    with pytest.raises(Undecided, match="does not say what certificate"):
        await Dane(dns).of(HOST)


async def test_unusable_records_demand_encryption_and_no_proof() -> None:
    dns = a_zone(NAME, PLACE)
    dns.tlsas[PLACE] = ((1, 1, 1, b"x" * 32),)
    way = Way("a.test", "mx:", backing=Backing(dnssec=True))
    security = await Decider(Dane(dns)).decide(way, HOST)
    assert security.policy is Policy.DANE
    assert not security.may_fall_back
    assert not security.verifies
    assert security.proof(CHAIN, NOW) == ""


@pytest.mark.parametrize(
    ("way", "policy"),
    [
        (Way("a.test", "mx:", tls=TlsDemand.REQUIRED), Policy.REQUIRED),
        (Way("a.test", "mx:", backing=Backing(sts=StsMode.ENFORCE)), Policy.STS_ENFORCE),
    ],
)
def test_unusable_records_do_not_end_what_others_demand(way: Way, policy: Policy) -> None:
    security = decide(way, HOST, tlsa=Tlsas(NAME, ()))
    assert security.policy is policy
    assert security.verifies


def an_anchored_zone() -> ScriptedDns:
    dns = a_zone(NAME, PLACE, "a.test")
    dns.mxs["a.test"] = ((10, "mx0.a.test"), (10, NAME))
    dns.v4["mx0.a.test"] = ("192.0.2.7",)
    dns.tlsas[PLACE] = (RECORD, (2, 1, 1, b"x" * 32))
    return dns


async def backed(dns: ScriptedDns, domain: str = "a.test") -> Backing:
    found = await HostFinder(MxSettings(), dns, lambda _: None).exchanges(domain)
    assert isinstance(found, Exchanges)
    return (await Decider(Dane(dns)).backed(domain, found)).backing


async def test_a_host_with_an_anchor_may_show_a_certificate_for_the_domain() -> None:
    """RFC 7672 §3.2.2, and what it means for who shares a connection."""
    dns = an_anchored_zone()
    backing = await backed(dns)
    assert backing.names == ("a.test",)
    assert str(backing) == "dnssec=yes&names=a.test"
    security = await Decider(Dane(dns)).decide(Way("a.test", "mx:", backing=backing), HOST)
    assert security.name == NAME
    assert security.names == ("a.test",)


async def test_so_it_may_for_the_end_of_the_domains_alias() -> None:
    dns = an_anchored_zone()
    dns.mxs["alias.test"] = dns.mxs["a.test"]
    dns.aliases["alias.test"] = "a.test"
    dns.secure.add("alias.test")
    assert (await backed(dns, "alias.test")).names == ("alias.test", "a.test")


async def test_a_domain_may_be_its_own_host() -> None:
    dns = a_zone(NAME, PLACE)
    dns.tlsas[PLACE] = ((2, 1, 1, b"x" * 32),)
    dns.mxs[NAME] = ((0, NAME),)
    assert (await backed(dns, NAME)).names == (NAME,)


async def test_hosts_that_vouch_for_their_own_certificates_stay_shared() -> None:
    dns = an_anchored_zone()
    dns.tlsas[PLACE] = (RECORD,)
    assert await backed(dns) == Backing(dnssec=True)


async def test_a_domain_that_an_insecure_answer_told_of_has_no_names() -> None:
    """RFC 7672 §3.2.2: then the host's own name is the only one."""
    dns = an_anchored_zone()
    dns.secure.discard("a.test")
    assert await backed(dns) == Backing()


async def test_a_host_that_does_not_say_may_have_an_anchor() -> None:
    dns = an_anchored_zone()
    dns.broken.add(PLACE)
    assert (await backed(dns)).names == ("a.test",)


async def test_a_name_of_the_domain_proves_who_the_host_is() -> None:
    issuer = Issuer.named("authority")
    chain = (issuer.leaf("a.test"), issuer.der)
    tlsas = Tlsas(NAME, (Tlsa(2, 0, 1, sha256(issuer.der)),))
    way = Way("a.test", "mx:", backing=Backing(dnssec=True, names=("a.test",)))
    assert decide(way, HOST, tlsa=tlsas).proof(chain, issuers.NOW) == "dane-ta"
    shared = replace(way, backing=Backing(dnssec=True))
    with pytest.raises(TlsError, match="matches no TLSA record"):
        decide(shared, HOST, tlsa=tlsas).proof(chain, issuers.NOW)


async def test_hosts_that_an_insecure_answer_named_are_not_asked() -> None:
    security = await Decider(Dane(a_zone(NAME, PLACE))).decide(Way("a.test", "mx:"), HOST)
    assert security.policy is Policy.OPPORTUNISTIC
    assert security.may_fall_back


async def test_dane_goes_before_sts_and_a_broken_tls_is_not_remembered_against_it() -> None:
    way = Way("a.test", "mx:", backing=Backing(dnssec=True, sts=StsMode.ENFORCE))
    security = await Decider(Dane(a_zone(NAME, PLACE))).decide(way, HOST, WAIVED)
    assert security.policy is Policy.DANE
    assert security.demand is TlsDemand.REQUIRED


async def test_a_route_without_tls_stays_without() -> None:
    way = Way("a.test", "mx:", tls=TlsDemand.OFF, backing=Backing(dnssec=True))
    security = await Decider(Dane(a_zone(NAME, PLACE))).decide(way, HOST)
    assert security.policy is Policy.NONE


@pytest.mark.parametrize(
    ("mode", "policy", "falls_back"),
    [
        (StsMode.NONE, Policy.OPPORTUNISTIC, True),
        (StsMode.TESTING, Policy.STS_TESTING, True),
        (StsMode.ENFORCE, Policy.STS_ENFORCE, False),
    ],
)
def test_sts_demands_a_certificate_only_when_it_is_enforced(
    mode: StsMode, policy: Policy, falls_back: bool
) -> None:
    security = decide(Way("a.test", "mx:", backing=Backing(sts=mode)), HOST)
    assert security.policy is policy
    assert security.may_fall_back is falls_back
    assert security.verifies is (mode is not StsMode.NONE)
    assert security.name == NAME


WAIVED = SiteMemory(waived=Waived.TLS, failure=ResultType.EXPIRED)
PROOF_WAIVED = replace(WAIVED, waived=Waived.PROOF)


@pytest.mark.parametrize(
    ("mode", "memory", "demand", "checks", "failure"),
    [
        (StsMode.TESTING, PROOF_WAIVED, TlsDemand.OPPORTUNISTIC, False, ResultType.EXPIRED),
        (StsMode.TESTING, WAIVED, TlsDemand.OFF, False, ResultType.EXPIRED),
        (StsMode.ENFORCE, WAIVED, TlsDemand.REQUIRED, True, None),
        (StsMode.NONE, WAIVED, TlsDemand.OFF, False, ResultType.EXPIRED),
    ],
)
def test_what_was_waived_is_not_asked_for_again_unless_it_is_demanded(
    mode: StsMode,
    memory: SiteMemory,
    demand: TlsDemand,
    checks: bool,
    failure: ResultType | None,
) -> None:
    security = decide(Way("a.test", "mx:", backing=Backing(sts=mode)), HOST, memory)
    assert (security.demand, security.verifies) == (demand, checks)
    assert security.failure is failure


def test_a_host_that_a_policy_in_testing_does_not_name_is_a_failure_and_gets_mail() -> None:
    backing = Backing(sts=StsMode.TESTING, unlisted=(NAME,))
    security = decide(Way("a.test", "mx:", backing=backing), HOST)
    assert security.failure is ResultType.FAILED
    assert security.may_fall_back
    assert not security.verifies


def test_records_that_are_all_useless_are_a_failure() -> None:
    way = Way("a.test", "mx:", backing=Backing(dnssec=True))
    assert decide(way, HOST, tlsa=Tlsas(NAME, ())).failure is ResultType.TLSA_INVALID
