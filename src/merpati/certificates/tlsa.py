"""TLSA records of a host, as the DNS has them: what they are of, and which a key needs beside them.

RFC 7671 §9: of records of one usage and selector a sender looks only at those with the strongest
digest that it knows. So a key has to stand there in every form that any key does, or a `3 1 2` of
another key would hide its `3 1 1`.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from merpati.certificates.keys import Key
from merpati.dns.resolver import Answer, Found

Tlsa = tuple[int, int, int, bytes]
PORT = 25
"""Of the hosts that other servers hold against their TLSA records (RFC 7672)."""
_TA, _EE = 2, 3
"""Usages (RFC 7218 §2.1); SMTP takes no others (RFC 7672 §3.1.3)."""
_WHOLE, _SPKI = 0, 1
"""Selectors: the certificate, or its public key."""
_SHA256, _SHA512 = 1, 2
_MADE: Mapping[int, tuple[int, Callable[[bytes], bytes]]] = {
    0: (0, lambda octets: octets),
    1: (32, lambda octets: hashlib.sha256(octets).digest()),
    2: (64, lambda octets: hashlib.sha512(octets).digest()),
}
"""By matching type (RFC 6698 §2.1.3): how long the data is, 0 for any length; how it is made."""


class Meaning(Enum):
    """What a record is of; the value is for programs."""

    KEY = "key"
    """The key in use: it stays true when the certificate is renewed."""
    CERTIFICATE = "certificate"
    """The certificate itself: it is wrong after the next renewal."""
    AUTHORITY = "authority"
    """One above the certificate that is shown."""
    NEXT = "next-key"
    """The key that is to follow."""
    OTHER = "other"
    """Another key, certificate or authority."""
    UNMADE = "unmade"
    """A key in a form that we cannot make: it may hide all that we can."""
    VOID = "void"
    """Nobody goes by it in SMTP (RFC 7672 §3.1.3)."""


def owner_of(host: str) -> str:
    """The name of a host's TLSA records."""
    return f"_{PORT}._tcp.{host}"


def line_of(host: str, record: Tlsa) -> str:
    """A record as a zone file has it."""
    return f"{owner_of(host)}. IN TLSA {text_of(record)}"


def text_of(record: Tlsa) -> str:
    """The same without its name."""
    usage, selector, matching, octets = record
    return f"{usage} {selector} {matching} {octets.hex()}"


def record_of(text: str) -> Tlsa:
    """What `text_of` made a text of."""
    usage, selector, matching, octets = text.split()
    return int(usage), int(selector), int(matching), bytes.fromhex(octets)


def usual(digest: str) -> Tlsa:
    """What is published where nothing stands yet: the SHA-256 of a key, in hex."""
    return _EE, _SPKI, _SHA256, bytes.fromhex(digest)


def hosts_in(names: Sequence[str]) -> list[str]:
    """Those that can have records: a wildcard is no host."""
    return [name for name in names if not name.startswith("*.")]


