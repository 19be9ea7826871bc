"""What would have come of certificates that nobody demanded, held against what OpenSSL says."""

import contextlib
import datetime
import os
import ssl
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import trustme

from merpati.wire import vouching
from merpati.wire.chain import MAX_COMPARISONS, Certificate
from merpati.wire.errors import CertificateFlaw
from merpati.wire.tls import client_context, load_identity
from merpati.wire.vouching import MAX_OCTETS, flaws
from tests import issuers
from tests.issuers import Issuer

NAME = "mx.a.test"
NAMED, TIMED, TRUSTED = CertificateFlaw.NAME, CertificateFlaw.TIME, CertificateFlaw.AUTHORITY
ROOT = trustme.CA()
MIDDLE = ROOT.create_child_ca()
LEAF = MIDDLE.issue_cert(NAME)
NOW = time.time()
PAST = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)


def ders(*blobs: trustme.Blob) -> tuple[bytes, ...]:
    return tuple(ssl.PEM_cert_to_DER_cert(blob.bytes().decode()) for blob in blobs)


CHAIN = ders(*LEAF.cert_chain_pems)


@pytest.fixture(name="authorities", scope="module")
def _authorities(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("vouching") / "authorities.pem"
    file.write_bytes(b"Ours:\n" + ROOT.cert_pem.bytes())
    return file


def is_accepted(leaf: trustme.LeafCert, sent: Sequence[bytes], name: str, file: Path) -> bool:
    """Whether a handshake that demands a certificate succeeds."""
    pem = "".join(ssl.DER_cert_to_PEM_cert(one) for one in sent).encode()
    identity = load_identity(pem, leaf.private_key_pem.bytes(), "ours")
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context(authorities=file).context
    ours = client.wrap_bio(back, there, server_hostname=name)
    theirs = identity.wrap_bio(there, back, server_side=True)
    try:
        for _ in range(3):
            for side in (ours, theirs):
                with contextlib.suppress(ssl.SSLWantReadError):
                    side.do_handshake()
    except ssl.SSLCertVerificationError:
        return False
    return ours.getpeercert() is not None


@pytest.mark.slow
def test_it_says_what_openssl_says(authorities: Path) -> None:
    other = trustme.CA()
    stranger, old = other.issue_cert(NAME), ROOT.issue_cert(NAME, not_before=PAST, not_after=PAST)
    (root, theirs) = ders(ROOT.cert_pem, other.cert_pem)
    starred = ROOT.issue_cert("*.a.test", "b.test")
    nameless = ROOT.issue_cert(common_name=NAME)
    cases = [
        (LEAF, CHAIN, NAME, ()),
        (LEAF, (*CHAIN, root), NAME, ()),
        (LEAF, (CHAIN[0], theirs, root, CHAIN[1]), NAME, ()),
        (LEAF, CHAIN[:1], NAME, (TRUSTED,)),
        (LEAF, CHAIN, "mx.b.test", (NAMED,)),
        (starred, ders(*starred.cert_chain_pems), NAME, ()),
        (starred, ders(*starred.cert_chain_pems), "mx.b.test", (NAMED,)),
        (stranger, ders(*stranger.cert_chain_pems), NAME, (TRUSTED,)),
        (stranger, (*ders(*stranger.cert_chain_pems), theirs), "b.test", (NAMED, TRUSTED)),
        (old, ders(*old.cert_chain_pems), NAME, (TIMED,)),
        (nameless, ders(*nameless.cert_chain_pems), NAME, (NAMED,)),
    ]
    for leaf, sent, name, expected in cases:
        assert flaws(sent, name, NOW, authorities) == expected
        assert is_accepted(leaf, sent, name, authorities) is not bool(expected)


def test_a_certificate_that_ends_has_a_flaw_from_then_on(authorities: Path) -> None:
    end = datetime.datetime.fromtimestamp(NOW + 600, datetime.UTC).replace(microsecond=0)
    sent = ders(*ROOT.issue_cert(NAME, not_after=end).cert_chain_pems)
    assert flaws(sent, NAME, end.timestamp() - 1, authorities) == ()
    assert flaws(sent, NAME, end.timestamp() + 1, authorities) == (TIMED,)


def test_what_is_no_chain_is_not_looked_at(authorities: Path) -> None:
    year_zero = Issuer.named("authority").leaf(
        NAME, end=datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)
    )
    odd = year_zero.replace(b"21000101000000Z", b"00000101000000Z")
    none = ((), NAME), ((b"x",), NAME), ((odd,), NAME), (CHAIN, ""), (CHAIN, "192.0.2.1")
    for sent, name in none:
        assert flaws(sent, name, NOW, authorities) is None
    large = (*CHAIN, b"x" * MAX_OCTETS)
    assert flaws(large, NAME, NOW, authorities) is None


def test_authorities_that_cannot_be_read_vouch_for_nobody(tmp_path: Path) -> None:
    assert flaws(CHAIN, NAME, NOW, tmp_path / "missing.pem") == (TRUSTED,)
    empty = tmp_path / "empty.pem"
    empty.write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert flaws(CHAIN, NAME, NOW, empty) == (TRUSTED,)


def test_other_authorities_are_heeded_within_a_minute(tmp_path: Path) -> None:
    file = tmp_path / "authorities.pem"
    file.write_bytes(trustme.CA().cert_pem.bytes())
    assert flaws(CHAIN, NAME, NOW, file) == (TRUSTED,)
    file.write_bytes(ROOT.cert_pem.bytes())
    os.utime(file, ns=(1, 1))
    assert flaws(CHAIN, NAME, NOW + 61, file) == ()


def test_a_chain_whose_limits_take_long_is_vouched_for_by_nobody(
    authorities: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library compares names and limits for 124 ms, for a chain of 16 KB; any host has one."""
    for compared, expected in ((MAX_COMPARISONS, ()), (MAX_COMPARISONS + 1, (TRUSTED,))):
        monkeypatch.setattr(Certificate, "comparisons", lambda *_, n=compared: n)
        vouching._looked_at.cache_clear()
        assert flaws(CHAIN, NAME, NOW, authorities) == expected
    vouching._looked_at.cache_clear()


def test_authorities_in_a_circle_vouch_for_nobody(authorities: Path) -> None:
    one, other = Issuer.named("one"), Issuer.named("other")
    sent = (one.leaf(NAME), one.again(other), other.again(one), one.der, *[other.der] * 5)
    assert flaws(sent, NAME, issuers.NOW, authorities) == (TRUSTED,)
