"""What becomes of signatures: good ones, altered ones, strange ones, and too many (RFC 6376 §6)."""

import tracemalloc
from base64 import b64decode, b64encode
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from merpati.authenticity.dkim.keypair import KeyKind, KeyPair
from merpati.authenticity.dkim.record import MAX_RECORD
from merpati.authenticity.dkim.result import Evidence, Result, best
from merpati.authenticity.dkim.signature import MAX_SIGNED
from merpati.authenticity.dkim.signer import sign
from merpati.authenticity.dkim.verifier import MAX_SIGNATURES, Verification, verify
from merpati.authenticity.seen import Seen
from merpati.dns.errors import DnsTimeout
from merpati.mail.headers import Headers
from merpati.testing.answers import Answers
from tests.authenticity.dkim.signed import (
    AT,
    BODY,
    HEAD,
    MESSAGE,
    a_key,
    crafted,
    name,
    pair,
    signed,
    verdict,
    zone,
)
from tests.cases import each

P = pair().record.partition(b"p=")[2]


def check(message: bytes, result: Result, why: str, *records: bytes) -> Evidence:
    """One signature comes to this, for a reason that holds these words; its evidence."""
    found = verdict(message, {name(a_key()): list(records)} if records else None)
    assert (found.result, found.why) == (result, found.why)
    assert why in found.why
    return found.evidence


def test_a_pass_tells_what_was_seen() -> None:
    message = crafted(i="ann@mail.a.test", t=str(AT), x=str(AT + 99))
    evidence = check(message, Result.PASS, "")
    written = message.partition(b"; b=")[2].partition(b"\r\n")[0]
    assert evidence == Evidence(
        domain="a.test",
        selector="rsa-2048",
        identity="ann@mail.a.test",
        algorithm="rsa-sha256",
        signed=("from", "to"),
        at=AT,
        expires=AT + 99,
        mark=b64decode(written)[:16],
        key_bits=2048,
        key=Seen.of("rsa-2048._domainkey.a.test", pair().record),
    )


def test_a_message_without_a_signature_asks_nothing() -> None:
    answers = Answers({})
    assert answers.answer(verify([MESSAGE], AT)) == ()
    assert answers.asked == []
    assert best(()) is Result.NONE


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b"apa", b"aqa", "the body was altered; the header is as it was signed"),
        (b"Budi", b"Bodi", "the header was altered"),
        (b"Budi <budi@b.test>\r\n", b"Bodi <b@b.test>\r\nX: apa", "the header was altered"),
        (b"b=", b"b=AAAA", "the header was altered"),
    ],
)
def test_what_was_altered_fails(old: bytes, new: bytes, why: str) -> None:
    check(signed().replace(old, new, 1), Result.FAIL, why)


def test_both_altered_fail() -> None:
    message = signed().replace(b"apa", b"aqa").replace(b"Budi", b"Bodi")
    check(message, Result.FAIL, "header and body were altered")


def test_white_space_at_line_ends_and_empty_lines_behind_do_no_harm() -> None:
    message = signed().replace(b"kabar? ", b"kabar?\t ") + b"\r\n\r\n"
    check(message.replace(b"Subject: ", b"SUBJECT:\t"), Result.PASS, "")


