"""The Received field that this host writes (RFC 5321 §4.4, RFC 3848)."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from merpati.mail.address import Address
from merpati.mail.envelope import Envelope, Recipient
from merpati.mail.trace import Client, Tls, date_time, received
from tests.cases import each

TLS = Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384")


def an_envelope(*to: str, smtputf8: bool = False) -> Envelope:
    recipients = tuple(Recipient(Address.parse(address)) for address in to)
    return Envelope(None, recipients, smtputf8=smtputf8)


def check(client: Client, envelope: Envelope, expected: str) -> None:
    field = received(client, envelope, "mx.a.test", "ID1", 1_800_000_000.9).decode()
    assert " ".join(field.split()) == f"Received: {expected}; Fri, 15 Jan 2027 08:00:00 +0000"
    assert all(line.startswith("\t") for line in field.split("\r\n")[1:-1])


def test_a_client_with_name_and_tls() -> None:
    client = Client("192.0.2.7", name="c.b.test", helo="me.b.test", tls=TLS, protocol="ESMTPS")
    check(
        client,
        an_envelope("ann@a.test"),
        "from me.b.test (c.b.test [192.0.2.7]) by mx.a.test with ESMTPS id ID1"
        " for <ann@a.test> (TLSv1.3) tls TLS_AES_256_GCM_SHA384",
    )


def test_a_suite_without_a_registered_name_is_a_comment() -> None:
    tls = Tls("TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384")
    check(
        Client("192.0.2.7", helo="me.b.test", tls=tls, protocol="ESMTPS"),
        an_envelope("ann@a.test"),
        "from me.b.test ([192.0.2.7]) by mx.a.test with ESMTPS id ID1 for <ann@a.test>"
        " (TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384)",
    )


def test_ipv6_is_a_tagged_literal() -> None:
    client = Client("2001:db8::1", helo="me.test", protocol="ESMTP")
    check(
        client,
        an_envelope("ann@a.test"),
        "from me.test ([IPv6:2001:db8::1]) by mx.a.test with ESMTP id ID1 for <ann@a.test>",
    )


def test_several_recipients_are_not_shown_to_one_another() -> None:
    client = Client("192.0.2.7", helo="me.test", protocol="SMTP")
    check(
        client,
        an_envelope("ann@a.test", "bob@a.test"),
        "from me.test ([192.0.2.7]) by mx.a.test with SMTP id ID1",
    )


def test_what_is_made_here_comes_from_nowhere() -> None:
    client = Client("", role="local", protocol="")
    check(client, an_envelope("ann@a.test"), "by mx.a.test id ID1 for <ann@a.test>")


@pytest.mark.parametrize(
    ("protocol", "utf8"),
    [("ESMTPSA", "UTF8SMTPSA"), ("LMTP", "UTF8LMTP"), ("ESMTP", "UTF8SMTP")],
)
def test_smtputf8_changes_the_keyword(protocol: str, utf8: str) -> None:
    client = Client("192.0.2.7", helo="me.test", protocol=protocol)
    field = received(client, an_envelope("ann@a.test", smtputf8=True), "h", "ID1", 0.0)
    assert f" with {utf8}\r\n".encode() in field


def test_an_address_in_utf8_is_named_only_where_the_message_may_hold_it() -> None:
    client = Client("192.0.2.7", helo="me.test", protocol="ESMTP")
    plain = received(client, an_envelope("añn@a.test"), "h", "ID1", 0.0)
    assert b"for" not in plain
    utf8 = received(client, an_envelope("añn@a.test", smtputf8=True), "h", "ID1", 0.0)
    assert "for <añn@a.test>".encode() in utf8


@each(
    ("role", "extended", "tls", "login", "name"),
    [
        ("mx", False, TLS, "", "SMTP"),
        ("mx", True, None, "", "ESMTP"),
        ("submission", True, TLS, "ann@a.test", "ESMTPSA"),
        ("lmtp", True, None, "", "LMTP"),
        ("lmtp", True, TLS, "", "LMTPS"),
    ],
)
def test_the_keyword_says_what_protected_the_session(
    role: str, extended: bool, tls: Tls | None, login: str, name: str
) -> None:
    client = Client("192.0.2.7", tls=tls, login=login, role=role)
    assert client.introduced(client.helo, client.login, extended=extended).protocol == name


@pytest.mark.parametrize(
    ("priority", "clause"), [(3, " priority 3"), (-2, " priority -2"), (0, "")]
)
def test_a_priority_is_told_to_who_traces(priority: int, clause: str) -> None:
    client = Client("192.0.2.7", helo="me.test", protocol="ESMTP")
    check(
        client,
        structs.replace(an_envelope("ann@a.test"), priority=priority),
        "from me.test ([192.0.2.7]) by mx.a.test with ESMTP id ID1 for <ann@a.test>" + clause,
    )


def test_days_and_months_are_english_whatever_the_locale() -> None:
    assert date_time(0) == "Thu, 1 Jan 1970 00:00:00 +0000"


@given(st.text(), st.text())
def test_no_hello_breaks_out_of_its_place(helo: str, name: str) -> None:
    client = Client("192.0.2.7", name=name, helo=helo, protocol="ESMTP")
    field = received(client, an_envelope(), "mx.a.test", "ID1", 0.0).decode("ascii")
    word = r"[A-Za-z0-9._:\[\]?-]+"
    assert re.fullmatch(
        rf"Received: from {word} \(({word} )?\[192\.0\.2\.7\]\)\r\n"
        r"\tby mx\.a\.test with ESMTP\r\n\tid ID1;\r\n\tThu, 1 Jan 1970 00:00:00 \+0000\r\n",
        field,
    )
