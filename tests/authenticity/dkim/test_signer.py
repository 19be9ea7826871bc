"""What is signed, and what a signature says."""

import pytest

from merpati.authenticity.dkim.canonical import Canonicalization
from merpati.authenticity.dkim.keypair import KeyKind
from merpati.authenticity.dkim.result import Result
from merpati.authenticity.dkim.signer import (
    DAY,
    OVERSIGNED,
    Signer,
    SigningSettings,
    Unsignable,
    sign,
)
from merpati.authenticity.dkim.verifier import verify
from merpati.authenticity.tags import Tags, parse_tags
from merpati.mail.headers import Headers
from merpati.testing.answers import Answers
from tests.authenticity.dkim.signed import (
    AT,
    BODY,
    HEAD,
    MESSAGE,
    a_key,
    signed,
    verdict,
    zone,
)
from tests.cases import each


def tags_of(message: bytes) -> Tags:
    (field,) = [one for one in Headers.scan(message).fields if one.name == "DKIM-Signature"]
    return parse_tags(field.raw.partition(b":")[2])


@pytest.mark.parametrize("header", Canonicalization)
@pytest.mark.parametrize("body", Canonicalization)
def test_every_pair_of_canonicalizations_verifies(
    header: Canonicalization, body: Canonicalization
) -> None:
    message = signed(settings=SigningSettings(header, body))
    assert tags_of(message).get("c") == f"{header.value}/{body.value}"
    assert verdict(message).result is Result.PASS


def test_two_keys_make_two_signatures_and_both_verify() -> None:
    keys = [a_key(KeyKind.RSA_2048), a_key(KeyKind.ED25519)]
    message = sign([MESSAGE], keys, AT) + MESSAGE
    verdicts = Answers(zone(*keys)).answer(verify([message], AT))
    assert [(each.result, each.evidence.algorithm) for each in verdicts] == [
        (Result.PASS, "rsa-sha256"),
        (Result.PASS, "ed25519-sha256"),
    ]


def test_a_retry_signs_the_same_octets() -> None:
    keys = [a_key(KeyKind.RSA_2048), a_key(KeyKind.ED25519)]
    assert sign([MESSAGE], keys, AT) == sign([MESSAGE], keys, AT)


def test_the_parts_make_no_difference() -> None:
    parts = [MESSAGE[at : at + 1] for at in range(len(MESSAGE))]
    assert sign(parts, [a_key()], AT) == sign([MESSAGE], [a_key()], AT)


def test_a_signature_says_when_it_was_made_and_ends_after_a_fortnight() -> None:
    tags = tags_of(signed())
    assert tags.get("t") == str(AT)
    assert tags.get("x") == str(AT + 14 * DAY)
    assert "l" not in tags


def test_fields_are_signed_once_more_than_they_are_there() -> None:
    message = HEAD + b"To: other@b.test\r\nList-Id: <l.a.test>\r\n\r\n" + BODY
    names = (tags_of(signed(message)).get("h") or "").replace("\t", "").split(":")
    assert {name: names.count(name) for name in OVERSIGNED} == {
        **dict.fromkeys(OVERSIGNED, 1),
        **{"from": 2, "to": 3, "subject": 2, "date": 2, "message-id": 2},
    }
    assert names.count("list-id") == 1
    assert "received" not in names


@each("name", OVERSIGNED)
def test_no_field_of_those_can_be_added(name: str) -> None:
    assert verdict(name.encode() + b": x@y.test\r\n" + signed()).result is Result.FAIL


def test_fields_that_are_not_signed_may_be_added() -> None:
    assert verdict(b"Received: by another\r\nX-Mark: 1\r\n" + signed()).result is Result.PASS


def test_lines_are_no_longer_than_a_field_should_have() -> None:
    assert max(map(len, sign([MESSAGE], [a_key()], AT).split(b"\r\n"))) <= 78


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (b"To: ann@a.test\r\n", "From"),
        (HEAD + b"From: mallory@a.test\r\n", "From"),
        (HEAD + b"X: 1\r\n" * 30_000, "too long"),
    ],
)
def test_what_cannot_be_signed_says_why(head: bytes, why: str) -> None:
    with pytest.raises(Unsignable, match=why):
        sign([head + b"\r\n" + BODY], [a_key()], AT)


def test_a_message_without_a_body_is_signed() -> None:
    for message in (HEAD, HEAD + b"\r\n"):
        signer = Signer()
        signer.update(message)
        assert verdict(signer.fields([a_key()], AT) + message).result is Result.PASS
