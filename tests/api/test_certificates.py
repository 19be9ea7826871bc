"""What operators are told of the TLSA records that a certificate's hosts have and lack."""

import hashlib
from pathlib import Path

import pytest
import trustme
from cryptography import x509

from merpati.api import questions as ask
from merpati.api.certificates import CertificateOffice
from merpati.api.errors import Unknown
from merpati.certificates.cabinet import Cabinet, Rolling, State
from merpati.certificates.desk import Desk
from merpati.certificates.keys import KeyType, digest_of, make_key, read_key
from merpati.certificates.renewal import AcmeSettings
from merpati.certificates.source import OwnReader, Source
from merpati.certificates.tlsa import Tlsa, identity_of, public_of
from merpati.dns.errors import DnsError, DnsTimeout
from merpati.dns.resolver import Answer, Found
from merpati.testing.clock import VirtualClock

HOST = "mx.a.test"
CA = trustme.CA(key_type=trustme.KeyType.ECDSA)
ISSUED = CA.create_child_ca(key_type=trustme.KeyType.ECDSA).issue_cert(
    HOST, "*.a.test", key_type=trustme.KeyType.ECDSA
)
CHAIN = b"".join(blob.bytes() for blob in ISSUED.cert_chain_pems)
OURS = identity_of(CHAIN)
NEXT = make_key(KeyType.P256)


def sha256(octets: bytes) -> bytes:
    return hashlib.sha256(octets).digest()


def sha512(octets: bytes) -> bytes:
    return hashlib.sha512(octets).digest()


class World:
    """A server that shows one certificate of a CA, and the zone of its host."""

    def __init__(self, folder: Path, *zone: Tlsa, secure: bool = True) -> None:
        self.zone: tuple[Tlsa, ...] | DnsError = zone
        self.secure = secure
        self.cabinet = Cabinet(folder / "certificates")
        self.cabinet.open()
        self.cabinet.put(HOST, ISSUED.private_key_pem.bytes(), CHAIN)
        self.office = CertificateOffice(self.desk, lambda event: None)

    @property
    def desk(self) -> Desk:
        def nobody() -> AcmeSettings:
            raise AssertionError("no CA is asked")

        nowhere = Source(Path("/nowhere"), Path("/nowhere"))
        return Desk(
            self.cabinet,
            VirtualClock(),
            OwnReader(),
            orders=lambda: ((HOST,),),
            sources=lambda: (),
            fallback=lambda: nowhere,
            key_type=lambda: KeyType.P256,
            acme=nobody,
            tlsa=self.tlsa,
        )

    async def tlsa(self, host: str) -> Answer[Tlsa]:
        assert host == HOST
        if isinstance(self.zone, DnsError):
            raise self.zone
        found = Found.RECORDS if self.zone else Found.NO_DATA
        return Answer(found, self.zone, ttl=60.0, secure=self.secure)

    def roll(self, switched: float = 0.0) -> None:
        """A key is to follow."""
        self.cabinet.put_next_key(HOST, NEXT)
        rolling = Rolling(since=1.0, digest=digest_of(read_key(NEXT)), switched=switched)
        self.cabinet.put_state(HOST, State(rolling=rolling))

    async def host(self) -> ask.HostTlsa:
        """What is told of the one that is no wildcard."""
        detail = await self.office.show(ask.Named(name=HOST))
        assert detail.names == (HOST, "*.a.test")
        (host,) = detail.hosts
        return host


def line(text: str, octets: bytes) -> str:
    return f"_25._tcp.{HOST}. IN TLSA {text} {octets.hex()}"


USUAL = line("3 1 1", sha256(OURS.key))


async def test_without_any_record_the_usual_one_is_to_be_published(tmp_path: Path) -> None:
    assert await World(tmp_path).host() == ask.HostTlsa(host=HOST, secure=True, missing=(USUAL,))


async def test_every_record_is_told_with_what_it_is_of(tmp_path: Path) -> None:
    zone: tuple[Tlsa, ...] = (
        (3, 1, 1, sha256(OURS.key)),
        (3, 0, 2, sha512(OURS.chain[0])),
        (2, 0, 1, sha256(OURS.chain[1])),
        (3, 1, 1, sha256(public_of(read_key(NEXT)))),
        (3, 1, 2, sha512(b"another")),
        (3, 1, 9, b"odd"),
        (1, 1, 1, sha256(OURS.key)),
        (3, 1, 1, b"short"),
    )
    world = World(tmp_path, *zone)
    world.roll()
    host = await world.host()
    assert [one.of for one in host.found] == [
        "key",
        "certificate",
        "authority",
        "next-key",
        "other",
        "unmade",
        "void",
        "void",
    ]
    assert host.found[0].record == USUAL
    assert host.missing == (), "beside a form that cannot be made nothing is published"


async def test_what_is_lacking_is_told_in_the_forms_that_stand_there(tmp_path: Path) -> None:
    host = await World(tmp_path, (3, 1, 2, sha512(b"another")), (3, 1, 1, sha256(OURS.key))).host()
    assert host.missing == (line("3 1 2", sha512(OURS.key)),)
    host = await World(tmp_path, (3, 0, 1, sha256(OURS.chain[0]))).host()
    assert host.missing == (USUAL,), "this one is true after a renewal, too"


async def test_nothing_is_lacking_where_the_authority_is_enough(tmp_path: Path) -> None:
    assert (await World(tmp_path, (2, 0, 1, sha256(OURS.chain[1]))).host()).missing == ()
    host = await World(tmp_path, (2, 0, 2, sha512(b"another"))).host()
    assert host.missing == (line("3 1 2", sha512(OURS.key)),)


async def test_the_key_that_follows_comes_in_the_forms_that_stand_there(tmp_path: Path) -> None:
    key = public_of(read_key(NEXT))
    world = World(tmp_path, (3, 1, 2, sha512(OURS.key)), (3, 1, 2, sha512(key)))
    world.roll()
    assert (await world.host()).coming == (line("3 1 2", sha512(key)),)
    world.roll(switched=2.0)
    assert (await world.host()).coming == ()
    world.zone = ()
    world.roll()
    assert (await world.host()).coming == (), "who has no records needs none"


async def test_where_the_dns_says_nothing_the_usual_ones_are_told(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.zone = DnsTimeout("nobody answers")
    world.roll()
    host = await world.host()
    assert host.trouble == "nobody answers"
    assert (host.missing, host.found) == ((USUAL,), ())
    assert host.coming == (line("3 1 1", sha256(public_of(read_key(NEXT)))),)


async def test_a_name_that_is_not_here_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unknown, match=r"no certificate is called b\.test; there are: mx\.a\.test"):
        await World(tmp_path).office.show(ask.Named(name="b.test"))


def test_the_chain_is_whole() -> None:
    assert len(x509.load_pem_x509_certificates(CHAIN)) == len(OURS.chain) == 2
