"""Certificates for logos: what receivers would believe, and what not."""

import base64
import datetime
import gzip
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from merpati.authenticity.bimi.evidence import (
    BRAND_INDICATOR,
    LOGOTYPE,
    MAX_OCTETS,
    Claim,
    examine,
)
from merpati.cli.logo import logo

NOW = 1_900_000_000.0
DAY = 86_400.0
CLAIM = Claim("news.a.test", "default", "a.test")
SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" version="1.2" baseProfile="tiny-ps" '
    b'viewBox="0 0 8 8"><title>A</title></svg>'
)


def element(tag: int, *values: bytes) -> bytes:
    body = b"".join(values)
    size = len(body)
    length = bytes([size]) if size < 128 else bytes([0x82]) + size.to_bytes(2, "big")
    return bytes([tag]) + length + body


def logotype(uri: bytes) -> bytes:
    """RFC 9399 §4.1: the subject's logo, direct, one image."""
    algorithm = element(0x30, element(0x06, bytes.fromhex("608648016503040201")))
    hashed = element(0x30, element(0x30, algorithm, element(0x04, bytes(32))))
    details = element(
        0x30, element(0x16, b"image/svg+xml"), hashed, element(0x30, element(0x16, uri))
    )
    data = element(0x30, element(0x30, element(0x30, details)))
    return element(0x30, element(0xA2, element(0xA0, data)))


def embedded(svg: bytes) -> bytes:
    return b"data:image/svg+xml;base64," + base64.b64encode(gzip.compress(svg))


@dataclass(frozen=True)
class Wish:
    """What a certificate is to say."""

    names: tuple[str, ...] = ("a.test",)
    use: ObjectIdentifier = BRAND_INDICATOR
    logo: bytes | None = logotype(embedded(SVG))
    begins: float = NOW - DAY


