"""Nobody relays who may not: nmap's list of tricks, and the tricks with XCLIENT and PROXY."""

import struct

import pytest

from tests.attack.caller import Caller, greeted
from tests.attack.conftest import BALANCER, FRONT, TRUSTED, TRUSTED_FRONT, Fortress

pytestmark = pytest.mark.slow

IP = "127.0.0.1"
# http://www.abuse.net/relay.html and nmap's smtp-open-relay, spelt with our names; and senders that
# we are said to have rewritten (SRS).
TRICKS = [
    "relay@b.test",
    "relay%b.test@[127.0.0.1]",
    "relay%b.test@mx.a.test",
    "relay%b.test@a.test",
    '"relay@b.test"',
    '"relay%b.test"',
    "relay@b.test@[127.0.0.1]",
    '"relay@b.test"@[127.0.0.1]',
    '"relay@b.test"@a.test',
    "relay@b.test@mx.a.test",
    "@[127.0.0.1]:relay@b.test",
    "@mx.a.test:relay@b.test",
    "SRS0=AAAAAA=AA=b.test=relay@a.test",
    "srs0+AAAA=AA=b.test=relay@a.test",
    "SRS1=AAAAAA=b.test==AAAA=AA=c.test=relay@a.test",
    "@a.test,@mx.a.test:relay@b.test",
    "b.test!relay",
    "b.test!relay@[127.0.0.1]",
    "b.test!relay@mx.a.test",
    "b.test!relay@a.test",
    "relay@[127.0.0.1]",
    "relay@[IPv6:::1]",
    "relay@localhost",
    "relay@127.0.0.1",
    "relay@b.test.",
    "ann@a.test@b.test",
    "ann@b.test,a.test",
    '"ann@a.test> "@b.test',
    "ann@a.test\u3002b.test",
    "ann@a\uff0etest.b.test",
    "ann@b.test\\@a.test",
    "postmaster@b.test",
    "ann@sub.a.test",
    "ann@xa.test",
]


def _rcpt(caller: Caller, recipient: str) -> str:
    reply = caller.say(f"RCPT TO:<{recipient}>")
    caller.say("RSET")
    return reply


@pytest.mark.parametrize("sender", ["", "spam@b.test", "ann@a.test", "postmaster@a.test"])
@pytest.mark.parametrize("trick", TRICKS)
def test_a_stranger_cannot_relay(fortress: Fortress, trick: str, sender: str) -> None:
    with greeted(fortress.mx) as caller:
        utf8 = "" if trick.isascii() else " SMTPUTF8"
        assert caller.say(f"MAIL FROM:<{sender}>{utf8}").startswith("250")
        assert _rcpt(caller, trick).startswith("5"), trick


@pytest.mark.parametrize("trick", TRICKS)
def test_lmtp_takes_nothing_that_would_be_relayed(fortress: Fortress, trick: str) -> None:
    with Caller(fortress.lmtp) as caller:
        caller.reply()
        caller.say("LHLO x.test")
        caller.say("MAIL FROM:<x@b.test>" + ("" if trick.isascii() else " SMTPUTF8"))
        assert _rcpt(caller, trick).startswith("5"), trick


@pytest.mark.parametrize("door", ["submission", "submissions"])
def test_submission_takes_nothing_without_a_login(fortress: Fortress, door: str) -> None:
    with greeted(fortress.ports[door], TRUSTED, tls=door == "submissions") as caller:
        if door == "submission":
            caller.starttls()
            caller.say("EHLO x.test")
        assert caller.say("MAIL FROM:<ann@a.test>").startswith("530")
        assert caller.say("RCPT TO:<x@b.test>").startswith("5")


def test_a_login_cannot_write_in_the_name_of_another(fortress: Fortress) -> None:
    with greeted(fortress.submissions, tls=True) as caller:
        assert caller.login().startswith("235")
        for author, said in (
            ("budi@a.test", "550 5.7.1 ann@a.test may not write as"),
            ("ann@a.test", "250"),
        ):
            assert caller.say("MAIL FROM:<ann@a.test>").startswith("250")
            assert caller.say("RCPT TO:<ann@a.test>").startswith("250")
            assert caller.say("DATA").startswith("354")
            assert caller.say(f"From: {author}\r\n\r\nx\r\n.").startswith(said)


def test_a_login_sends_only_as_itself(fortress: Fortress) -> None:
    with greeted(fortress.submissions, tls=True) as caller:
        assert caller.login().startswith("235")
        for sender in ("budi@a.test", "ann@b.test", "ANN@b.test", '"ann@a.test"@b.test'):
            assert caller.say(f"MAIL FROM:<{sender}>").startswith("553"), sender
        assert caller.say("MAIL FROM:<ann@a.test> AUTH=budi@a.test").startswith(("250", "5"))


def test_xclient_and_proxy_of_strangers_are_not_heard(fortress: Fortress) -> None:
    with greeted(fortress.mx) as caller:
        assert caller.say(f"XCLIENT ADDR={TRUSTED}").startswith("5")
        caller.say("MAIL FROM:<x@b.test>")
        assert caller.say("RCPT TO:<y@c.test>").startswith("550")
    with Caller(fortress.mx) as caller:
        assert caller.reply().startswith("220")
        assert caller.say(f"PROXY TCP4 {TRUSTED} 127.0.0.1 1 25").startswith("5")
    with greeted(fortress.mx, TRUSTED) as caller:
        assert caller.say("XCLIENT LOGIN=ann@a.test").startswith("5")


