"""Who signed whom in what a host sent, and how much is looked at."""

import base64
import datetime

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from merpati.wire.chain import (
    MAX_COMPARISONS,
    MAX_SIGNATURES,
    Certificate,
    Descent,
    read_chain,
    read_key,
    shown,
)
from merpati.wire.tls import server_end_point
from tests.cases import each
from tests.issuers import LATER, NOW, Issuer, Limits

NAME = "mx.a.test"
ROOT = Issuer.named("root")
MIDDLE = Issuer.named("middle", ROOT)
OWN = MIDDLE.leaf(NAME)
YEAR_ZERO = MIDDLE.leaf(NAME, end=datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)).replace(
    b"21000101000000Z", b"00000101000000Z"
)
BY_SHA1 = base64.b64decode(
    "MIIBczCCARqgAwIBAgIUKxA6PeRsMBZhYCC+FnG0eBR38yEwCQYHKoZIzj0EATAPMQ0wCwYDVQQDDARzaGExMCAX"
    "DTI2MTEyODIyMjA1NFoYDzIxMjYxMTA0MjIyMDU0WjAPMQ0wCwYDVQQDDARzaGExMFkwEwYHKoZIzj0CAQYIKoZI"
    "zj0DAQcDQgAEuMqht7QVPBPbOOgLWIr7bmONRT9k/k/NEgYIYk8nFTkMvF/f0rrTniThQWMQQYWQ6GemTJo1dB9H"
    "8T1QKRticaNTMFEwHQYDVR0OBBYEFBa88hH0ymqOzcFXSvXAjMDTehT7MB8GA1UdIwQYMBaAFBa88hH0ymqOzcFX"
    "SvXAjMDTehT7MA8GA1UdEwEB/wQFMAMBAf8wCQYHKoZIzj0EAQNIADBFAiEAsQFMTpUpfnvgiGS4yFfKItHhcr9J"
    "7YKxnA4dbMdRn2kCIBKx2hPPGR0Iu7wkT8Y2fF0D8RXaU8a3CM+Unqlx/cZ4"
)
"""Of an authority, by its own key (P-256) with SHA-1; libraries make none any more."""


def a_chain(*sent: bytes) -> list[Certificate]:
    return read_chain(sent)


def a_key(issuer: Issuer) -> bytes:
    return issuer.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def path(*sent: bytes, others: tuple[bytes, ...] = (), now: float = NOW) -> list[bytes]:
    return [one.der for one in Descent(a_chain(*sent), a_chain(*others), now).path]


def test_a_path_leads_up_through_whoever_truly_signed() -> None:
    stranger = Issuer.named("root").der
    assert path(OWN, stranger, ROOT.der, MIDDLE.der) == [OWN, MIDDLE.der, ROOT.der]
    assert path(OWN, MIDDLE.der, others=(ROOT.der,)) == [OWN, MIDDLE.der, ROOT.der]
    assert path(OWN, ROOT.der) == [OWN]
    assert path(OWN, MIDDLE.der, now=LATER) == []


def test_authorities_in_a_circle_end() -> None:
    one, other = Issuer.named("one"), Issuer.named("other")
    leaf, first, second = one.leaf(NAME), one.again(other), other.again(one)
    assert path(leaf, first, second, first, second) == [leaf, first, first, second, second]


def test_signatures_of_one_chain_are_checked_up_to_a_bound() -> None:
    true = Issuer.named("same")
    own = true.leaf(NAME)
    impostors = [Issuer.named("same").der for _ in range(MAX_SIGNATURES)]
    last = (*impostors[9 : MAX_SIGNATURES - 1], true.der)
    assert path(own, *impostors[:9], others=last) == [own, true.der]
    late = (*impostors[9:], true.der)
    assert path(own, *impostors[:9], others=late) == [own]


def test_a_key_alone_signs_like_its_owner_and_costs_as_much() -> None:
    descent = Descent(a_chain(OWN, MIDDLE.der), [], NOW)
    assert descent.ends_at(a_key(ROOT))
    assert descent.ends_at(a_key(MIDDLE))
    assert not descent.ends_at(a_key(Issuer.named("root")))
    for _ in range(MAX_SIGNATURES):
        descent.ends_at(b"garbage")
    assert not descent.ends_at(a_key(ROOT))


def test_a_key_is_of_the_kind_of_its_signature() -> None:
    edwards = Issuer.named("edwards", private=ed25519.Ed25519PrivateKey.generate())
    (by_edwards,) = a_chain(edwards.leaf(NAME))
    assert by_edwards.is_signed_by(a_key(edwards))
    assert not by_edwards.is_signed_by(a_key(MIDDLE))
    (own,) = a_chain(OWN)
    assert not own.is_signed_by(a_key(edwards))


def test_a_signature_over_a_digest_that_can_be_forged_is_none() -> None:
    (certificate,) = a_chain(BY_SHA1)
    assert not certificate.has_signed(certificate)
    assert not certificate.is_signed_by(certificate.key)