class Authority:
    """An authority for marks, and one below it that signs."""

    def __init__(self, now: float = NOW) -> None:
        self._now = now
        self.root_key, self.key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        self.root = self._authority("root", self.root_key, self.root_key, "root")
        self.between = self._authority("between", self.key, self.root_key, "root")

    def _authority(
        self,
        name: str,
        key: ec.EllipticCurvePrivateKey,
        above: ec.EllipticCurvePrivateKey,
        issuer: str,
    ) -> x509.Certificate:
        builder = _builder(name, issuer, key.public_key(), self._now - 100 * DAY)
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        return builder.add_extension(constraints, critical=True).sign(above, hashes.SHA256())

    def pem(self, wish: Wish) -> bytes:
        """A mark's certificate with its chain."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder("mark", "between", key.public_key(), wish.begins)
        names = x509.SubjectAlternativeName([x509.DNSName(name) for name in wish.names])
        builder = builder.add_extension(names, critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([wish.use]), critical=False)
        if wish.logo is not None:
            extension = x509.UnrecognizedExtension(LOGOTYPE, wish.logo)
            builder = builder.add_extension(extension, critical=False)
        chain = (builder.sign(self.key, hashes.SHA256()), self.between)
        return b"".join(one.public_bytes(Encoding.PEM) for one in chain)


def _builder(
    name: str, issuer: str, key: ec.EllipticCurvePublicKey, begins: float
) -> x509.CertificateBuilder:
    at = datetime.datetime.fromtimestamp(begins, datetime.UTC)
    return x509.CertificateBuilder(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
        key,
        x509.random_serial_number(),
        at,
        at + datetime.timedelta(days=365),
    )


AUTHORITY = Authority()


def flaws(wish: Wish, trusted: tuple[x509.Certificate, ...] = (AUTHORITY.root,)) -> tuple[str, ...]:
    return examine(AUTHORITY.pem(wish), CLAIM, NOW, trusted).flaws


@pytest.mark.parametrize("name", ["news.a.test", "A.test", "default._bimi.a.test"])
def test_a_certificate_for_the_domain_gives_its_logo(name: str) -> None:
    found = examine(AUTHORITY.pem(Wish(names=(name,))), CLAIM, NOW, [AUTHORITY.root])
    assert found.flaws == ()
    assert found.logo == SVG
    assert found.names == (name.lower(),)


@pytest.mark.parametrize(
    ("wish", "flaw"),
    [
        (
            Wish(names=("b.test", "other._bimi.a.test")),
            "not for news.a.test, but for b.test, ",
        ),
        (Wish(use=ExtendedKeyUsageOID.SERVER_AUTH), "its use is another"),
        (Wish(begins=NOW - 366 * DAY), "it has expired"),
        (Wish(begins=NOW + DAY), "is not valid yet"),
        (Wish(logo=None), "no logo in it"),
        (Wish(logo=logotype(b"https://a.test/logo.svg")), "no embedded SVG"),
        (Wish(logo=logotype(embedded(SVG)[:-8])), "the logo in it"),
        (
            Wish(logo=logotype(embedded(SVG.replace(b"tiny-ps", b"full")))),
            'baseProfile is not "',
        ),
        (Wish(logo=b"\x30\x84\xff\xff\xff\xff"), "no embedded SVG"),
        (Wish(logo=b"\x30\x80" * 50), "no embedded SVG"),
    ],
)
def test_what_receivers_would_not_believe_is_said(wish: Wish, flaw: str) -> None:
    (told,) = flaws(wish)
    assert flaw in told


def test_a_chain_has_to_lead_to_an_authority_that_is_trusted() -> None:
    untrusted = "no authority for marks that is trusted has signed it"
    assert flaws(Wish(), ()) == (untrusted,)
    assert flaws(Wish(), (Authority().root,)) == (untrusted,)
    first = AUTHORITY.pem(Wish()).partition(b"-----END CERTIFICATE-----\n")
    broken = b"".join(first[:2]) + Authority().between.public_bytes(Encoding.PEM)
    (told,) = examine(broken, CLAIM, NOW, [AUTHORITY.root]).flaws
    assert told == "certificate 2 of its chain did not sign the one before it"


def test_a_certificate_that_may_not_sign_vouches_for_nobody() -> None:
    """The one of a mark would else be an authority for every other."""
    mark = ec.generate_private_key(ec.SECP256R1())
    middle = _builder("between", "root", mark.public_key(), NOW - DAY)
    forged = Authority()
    forged.key, forged.between = mark, middle.sign(AUTHORITY.root_key, hashes.SHA256())
    (told,) = examine(forged.pem(Wish()), CLAIM, NOW, [AUTHORITY.root]).flaws
    assert told == "certificate 2 of its chain did not sign the one before it"


def test_a_logo_that_grows_without_end_is_not_unpacked() -> None:
    bomb = logotype(embedded(bytes(4 * MAX_OCTETS)))
    (told,) = flaws(replace(Wish(), logo=bomb))
    assert "longer than" in told


@pytest.mark.parametrize("pem", [b"", b"\xff" * 100, b"-----BEGIN CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_none(pem: bytes) -> None:
    assert examine(pem, CLAIM, NOW, []).flaws == ("it is no chain of certificates in PEM",)
    assert "longer than" in examine(bytes(MAX_OCTETS + 1), CLAIM, NOW, []).flaws[0]


def test_files_are_looked_at_before_they_are_published(tmp_path: Path) -> None:
    key = Wish(begins=time.time() - DAY)  # The command goes by the clock of the machine.
    authority = Authority(time.time())
    files = {name: tmp_path / name for name in ("logo.svg", "vmc.pem", "roots.pem")}
    files["logo.svg"].write_bytes(SVG)
    files["vmc.pem"].write_bytes(authority.pem(key))
    files["roots.pem"].write_bytes(authority.root.public_bytes(Encoding.PEM))
    options = ["--certificate", str(files["vmc.pem"]), "--authorities", str(files["roots.pem"])]

    def look(domain: str) -> tuple[int, str]:
        done = CliRunner().invoke(logo, [domain, str(files["logo.svg"]), *options])
        return done.exit_code, done.output

    assert look("a.test") == (0, "Nothing is known against it.\n")
    assert look("b.test")[0] == 1
    files["logo.svg"].write_bytes(SVG.replace(b"<title>A", b"<title>B"))
    assert look("a.test") == (1, f"{files['vmc.pem']}: the logo in it is another\n")
