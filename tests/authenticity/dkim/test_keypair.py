"""Keys: made, written down, read again, published (RFC 8301 and 8463)."""

from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from merpati.authenticity.dkim.keypair import KeyKind, KeyPair, KeyPairError, txt_strings
from merpati.authenticity.dkim.record import read_record
from tests.authenticity.dkim.signed import pair

kinds = pytest.mark.parametrize("kind", [KeyKind.RSA_2048, KeyKind.ED25519])


@kinds
def test_a_key_that_is_written_and_read_is_the_same(kind: KeyKind) -> None:
    again = KeyPair.from_pem(pair(kind).pem)
    assert again.record == pair(kind).record
    assert again.sign(b"octets") == pair(kind).sign(b"octets")
    assert again.kind == kind.value


@kinds
def test_the_record_verifies_what_the_key_signed(kind: KeyKind) -> None:
    key = read_record(pair(kind).record, pair(kind).algorithm)
    digest = sha256(b"octets").digest()
    assert key.verifies(pair(kind).sign(b"octets"), digest)
    assert not key.verifies(pair(kind).sign(b"octets"), sha256(b"other octets").digest())
    assert not key.verifies(b"", digest)
    assert not key.verifies(b"x" * 64, digest)
    assert (key.testing, key.strict) == (False, False)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [KeyKind.RSA_3072, KeyKind.RSA_4096])
def test_longer_keys_have_the_bits_that_their_name_says(kind: KeyKind) -> None:
    made = KeyPair.generate(kind)
    assert read_record(made.record, made.algorithm).bits == int(kind.value[4:])


def test_a_record_is_split_into_strings_that_the_dns_takes() -> None:
    strings = txt_strings(pair().record)
    assert b"".join(strings) == pair().record
    assert len(strings) == 2
    assert max(map(len, strings)) <= 255


def test_the_repr_of_a_key_shows_nothing_of_it() -> None:
    assert len(repr(pair(KeyKind.ED25519))) < 120


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, password: bytes = b"") -> bytes:
    how = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, how)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"nonsense", "not a private key"),
        (b"", "not a private key"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "RSA and Ed25519"),
        (pem(ec.generate_private_key(ec.SECP256R1()), b"password"), "encrypted"),
        (pem(rsa.generate_private_key(65537, 1024)), "2048 to 4096 bits"),
    ],
)
def test_what_is_no_key_to_sign_with_says_why(text: bytes, why: str) -> None:
    with pytest.raises(KeyPairError, match=why):
        KeyPair.from_pem(text)


@pytest.mark.slow
def test_a_key_of_openssl_is_read() -> None:
    private = pair().private
    assert isinstance(private, rsa.RSAPrivateKey)
    assert KeyPair.from_pem(pem(private)).record == pair().record
