"""Certificates as files: one of our own making for the first start, and what one shows.

Nobody can verify our own, but opportunistic TLS between mail servers does not ask for that
(RFC 7435).
"""

import datetime
import ipaddress
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from merpati.clock import Clock
from merpati.wire.errors import TlsError

VALID_DAYS = 3650
_COMMON_NAME_LIMIT = 64  # ub-common-name, RFC 5280 appendix A.1


UNREADABLE = (
    *(ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion),
    *(x509.DuplicateExtension, x509.UnsupportedGeneralNameType),
)
"""What reading a certificate raises that cannot be read; TypeError: a name of bits, not of text."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a certificate tells those who look. Times are seconds since 1970."""

    begins: float
    ends: float
    names: tuple[str, ...]
    """DNS names, lower case, `*.a.test` for all one label below it."""

    @property
    def name(self) -> str:
        """The first of them, for people; empty for none."""
        return next(iter(self.names), "")

    def __str__(self) -> str:
        until = datetime.datetime.fromtimestamp(self.ends, datetime.UTC)
        return f"for {', '.join(self.names) or 'no name'}, until {until:%Y-%m-%d %H:%M} UTC"

    def covers(self, name: str) -> bool:
        """Whether it is for a host of this name (RFC 9525 §6.3: `*` is one whole label)."""
        wanted = name.lower()
        return wanted in self.names or f"*.{wanted.partition('.')[2]}" in self.names


def read_shown(file: Path) -> Shown:
    """The first certificate of a PEM file. Raises TlsError."""
    try:
        return shown_of(file.read_bytes(), str(file))
    except OSError as error:
        raise TlsError(f"{file} is no certificate: {error}") from error


def is_self_signed(file: Path) -> bool:
    """Whether the first certificate of a PEM file was issued by itself. Raises TlsError."""
    try:
        first = x509.load_pem_x509_certificate(file.read_bytes())
    except (OSError, *UNREADABLE) as error:
        raise TlsError(f"{file} is no certificate: {error}") from error
    return first.issuer == first.subject


def shown_of(pem: bytes, name: str) -> Shown:
    """The first certificate in PEM; `name` is for the TlsError that says why there is none."""
    try:
        first = x509.load_pem_x509_certificate(pem)
        found = first.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = found.value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        names = []  # RFC 9525 §2: the common name is no longer looked at.
    except UNREADABLE as error:
        raise TlsError(f"{name} is no certificate: {error}") from error
    begins, ends = first.not_valid_before_utc, first.not_valid_after_utc
    return Shown(begins.timestamp(), ends.timestamp(), tuple(name.lower() for name in names))


def make_self_signed(
    certificate: Path, key: Path, clock: Clock, names: Sequence[str], ips: Sequence[str] = ()
) -> None:
    """Write a P-256 certificate for these names and addresses, the key readable by us alone.

    The key is in place before the certificate, each whole or not at all. Raises TlsError.
    """
    secret = ec.generate_private_key(ec.SECP256R1())
    signed = _builder(clock, names, ips, secret).sign(secret, hashes.SHA256())
    private = secret.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    try:
        write_whole(key, private, 0o600)
        write_whole(certificate, signed.public_bytes(serialization.Encoding.PEM), 0o644)
    except OSError as error:
        # Only an `open` names its file; a disk that is full fails later.
        named = error.filename or certificate.parent
        raise TlsError(f"cannot write {named}: {error.strerror}") from error


def _builder(
    clock: Clock, names: Sequence[str], ips: Sequence[str], secret: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:_COMMON_NAME_LIMIT])])
    today = datetime.datetime.fromtimestamp(clock.now(), datetime.UTC)
    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    alternatives += [x509.IPAddress(ipaddress.ip_address(ip)) for ip in ips]
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        # A client whose clock is behind ours shall believe it as well.
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )


def write_whole(path: Path, octets: bytes, mode: int) -> None:
    """Write beside and rename, so that a reader finds the old file or the new one."""
    descriptor, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(octets)
            file.flush()
            os.fsync(descriptor)
        Path(beside).rename(path)
    except OSError:
        Path(beside).unlink(missing_ok=True)
        raise
