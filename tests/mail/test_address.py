"""Addresses: what is one, how it is written, and that reading what was written gives it back."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from merpati.mail.address import Address, AddressError, display_domain, parse_domain
from tests.cases import each


def check(text: str, local: str, domain: str, written: str | None = None) -> None:
    """`text` reads as `local` and `domain`, and is written as `written` (as it came if None)."""
    address = Address.parse(text)
    assert (address.local, address.domain) == (local, domain)
    assert str(address) == (text if written is None else written)
    assert Address.parse(str(address)) == address


def refused(text: str, why: str) -> None:
    with pytest.raises(AddressError, match=why):
        Address.parse(text)


def test_a_plain_mailbox() -> None:
    check("Ann.Lee+news@mail.a.test", "Ann.Lee+news", "mail.a.test")


def test_the_domain_is_lower_case_and_the_local_part_keeps_its_case() -> None:
    check("Ann@A.Test", "Ann", "a.test", "Ann@a.test")


def test_every_atext_character_needs_no_quotes() -> None:
    check("!#$%&'*+-/=?^_`{|}~@a.test", "!#$%&'*+-/=?^_`{|}~", "a.test")


@each(
    ("text", "local"),
    [
        ('"a b"@a.test', "a b"),
        ('"a@b"@a.test', "a@b"),
        (r'"a\"b\\c"@a.test', r'a"b\c'),
        ('""@a.test', ""),
        ('"a..b"@a.test', "a..b"),
        ('".a"@a.test', ".a"),
    ],
)
def test_quotes_stay_where_they_are_needed(text: str, local: str) -> None:
    check(text, local, "a.test")


@pytest.mark.parametrize("text", ['"ann"@a.test', r'"a\n\n"@a.test'])
def test_quotes_go_where_they_are_not_needed(text: str) -> None:
    check(text, "ann", "a.test", "ann@a.test")


def test_a_sender_cannot_hide_another_domain_in_a_quoted_local_part() -> None:
    check('"victim@evil.test x"@a.test', "victim@evil.test x", "a.test")


def test_utf8_stands_in_both_parts() -> None:
    check("jürgen@münchen.test", "jürgen", "xn--mnchen-3ya.test", "jürgen@xn--mnchen-3ya.test")


def test_people_see_u_labels() -> None:
    assert Address.parse("j@xn--mnchen-3ya.test").display == "j@münchen.test"
    assert Address.parse("j@a.test").display == "j@a.test"
    assert Address.parse("postmaster").display == "postmaster"


def test_a_label_that_only_looks_like_an_a_label_is_shown_as_it_is() -> None:
    assert display_domain("xn--zzzz.test") == "xn--zzzz.test"


def test_an_ideographic_full_stop_separates_labels() -> None:
    assert parse_domain("a。test") == "a.test"


def test_only_the_local_part_decides_whether_smtputf8_is_needed() -> None:
    assert Address.parse("j@münchen.test").is_ascii
    assert not Address.parse("jürgen@a.test").is_ascii


def test_address_literals_have_one_form() -> None:
    check("a@[192.0.2.1]", "a", "[192.0.2.1]")
    check("a@[ipv6:2001:DB8:0::1]", "a", "[IPv6:2001:db8::1]", "a@[IPv6:2001:db8::1]")


def test_a_literal_tells_its_ip() -> None:
    assert Address.parse("a@[192.0.2.1]").ip == "192.0.2.1"
    assert Address.parse("a@[IPv6:2001:db8::1]").ip == "2001:db8::1"
    assert Address.parse("a@a.test").ip is None


@each(
    "literal",
    [
        "[192.0.2.256]",
        "[192.0.2.01]",
        "[192.0.2]",
        "[IPv6:::1:::2]",
        "[IPv6:fe80::1%eth0]",
        "[]",
        "[2001:db8::1]",
        "[x400:c=de]",
        "[192.0.2.1",
        "[192.0.2.1]x",
    ],
)
def test_a_malformed_literal_is_refused(literal: str) -> None:
    refused(f"a@{literal}", "bracket|literal")


def test_a_bare_ip_address_is_no_domain() -> None:
    refused("a@192.0.2.1", r"\[192.0.2.1\]")


@pytest.mark.parametrize("text", ["postmaster", "Postmaster", "POSTMASTER"])
def test_postmaster_alone_needs_no_domain(text: str) -> None:
    check(text, text, "")


@each(
    "text",
    [
        "",
        "ann",
        "ann@",
        "@a.test",
        "a@b@a.test",
        "a b@a.test",
        ".a@a.test",
        "a.@a.test",
        "a..b@a.test",
        '"a@a.test',
        'a"b"@a.test',
        '"a"b@a.test',
        "<a@a.test>",
        "a,b@a.test",
        "a@a.test ",
        " a@a.test",
        '"\\ü"@a.test',
        '"a"b"@a.test',
    ],
)
def test_what_the_grammar_has_not_is_refused(text: str) -> None:
    refused(text, "not a")


@each("control", ["\0", "\t", "\r", "\n", "\x7f", "\x85", "\u2028", "\udc80"])
def test_controls_are_refused_even_in_quotes(control: str) -> None:
    refused(f'"a{control}b"@a.test', "not a")
    refused(f"a{control}b@a.test", "not a")
    refused(f"a@a{control}.test", "not a")
    refused(f"a@a.test{control}", "not a")


@each("domain", ["a..test", ".a.test", "a.test.", "-a.test", "a-.test", "a!b"])
def test_a_malformed_domain_is_refused(domain: str) -> None:
    refused(f"a@{domain}", "not a domain")


def test_underscores_in_host_names_are_let_pass() -> None:
    check("a@mail_1._x.test", "a", "mail_1._x.test")


def test_a_forbidden_u_label_is_refused() -> None:
    refused("a@a\u2603\u200d.test", "internationalised")


def test_a_label_has_at_most_63_octets() -> None:
    check("a@" + "b" * 63, "a", "b" * 63)
    refused("a@" + "b" * 64, "domain")


def test_a_local_part_may_be_as_long_as_a_path() -> None:
    verp = "bounces+12345-0123456789abcdef-ann=mail.office.example.test-news-2026"
    assert len(verp) > 64
    check(f"{verp}@b", verp, "b")
    check("a" * 252 + "@b", "a" * 252, "b")
    refused("a" * 253 + "@b", "254 octets")
    refused("ü" * 127 + "@b", "254 octets")
    refused('"' + " " * 251 + '"@b', "254 octets")


def test_a_domain_has_at_most_253_octets() -> None:
    assert len(parse_domain(".".join(["a" * 49] * 5) + ".abc")) == 253
    with pytest.raises(AddressError, match="domain"):
        parse_domain(".".join(["a" * 49] * 5) + ".abcd")


def test_a_mailbox_has_at_most_254_octets() -> None:
    domain = ".".join(["b" * 63] * 3)
    check("a" * 62 + "@" + domain, "a" * 62, domain)
    refused("a" * 63 + "@" + domain, "254 octets")
    refused("ü" * 32 + "@" + domain, "254 octets")


locals_ = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=64).filter(
    lambda local: len(local.encode()) <= 30
)


@given(locals_, st.sampled_from(["a.test", "xn--mnchen-3ya.test", "[192.0.2.1]", "[IPv6:::1]"]))
def test_writing_and_reading_gives_the_same_address(local: str, domain: str) -> None:
    address = Address(local, domain)
    assert Address.parse(str(address)) == address


@given(st.text())
@example("a@\u3002")
@example("a@xn--\u00fc")
@example("a@\u0130.test")
def test_any_text_is_an_address_or_an_address_error(text: str) -> None:
    for candidate in (text, f"a@{text}", f'"{text}"@a.test'):
        try:
            address = Address.parse(candidate)
        except AddressError:
            continue
        assert Address.parse(str(address)) == address
        assert address.domain == address.domain.lower().replace("ipv6", "IPv6")
        assert address.display


@pytest.mark.slow
@given(st.text())
def test_an_address_error_never_repeats_what_was_said(text: str) -> None:
    with pytest.raises(AddressError) as raised:
        Address.parse(f"\0{text}")
    assert "\0" not in str(raised.value)
