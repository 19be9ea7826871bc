"""Records and logos of BIMI."""

import pytest

from merpati.authenticity.bimi.indicator import ADVISED_OCTETS, MAX_OCTETS, flaws_of
from merpati.authenticity.bimi.record import (
    DEFAULT_SELECTOR,
    Assertion,
    Avatar,
    Found,
    enforces,
    find,
    read_assertion,
    read_selector,
)
from merpati.authenticity.dmarc.record import read_record
from merpati.dns.errors import DnsError, DnsTimeout
from merpati.mail.headers import Headers
from merpati.testing.answers import Answers
from tests.cases import each

LOGO = "https://a.test/logo.svg"
RECORD = f"v=BIMI1; l={LOGO}; a=https://a.test/vmc.pem; lps=brand, news-; avp=personal".encode()


def assertion(octets: bytes) -> Assertion:
    found = read_assertion(octets)
    assert found is not None
    return found


def test_a_record_says_where_the_logo_is_and_who_vouches_for_it() -> None:
    found = assertion(RECORD)
    assert (found.location, found.evidence) == (LOGO, "https://a.test/vmc.pem")
    assert (found.avatar, found.prefixes, found.flaws) == (Avatar.PERSONAL, ("brand", "news-"), ())
    assert not found.declines


@pytest.mark.parametrize("octets", [b"v=BIMI1; l=; a=", b"v=BIMI1;l=;", b" v = BIMI1 ; l="])
def test_a_domain_may_decline(octets: bytes) -> None:
    assert assertion(octets).declines


@each("octets", [b"", b"v=spf1 -all", b"v=BIMI12; l=", b"v=bimi1; l=", b"l=; v=BIMI1", b"\xff"])
def test_what_is_no_record_is_passed_over(octets: bytes) -> None:
    assert read_assertion(octets) is None


@each(
    ("tags", "flaw"),
    [
        ("l=http://a.test/logo.svg", "l= is no https address"),
        ("l=https://[::1]/x", "l= is no https address"),
        ("l=https://ann@a.test/x", "l= is no https address"),
        ("l=https://a.test:8443/x", "l= is no https address"),
        ("l=https://localhost/x", "l= is no https address"),
        ("l=https://a.test/x, https://a.test/y", "l= is no https address"),
        ("l=https://a.test/" + "x" * 3000, "l= is no https address"),
        ("l=; a=file:///etc/passwd", "a= is no https address"),
        ("a=https://a.test/vmc.pem", "there is no l="),
        ("l=" + ";" * 200, "more than 100 tags"),
    ],
)
def test_what_receivers_pass_over_is_told(tags: str, flaw: str) -> None:
    found = assertion(f"v=BIMI1; {tags}".encode())
    assert flaw in found.flaws
    assert not found.declines


@each(
    ("fields", "selector"),
    [
        (b"", DEFAULT_SELECTOR),
        (b"BIMI-Selector: v=BIMI1; s=Brand-2\r\n", "brand-2"),
        (b"BIMI-Selector: v=BIMI1; s=a.b\r\n", "a.b"),
        (b"BIMI-Selector: s=brand\r\n", DEFAULT_SELECTOR),
        (b"BIMI-Selector: v=BIMI1; s=../x\r\n", DEFAULT_SELECTOR),
        (b"BIMI-Selector: v=BIMI1; s=" + b"a." * 200 + b"a\r\n", DEFAULT_SELECTOR),
        (b"BIMI-Selector: v=BIMI1; s=a\r\nBIMI-Selector: v=BIMI1; s=b\r\n", DEFAULT_SELECTOR),
        (b"BIMI-Selector: " + b";" * 300 + b"\r\n", DEFAULT_SELECTOR),
    ],
)
def test_a_message_names_its_selector(fields: bytes, selector: str) -> None:
    assert read_selector(Headers.scan(fields + b"\r\n")) == selector


@each(
    ("policy", "enforced"),
    [
        ("p=reject", True),
        ("p=quarantine; pct=100", True),
        ("p=reject; sp=quarantine", True),
        ("p=none", False),
        ("p=reject; sp=none", False),
        ("p=quarantine; pct=50", False),
        ("p=reject; pct=0", False),
        ("p=reject; t=y", False),
        ("rua=mailto:a@a.test", False),
    ],
)
def test_only_a_policy_that_is_enforced_keeps_forgers_from_a_logo(
    policy: str, enforced: bool
) -> None:
    assert enforces(read_record(f"v=DMARC1; {policy}".encode())) is enforced