@each(
    ("tags", "result", "why"),
    [
        ({"v": None}, Result.PERMERROR, "lacks v="),
        ({"v": "2"}, Result.NEUTRAL, "version"),
        ({"a": "rsa-sha1"}, Result.POLICY, "SHA-1"),
        ({"a": "rsa-sha512"}, Result.NEUTRAL, "algorithm"),
        ({"c": "nofws"}, Result.NEUTRAL, "canonicalization"),
        ({"c": "relaxed/"}, Result.FAIL, "the body was altered"),
        ({"c": "relaxed/x"}, Result.NEUTRAL, "canonicalization"),
        ({"d": None}, Result.PERMERROR, "lacks d="),
        ({"d": "test"}, Result.NEUTRAL, "d= is not a domain"),
        ({"d": "[192.0.2.1]"}, Result.NEUTRAL, "d= is not a domain"),
        ({"d": "a..test"}, Result.NEUTRAL, "d= is not a domain"),
        ({"s": "a b"}, Result.NEUTRAL, "no name of the DNS"),
        ({"s": "a" * 300}, Result.NEUTRAL, "no name of the DNS"),
        ({"s": None}, Result.PERMERROR, "lacks s="),
        ({"h": None}, Result.PERMERROR, "lacks h="),
        ({"h": "to:subject"}, Result.PERMERROR, "From is not signed"),
        ({"h": "from::to"}, Result.NEUTRAL, "h= is not"),
        ({"h": "from" + ":to" * MAX_SIGNED}, Result.POLICY, "more than 200"),
        ({"bh": None}, Result.PERMERROR, "lacks bh="),
        ({"bh": "!"}, Result.NEUTRAL, "bh= is not base64"),
        ({"bh": "A"}, Result.NEUTRAL, "bh= is not base64"),
        ({"bh": "A" * 3000}, Result.NEUTRAL, "bh= is not base64"),
        ({"bh": "é"}, Result.NEUTRAL, "bh= is not base64"),
        ({"i": "ann"}, Result.NEUTRAL, "not an identity"),
        ({"i": "ann@b.test"}, Result.PERMERROR, "not in the signature's domain"),
        ({"i": "ann@xa.test"}, Result.PERMERROR, "not in the signature's domain"),
        ({"i": "ann@A.test"}, Result.PASS, ""),
        ({"l": "x"}, Result.NEUTRAL, "l= is not a number"),
        ({"l": "-1"}, Result.NEUTRAL, "l= is not a number"),
        ({"l": "9" * 70}, Result.FAIL, "shorter than what was signed"),
        ({"l": "5"}, Result.POLICY, "the end of the body is not signed"),
        ({"l": "0"}, Result.POLICY, "the end of the body is not signed"),
        ({"l": "19"}, Result.PASS, ""),
        ({"q": "http"}, Result.NEUTRAL, "not to be had from the DNS"),
        ({"q": "http : dns/txt"}, Result.PASS, ""),
        ({"t": "now"}, Result.NEUTRAL, "t= is not a time"),
        ({"t": "1" * 13}, Result.NEUTRAL, "t= is not a time"),
        ({"x": "never"}, Result.NEUTRAL, "x= is not a time"),
        ({"t": "20", "x": "20"}, Result.PERMERROR, "before it was made"),
        ({"x": str(AT)}, Result.POLICY, "expired"),
        ({"future": "tag"}, Result.PASS, ""),
        ({"z": "From:ann@a.test|To:x"}, Result.PASS, ""),
        ({"d": "A.TEST"}, Result.PASS, ""),
    ],
)
def test_a_signature_is_read_as_the_rfc_says(
    tags: dict[str, str | None], result: Result, why: str
) -> None:
    check(crafted(**tags), result, why)


@each("value", [b"", b"v=1; v=1", b"\x00", b"v=\xff;", b"v" * 40_000])
def test_what_is_no_list_of_tags_is_neutral(value: bytes) -> None:
    check(b"DKIM-Signature: " + value + b"\r\n" + MESSAGE, Result.NEUTRAL, "cannot be read")


def test_a_signature_that_is_refused_still_says_whose_it_was() -> None:
    evidence = check(crafted(a="rsa-sha1", s="x" * 999, i="é@a.test"), Result.POLICY, "SHA-1")
    assert evidence.domain == "a.test"
    assert evidence.selector == "x" * 254
    assert evidence.identity == "é@a.test"
    assert evidence.signed == ("from", "to")


def test_expiry_is_seen_whatever_comes_of_the_signature() -> None:
    assert check(crafted(x=str(AT)).replace(b"apa", b"aqa"), Result.FAIL, "").expired


def rsa_record(public: rsa.RSAPublicKey) -> bytes:
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return b"p=" + b64encode(der)


def rsa_key() -> rsa.RSAPublicKey:
    private = pair().private
    assert isinstance(private, rsa.RSAPrivateKey)
    return private.public_key()


