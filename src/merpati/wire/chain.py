"""Certificates that a host sent, and who signed whom: for anchors that no authority of ours is.

OpenSSL checks chains up to the authorities that it is given before a handshake. An anchor that is
known by a digest alone (DANE-TA) can only be looked for in what was sent.
"""

import datetime
import hashlib
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from merpati.wire.certificates import UNREADABLE

E = TypeVar("E", bound=x509.ExtensionType)

MAX_CERTIFICATES = 10
"""Of one chain that are looked at."""
MAX_COMPARISONS = 10_000
"""Of the names in a certificate with those that its authorities may vouch for, all of them."""
MAX_SIGNATURES = 16
"""That are checked for one chain: its owner decides what each costs us, up to a millisecond. A path
through ten certificates has nine."""
_RSA_BITS, _RSA_EXPONENT = 8192, 2**32
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_FORGEABLE = {"md5", "sha1"}
"""Two texts that hash alike by these can be made (RFC 9155)."""
MAX_NAME = 253
"""Characters of a host's name that are told."""
_UNDERSTOOD = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.NAME_CONSTRAINTS,
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
        """Whether it is for a host of this name by DANE (RFC 7672 §3.2.3: `*` is the whole first
        label, and the common name counts only where there is no other)."""
        return _has(self.names, name)

    def names_host(self, name: str) -> bool:
        """Whether it is for a host of this name by its DNS names alone, as all else wants (RFC 8461
        §4.2, RFC 9525 §2)."""
        return _has(self.host_names, name)

    @property
    def names(self) -> list[str]:
        """The hosts that it is for, in either place."""
        return self.host_names or self._common_names

    @property
    def host_names(self) -> list[str]:
        """The hosts that it is for (RFC 5280 §4.2.1.6: dNSName), unchecked."""
        found = self._extension(x509.SubjectAlternativeName)
        return found.get_values_for_type(x509.DNSName) if found else []

    @property
    def name_count(self) -> int:
        """Names that it is for, of whatever kind."""
        found = self._extension(x509.SubjectAlternativeName)
        return len(found) if found else 0

    @property
    def _common_names(self) -> list[str]:
        found = self.parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        values = (one.value for one in found)
        # Beyond ASCII there are letters whose small ones are within.
        return [one for one in values if isinstance(one, str) and one.isascii()]

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

    def may_name(self, names: Sequence[str]) -> bool:
        """Whether hosts of these names are among those that it may vouch for (RFC 5280 §4.2.1.10).

        Names of other kinds prove nothing to us, so limits of theirs do not matter. See
        `comparisons` for what it takes.
        """
        limits = self._extension(x509.NameConstraints)
        if limits is None:
            return True
        permitted = _host_trees(limits.permitted_subtrees)
        excluded = _host_trees(limits.excluded_subtrees)
        return all(
            not _is_within(name, excluded) and (not permitted or _is_within(name, permitted))
            for name in names
        )

    def comparisons(self, names: int) -> int:
        """What it takes to hold so many names against its limits, whatever they are of."""
        limits = self._extension(x509.NameConstraints)
        if limits is None:
            return 0
        trees = (limits.permitted_subtrees or (), limits.excluded_subtrees or ())
        return names * sum(map(len, trees))

    def says_it_signed(self, other: "Certificate") -> bool:
        """Whether the other names it as its issuer."""
        return self.parsed.subject == other.parsed.issuer

    @property
    def checks_soon(self) -> bool:
        """Whether a check by its key takes a millisecond at most, and is one that we know."""
        return _is_affordable(self.parsed.public_key())

    def has_signed(self, other: "Certificate") -> bool:
        """Whether its key truly made the other's signature."""
        try:
            if not self.checks_soon:
                return False
            other.parsed.verify_directly_issued_by(self.parsed)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            return False
        return True

    def is_signed_by(self, key: bytes) -> bool:
        """Whether this public key (SubjectPublicKeyInfo, DER) made its signature."""
        try:
            public = load_der_public_key(key)
            if not _is_affordable(public):
                return False
            _verify(public, self.parsed)
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


def _host_trees(trees: Iterable[x509.GeneralName] | None) -> list[str]:
    return [one.value.lower() for one in trees or () if isinstance(one, x509.DNSName)]


def _is_within(name: str, trees: Iterable[str]) -> bool:
    """Whether a name is one of these or below; the empty tree is of all names."""
    wanted = f".{name.lower()}"
    return any(not tree or wanted.endswith(f".{tree.removeprefix('.')}") for tree in trees)


def _has(names: Iterable[str], wanted: str) -> bool:
    """RFC 9525 §6.3: `*` is one whole label, the first."""
    host = wanted.lower()
    accepted = (host, f"*.{host.partition('.')[2]}")
    return any(one.lower() in accepted for one in names)


