"""The order in which TLSA records and keys change, for whatever stands in the DNS: an operator does
what is told and nothing else, and at no moment may a sender be shut out."""

import hashlib
import time
from functools import cache

import trustme
from cryptography import x509
from msgspec import structs

from merpati.certificates.cabinet import Rolling
from merpati.certificates.rolling import Roller, Step
from merpati.certificates.tlsa import Identity, Tlsa, identity_of, public_of
from merpati.certificates.zone import ZoneWriter
from merpati.delivery import dane
from merpati.dns.resolver import Answer, Found
from tests.cases import each

HOST = "mx.a.test"
TTL = 60.0
DIGESTS = {1: hashlib.sha256, 2: hashlib.sha512}


@cache
def authority(name: str) -> trustme.CA:
    return trustme.CA(organization_name=name, key_type=trustme.KeyType.ECDSA)


@cache
def who(name: str, by: str = "ca") -> Identity:
    """A key of its own with a certificate, and the authority's behind it."""
    signer = authority(by)
    leaf = signer.issue_cert(HOST, common_name=name, key_type=trustme.KeyType.ECDSA)
    return identity_of(leaf.cert_chain_pems[0].bytes() + signer.cert_pem.bytes())


def pin(kind: str, of: Identity) -> Tlsa:
    """A record as `3 1 1` says it."""
    usage, selector, matching = map(int, kind.split())
    octets = of.chain[0] if usage == 3 else of.chain[-1]
    if selector == 1:
        octets = of.key if usage == 3 else _key_of(octets)
    return usage, selector, matching, DIGESTS[matching](octets).digest() if matching else octets


def _key_of(der: bytes) -> bytes:
    return public_of(x509.load_der_x509_certificate(der))


class World:
    """A zone, an operator who does as told, and every sender there may be."""

    def __init__(self, zone: list[Tlsa], old: Identity, new: Identity) -> None:
        self.zone, self.shown, self.new = list(zone), old, new
        self.at = 1.0
        self.known = [(0.0, tuple(zone))]
        """What resolvers may have, with the moments that it was there until."""
        self.roller = Roller(self.tlsa, ZoneWriter(lambda name: None), lambda: self.at)
        self.rolling = Rolling(since=0.0, digest="")
        self.steps: list[Step] = []

    def tlsa(self, host: str) -> Answer[Tlsa]:
        found = Found.RECORDS if self.zone else Found.NO_DATA
        return Answer(found, tuple(self.zone), ttl=TTL, secure=True)

    def step(self) -> Step:
        self.rolling, step = self.roller.step([HOST], self.rolling, self.new.key, self.shown)
        self.steps.append(step)
        if step is Step.SWITCH:
            stale = self.shown.chain[0]
            self.rolling = structs.replace(self.rolling, switched=self.at, certificate=stale)
            self.shown = self.new
        return step

    def obey(self) -> None:
        """What is told is done, to the letter."""
        before = tuple(self.zone)
        for told in filter(None, self.rolling.trouble.split("; ")):
            what, _, record = told.partition(f": _25._tcp.{HOST}. IN TLSA ")
            usage, selector, matching, octets = record.split()
            one = (int(usage), int(selector), int(matching), bytes.fromhex(octets))
            if what == "publish beside what is there":
                self.zone.append(one)
            elif what.startswith("take out"):
                self.zone.remove(one)
        self.known = [(until, zone) for until, zone in self.known if until + TTL > self.at]
        self.known.append((self.at, before))

    def shut_out(self) -> list[tuple[Tlsa, ...]]:
        """Zones that somebody may believe now, and that what is shown does not prove."""
        zones = [zone for until, zone in self.known if until + TTL > self.at]
        return [
            zone
            for zone in (*zones, tuple(self.zone))
            for digests in ({1}, {1, 2})
            if (taken := _taken(zone, digests))
            and not dane.prove(taken, self.shown.chain, [HOST], time.time())
        ]

    def play(self) -> None:
        for _ in range(40):
            if self.step() is Step.DONE:
                return
            assert not self.shut_out()
            self.obey()
            assert not self.shut_out()
            self.at += 30
        raise AssertionError(f"never done: {self.rolling.trouble}")


def _taken(zone: tuple[Tlsa, ...], digests: set[int]) -> list[dane.Tlsa]:
    """What a sender that knows these digests looks at (RFC 7671 §9)."""
    known = [one for one in (dane.Tlsa(*record) for record in zone) if one.is_usable]
    known = [one for one in known if one.matching in (0, *digests)]
    best = {(one.usage, one.selector): 0 for one in known}
    for one in known:
        best[one.usage, one.selector] = max(best[one.usage, one.selector], one.matching)
    return [one for one in known if one.matching in (0, best[one.usage, one.selector])]


