"""The certificate that the first start makes."""

import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from merpati.clock import SystemClock
from merpati.wire.certificates import make_self_signed, shown_of
from merpati.wire.errors import TlsError


def test_certificate_is_p256_for_names_and_addresses_and_its_key_is_ours_alone(
    tmp_path: Path,
) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make_self_signed(certificate, key, SystemClock(), ["mx.a.test", "a.test"], ["127.0.0.1", "::1"])
    made = x509.load_pem_x509_certificate(certificate.read_bytes())
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["mx.a.test", "a.test"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    public = made.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert public.curve.name == "secp256r1"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["cert.pem", "key.pem"]


def test_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(TlsError, match="missing"):
        make_self_signed(missing / "cert.pem", missing / "key.pem", SystemClock(), ["a.test"])


def test_one_that_says_something_twice_is_told_as_one_that_cannot_be_read(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make_self_signed(certificate, key, SystemClock(), ["a.test"])
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text())
    # The identifier of extendedKeyUsage becomes that of subjectAltName.
    twice = der.replace(b"\x06\x03\x55\x1d\x25", b"\x06\x03\x55\x1d\x11")
    with pytest.raises(TlsError, match="is no certificate"):
        shown_of(ssl.DER_cert_to_PEM_cert(twice).encode(), "it")
