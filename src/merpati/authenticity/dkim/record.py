"""The record in the DNS that publishes a key (RFC 6376 §3.6.1, RFC 8463 §3), read without trust."""

import binascii
import re
from dataclasses import dataclass
from typing import TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from merpati.authenticity.dkim.result import Result
from merpati.authenticity.dkim.signature import KEY_TYPES, SignatureError, read_words
from merpati.authenticity.tags import TagError, Tags, parse_tags

MAX_RECORD = 4096
"""Octets of one record; RSA with 4,096 bits takes 750."""
MIN_RSA, MAX_RSA = 1024, 4096
"""Bits. RFC 8301 §3.2 forbids less, and asks nobody to verify more."""
_MAX_EXPONENT = 33
"""Bits of a public exponent: nearly all keys have 65,537, and what is longer than 32 bits cannot be
used on Windows. OpenSSL takes 64 with more than 3,072 bits, which doubles the time of a check, and
any with fewer."""
_BLANKS = re.compile(r"[ \t]+")
_PADDING, _HASH = PKCS1v15(), Prehashed(SHA256())

PublicKey: TypeAlias = RSAPublicKey | Ed25519PublicKey


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A published key and what it is for."""

    key: PublicKey
    testing: bool = False
    """t=y."""
    strict: bool = False
    """t=s: i= must not be in a domain below."""
    for_reports: bool = False
    """s=tlsrpt: for reports about TLS alone (RFC 8460 §3)."""

    @property
    def bits(self) -> int:
        """Of an RSA modulus; 256 for Ed25519."""
        return self.key.key_size if isinstance(self.key, RSAPublicKey) else 256

    def verifies(self, value: bytes, digest: bytes) -> bool:
        """Whether a signature is of octets with this SHA-256. Ed25519 signs that (RFC 8463 §3)."""
        try:
            if isinstance(self.key, RSAPublicKey):
                self.key.verify(value, digest, _PADDING, _HASH)
            else:
                self.key.verify(value, digest)
        except InvalidSignature:
            return False
        return True


def read_record(octets: bytes, algorithm: str, *, of_reports: bool = False) -> KeyRecord:
    """The key in a TXT record, for a signature by this algorithm. Raises SignatureError.

    `of_reports`: also one that is for reports about TLS alone.
    """
    tags = _tags(octets)
    _check_use(tags, algorithm)
    for_mail = bool({"*", "email"} & _services(tags))
    if not for_mail and not (of_reports and "tlsrpt" in _services(tags)):
        raise SignatureError(Result.PERMERROR, "the key is not for mail")
    flags = read_words(tags.get("t") or "")
    kind = KEY_TYPES[algorithm]
    key = _rsa(_octets(tags)) if kind == "rsa" else _ed25519(_octets(tags))
    return KeyRecord(key, "y" in flags, "s" in flags, for_reports=not for_mail)


def _services(tags: Tags) -> set[str]:
    return set(read_words(tags.get("s") or "*"))


def _tags(octets: bytes) -> Tags:
    if len(octets) > MAX_RECORD:
        raise SignatureError(Result.PERMERROR, "the key's record is too long")
    try:
        tags = parse_tags(octets)
    except TagError:
        raise SignatureError(Result.PERMERROR, "the key's record cannot be read") from None
    if "v" in tags and tags.pairs[0] != ("v", "DKIM1"):
        raise SignatureError(Result.PERMERROR, "the key's record is not of DKIM")
    return tags


def _check_use(tags: Tags, algorithm: str) -> None:
    """RFC 6376 §6.1.2: what the key is not for, it does not verify."""
    if (tags.get("k") or "rsa") != KEY_TYPES[algorithm]:
        raise SignatureError(Result.PERMERROR, "the key is for another algorithm")
    if "h" in tags and "sha256" not in read_words(tags.get("h") or ""):
        raise SignatureError(Result.PERMERROR, "the key is not for SHA-256")


def _octets(tags: Tags) -> bytes:
    value = tags.get("p")
    if value is None:
        raise SignatureError(Result.PERMERROR, "the record has no key")
    if not value:
        raise SignatureError(Result.PERMERROR, "the key is revoked")
    try:
        return binascii.a2b_base64(_BLANKS.sub("", value).encode("ascii"), strict_mode=True)
    except ValueError:
        raise SignatureError(Result.PERMERROR, "the key is not base64") from None


def _rsa(octets: bytes) -> RSAPublicKey:
    # SubjectPublicKeyInfo as everybody publishes it, or the bare RSAPublicKey of §3.6.1's text.
    try:
        key = load_der_public_key(octets)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SignatureError(Result.PERMERROR, "the key is not a key") from None
    if not isinstance(key, RSAPublicKey):
        raise SignatureError(Result.PERMERROR, "the key is for another algorithm")
    if not MIN_RSA <= key.key_size <= MAX_RSA:
        raise SignatureError(Result.POLICY, f"a key of {key.key_size} bits is not accepted")
    if key.public_numbers().e.bit_length() > _MAX_EXPONENT:
        raise SignatureError(Result.POLICY, "the key's exponent is not accepted")
    return key


def _ed25519(octets: bytes) -> Ed25519PublicKey:
    try:
        return Ed25519PublicKey.from_public_bytes(octets)
    except ValueError:
        raise SignatureError(Result.PERMERROR, "the key is not a key") from None