OLD, NEW, OTHER = who("old"), who("new"), who("other")


@each(
    ("old", "waits"),
    [
        ("3 1 1", True),
        ("3 1 2", True),
        ("3 1 0", True),
        ("3 1 1,3 1 2", True),
        ("3 1 0,3 1 1,3 1 2", True),
        ("3 0 0", True),
        ("3 0 1", True),
        ("3 0 2", True),
        ("3 0 1,3 0 2,3 1 2", True),
        ("2 0 1,3 1 2", True),
        ("2 1 1", False),
        ("2 0 2,2 1 2", False),
        ("2 0 0", False),
        ("1 1 1", False),
        ("0 0 1", False),
        ("", False),
    ],
)
def test_at_no_moment_is_a_sender_shut_out(old: str, waits: bool) -> None:
    world = World([pin(kind, OLD) for kind in filter(None, old.split(","))], OLD, NEW)
    world.play()
    assert (world.steps[0] is Step.WAIT) is waits
    assert not [one for one in world.zone if one[0] == 3 and OLD.matches(one)]


@each(
    ("old", "publishes"),
    [
        ("3 1 1", {"3 1 1"}),
        ("3 1 2", {"3 1 2"}),
        ("3 1 1,3 1 2", {"3 1 1", "3 1 2"}),
        ("3 0 2", {"3 1 2"}),
        ("3 0 1,3 1 2", {"3 1 1", "3 1 2"}),
    ],
)
def test_the_new_key_is_announced_in_each_form_that_a_key_stands_in(
    old: str, publishes: set[str]
) -> None:
    world = World([pin(kind, OLD) for kind in old.split(",")], OLD, NEW)
    world.play()
    assert set(world.zone) == {pin(kind, NEW) for kind in publishes}


def test_a_record_of_another_key_stays_and_its_form_is_announced_in_too() -> None:
    world = World([pin("3 1 1", OLD), pin("3 1 2", OLD), pin("3 1 2", OTHER)], OLD, NEW)
    world.play()
    left = {pin("3 1 1", NEW), pin("3 1 2", NEW), pin("3 1 2", OTHER)}
    assert set(world.zone) == left


def test_one_form_of_two_is_not_enough_to_switch() -> None:
    world = World([pin("3 1 2", OLD), pin("3 1 1", NEW)], OLD, NEW)
    for world.at in (1.0, 10.0, 200.0, 100_000.0):
        assert world.step() is Step.WAIT
    digest = hashlib.sha512(NEW.key).hexdigest()
    assert world.rolling.trouble == (
        f"publish beside what is there: _25._tcp.{HOST}. IN TLSA 3 1 2 {digest}"
    )


def test_a_form_that_cannot_be_made_has_to_go_before_anything_is_put_beside_it() -> None:
    odd = (3, 1, 9, b"\x01\x02")
    world = World([odd], OLD, NEW)
    assert world.step() is Step.WAIT
    assert world.rolling.trouble.startswith("take out first")
    assert world.rolling.trouble.endswith(f"_25._tcp.{HOST}. IN TLSA 3 1 9 0102")
    world.play()
    assert world.zone == []


def test_beside_records_that_nobody_goes_by_nothing_is_announced() -> None:
    world = World([(3, 1, 1, b"short"), (1, 1, 1, b"\0" * 32), (3, 7, 1, b"\0" * 32)], OLD, NEW)
    assert world.step() is Step.SWITCH
    assert world.step() is Step.DONE


def test_where_the_authority_is_not_the_pinned_one_the_key_is_announced() -> None:
    world = World([pin("2 1 1", who("x", "another"))], OLD, NEW)
    assert world.step() is Step.WAIT
    world.obey()
    assert pin("3 1 1", NEW) in world.zone


def test_it_is_not_done_while_another_authority_than_the_pinned_one_has_signed() -> None:
    world = World([pin("2 1 1", OLD)], OLD, who("new", "another"))
    assert world.step() is Step.SWITCH
    assert world.step() is Step.WAIT
    assert "publish beside what is there" in world.rolling.trouble
    world.obey()
    assert world.step() is Step.DONE
    world.at += TTL
    assert not world.shut_out()


def test_what_was_taken_out_behind_the_switch_is_asked_for_again() -> None:
    world = World([pin("3 1 2", OLD), pin("3 1 2", NEW)], OLD, NEW)
    world.step()
    world.at = 200.0
    assert world.step() is Step.SWITCH
    world.zone = [pin("3 1 2", OTHER)]
    assert world.step() is Step.WAIT
    world.obey()
    assert world.step() is Step.DONE
