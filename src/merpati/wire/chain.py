"""Certificates that a host sent, and who signed whom: for anchors that no authority of ours is.

OpenSSL checks chains up to the authorities that it is given before a handshake. An anchor that is
known by a digest alone (DANE-TA) can only be looked for in what was sent.
"""

import datetime
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

E = TypeVar("E", bound=x509.ExtensionType)

MAX_CERTIFICATES = 10
"""Of one chain that are looked at: each may cost a check of a signature by each other."""
_UNDERSTOOD = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
}
_SERVER = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}


@dataclass(frozen=True, slots=True)
class Certificate:
    """One of a chain."""

    parsed: x509.Certificate
    der: bytes
    key: bytes
    """Its public key (SubjectPublicKeyInfo, DER)."""

    def is_for(self, name: str) -> bool:
        """Whether it is for a host of this name (RFC 9525 §6.3: `*` is one whole label)."""
        found = self._extension(x509.SubjectAlternativeName)
        names = found.get_values_for_type(x509.DNSName) if found else []
        wanted = name.lower()
        accepted = (wanted, f"*.{wanted.partition('.')[2]}")
        return any(one.lower() in accepted for one in names)

    @property
    def mail_names(self) -> list[str]:
        """The mail addresses it is for (RFC 5280 §4.2.1.6: rfc822Name), in ASCII and unchecked."""
        found = self._extension(x509.SubjectAlternativeName)
        return found.get_values_for_type(x509.RFC822Name) if found else []

    @property
    def issuer(self) -> str:
        """Who signed it, as text (RFC 4514)."""
        return self.parsed.issuer.rfc4514_string()

    @property
    def subject(self) -> str:
        """Whose it is, as text (RFC 4514)."""
        return self.parsed.subject.rfc4514_string()

    def is_in_time(self, now: float) -> bool:
        """Whether it has begun and has not ended."""
        at = datetime.datetime.fromtimestamp(now, datetime.UTC)
        return self.parsed.not_valid_before_utc <= at <= self.parsed.not_valid_after_utc

    @property
    def may_serve(self) -> bool:
        """Whether it may be a server's own, and demands nothing that we do not look at."""
        usage = self._extension(x509.ExtendedKeyUsage)
        return self._is_understood and (usage is None or not _SERVER.isdisjoint(usage))

    def may_sign(self, below: int) -> bool:
        """Whether it may stand over a certificate with so many authorities in between."""
        basic, usage = self._extension(x509.BasicConstraints), self._extension(x509.KeyUsage)
        if basic is None or not basic.ca or not self._is_understood:
            return False
        if usage is not None and not usage.key_cert_sign:
            return False
        return basic.path_length is None or basic.path_length >= below

    def has_signed(self, other: "Certificate") -> bool:
        """Whether its key made the other's signature."""
        try:
            other.parsed.verify_directly_issued_by(self.parsed)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            return False
        return True

    @property
    def _is_understood(self) -> bool:
        # RFC 5280 §4.2: what is critical and not understood refuses the certificate.
        return all(one.oid in _UNDERSTOOD for one in self.parsed.extensions if one.critical)

    def _extension(self, kind: type[E]) -> E | None:
        try:
            return self.parsed.extensions.get_extension_for_class(kind).value
        except x509.ExtensionNotFound:
            return None


def read_chain(sent: Iterable[bytes]) -> list[Certificate]:
    """Up to the first that cannot be read, and at most `MAX_CERTIFICATES`."""
    found: list[Certificate] = []
    for der in sent:
        certificate = _read(der)
        if certificate is None or len(found) == MAX_CERTIFICATES:
            break
        found.append(certificate)
    return found


def _read(der: bytes) -> Certificate | None:
    try:
        # What a stranger's certificate has that one should not have is no line of our log.
        with warnings.catch_warnings(action="ignore"):
            parsed = x509.load_der_x509_certificate(der)
            list(parsed.extensions)  # They are read when first asked for, and may be garbage.
            key = parsed.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return Certificate(parsed, der, key)


def descent(
    chain: Sequence[Certificate], others: Sequence[Certificate], now: float
) -> Iterator[Certificate]:
    """The authorities that the first of a chain truly comes from, nearest first.

    Each is sent in the chain or one of `others`, was allowed to sign, and is in time.
    """
    own = chain[0]
    if not (own.may_serve and own.is_in_time(now)):
        return
    left = [*chain[1:], *others[:MAX_CERTIFICATES]]
    reached, below = [own], 0
    while reached:
        above = [
            one
            for one in left
            if one.may_sign(below)
            and one.is_in_time(now)
            and any(one.has_signed(signed) for signed in reached)
        ]
        left = [one for one in left if one not in above]
        yield from above
        reached, below = above, below + 1
