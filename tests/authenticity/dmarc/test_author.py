"""Who a message is from (RFC 9989 §5.3.1), and every way to make readers disagree about it."""

import base64

import pytest

from merpati.authenticity.dmarc.author import MAX_FIELD, Author, AuthorFlaw, find_author
from merpati.mail.headers import Headers
from tests.cases import each

ENCODED = b"=?utf-8?B?" + base64.b64encode(b"<admin@bank.test>") + b"?="


def author(fields: bytes) -> Author:
    return find_author(Headers.scan(fields + b"\r\n\r\nHi\r\n"))


@each(
    ("fields", "domain"),
    [
        (b"From: ann@a.test", "a.test"),
        (b"FROM : Ann <ann@A.Test>", "a.test"),
        (b'From: "Ann, of B: <@b.test>" <ann@a.test>', "a.test"),
        (b"From: Ann (of: b) <ann@a.test> (c)", "a.test"),
        (b"From:\r\n =?utf-8?q?Ann?=\r\n <ann@a.test>", "a.test"),
        (b'From: "ann@b.test"@a.test', "a.test"),
        (b"From: Merpati, Inc. <ann@a.test>", "a.test"),
        (b"From: ann@a.test, bob@A.test\r\nSender: ann@a.test", "a.test"),
        ("From: ann@bücher.test".encode(), "xn--bcher-kva.test"),
        ("From: ann@BÜCHER\u3002test".encode(), "xn--bcher-kva.test"),
        (b"From: ann@xn--bcher-kva.test", "xn--bcher-kva.test"),
        (b"From: ann@a.test\r\nSender: admin@bank.test\r\nResent-From: x@bank.test", "a.test"),
    ],
)
def test_a_plain_from_has_one_author(fields: bytes, domain: str) -> None:
    assert author(fields) == Author(domain)


@each(
    ("fields", "flaw"),
    [
        (b"To: bob@b.test", AuthorFlaw.NO_FIELD),
        (b"From: ", AuthorFlaw.NO_ADDRESS),
        (b"From: <>", AuthorFlaw.NO_ADDRESS),
        (b"From: Ann", AuthorFlaw.NO_ADDRESS),
        (b"From: undisclosed:;", AuthorFlaw.UNREADABLE),
        (b"From: admin@bank.test: ann@a.test;", AuthorFlaw.UNREADABLE),
        (b"From: ann@[192.0.2.1]", AuthorFlaw.NO_DOMAIN),
        (b"From: postmaster", AuthorFlaw.NO_DOMAIN),
        (b"From: ann@a..test", AuthorFlaw.UNREADABLE),
        (b"From: ann@a.test\xff", AuthorFlaw.UNREADABLE),
        (b"From: ann@a.test <admin@bank.test", AuthorFlaw.UNREADABLE),
        (b"From: ann@a.test" + b"(" * 100, AuthorFlaw.UNREADABLE),
        (b"From: Ann <ann@a.test> <admin@bank.test>", AuthorFlaw.UNREADABLE),
        (b"From: " + b"x" * MAX_FIELD + b" <ann@a.test>", AuthorFlaw.UNREADABLE),
    ],
)
def test_without_one_there_is_a_flaw(fields: bytes, flaw: AuthorFlaw) -> None:
    assert author(fields) == Author(flaw=flaw)


class TestEspoofer:
    """The cases of espoofer that play with From (threats: DMARC ambiguity), by its numbers.

    `bank.test` is whom the forger wants to be, `evil.test` is what SPF and DKIM pass for.
    """

    @each(
        "fields",
        [
            pytest.param(b"From: <x@evil.test>\r\nFrom: <admin@bank.test>", id="a8"),
            pytest.param(b" From: <x@evil.test>\r\nFrom: <admin@bank.test>", id="a9-first"),
            pytest.param(b"From: <x@evil.test>\r\nFrom : <admin@bank.test>", id="a10"),
            pytest.param(b"From\r\n : <x@evil.test>\r\nFrom: <admin@bank.test>", id="a11"),
            pytest.param(b"From\r\n : <x@evil.test>\r\nSender: <admin@bank.test>", id="a12"),
            pytest.param(b"From\r\n : <x@evil.test>\r\nResent-From: <a@bank.test>", id="a13"),
            pytest.param(b"From: <x@evil.test>, <admin@bank.test>", id="a14"),
            pytest.param(b"From:" + ENCODED + b",<x@evil.test>", id="a15"),
            pytest.param(b"From: <@evil.test,@any.test:admin@bank.test>", id="a16"),
            pytest.param(b"From: <@bank.test,@any.test:x@evil.test>", id="a16-turned"),
            pytest.param(b"From: <admin@bank.test>\\,<x@evil.test>", id="a17"),
            pytest.param(b"From: admin@bank.test,<x@evil.test>", id="a18"),
            pytest.param(b"From: <x@evil.test>admin@bank.test", id="a19"),
            pytest.param(b"From: <admin@bank.test\0@evil.test>", id="NUL"),
            pytest.param(b"From: admin@bank.test\0, x@evil.test", id="NUL-list"),
            pytest.param(b"From: <admin@bank.test><x@evil.test>", id="two angles"),
            pytest.param(b"From: admin@bank.test <x@evil.test", id="open angle"),
            pytest.param(b"From: <admin@bank.test>;<x@evil.test>", id="semicolon"),
            pytest.param(b"fRoM: <x@evil.test>\r\nFROM: <admin@bank.test>", id="case"),
        ],
    )
    def test_there_is_no_author(self, fields: bytes) -> None:
        assert author(fields).flaw

    def test_a_field_behind_a_blank_is_part_of_the_one_before(self) -> None:
        """a9: readers that take it for a field see two; it makes the first unreadable, or is
        no From at all."""
        assert author(b"From: <x@evil.test>\r\n From: <admin@bank.test>").flaw
        found = author(b"X: y\r\n From: <x@evil.test>\r\nFrom: <admin@bank.test>")
        assert found == Author("bank.test")
