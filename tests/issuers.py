"""Authorities of our own, for certificates that no library would make by itself."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

BEGIN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
END = BEGIN + datetime.timedelta(days=90)
NOW = BEGIN.timestamp() + 60
LATER = END.timestamp() + 60

Private = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


def a_name(common: str) -> x509.Name:
    """A distinguished name of this common name alone; empty: of nothing."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)] if common else [])


@dataclass(frozen=True)
class Limits:
    """The hosts that an authority may vouch for."""

    permitted: Sequence[str]
    excluded: Sequence[str]
    critical: bool = True

    @property
    def extension(self) -> x509.NameConstraints:
        """As it stands in a certificate."""
        trees = ([x509.DNSName(one) for one in names] for names in (self.permitted, self.excluded))
        return x509.NameConstraints(*(tree or None for tree in trees))


@dataclass(frozen=True)
class Issuer:
    """Who has a key, and a certificate for it."""

    private: Private
    name: str
    der: bytes

    @classmethod
    def named(
        cls,
        name: str,
        above: "Issuer | None" = None,
        *,
        private: Private | None = None,
        is_authority: bool = True,
        limits: Limits | None = None,
    ) -> "Issuer":
        """Signed by itself, if nobody stands above."""
        private = private or ec.generate_private_key(ec.SECP256R1())
        builder = _builder(name, private.public_key())
        builder = builder.add_extension(x509.BasicConstraints(is_authority, None), True)
        if limits:
            builder = builder.add_extension(limits.extension, limits.critical)
        signer, issuer = (above.private, above.name) if above else (private, name)
        return cls(private, name, _signed(builder, issuer, signer))

    def again(self, above: "Issuer") -> bytes:
        """Another certificate for the same key, by somebody else (DER)."""
        return Issuer.named(self.name, above, private=self.private).der

    def leaf(
        self,
        *names: str,
        common: str = "",
        rsa_padding: Any = None,
        end: datetime.datetime = END,
    ) -> bytes:
        """The certificate of a host (DER)."""
        builder = _builder(common, _HOST.public_key(), end)
        if names:
            alternatives = x509.SubjectAlternativeName([x509.DNSName(one) for one in names])
            builder = builder.add_extension(alternatives, False)
        return _signed(builder, self.name, self.private, rsa_padding)


_HOST = ec.generate_private_key(ec.SECP256R1())


def _builder(name: str, key: Any, end: datetime.datetime = END) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(a_name(name))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGIN)
        .not_valid_after(end)
    )


def _signed(
    builder: x509.CertificateBuilder,
    issuer: str,
    signer: Private,
    rsa_padding: padding.PSS | padding.PKCS1v15 | None = None,
) -> bytes:
    digest = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    made = builder.issuer_name(a_name(issuer)).sign(signer, digest, rsa_padding=rsa_padding)
    return made.public_bytes(Encoding.DER)
