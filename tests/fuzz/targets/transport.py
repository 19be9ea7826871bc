"""What decides how mail travels: TLSA records and certificates, MTA-STS, reports about TLS."""

import tempfile
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from merpati.clock import SystemClock
from merpati.delivery.dane import Tlsa, Usage, prove
from merpati.delivery.sts.policy import MAX_AGE, MAX_MX, PolicyError, parse_policy
from merpati.delivery.sts.record import policy_id
from merpati.feedback.ordering import report_uris
from merpati.report.errors import ReportError
from merpati.report.tlsrpt.document import read_report, write_report
from merpati.wire.certificates import make_self_signed
from merpati.wire.errors import CertificateFlaw
from merpati.wire.vouching import flaws
from tests.fuzz.target import Target

_NOW = 1_800_000_000.0
_NOT_VOUCHED_FOR = {CertificateFlaw.AUTHORITY, CertificateFlaw.NAME}


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
            usage = prove([record], [own, spoiled, octets[8:]], ("mx.test",), _NOW)
            assert usage is None or usage is Usage(record.usage)
            # Nobody has signed it but its own key, which a record may name in full.
            assert usage is not Usage.TRUST_ANCHOR or (record.selector, record.matching) == (1, 0)
        lacks = flaws((own, spoiled, octets[8:]), "mx.test", _NOW)
        # Whether an authority stands behind one that names no host is not asked.
        assert lacks is None or not _NOT_VOUCHED_FOR.isdisjoint(lacks)


def sts_record(octets: bytes) -> None:
    """An id is one that a policy can have; what stands beside it makes it no other."""
    found = policy_id([octets])
    if found is None:
        return
    assert found.isascii()
    assert found.isalnum()
    assert len(found) <= 32
    assert policy_id([b"v=spf1 -all", octets]) == found
    assert policy_id([octets, octets]) is None


def sts_policy(octets: bytes) -> None:
    """A policy that is read is bounded, allows what it names, and reads the same from its text."""
    try:
        policy = parse_policy(octets)
    except PolicyError as error:
        assert str(error)
        return
    assert 0 <= policy.max_age <= MAX_AGE
    assert len(policy.mx) <= MAX_MX
    for pattern in policy.mx:
        name = pattern.replace("*", "x")
        assert policy.allows(name)
        assert policy.allows(f"{name.upper()}.")
    mx = "".join(f"mx: {pattern}\n" for pattern in policy.mx)
    text = f"version: STSv1\nmode: {policy.mode.value}\nmax_age: {policy.max_age}\n{mx}"
    assert parse_policy(text.encode()) == policy


def tls_record(octets: bytes) -> None:
    """Whoever wants reports is named by a URI of the two schemes."""
    for uri in report_uris([octets]):
        assert uri.lower().startswith(("mailto:", "https://"))
        assert uri.isascii()
        assert uri.isprintable()


def tls_report(octets: bytes) -> None:
    """A report that is read is written as what reads the same."""
    try:
        report = read_report(octets)
    except ReportError as error:
        assert str(error)
        return
    assert read_report(write_report(report)) == report


_PARTS = (
    b"\x03\x00\x00", b"\x03\x01\x01", b"\x02\x00\x00", b"\x02\x01\x02", b"\x00" * 32,
    b"\xff" * 64, b"\x30\x82", b"\x06\x03\x55\x1d", b"\x02\x01", b"\x05\x00",
)  # fmt: skip

_RECORD = (b"v=STSv1", b"; ", b"id=", b"20160831085700Z", b"x=y", b" ", b";", b"=", b"\t")
_LINES = (
    b"version: STSv1\n", b"mode: enforce\n", b"mode: none\r\n", b"max_age: 604800\n",
    b"mx: a.test\n", b"mx: *.a.test\n", b"mx: ", b"*", b".", b":", b" ", b"\n", b"\r\n",
    b"31557600", b"x: y\n",
)  # fmt: skip

_WANTED = (
    b"v=TLSRPTv1", b"; ", b"rua=", b"mailto:r@a.test", b"https://a.test/", b",", b" ", b"x=y", b";",
)  # fmt: skip
_REPORT = (
    b'{"organization-name":"x","date-range":{"start-datetime":"2016-04-01T00:00:00Z",'
    b'"end-datetime":"2016-04-01T23:59:59Z"},"contact-info":"x","report-id":"x","policies":['
)
_JSON = (
    b'{"policy":{"policy-type":"sts","policy-domain":"a.test","mx-host":"*.a.test"},', b"]}",
    b'"summary":{"total-successful-session-count":1,"total-failure-session-count":2}}', b",",
    b'"failure-details":[', b'{"result-type":"x","failed-session-count":3}', b"[", b"{", b"}",
    b"-1", b"1e400", b'"', b"\\u0000", b"null", b"\x1f\x8b", _REPORT,
)  # fmt: skip

TARGETS = (
    Target("tlsa", tlsa, _PARTS, longest=2048, head=b"\x03\x00\x00\x00\x40\x01\x02\x03"),
    Target("tls_record", tls_record, _WANTED, longest=4096, head=b"v=TLSRPTv1; rua="),
    Target("tls_report", tls_report, _JSON, head=_REPORT),
    Target("sts_record", sts_record, _RECORD, longest=2048, head=b"v=STSv1; id="),
    Target("sts_policy", sts_policy, _LINES, head=b"version: STSv1\nmax_age: 1\nmode: testing\n"),
)