# Nobody makes a key of 768 bits any more, but some are still published.
WEAK = (
    b"p=MHwwDQYJKoZIhvcNAQEBBQADawAwaAJhAOC0Guw+VsfwV8NKdbBmRiVbmD1HKlhxP4oxiLngg1NmYj67e4XgakLDMq"
    b"GlyUnx5xIeN5k3ywO1MMwDRu4juR9GlhJeh0qigvdk113obZEPzapChfHoxLT4P+VuYSz2ZQIDAQAB"
)
EC_RECORD = b"p=" + b64encode(
    ec.generate_private_key(ec.SECP256R1())
    .public_key()
    .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
)


@each(
    ("record", "result", "why"),
    [
        (b"p=" + P, Result.PASS, ""),
        (b"v=DKIM1; p=" + P, Result.PASS, ""),
        (b"k=rsa; n=a note; t=x; h=sha1:sha256; s=*; p=" + P + b";", Result.PASS, ""),
        (b"s=other : email; p=" + P[:50] + b" " + P[50:], Result.PASS, ""),
        (b"v=DKIM2; p=" + P, Result.PERMERROR, "not of DKIM"),
        (b"p=" + P + b"; v=DKIM1", Result.PERMERROR, "not of DKIM"),
        (b"v=DKIM1; p=", Result.PERMERROR, "revoked"),
        (b"v=DKIM1", Result.PERMERROR, "no key"),
        (b"v=DKIM1; k=ed25519; p=" + P, Result.PERMERROR, "another algorithm"),
        (EC_RECORD, Result.PERMERROR, "another algorithm"),
        (b"h=sha1; p=" + P, Result.PERMERROR, "SHA-256"),
        (b"s=other; p=" + P, Result.PERMERROR, "not for mail"),
        (b"s=tlsrpt; p=" + P, Result.POLICY, "reports about TLS alone"),
        (b"s=tlsrpt:email; p=" + P, Result.PASS, ""),
        (b"p=!!", Result.PERMERROR, "not base64"),
        (b"p=\xc3\xa9", Result.PERMERROR, "not base64"),
        (b"p=AAAA", Result.PERMERROR, "not a key"),
        (b"p", Result.PERMERROR, "cannot be read"),
        (b"\xff" * 2000, Result.PERMERROR, "cannot be read"),
        (b"p=" + b"A" * MAX_RECORD, Result.PERMERROR, "too long"),
        (WEAK, Result.POLICY, "a key of 768 bits"),
        (rsa_record(rsa.RSAPublicNumbers(3, 2**4200 + 1).public_key()), Result.POLICY, "4201 bits"),
        (
            rsa_record(rsa.RSAPublicNumbers(3, 2**2047 + 1).public_key()),
            Result.FAIL,
            "the key is another one",
        ),
    ],
)
def test_a_key_record_is_read_as_the_rfc_says(record: bytes, result: Result, why: str) -> None:
    evidence = check(crafted(), result, why, record)
    assert evidence.key
    assert evidence.key.size == len(record)
    expected = "".join(chr(octet) if octet < 128 else "?" for octet in record[:2048])
    assert evidence.key.record == expected


def test_the_bare_key_of_pkcs1_is_read_too() -> None:
    der = rsa_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    check(crafted(), Result.PASS, "", b"p=" + b64encode(der))


def test_there_may_be_no_key() -> None:
    found = verdict(crafted(), {})
    assert (found.result, found.why) == (Result.PERMERROR, "there is no key in the DNS")


def test_a_dns_that_does_not_answer_is_temporary() -> None:
    found = verdict(crafted(), {name(a_key()): DnsTimeout("no answer")})
    assert found.result is Result.TEMPERROR
    assert found.evidence.domain == "a.test"


def test_a_key_of_several_records_may_be_the_one() -> None:
    other = KeyPair.generate(KeyKind.ED25519).record
    check(crafted(), Result.PASS, "", other, b"nonsense", pair().record)
    check(crafted(), Result.PERMERROR, "another algorithm", other, b"nonsense")
    check(crafted(), Result.PERMERROR, "revoked", *[b"p="] * 4, pair().record)


def test_a_domain_that_tests_is_not_held_against_the_message() -> None:
    record = pair().record + b"; t=y"
    assert check(crafted(), Result.PASS, "", record).testing
    altered = crafted().replace(b"apa", b"aqa")
    assert check(altered, Result.NEUTRAL, "the body was altered", record).testing


