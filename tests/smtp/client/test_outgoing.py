"""Which parameters stand in MAIL and RCPT, and which messages a server cannot be given."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merpati.mail.address import Address, AddressError
from merpati.mail.envelope import BodyType, DeliverBy, Envelope, Notify, Recipient, Return
from merpati.smtp.capabilities import Capabilities
from merpati.smtp.errors import ProtocolError
from merpati.smtp.outgoing import (
    Outgoing,
    Shelter,
    hindrance,
    mail_command,
    rcpt_command,
    to_xtext,
    utf8_address,
)
from merpati.testing.caller import an_outgoing
from tests.cases import each

BOB = Address.parse("bob@b.test")
ALL = ("SIZE", "8BITMIME", "SMTPUTF8", "CHUNKING", "BINARYMIME", "DSN", "DELIVERBY", "REQUIRETLS")
EVERYTHING = (*ALL, "MT-PRIORITY", "FUTURERELEASE")
BY_R = DeliverBy(0.0, must_return=True)
BY_NT = DeliverBy(0.0, must_return=False, trace=True)
BINARY = {"body": BodyType.BINARY}


def offers(*keywords: str, **known: int) -> Capabilities:
    return Capabilities(keywords=frozenset(keywords), **known)  # type: ignore[arg-type]  # numbers


def without(*keywords: str) -> Capabilities:
    return offers(*(set(EVERYTHING) - set(keywords)))


@each(
    ("keyword", "wishes", "parameter"),
    [
        ("SIZE", {"size": 7}, "SIZE=7"),
        ("8BITMIME", {"eight_bit": True}, "BODY=8BITMIME"),
        ("8BITMIME", {"body": BodyType.EIGHT_BIT}, "BODY=8BITMIME"),
        ("DSN", {"ret": Return.FULL}, "RET=FULL"),
        ("DSN", {"ret": Return.HEADERS}, "RET=HDRS"),
        ("DSN", {"envelope_id": "QQ+1 =x"}, "ENVID=QQ+2B1+20+3Dx"),
        ("DELIVERBY", {"deliver_by": BY_R, "deliver_in": 120}, "BY=120;R"),
        ("DELIVERBY", {"deliver_by": BY_NT, "deliver_in": -5}, "BY=-5;NT"),
        ("DELIVERBY", {"deliver_by": BY_NT, "deliver_in": -(10**12)}, "BY=-999999999;NT"),
        ("MT-PRIORITY", {"priority": -3}, "MT-PRIORITY=-3"),
    ],
)
def test_a_parameter_is_said_where_it_is_offered_and_only_there(
    keyword: str, wishes: dict[str, object], parameter: str
) -> None:
    outgoing = an_outgoing(**wishes)
    said = mail_command(outgoing, offers(*EVERYTHING))
    assert parameter in said.decode().split()
    silent = mail_command(outgoing, without(keyword))
    assert parameter.partition("=")[0] + "=" not in silent.decode()
    assert mail_command(outgoing, Capabilities()) == b"MAIL FROM:<ann@a.test>\r\n"


@pytest.mark.parametrize(
    ("wishes", "parameter"),
    [
        ({"utf8_headers": True}, "SMTPUTF8"),
        ({"require_tls": True}, "REQUIRETLS"),
        (BINARY, "BODY=BINARYMIME"),
    ],
)
def test_what_forbids_the_transfer_where_it_is_not_offered(
    wishes: dict[str, object], parameter: str
) -> None:
    assert parameter in mail_command(an_outgoing(**wishes), offers(*EVERYTHING)).decode().split()
    assert hindrance(an_outgoing(**wishes), offers(), Shelter.PROVEN) is not None
    assert parameter not in mail_command(an_outgoing(), offers(*EVERYTHING)).decode()


def test_what_is_not_wished_is_not_said() -> None:
    said = mail_command(an_outgoing(size=5), offers(*EVERYTHING))
    assert said == b"MAIL FROM:<ann@a.test> SIZE=5\r\n"
    said = mail_command(an_outgoing(sender="", deliver_in=3), offers("DELIVERBY"))
    assert said == b"MAIL FROM:<>\r\n"
    by_unknown = an_outgoing(deliver_by=BY_R)
    assert mail_command(by_unknown, offers("DELIVERBY")) == b"MAIL FROM:<ann@a.test>\r\n"


def test_binary_that_is_lines_goes_as_what_it_is() -> None:
    outgoing = an_outgoing(**BINARY, is_lines=True, eight_bit=True)
    assert b"BODY=8BITMIME" in mail_command(outgoing, offers("8BITMIME"))
    assert hindrance(outgoing, offers(), Shelter.NONE) is None


def test_release_is_honoured_here_and_never_passed_on() -> None:
    said = mail_command(an_outgoing(release_at=5.0), offers(*EVERYTHING))
    assert b"HOLD" not in said


def test_bare_leaves_out_all_that_can_be_done_without() -> None:
    outgoing = an_outgoing(
        size=5, ret=Return.FULL, envelope_id="x", priority=1, eight_bit=True, bare=True
    )
    said = mail_command(outgoing, offers(*EVERYTHING))
    assert said == b"MAIL FROM:<ann@a.test> SIZE=5 BODY=8BITMIME\r\n"
    wished = Recipient(BOB, Notify.SUCCESS, "rfc822;x@y", named_notify=True)
    assert rcpt_command(wished, offers("DSN"), bare=True) == b"RCPT TO:<bob@b.test>\r\n"


@each(
    ("recipient", "said"),
    [
        (Recipient(BOB), ""),
        (Recipient(BOB, Notify.NEVER, named_notify=True), " NOTIFY=NEVER"),
        (Recipient(BOB, Notify.SUCCESS | Notify.DELAY, None, True), " NOTIFY=SUCCESS,DELAY"),
        (Recipient(BOB, Notify.FAILURE), ""),
        (Recipient(BOB, original="rfc822;a+b@c.test"), " ORCPT=rfc822;a+2Bb@c.test"),
        (Recipient(BOB, original="rfc822;"), ""),
        (Recipient(BOB, original="x400;/c=us/"), " ORCPT=x400;/c+3Dus/"),
        (Recipient(BOB, original="rfc822;grüße@c.test"), ""),
    ],
)
def test_what_a_recipient_wishes_is_passed_on_with_dsn_only(
    recipient: Recipient, said: str
) -> None:
    line = f"RCPT TO:<bob@b.test>{said}\r\n".encode()
    assert rcpt_command(recipient, offers("DSN")) == line
    assert rcpt_command(recipient, offers("8BITMIME")) == b"RCPT TO:<bob@b.test>\r\n"


def test_an_original_in_utf8_is_said_in_ascii_without_smtputf8() -> None:
    # RFC 6533 §3
    recipient = Recipient(BOB, original="utf-8;grüße+=\\@c.test")
    assert rcpt_command(recipient, offers("DSN", "SMTPUTF8")).decode() == (
        "RCPT TO:<bob@b.test> ORCPT=utf-8;grüße\\x{2B}\\x{3D}\\x{5C}@c.test\r\n"
    )
    assert rcpt_command(recipient, offers("DSN")).decode() == (
        "RCPT TO:<bob@b.test> ORCPT=utf-8;gr\\x{FC}\\x{DF}e\\x{2B}\\x{3D}\\x{5C}@c.test\r\n"
    )


@given(st.text(st.characters(max_codepoint=127)))
def test_xtext_holds_no_character_that_ends_a_parameter(text: str) -> None:
    # RFC 3461 §4
    assert re.fullmatch(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*", to_xtext(text))


@given(st.text(st.characters(exclude_categories=["Cs"])), st.booleans())
def test_an_address_in_utf8_holds_none_either(text: str, unitext: bool) -> None:
    said = utf8_address(text, unitext=unitext)
    assert not re.search(r"[\x00-\x20+=\x7f-\x9f]", said)
    assert unitext or said.isascii()


@given(st.text(), st.text(), st.text())
def test_no_command_holds_a_control_character(local: str, envid: str, original: str) -> None:
    envelope = Envelope(Address(local, "a.test"), envelope_id=envid)
    recipient = Recipient(Address(local, "b.test"), original=f"rfc822;{original}")
    outgoing = Outgoing(envelope, (recipient,), 5)
    for command in (
        lambda: mail_command(outgoing, offers("DSN")),
        lambda: rcpt_command(recipient, offers("DSN")),
    ):
        try:
            said = command()
        except ProtocolError:
            continue
        assert not re.search(rb"[\x00-\x1f\x7f]", said.removesuffix(b"\r\n"))


@pytest.mark.parametrize("local", ["a\r\nRSET", "a\0", "a\nb", "a\x7f"])
def test_a_control_character_in_an_address_is_refused(local: str) -> None:
    with pytest.raises(AddressError):
        Address.parse(f"{local}@b.test")
    with pytest.raises(ProtocolError, match="control characters"):
        rcpt_command(Recipient(Address(local, "b.test")), offers())
    with pytest.raises(ProtocolError, match="control characters"):
        mail_command(Outgoing(Envelope(Address(local, "b.test")), (), 0), offers())


@each(
    ("wishes", "offered", "status"),
    [
        ({"size": 11}, offers("SIZE", size=10), "5.3.4"),
        ({"size": 10}, offers("SIZE", size=10), None),
        ({"require_tls": True}, without("REQUIRETLS"), "5.7.30"),
        ({"utf8_headers": True}, without("SMTPUTF8"), "5.6.7"),
        ({"sender": "grüße@a.test"}, without("SMTPUTF8"), "5.6.7"),
        (BINARY, without("BINARYMIME"), "5.6.3"),
        (BINARY, without("CHUNKING"), "5.6.3"),
        ({"eight_bit": True}, without("8BITMIME"), None),
        ({"deliver_by": BY_R, "deliver_in": 60}, without("DELIVERBY"), "5.4.7"),
        ({"deliver_by": BY_R, "deliver_in": 0}, without(), "5.4.7"),
        ({"deliver_by": BY_R, "deliver_in": 60}, offers("DELIVERBY", shortest_by=61), "5.4.7"),
        ({"deliver_by": BY_R, "deliver_in": 60}, offers("DELIVERBY", shortest_by=60), None),
        ({"deliver_by": BY_R}, offers(), None),
        ({"deliver_by": BY_NT, "deliver_in": -60}, offers(), None),
    ],
)
def test_hindrances(wishes: dict[str, object], offered: Capabilities, status: str | None) -> None:
    why = hindrance(an_outgoing(**wishes), offered, Shelter.PROVEN)
    assert (why and str(why.status)) == status


def test_a_recipient_in_utf8_needs_smtputf8() -> None:
    outgoing = an_outgoing("bob@b.test", "grüße@b.test")
    assert hindrance(outgoing, without("SMTPUTF8"), Shelter.PROVEN) is not None
    assert "grüße@b.test" in rcpt_command(outgoing.recipients[1], offers()).decode()


@each(
    ("sender", "shelter", "offered", "status"),
    [
        ("ann@a.test", Shelter.PROVEN, offers("REQUIRETLS"), None),
        ("ann@a.test", Shelter.PROVEN, offers(), "5.7.30"),
        ("ann@a.test", Shelter.NONE, offers("REQUIRETLS"), "5.7.10"),
        ("ann@a.test", Shelter.NONE, offers(), "5.7.10"),
        ("ann@a.test", Shelter.FAILING, offers("REQUIRETLS"), "4.7.10"),
        ("ann@a.test", Shelter.LOCAL, offers(), None),
        ("", Shelter.PROVEN, offers("REQUIRETLS"), None),
        ("", Shelter.PROVEN, offers("DSN"), None),
        ("", Shelter.NONE, offers("DSN"), None),
    ],
)
def test_requiretls_goes_where_it_is_kept_and_notices_go_on(
    sender: str, shelter: Shelter, offered: Capabilities, status: str | None
) -> None:
    # RFC 8689 §4.2.1, §5
    outgoing = an_outgoing(require_tls=True, sender=sender)
    why = hindrance(outgoing, offered, shelter)
    assert (why and str(why.status)) == status
    said = b"REQUIRETLS" in mail_command(outgoing, offered)
    assert said is offered.offers("REQUIRETLS")


def test_eight_bit_content_goes_to_who_does_not_offer_it() -> None:
    assert hindrance(an_outgoing(eight_bit=True), offers(), Shelter.PROVEN) is None
