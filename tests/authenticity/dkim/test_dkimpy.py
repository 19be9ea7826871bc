"""dkimpy and Merpati believe one another's signatures, and nothing that was altered."""

from base64 import b64encode
from itertools import product

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from merpati.authenticity.dkim.canonical import Canonicalization
from merpati.authenticity.dkim.keypair import KeyKind
from merpati.authenticity.dkim.result import Result
from merpati.authenticity.dkim.signer import SigningSettings, sign
from merpati.authenticity.dkim.verifier import verify
from merpati.testing.answers import Answers
from tests.authenticity.dkim.signed import HEAD, MESSAGE, a_key, pair, zone

NOW = 1_600_000_000
KINDS = [KeyKind.RSA_2048, KeyKind.ED25519]
CASES = [
    pytest.param(kind, header, body, id=f"{kind.value} {header.value}/{body.value}")
    for kind, header, body in product(KINDS, Canonicalization, Canonicalization)
]
cases = pytest.mark.parametrize(("kind", "header", "body"), CASES)
bodies = st.lists(
    st.sampled_from([b"\r\n", b" ", b"\t", b"a", b"b c", b"\xc3\xa9"]), max_size=20
).map(b"".join)


def believes(message: bytes, kind: KeyKind) -> bool:
    record = pair(kind).record
    return bool(dkim.verify(message, dnsfunc=lambda name, timeout=5: record))


def theirs(
    message: bytes, kind: KeyKind, header: Canonicalization, body: Canonicalization
) -> bytes:
    private = pair(kind).private
    if isinstance(private, Ed25519PrivateKey):
        key = b64encode(private.private_bytes_raw())
    else:
        key = pair(kind).pem
    field = dkim.sign(
        message,
        kind.value.encode(),
        b"a.test",
        key,
        canonicalize=(header.value.encode(), body.value.encode()),
        signature_algorithm=pair(kind).algorithm.encode(),
    )
    return bytes(field) + message


def result(message: bytes, kind: KeyKind) -> Result:
    (verdict,) = Answers(zone(a_key(kind))).answer(verify([message], NOW))
    return verdict.result


def ours(message: bytes, kind: KeyKind, header: Canonicalization, body: Canonicalization) -> bytes:
    # dkimpy reads the clock by itself, so a signature for it must not have expired.
    settings = SigningSettings(header, body, lifetime=10**9)
    return sign([message], [a_key(kind)], NOW, settings) + message


@cases
def test_dkimpy_believes_us(
    kind: KeyKind, header: Canonicalization, body: Canonicalization
) -> None:
    message = ours(MESSAGE, kind, header, body)
    assert believes(message, kind)
    assert not believes(message.replace(b"apa", b"aqa"), kind)
    assert not believes(message.replace(b"Budi", b"Bodi"), kind)


@cases
def test_we_believe_dkimpy(kind: KeyKind, header: Canonicalization, body: Canonicalization) -> None:
    message = theirs(MESSAGE, kind, header, body)
    assert result(message, kind) is Result.PASS
    assert result(message.replace(b"apa", b"aqa"), kind) is Result.FAIL
    assert result(message.replace(b"Budi", b"Bodi"), kind) is Result.FAIL


@given(body=bodies, form=st.sampled_from(Canonicalization), subject=bodies)
def test_any_message_is_believed_both_ways(
    body: bytes, form: Canonicalization, subject: bytes
) -> None:
    subject = subject.replace(b"\r\n", b"\r\n ").strip()
    message = b"X-Subject: " + subject + b"\r\n" + HEAD + b"\r\n" + body + b"x\r\n"
    assert believes(ours(message, KeyKind.ED25519, form, form), KeyKind.ED25519)
    assert result(theirs(message, KeyKind.ED25519, form, form), KeyKind.ED25519) is Result.PASS