@pytest.mark.slow
def test_keys_of_rsa_check_either_padding_and_those_that_take_long_check_none() -> None:
    private = rsa.generate_private_key(65537, 2048)
    authority = Issuer.named("rsa", private=private)
    slow = rsa.RSAPublicNumbers(2**200 + 1, private.public_key().public_numbers().n).public_key()
    costly = slow.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for how in (padding.PKCS1v15(), padding.PSS(padding.MGF1(hashes.SHA256()), 32)):
        (own,) = a_chain(authority.leaf(NAME, rsa_padding=how))
        assert own.is_signed_by(a_key(authority))
        assert not own.is_signed_by(costly)
        assert not own.is_signed_by(a_key(MIDDLE))


@each(
    ("inside", "common", "fits"),
    [
        (["mx.a.test"], "", True),
        (["MX.A.test"], "", True),
        (["*.a.test"], "", True),
        (["*.test", "m*.a.test", "*"], "", False),
        ([], "mx.a.test", True),
        ([], "*.a.test", True),
        (["b.test"], "mx.a.test", False),
    ],
)
def test_the_common_name_counts_only_where_there_is_no_other(
    inside: list[str], common: str, fits: bool
) -> None:
    (own,) = a_chain(ROOT.leaf(*inside, common=common))
    assert own.is_for(NAME) is fits
    assert own.names_host(NAME) is (fits and bool(inside))


def test_a_letter_that_only_looks_like_one_is_another() -> None:
    # The sign for kelvin has k for its small letter.
    (own,) = a_chain(ROOT.leaf(common="mx.\N{KELVIN SIGN}.test"))
    assert not own.is_for("mx.k.test")


def test_a_certificate_that_no_library_reads_is_none() -> None:
    """Of a version that there is not, or that ends in a year that there was not."""
    odd = OWN.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020104"), 1)
    assert odd != OWN
    assert read_chain([odd]) == []
    assert shown(odd).name == ""
    assert server_end_point(odd) == b""
    assert read_chain([YEAR_ZERO]) == []


def test_a_name_of_bits_where_text_belongs_makes_it_unreadable() -> None:
    """RFC 5280 appendix A.1: UTF8String and its like; the library raises a TypeError."""
    common = bytes.fromhex("06035504030c")
    odd = OWN.replace(common, common[:-1] + b"\x03", 1)
    assert odd != OWN
    assert read_chain([odd]) == []
    assert shown(odd).name == ""


@pytest.mark.slow
def test_nothing_spoilt_in_a_certificate_raises() -> None:
    """Each octet as each type of ASN.1, as a length, and as what fits nowhere."""
    for at in range(len(OWN)):
        for octet in b"\0\1\2\3\5\6\x0c\x13\x16\x17\x18\x1e\x30\x31\x7f\x80\x82\x87\xa0\xa3\xff":
            spoilt = OWN[:at] + bytes([octet]) + OWN[at + 1 :]
            assert len(read_chain([spoilt])) < 2
            assert len(shown(spoilt).digest) == 64
            server_end_point(spoilt)


def test_a_key_is_read_where_little_else_is() -> None:
    assert read_key(YEAR_ZERO) == read_key(OWN) == read_chain([OWN])[0].key
    assert read_key(b"garbage") == b""


@each(
    ("permitted", "excluded", "fits"),
    [
        (["a.test"], [], True),
        ([".A.test"], [], True),
        (["mx.a.test", "b.test"], [], True),
        (["b.test", "ba.test", "x.mx.a.test"], [], False),
        ([], ["a.test"], False),
        ([], ["b.test", "xa.test"], True),
        (["test"], ["mx.a.test"], False),
        ([], [""], False),
        ([""], [], True),
    ],
)
def test_an_authority_vouches_only_for_names_that_it_may(
    permitted: list[str], excluded: list[str], fits: bool
) -> None:
    """RFC 5280 §4.2.1.10; also where it is only told to keep to them, and is not critical."""
    for critical in (True, False):
        limits = Limits(permitted, excluded, critical)
        narrow = Issuer.named("narrow", ROOT, limits=limits)
        own = narrow.leaf("mx.a.test")
        assert path(own, narrow.der) == ([own, narrow.der] if fits else [own])
    common = narrow.leaf(common="mx.a.test")
    assert (narrow.der in path(common, narrow.der)) is fits


def test_names_are_compared_with_limits_up_to_a_bound() -> None:
    """All authorities of a path together: each round of the climb costs, and a host decides it."""
    names = [f"{number}.a.test" for number in range(100)]
    limits = Limits(["a.test"], [f"{number}.b.test" for number in range(39)])
    above, narrow = ROOT, []
    for number in range(4):
        above = Issuer.named(f"narrow {number}", above, limits=limits)
        narrow.append(above.der)
    assert 2 * len(names) * 40 < MAX_COMPARISONS < 3 * len(names) * 40
    assert path(above.leaf(*names[:10]), *narrow) != []
    assert len(path(above.leaf(*names[:10]), *narrow)) == 5
    assert len(path(above.leaf(*names), *narrow)) == 3


def test_who_signed_nothing_is_not_compared() -> None:
    limits = Limits([], [f"{number}.b.test" for number in range(900)])
    others = tuple(Issuer.named(f"other {number}", limits=limits).der for number in range(9))
    narrow = Issuer.named("narrow", ROOT, limits=limits)
    own = narrow.leaf(*(f"{number}.a.test" for number in range(10)))
    assert path(own, narrow.der, others=others) == [own, narrow.der]
