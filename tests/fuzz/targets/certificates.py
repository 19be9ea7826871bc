"""What certificate files, CAs and clients that ask for a name hand in."""

import datetime
import tempfile
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from merpati.certificates.authority import certificate_id, checked
from merpati.certificates.cabinet import Cabinet, State
from merpati.certificates.chooser import Chooser
from merpati.certificates.errors import AcmeError
from merpati.certificates.keys import Key, KeyType, make_key
from merpati.certificates.pair import Pair, make_pair
from merpati.certificates.source import Files, Source
from merpati.wire.errors import TlsError
from tests.fuzz.target import Target

NAMES = ("mx.a.test", "*.b.test")
NOW = 1_800_000_000.0


@cache
def made() -> tuple[Files, Key]:
    """The same key in each process, so that a finding can be replayed."""
    key = ec.derive_private_key(8555, ec.SECP256R1())
    at = datetime.datetime.fromtimestamp(NOW, datetime.UTC)
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in NAMES])
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder(x509.Name([]), x509.Name([]), key.public_key(), 9773)
        .not_valid_before(at)
        .not_valid_after(at + datetime.timedelta(days=90))
        .add_extension(alternatives, critical=True)
        .add_extension(issuer, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Files((1,), certificate.public_bytes(Encoding.PEM), pem), key


@cache
def _chooser() -> tuple[Chooser, Pair]:
    source = Source(Path("c"), Path("k"))
    pair = make_pair(source, made()[0])
    return Chooser([pair], NOW), pair


def ca_chain(octets: bytes) -> None:
    """A chain is taken only for our key and exactly our names."""
    key = made()[1]
    try:
        chain = checked(octets, key, NAMES, NOW)
    except AcmeError:
        return
    assert checked(chain, key, NAMES, NOW) == chain
    try:
        certificate_id(chain)
    except ValueError:
        return


def certificate_files(octets: bytes) -> None:
    """Files that fit, or TlsError."""
    files = Files((1,), octets, made()[0].key)
    try:
        pair = make_pair(Source(Path("c"), Path("k")), files)
    except TlsError:
        return
    assert pair.shown.ends >= pair.shown.begins


def asked_name(octets: bytes) -> None:
    """Whatever a client asks for, it is shown something; a token leads to no file."""
    chooser, pair = _chooser()
    assert chooser.pair(octets.decode("latin-1")) is pair
    with tempfile.TemporaryDirectory() as folder:
        assert Cabinet(Path(folder)).answer(octets.decode("latin-1")) == ""


def renewal_state(octets: bytes) -> None:
    """What is kept of a renewal is read, or is as if it were not there."""
    with tempfile.TemporaryDirectory() as folder:
        cabinet = Cabinet(Path(folder))
        (Path(folder) / "a.test.json").write_bytes(octets)
        assert isinstance(cabinet.state("a.test"), State)


_PEM = (
    made()[0].chain,
    made()[0].chain * 2,
    make_key(KeyType.P256),
    *(b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n", b"-----", b"\n", b"MII"),
    *(b"=", b"\0", b"\xff", b"-----BEGIN X509 CRL-----\n", b"-----BEGIN "),
)
TARGETS = (
    Target("ca_chain", ca_chain, _PEM),
    Target("certificate_files", certificate_files, _PEM),
    Target("asked_name", asked_name, (b"mx.a.test", b"*.", b".", b"b.test", b"..", b"/", b"\0")),
    Target(
        "renewal_state",
        renewal_state,
        (b'{"failures":', b"1", b"}", b'"rolling":{', b'"since":0,"digest":"', b'"', b"[", b"null"),
    ),
)