def test_without_dmarc_there_is_no_logo() -> None:
    assert not enforces(None)


@each(
    ("records", "result", "name"),
    [
        ({"TXT default._bimi.news.a.test": [RECORD]}, Found.PASS, "default._bimi.news.a.test"),
        ({"TXT default._bimi.a.test": [b"x", RECORD]}, Found.PASS, "default._bimi.a.test"),
        ({"TXT default._bimi.a.test": [b"v=BIMI1; l="]}, Found.DECLINED, "default._bimi.a.test"),
        ({"TXT default._bimi.a.test": [RECORD, RECORD]}, Found.FAIL, "default._bimi.a.test"),
        ({"TXT default._bimi.a.test": [b"v=BIMI1"]}, Found.FAIL, "default._bimi.a.test"),
        ({"TXT default._bimi.a.test": DnsTimeout("x")}, Found.TEMPERROR, "default._bimi.a.test"),
        ({}, Found.NONE, ""),
    ],
)
def test_the_authors_record_is_looked_for_and_then_the_organizations(
    records: dict[str, list[object] | DnsError], result: Found, name: str
) -> None:
    answers = Answers(records)
    found = answers.answer(find("news.a.test", "a.test"))
    assert (found.result, found.name) == (result, name)
    assert len(answers.asked) <= 2


SVG = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b'<svg version="1.2" baseProfile="tiny-ps" xmlns="http://www.w3.org/2000/svg" '
    b'xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 64 64">'
    b'<title>A Test</title><defs><path id="p" d="M0 0h9v9z"/></defs>'
    b'<use xlink:href="#p" fill="url(#g)"/></svg>'
)


def test_a_logo_of_the_profile_has_no_flaw() -> None:
    assert flaws_of(SVG) == ()


@each(
    ("old", "new", "flaw"),
    [
        (b'version="1.2" ', b"", 'version is not "1.2"'),
        (b"tiny-ps", b"tiny", 'baseProfile is not "tiny-ps"'),
        (b"0 0 64 64", b"0 0 64 32", "viewBox is not a square"),
        (b"0 0 64 64", b"", "viewBox is not a square"),
        (b"<svg ", b'<svg x="0" ', "<svg> has x="),
        (b"A Test", b" ", "there is no <title> with the name of the brand"),
        (b"<defs>", b"<script>x()</script><defs>", "<script> is not allowed"),
        (b"<defs>", b'<image href="#p"/><defs>', "<image> is not allowed"),
        (b"<defs>", b"<animate/><defs>", "<animate> is not allowed"),
        (b"#p", b"https://evil.test/x.svg#p", "href= leads elsewhere"),
        (b"url(#g)", b"url(https://evil.test/)", "an attribute loads something from elsewhere"),
        (b"<use ", b'<use onclick="x()" ', "onclick= acts"),
        (b"<defs>", b"<style>@import 'x'</style><defs>", "a style loads something from elsewhere"),
        (b"</svg>", b"", "it is not well-formed XML"),
        (b"<svg ", b"<html><svg ", "it is no SVG"),
        (b"<svg ", b'<!DOCTYPE svg [<!ENTITY a "aa">]><svg ', "it has a document type declaration"),
        (b"UTF-8", b"EBCDIC-X", "it is not well-formed XML"),
        (b"<defs>", b"<g>" * 200, "it has too many elements"),
    ],
)
def test_what_keeps_a_logo_from_being_shown_is_told(old: bytes, new: bytes, flaw: str) -> None:
    assert old in SVG
    assert flaw in flaws_of(SVG.replace(old, new))


def test_a_large_logo_is_told_of_and_a_very_large_one_is_not_read() -> None:
    blanks = b" " * ADVISED_OCTETS
    assert flaws_of(SVG + blanks) == ("longer than 32 KiB, which some receivers refuse",)
    assert flaws_of(b" " * (MAX_OCTETS + 1)) == ("longer than 256 KiB",)
