"""What others have tried on verifiers of DKIM (espoofer's cases a8 to a12, l= and BIMI 2024)."""

from merpati.authenticity.dkim.result import Result
from merpati.authenticity.dkim.signer import sign
from tests.authenticity.dkim.signed import AT, BODY, HEAD, MESSAGE, a_key, crafted, signed, verdict
from tests.cases import each


@each(
    "domain",
    [
        "a.test(.b.test",
        "a.test\x00.b.test",
        "a.test'a.b.test",
        "a.test ;b.test",
        "a.test%00.b.test",
    ],
)
def test_a_domain_is_never_read_in_part(domain: str) -> None:
    found = verdict(crafted(d=domain))
    assert found.result in (Result.NEUTRAL, Result.FAIL)
    assert found.evidence.domain != "a.test" or found.result is Result.FAIL


@each("selector", ["x.b.test.\x00", "x.b.test/", "x.b.test.%00", "x\\.b", "*"])
def test_a_selector_leads_to_no_other_domain(selector: str) -> None:
    assert verdict(crafted(s=selector)).result is Result.NEUTRAL


def test_what_is_put_on_top_of_ours_is_seen() -> None:
    for field in (b"From: eve@e.test", b"Subject: You have won", b"Content-Type: text/html"):
        assert verdict(field + b"\r\n" + signed()).result is Result.FAIL


def test_what_is_put_between_is_seen() -> None:
    message = signed().replace(b"To:", b"From: eve@e.test\r\nTo:", 1)
    assert verdict(message).result is Result.FAIL


def test_what_is_put_behind_a_signed_length_is_not_believed() -> None:
    message = crafted(l="19") + b"<html>what everybody sees</html>\r\n"
    found = verdict(message)
    assert found.result is Result.POLICY
    assert not found.evidence.covers_body


def test_a_header_section_that_ends_early_is_another_message() -> None:
    message = signed().replace(b"Subject:", b"\r\nSubject:", 1)
    assert verdict(message).result is Result.FAIL


def test_a_name_with_blanks_before_its_colon_counts_as_the_name() -> None:
    assert verdict(b"From : eve@e.test\r\n" + signed()).result is Result.FAIL
    assert verdict(b"FROM\t: eve@e.test\r\n" + signed()).result is Result.FAIL


def test_a_signature_is_of_one_body_only() -> None:
    other = sign([HEAD + b"\r\nanother body\r\n"], [a_key()], AT) + HEAD + b"\r\n" + BODY
    assert verdict(other).result is Result.FAIL
    assert verdict(signed(MESSAGE)).result is Result.PASS
