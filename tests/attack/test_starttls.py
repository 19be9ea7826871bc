"""What is said before TLS counts for nothing behind it (CVE-2011-0411, NO STARTTLS)."""

import socket
import ssl

import pytest

from tests.attack.caller import Caller, greeted, trusting
from tests.attack.conftest import TRUSTED, Fortress

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("door", ["mx", "submission"])
@pytest.mark.parametrize(
    "behind", [b"EHLO evil.test\r\n", b"RSET\r\n", b"x", b"\x16\x03\x01"], ids=repr
)
def test_octets_behind_starttls_end_the_session(
    fortress: Fortress, door: str, behind: bytes
) -> None:
    with greeted(fortress.ports[door]) as caller:
        caller.send(b"STARTTLS\r\n" + behind)
        assert caller.reply().startswith(("421", "5"))
        assert caller.rest() == b""


def test_commands_injected_before_the_handshake_are_never_answered(fortress: Fortress) -> None:
    """The second segment may arrive with, or right behind, the client's own handshake."""
    with greeted(fortress.mx) as caller:
        caller.send(b"STARTTLS\r\n")
        assert caller.reply().startswith("220")
        caller.send(b"MAIL FROM:<evil@x.test>\r\n")
        with pytest.raises((ssl.SSLError, OSError)):
            trusting().wrap_socket(caller.socket)


def test_starttls_forgets_the_hello_and_the_transaction(fortress: Fortress) -> None:
    with greeted(fortress.mx) as caller:
        caller.starttls()
        assert caller.say("MAIL FROM:<a@b.test>").startswith("503")
        assert "STARTTLS" not in caller.say("EHLO again.test")
        assert caller.say("STARTTLS").startswith("5")


def test_starttls_is_not_taken_within_a_transaction(fortress: Fortress) -> None:
    with greeted(fortress.mx) as caller:
        caller.say("MAIL FROM:<a@b.test>")
        assert caller.say("STARTTLS").startswith("503")


def test_a_login_is_neither_offered_nor_heard_in_the_clear(fortress: Fortress) -> None:
    with greeted(fortress.submission) as caller:
        assert "AUTH" not in caller.say("EHLO again.test")
        assert caller.login().startswith("5")
        assert caller.say("MAIL FROM:<ann@a.test>").startswith("530")


def test_the_mx_port_hears_no_login_at_all(fortress: Fortress) -> None:
    with greeted(fortress.mx) as caller:
        caller.starttls()
        assert "AUTH" not in caller.say("EHLO again.test")
        assert caller.login().startswith("5")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_of_tls_are_refused(fortress: Fortress, version: ssl.TLSVersion) -> None:
    context = trusting()
    context.minimum_version = context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    with (
        socket.create_connection(("127.0.0.1", fortress.submissions), 60) as raw,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        context.wrap_socket(raw)
    with greeted(fortress.submissions, tls=True) as caller:
        assert caller.say("NOOP").startswith("250")


def test_a_handshake_that_is_none_ends_that_connection_alone(fortress: Fortress) -> None:
    record = b"\x16\x03\x01\xff\xff" + b"\0" * 4000
    for garbage in (b"EHLO x\r\n" * 20, record, b"GET / HTTP/1.1\r\n\r\n"):
        with Caller(fortress.submissions) as caller:
            caller.send(garbage)
            caller.rest()
    with greeted(fortress.submissions, tls=True) as caller:
        assert caller.say("NOOP").startswith("250")


def test_trust_in_an_address_outlives_tls_and_no_more_is_given(fortress: Fortress) -> None:
    with greeted(fortress.mx) as stranger, greeted(fortress.mx, TRUSTED) as friend:
        for caller in (stranger, friend):
            caller.starttls()
            caller.say("EHLO again.test")
            caller.say("MAIL FROM:<x@b.test>")
        assert stranger.say("RCPT TO:<y@c.test>").startswith("550")
        assert friend.say("RCPT TO:<y@c.test>").startswith("250")