def read_chain(sent: Iterable[bytes]) -> list[Certificate]:
    """Up to the first that cannot be read, and at most `MAX_CERTIFICATES`."""
    found: list[Certificate] = []
    for der in sent:
        certificate = _read(der)
        if certificate is None or len(found) == MAX_CERTIFICATES:
            break
        found.append(certificate)
    return found


@dataclass(frozen=True, slots=True)
class Shown:
    """A certificate that was shown, as it is told of; whether it is valid this does not say."""

    digest: str
    """SHA-256 of it in DER, in hexadecimal digits."""
    name: str
    """The first host name that it is for, as a stranger wrote it; empty where there is none."""


@lru_cache(maxsize=128)  # Of up to 100 KB each, where a stranger wants it so.
def shown(der: bytes) -> Shown:
    """Told in few words; hosts show the same one again and again."""
    certificate = _read(der)
    name = next(iter(certificate.host_names), "") if certificate else ""
    return Shown(hashlib.sha256(der).hexdigest(), name[:MAX_NAME])


def _read(der: bytes) -> Certificate | None:
    try:
        # What a stranger's certificate has that one should not have is no line of our log.
        with warnings.catch_warnings(action="ignore"):
            parsed = x509.load_der_x509_certificate(der)
            key = _key_of(parsed)
            # These are read when first asked for, and may be garbage.
            _ = parsed.subject, parsed.issuer, *parsed.extensions
            _ = parsed.not_valid_before_utc, parsed.not_valid_after_utc
    except UNREADABLE:
        return None
    return Certificate(parsed, der, key)


def read_key(der: bytes) -> bytes:
    """The public key (SubjectPublicKeyInfo, DER) of a certificate of which nothing else has to be
    readable; empty where not even that is."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return _key_of(x509.load_der_x509_certificate(der))
    except UNREADABLE:
        return b""


def _key_of(parsed: x509.Certificate) -> bytes:
    return parsed.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _is_affordable(key: PublicKeyTypes) -> bool:
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size <= _RSA_BITS and key.public_numbers().e < _RSA_EXPONENT
    if isinstance(key, ec.EllipticCurvePublicKey):
        return isinstance(key.curve, _CURVES)
    return isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey)


def _verify(key: PublicKeyTypes, signed: x509.Certificate) -> None:
    """Raises InvalidSignature; TypeError where it is of another kind of key, or can be forged."""
    made, octets = signed.signature, signed.tbs_certificate_bytes
    how, digest = signed.signature_algorithm_parameters, signed.signature_hash_algorithm
    if digest is not None and digest.name in _FORGEABLE:
        raise TypeError(f"a signature over {digest.name}")
    if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        key.verify(made, octets)
    elif isinstance(key, ec.EllipticCurvePublicKey) and isinstance(how, ec.ECDSA):
        key.verify(made, octets, how)
    elif (
        isinstance(key, rsa.RSAPublicKey)
        and isinstance(how, padding.PKCS1v15 | padding.PSS)
        and digest is not None
    ):
        key.verify(made, octets, how, digest)
    else:
        raise TypeError("a signature of another kind of key")


class Descent:
    """What the first certificate of a chain truly comes from."""

    def __init__(
        self, chain: Sequence[Certificate], others: Sequence[Certificate], now: float
    ) -> None:
        """Authorities are looked for in the chain, in whatever order, and in `others`."""
        self._signatures = MAX_SIGNATURES
        self._comparisons = MAX_COMPARISONS
        self.path: list[Certificate] = []
        """The first itself, then authorities, nearest first: each was allowed to sign, and is in
        time. Empty where the first may not be a server's, or is out of time."""
        if chain and chain[0].may_serve and chain[0].is_in_time(now):
            self._climb(chain, [*chain[1:], *others[:MAX_CERTIFICATES]], now)

    def ends_at(self, key: bytes) -> bool:
        """Whether this public key (SubjectPublicKeyInfo, DER) signed one of the path."""
        return any(
            self._may_check() and certificate.is_signed_by(key)
            for certificate in reversed(self.path)
        )

    def _climb(self, chain: Sequence[Certificate], left: list[Certificate], now: float) -> None:
        names = chain[0].names
        reached, below = [chain[0]], 0
        while reached:
            self.path += reached
            above = [
                one
                for one in left
                if one.may_sign(below) and one.is_in_time(now) and self._signed_any(one, reached)
            ]
            # Who was reached is not asked again, so that authorities in a circle end.
            left = [one for one in left if one not in above]
            reached = [one for one in above if self._may_name(one, names)]
            below += 1

    def _may_name(self, authority: Certificate, names: Sequence[str]) -> bool:
        self._comparisons -= authority.comparisons(len(names))
        return self._comparisons >= 0 and authority.may_name(names)

    def _signed_any(self, authority: Certificate, reached: Sequence[Certificate]) -> bool:
        return any(
            authority.says_it_signed(one) and self._may_check() and authority.has_signed(one)
            for one in reached
        )

    def _may_check(self) -> bool:
        self._signatures -= 1
        return self._signatures >= 0