def _claims(caller: Caller, said: str) -> str:
    reply = caller.say("XCLIENT " + said)
    if not reply.startswith("220"):
        return reply
    caller.say("EHLO behind.test")
    caller.say("MAIL FROM:<x@b.test>")
    return caller.say("RCPT TO:<y@c.test>")


@pytest.mark.parametrize(
    ("said", "may_relay"),
    [
        (f"ADDR={TRUSTED}", True),
        ("ADDR=192.0.2.1", False),
        ("ADDR=IPV6:::ffff:127.0.0.2", False),
        (f"ADDR={TRUSTED} ADDR=192.0.2.1", False),
        ("ADDR=[UNAVAILABLE]", False),
        ("ADDR=[TEMPUNAVAIL]", False),
        ("NAME=mx.a.test", False),
        ("LOGIN=[UNAVAILABLE]", False),
    ],
)
def test_xclient_of_a_listed_peer_gives_what_the_client_has(
    fortress: Fortress, said: str, may_relay: bool
) -> None:
    with greeted(fortress.mx, FRONT) as caller:
        assert _claims(caller, said).startswith("250") is may_relay


@pytest.mark.parametrize("address", ["[UNAVAILABLE]", "[TEMPUNAVAIL]"])
def test_a_client_whose_address_its_front_does_not_know_is_not_trusted(
    fortress: Fortress, address: str
) -> None:
    """The front itself may relay; what it speaks for may be anybody."""
    with greeted(fortress.mx, TRUSTED_FRONT) as caller:
        assert _claims(caller, f"ADDR={address}").startswith("550")


def test_what_xclient_says_begins_no_header_line(fortress: Fortress) -> None:
    near = set(fortress.files())
    with greeted(fortress.mx, FRONT) as caller:
        for said in ("HELO=x+0D+0AX-Evil:+20yes", "NAME=x+0D+0AX-Evil:+20yes"):
            reply = caller.say("XCLIENT ADDR=192.0.2.1 " + said)
            assert reply.startswith(("220", "5"))
            if reply.startswith("220"):
                caller.say("EHLO x.test")
        caller.say("MAIL FROM:<x@b.test>")
        caller.say("RCPT TO:<ann@a.test>")
        caller.say("DATA")
        assert caller.say("Subject: x\r\n\r\nx\r\n.").startswith("250")
    fortress.wait_empty()
    (new,) = set(fortress.files()) - near
    assert b"\nX-Evil" not in new.read_bytes()


def test_trust_goes_by_what_the_balancer_says_not_by_the_balancer(fortress: Fortress) -> None:
    for address, answer in ((TRUSTED, "250"), ("192.0.2.1", "550")):
        with Caller(fortress.mx, BALANCER) as caller:
            caller.send(f"PROXY TCP4 {address} 127.0.0.1 1 25\r\n".encode())
            assert caller.reply().startswith("220")
            caller.say("EHLO x.test")
            caller.say("MAIL FROM:<x@b.test>")
            assert caller.say("RCPT TO:<y@c.test>").startswith(answer)


def test_a_second_header_before_the_greeting_is_spoken_too_early(fortress: Fortress) -> None:
    with Caller(fortress.mx, BALANCER) as caller:
        header = b"PROXY TCP4 192.0.2.1 127.0.0.1 1 25\r\n"
        caller.send(header + header)
        assert caller.reply().startswith("554")


def test_a_header_inside_a_proxied_connection_is_a_command(fortress: Fortress) -> None:
    """The client behind the balancer sends a header of its own."""
    with Caller(fortress.mx, BALANCER) as caller:
        header = f"PROXY TCP4 {TRUSTED} 127.0.0.1 1 25\r\n".encode()
        caller.send(b"PROXY TCP4 192.0.2.1 127.0.0.1 1 25\r\n")
        assert caller.reply().startswith("220")
        caller.send(header)
        assert caller.reply().startswith("500")
        caller.say("EHLO x.test")
        caller.say("MAIL FROM:<x@b.test>")
        assert caller.say("RCPT TO:<y@c.test>").startswith("550")


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY TCP4 " + b"1" * 200 + b"\r\n",
        b"PROXY TCP4 192.0.2.1 127.0.0.1 1 25\n",
        b"PROXY TCP4 127.0.0.2 127.0.0.1 1 99999\r\n",
        b"PROXY TCP6 127.0.0.2 127.0.0.1 1 25\r\n",
        b"EHLO x.test\r\n",
        b"\r\n\r\n\0\r\nQUIT\n" + struct.pack("!BBH", 0x21, 0x11, 60000),
        b"\r\n\r\n\0\r\nQUIT\n" + struct.pack("!BBH", 0x11, 0x11, 12) + b"\0" * 12,
        b"\r\n\r\n\0\r\nQUIT\n" + struct.pack("!BBH", 0x21, 0x11, 4) + b"\0" * 4,
    ],
    ids=lambda header: repr(header[:24]),
)
def test_a_bad_proxy_header_gets_no_greeting(fortress: Fortress, header: bytes) -> None:
    with Caller(fortress.mx, BALANCER) as caller:
        caller.send(header)
        if header.endswith(b"25\n"):
            caller.send(b"x" * 120)
        assert caller.rest() == b""


def test_pipelining_ahead_of_the_greeting_ends_the_session(fortress: Fortress) -> None:
    with Caller(fortress.mx) as caller:
        caller.send(b"EHLO x.test\r\nMAIL FROM:<x@b.test>\r\n")
        answered = caller.rest()
        assert b"250" not in answered