def test_a_strict_key_is_not_for_domains_below() -> None:
    record = pair().record + b"; t=s"
    check(crafted(i="ann@a.test"), Result.PASS, "", record)
    check(crafted(i="ann@mail.a.test"), Result.PERMERROR, "domains below", record)


def test_a_key_with_a_huge_exponent_is_refused() -> None:
    numbers = rsa.RSAPublicNumbers(2**1000 + 1, rsa_key().public_numbers().n)
    check(crafted(), Result.POLICY, "exponent", rsa_record(numbers.public_key()))
    numbers = rsa.RSAPublicNumbers(2**33 + 1, rsa_key().public_numbers().n)
    check(crafted(), Result.POLICY, "exponent", rsa_record(numbers.public_key()))


def test_of_many_keys_two_are_tried() -> None:
    modulus = rsa_key().public_numbers().n
    one, two = (
        rsa_record(rsa.RSAPublicNumbers(65537, modulus - 2 * n).public_key()) for n in (1, 2)
    )
    check(crafted(), Result.PASS, "", one, b"nonsense", pair().record)
    check(crafted(), Result.FAIL, "the key is another one", one, two, pair().record)


def test_only_so_many_signatures_are_looked_at() -> None:
    many = b"".join(sign([MESSAGE], [a_key()], AT + n) for n in range(MAX_SIGNATURES + 3))
    answers = Answers(zone(a_key()))
    verification = Verification(Headers.scan(many + MESSAGE))
    assert verification.ignored == 3
    verification.update(BODY)
    verdicts = answers.answer(verification.verdicts(AT))
    assert [each.result for each in verdicts] == [Result.PASS] * MAX_SIGNATURES
    assert len(answers.asked) == MAX_SIGNATURES


def test_signatures_of_different_lengths_are_each_checked_by_their_own() -> None:
    message = crafted(crafted(crafted(), l="5"), l="19")
    verdicts = Answers(zone(a_key())).answer(verify([message], AT))
    assert [each.result for each in verdicts] == [Result.PASS, Result.POLICY, Result.PASS]
    altered = message.replace(b"kabar", b"gabar")
    verdicts = Answers(zone(a_key())).answer(verify([altered], AT))
    assert [each.result for each in verdicts] == [Result.FAIL, Result.POLICY, Result.FAIL]


@pytest.mark.parametrize("p", [b"AAAA", P])
def test_a_key_of_ed25519_has_32_octets(p: bytes) -> None:
    key = a_key(KeyKind.ED25519)
    found = verdict(crafted(kind=KeyKind.ED25519), {name(key): [b"k=ed25519; p=" + p]})
    assert (found.result, found.why) == (Result.PERMERROR, "the key is not a key")


def test_one_good_signature_is_enough_for_a_pass() -> None:
    good, bad = verdict(signed()), verdict(crafted(d="b.test"))
    assert best((bad, good)) is Result.PASS
    assert best((bad, replace(bad, result=Result.NEUTRAL))) is Result.PERMERROR


def test_the_parts_make_no_difference() -> None:
    message = signed()
    answers = Answers(zone(a_key()))
    parts = [message[at : at + 1] for at in range(len(message))]
    assert answers.answer(verify(parts, AT))[0].result is Result.PASS


@pytest.mark.slow
def test_a_large_body_takes_constant_memory() -> None:
    part = (b"x" * 76 + b" \r\n") * 800
    fields = sign([HEAD, b"\r\n", *[part] * 200], [a_key()], AT)
    verification = Verification(Headers.scan(fields + HEAD + b"\r\n"))
    tracemalloc.start()
    try:
        for _ in range(200):
            verification.update(part)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5 * len(part)
    (found,) = Answers(zone(a_key())).answer(verification.verdicts(AT))
    assert found.result is Result.PASS


def test_a_bare_line_end_in_the_body_is_signed_like_any_octet() -> None:
    message = HEAD + b"\r\na\nb\rc\r\n.\r\n"
    check(signed(message), Result.PASS, "")
    check(signed(message).replace(b"a\nb", b"a\r\nb"), Result.FAIL, "body")