@dataclass(frozen=True, slots=True)
class Identity:
    """What TLSA records may say of who shows a certificate."""

    key: bytes
    """Its public key (SubjectPublicKeyInfo, DER)."""
    chain: tuple[bytes, ...] = ()
    """The certificates (DER), its own first; none: they are not known yet."""

    @property
    def digest(self) -> str:
        """Of the key, in hex: what a record `3 1 1` says (RFC 6698 §2.1)."""
        return hashlib.sha256(self.key).hexdigest()

    def meaning_of(self, record: Tlsa, next_key: bytes = b"") -> Meaning:
        """What a record is of, for who shows this and is to have another key (or none)."""
        if not counts(record):
            return Meaning.VOID
        if self.matches(record):
            if record[0] == _TA:
                return Meaning.AUTHORITY
            return Meaning.KEY if record[1] == _SPKI else Meaning.CERTIFICATE
        if next_key and Identity(next_key).matches(record):
            return Meaning.NEXT
        return Meaning.OTHER if record[2] in _MADE else Meaning.UNMADE

    def matches(self, record: Tlsa) -> bool:
        """Whether a record is of this key, of this certificate, or of one above it that is sent."""
        usage, selector, matching, octets = record
        if usage == _EE and selector == _SPKI:
            return _made(self.key, matching) == octets
        shown = {_EE: self.chain[:1], _TA: self.chain[1:]}.get(usage, ())
        if selector == _SPKI:
            shown = tuple(public_of(x509.load_der_x509_certificate(one)) for one in shown)
        return any(_made(one, matching) == octets for one in shown)

    def hidden_by(self, records: Sequence[Tlsa]) -> list[Tlsa]:
        """Of other keys, by the stronger digest, where senders so see none that is of this one."""
        strong = [one for one in records if counts(one) and one[2] == _SHA512]
        own = [one for one in records if self.matches(one)]
        hidden = {one[:2] for one in own if one[2] == _SHA256} & {one[:2] for one in strong}
        if any(one[2] != _SHA256 or one[:2] not in hidden for one in own):
            return []
        return [one for one in strong if one[:2] in hidden]


def identity_of(chain: bytes) -> Identity:
    """Of who shows this chain (PEM; a key beside it does no harm)."""
    certificates = x509.load_pem_x509_certificates(chain)
    shown = tuple(one.public_bytes(Encoding.DER) for one in certificates)
    return Identity(public_of(certificates[0]), shown)


def public_of(key: Key | x509.Certificate) -> bytes:
    """The public key (SubjectPublicKeyInfo, DER)."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True, slots=True)
class Published:
    """What the DNS has of one host."""

    host: str
    records: tuple[Tlsa, ...]
    """Those that a sender may go by."""
    ttl: float
    is_certain: bool
    """There is something, or the zone proves that there is nothing (DNSSEC)."""

    @property
    def pins(self) -> list[Tlsa]:
        """Records of a key or a certificate itself, so that a new one has to be announced."""
        return [one for one in self.records if one[0] == _EE]

    def wants(self, shown: Identity) -> bool:
        """Whether a key has to be announced here: keys are, or no authority above what is shown."""
        return bool(self.pins) or not (
            not self.records or any(shown.matches(one) for one in self.records)
        )

    @property
    def unmade(self) -> list[Tlsa]:
        """Records of keys in a form that we cannot make, and that may hide those that we can."""
        return [one for one in self.pins if one[2] not in _MADE]

    def needed(self, key: bytes) -> list[Tlsa]:
        """What must be there for senders to take this key whatever digest they prefer.

        Every digest that is there, and no other: to who does not know SHA-512, a `3 1 1` beside
        nothing but `3 0 2` would be the only record.
        """
        forms = sorted({one[2] for one in self.records} & _MADE.keys()) or [_SHA256]
        return [(_EE, _SPKI, form, _MADE[form][1](key)) for form in forms]

    def missing(self, key: bytes) -> list[Tlsa]:
        """What of that is not there."""
        return [one for one in self.needed(key) if one not in self.records]


def published(host: str, answer: Answer[Tlsa]) -> Published:
    """What an answer says of a host."""
    is_certain = answer.found is Found.RECORDS or answer.secure
    return Published(host, tuple(filter(counts, answer.records)), answer.ttl, is_certain)


def counts(record: Tlsa) -> bool:
    """Whether some sender may go by it. Beside records that nobody goes by, one of the new key
    would be the first that counts, and would shut out who sends while the old key is shown."""
    usage, selector, matching, octets = record
    length, _ = _MADE.get(matching, (0 if usage == _EE else -1, None))
    is_known = usage in (_TA, _EE) and selector in (_WHOLE, _SPKI)
    return is_known and bool(octets) and length in (0, len(octets))


def _made(octets: bytes, matching: int) -> bytes | None:
    return _MADE[matching][1](octets) if matching in _MADE else None
