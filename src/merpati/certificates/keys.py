"""Private keys of certificates, and what is asked of a CA with them."""

import hashlib
from collections.abc import Sequence
from enum import Enum

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from merpati.certificates.errors import IssueError

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class KeyType(Enum):
    """Kinds of keys that public CAs sign."""

    P256 = "ecdsa-p256"
    P384 = "ecdsa-p384"
    RSA2048 = "rsa-2048"
    RSA3072 = "rsa-3072"
    RSA4096 = "rsa-4096"


def make_key(kind: KeyType) -> bytes:
    """A new one in PEM. RSA takes up to some seconds."""
    made: Key
    if kind in (KeyType.P256, KeyType.P384):
        made = ec.generate_private_key(ec.SECP256R1() if kind is KeyType.P256 else ec.SECP384R1())
    else:
        made = rsa.generate_private_key(65537, int(kind.value.partition("-")[2]))
    return made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def read_key(pem: bytes) -> Key:
    """The private key that is in a PEM text; IssueError when there is none of these kinds."""
    begin = pem.find(b"-----BEGIN PRIVATE KEY-----")
    try:
        key = load_pem_private_key(pem[max(begin, 0) :], None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise IssueError(f"no private key: {error}") from error
    if not isinstance(key, Key):
        raise IssueError("a private key of a kind that is not used for certificates")
    return key


def request(key: Key, names: Sequence[str]) -> bytes:
    """What a CA is to sign (CSR, PEM): these names alone."""
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    builder = x509.CertificateSigningRequestBuilder(x509.Name([]))
    builder = builder.add_extension(alternatives, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def digest_of(key: Key | x509.Certificate) -> str:
    """SHA-256 of the public key, in hex: what a TLSA record 3 1 1 says (RFC 6698 §2.1)."""
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(public).hexdigest()
