"""A key to sign with, its text for a file, and the record that publishes it."""

from base64 import b64encode
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from typing import TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from merpati.errors import MerpatiError

MIN_BITS, MAX_BITS = 2048, 4096
"""Of an RSA key that signs (RFC 8301 §3.2: at least 1,024, better 2,048; nobody need read more)."""
_STRING = 255
_PADDING, _HASH = PKCS1v15(), SHA256()

PrivateKey: TypeAlias = rsa.RSAPrivateKey | Ed25519PrivateKey


class KeyKind(Enum):
    """Which key to make; the value is what people call it."""

    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"
    ED25519 = "ed25519"


class KeyPairError(MerpatiError):
    """Text that is no key to sign with; the message says why, without repeating it."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key with its public half. Its `repr` shows nothing of it."""

    private: PrivateKey

    @classmethod
    def generate(cls, kind: KeyKind) -> "KeyPair":
        """A new one. RSA takes from a tenth of a second of CPU to several seconds."""
        if kind is KeyKind.ED25519:
            return cls(Ed25519PrivateKey.generate())
        return cls(rsa.generate_private_key(65537, int(kind.value.removeprefix("rsa-"))))

    @classmethod
    def from_pem(cls, pem: bytes, *, is_checked: bool = False) -> "KeyPair":
        """A key in PEM (PKCS #1 or #8, not encrypted). Raises KeyPairError.

        `is_checked`: it comes from where it was put after it had been read once. To see that the
        numbers of an RSA key belong together takes 40 ms, as long as a hundred signatures.
        """
        try:
            key = load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=is_checked)
        except TypeError:
            raise KeyPairError("the key is encrypted: take its password off first") from None
        except (ValueError, UnsupportedAlgorithm):
            raise KeyPairError("not a private key in PEM") from None
        if isinstance(key, Ed25519PrivateKey):
            return cls(key)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise KeyPairError("DKIM knows RSA and Ed25519 keys only")
        if not MIN_BITS <= key.key_size <= MAX_BITS:
            raise KeyPairError(f"an RSA key must have {MIN_BITS} to {MAX_BITS} bits")
        return cls(key)

    @property
    def pem(self) -> bytes:
        """The private key in PKCS #8, not encrypted: for a file of mode 0600."""
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def algorithm(self) -> str:
        """What a= says of its signatures."""
        return "rsa-sha256" if isinstance(self.private, rsa.RSAPrivateKey) else "ed25519-sha256"

    @property
    def kind(self) -> str:
        """As KeyKind calls it; a key from elsewhere may have another number of bits."""
        if isinstance(self.private, rsa.RSAPrivateKey):
            return f"rsa-{self.private.key_size}"
        return "ed25519"

    @property
    def record(self) -> bytes:
        """What its TXT record says (RFC 6376 §3.6.1, RFC 8463 §4)."""
        public = self.private.public_key()
        if isinstance(public, rsa.RSAPublicKey):
            der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            return b"v=DKIM1; k=rsa; p=" + b64encode(der)
        return b"v=DKIM1; k=ed25519; p=" + b64encode(public.public_bytes_raw())

    def sign(self, octets: bytes) -> bytes:
        """The signature; the same octets give the same. Other threads run meanwhile."""
        if isinstance(self.private, rsa.RSAPrivateKey):
            return self.private.sign(octets, _PADDING, _HASH)
        return self.private.sign(sha256(octets).digest())  # RFC 8463 §3: the hash is signed


def txt_strings(record: bytes) -> list[bytes]:
    """A record in the strings of at most 255 octets that the DNS takes (RFC 6376 §3.6.2.2)."""
    return [record[start : start + _STRING] for start in range(0, len(record), _STRING)]
