"""TLSA records of the host: good if a sender finds us by one of them, in whatever form it is."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from hashlib import sha256, sha512

import trustme
from cryptography import x509

from merpati.certificates.tlsa import Identity, identity_of, public_of
from merpati.setup.caveat import Caveat, Harm
from merpati.setup.finding import Finding, State
from merpati.setup.record import Purpose
from tests.cases import each
from tests.setup.test_survey import A_TEST, surveyed, with_line


@cache
def authority() -> trustme.CA:
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@cache
def shown() -> Identity:
    leaf = authority().issue_cert("mx.a.test", key_type=trustme.KeyType.ECDSA)
    return identity_of(leaf.cert_chain_pems[0].bytes() + authority().cert_pem.bytes())


def issuer_key() -> bytes:
    return public_of(x509.load_der_x509_certificate(shown().chain[1]))


OTHER = Identity(b"another key")
OURS = {
    "3 1 1": lambda: sha256(shown().key).hexdigest(),
    "3 1 2": lambda: sha512(shown().key).hexdigest(),
    "3 1 0": lambda: shown().key.hex(),
    "3 0 1": lambda: sha256(shown().chain[0]).hexdigest(),
    "2 1 1": lambda: sha256(issuer_key()).hexdigest(),
    "2 0 2": lambda: sha512(shown().chain[1]).hexdigest(),
}
ANOTHER = f"3 1 1 {OTHER.digest}"
STRONGER = f"3 1 2 {sha512(OTHER.key).hexdigest()}"


def ours(kind: str) -> str:
    return f"{kind} {OURS[kind]()}"


def found(records: Iterable[str]) -> Finding:
    lines = "\n".join(f"_25._tcp.mx.a.test TLSA {one}" for one in records)
    findings = surveyed(with_line(lines, "_25"), replace(A_TEST, identity=shown()))
    (one,) = [each for each in findings if each.record.purpose is Purpose.TLSA]
    assert one.record.value == ours("3 1 1")
    return one


@each("kind", OURS)
def test_a_record_of_ours_is_good_in_every_form(kind: str) -> None:
    assert found([ours(kind)]).state is State.THERE


@each(
    "kinds",
    [(STRONGER, "2 1 1"), (STRONGER, "3 1 1", "3 1 2"), (STRONGER, "3 0 1"), (ANOTHER, "3 1 2")],
)
def test_beside_records_of_others_one_that_is_looked_at_is_enough(
    kinds: tuple[str, ...],
) -> None:
    assert found(ours(one) if one in OURS else one for one in kinds).state is State.THERE


def test_where_only_a_stronger_digest_of_another_is_looked_at_that_is_wrong() -> None:
    one = found([STRONGER, ours("3 1 1")])
    assert (one.state, one.caveats) == (State.WRONG, (Caveat(Harm.STRONGER, STRONGER),))


@each("records", [(ANOTHER,), (STRONGER, ANOTHER)])
def test_records_of_others_alone_keep_mail_out(records: tuple[str, ...]) -> None:
    assert (found(records).state, found(records).caveats) == (State.WRONG, ())


def test_records_that_no_sender_goes_by_are_as_good_as_none() -> None:
    assert found([f"1 1 1 {'ab' * 32}", f"3 2 1 {'ab' * 32}"]).state is State.MISSING
