"""What decides how mail travels: TLSA records and the certificates they are held against."""

import tempfile
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from merpati.clock import SystemClock
from merpati.delivery.dane import Tlsa, Usage, prove
from merpati.wire.certificates import make_self_signed
from tests.fuzz.target import Target

_NOW = 1_800_000_000.0


@cache
def _certificate() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder) / "certificate", Path(folder) / "key"
        make_self_signed(certificate, key, SystemClock(), ["mx.test"])
        parsed = x509.load_pem_x509_certificate(certificate.read_bytes())
    return parsed.public_bytes(Encoding.DER)


def tlsa(octets: bytes) -> None:
    """Three numbers, where and how a true certificate is spoiled, then the data of a record."""
    if len(octets) < 8:
        return
    record = Tlsa(octets[0], octets[1], octets[2], octets[8:])
    true = _certificate()
    at = int.from_bytes(octets[3:5], "big") % len(true)
    spoiled = true[:at] + octets[5:8] + true[at + 3 :]
    for own in (spoiled, octets[8:], true):
        if record.is_usable:
            usage = prove([record], [own, spoiled, octets[8:]], "mx.test", _NOW)
            assert usage is None or usage is Usage(record.usage)
            assert usage is not Usage.TRUST_ANCHOR  # Nobody else has signed it.


_PARTS = (
    b"\x03\x00\x00", b"\x03\x01\x01", b"\x02\x00\x00", b"\x02\x01\x02", b"\x00" * 32,
    b"\xff" * 64, b"\x30\x82", b"\x06\x03\x55\x1d", b"\x02\x01", b"\x05\x00",
)  # fmt: skip

TARGETS = (Target("tlsa", tlsa, _PARTS, longest=2048, head=b"\x03\x00\x00\x00\x40\x01\x02\x03"),)
