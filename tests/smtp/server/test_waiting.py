"""Where a client must wait, TLS, AUTH and XCLIENT: nothing said too early or twice counts."""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace

import pytest

from merpati.smtp.errors import ProtocolError
from merpati.smtp.events import (
    AuthResponse,
    AuthStarted,
    BodyOctets,
    Connected,
    MailFrom,
    Mistake,
    StartTls,
    Xclient,
)
from merpati.smtp.extensions import Extension
from merpati.smtp.replies import OK, OUT_OF_TURN, READY_FOR_TLS, Reply
from merpati.smtp.server import ServerConnection
from merpati.smtp.states import State
from merpati.testing.dialogue import SETTINGS, TLS, Player, a_player
from tests.cases import each

Check = Callable[..., Player]

ENVELOPE = (b"MAIL FROM:<ann@a.test>\r\nRCPT TO:<bob@b.test>\r\n", "250|250")
AUTH = (b"AUTH PLAIN AGFubgBzZWNyZXQ=\r\n", "235")
WELCOME = {AuthStarted: Reply(235, "Welcome")}


def cut_off(octets: bytes, **options: object) -> Player:
    """Octets that come at once end the session with 554, whatever came before in the group."""
    player = a_player(**options)  # type: ignore[arg-type]
    sent = player.say(octets)
    assert sent.endswith(OUT_OF_TURN.octets)
    assert player.connection.is_closed
    assert player.connection.pending == 0
    return player


# Unauthorised pipelining


def test_who_spoke_out_of_turn_is_told_so_also_where_the_session_is_ended_at_once() -> None:
    connection = ServerConnection(SETTINGS)
    connection.receive(b"EHLO c\r\n")
    assert connection.next_event() == Connected()
    connection.answer(Reply(554, "Not you"))
    connection.close()
    assert connection.take() == OUT_OF_TURN.octets
    assert connection.is_closed


def test_speaking_before_the_greeting_ends_the_session() -> None:
    connection = ServerConnection(SETTINGS)
    connection.receive(b"EHLO c\r\n")
    assert connection.next_event() == Connected()
    connection.answer(Reply(220, "mx.test"))
    assert connection.next_event() == Mistake(OUT_OF_TURN, fatal=True)
    connection.answer(OUT_OF_TURN)
    assert connection.take() == OUT_OF_TURN.octets
    assert connection.is_closed


@each(
    "group",
    [
        b"EHLO c\r\nMAIL FROM:<>\r\n",
        b"HELO c\r\nM",
        ENVELOPE[0] + b"DATA\r\nSubject: too early\r\n",
        ENVELOPE[0] + b"DATA\r\n.",
        b"DATA\r\nThis is not a command\r\n",
        b"STARTTLS\r\nEHLO c\r\n",
        b"STARTTLS\r\n\x16\x03\x01",
        b"STARTTLS x\r\nEHLO c\r\n",
    ],
)
def test_octets_behind_a_command_that_must_be_waited_for_end_the_session(group: bytes) -> None:
    cut_off(group)


@pytest.mark.parametrize("group", [AUTH[0] + b"MAIL FROM:<>\r\n", b"AUTH LOGIN\r\nYW5u\r\n"])
def test_octets_behind_auth_end_the_session(group: bytes) -> None:
    player = cut_off(group, tls=TLS, answers=WELCOME if b"PLAIN" in group else None)
    assert not player.connection.is_authenticated


def test_octets_behind_a_response_end_the_session() -> None:
    player = a_player(tls=TLS)
    player.say(b"AUTH LOGIN\r\n")
    assert player.say(b"YW5u\r\nc2VjcmV0\r\n") == OUT_OF_TURN.octets


def test_after_helo_nothing_may_be_pipelined() -> None:
    player = a_player()
    player.say(b"HELO c\r\n")
    assert player.say(b"MAIL FROM:<>\r\nRCPT TO:<b@b.test>\r\n") == OUT_OF_TURN.octets


def test_pipelining_must_have_been_offered() -> None:
    few = replace(SETTINGS, extensions=frozenset({Extension.SIZE}))
    cut_off(b"MAIL FROM:<>\r\nRCPT TO:<b@b.test>\r\n", settings=few)


def test_an_accepted_message_is_never_disowned_for_what_stands_behind_it() -> None:
    player = a_player()
    player.say(b"HELO c\r\n")
    for line in (*ENVELOPE[0].splitlines(keepends=True), b"DATA\r\n"):
        player.say(line)
    assert player.say(b"Hi\r\n.\r\nQUIT\r\n").startswith(b"250")


def test_a_bare_newline_between_commands_ends_the_session(check: Check) -> None:
    for line in (b"NOOP\nNOOP\r\n", b"NOOP\rNOOP\r\n", b"\n", b"NOOP\r\r\n", b"x" * 20_000 + b"\n"):
        player = check((line, "521 5.5.2"))
        assert player.connection.is_closed


@pytest.mark.parametrize("verb", [b"GET / HTTP/1.1", b"POST / HTTP/1.1", b"CONNECT a.test:25"])
def test_a_browser_is_cut_off(check: Check, verb: bytes) -> None:
    player = check((verb + b"\r\nHost: mx.test\r\nMAIL FROM:<>\r\n", "500"))
    assert len(player.events) == 1


# STARTTLS (RFC 3207)


def test_starttls_forgets_everything(check: Check) -> None:
    player = check(
        (b"STARTTLS\r\n", "220"),
        (b"MAIL FROM:<>\r\n", "503 5.5.1 Say hello"),
        (b"EHLO c\r\n", "250"),
        (b"STARTTLS\r\n", "503"),
    )
    assert player.connection.tls == TLS


def test_no_starttls_in_a_transaction_or_before_hello_or_after_helo(check: Check) -> None:
    check(ENVELOPE, (b"STARTTLS\r\n", "503"))
    check((b"STARTTLS\r\n", "503"), greeted=False)
    check((b"HELO c\r\n", "250"), (b"STARTTLS\r\n", "503"))


def test_no_starttls_after_auth(check: Check) -> None:
    settings = replace(SETTINGS, auth_in_clear=("PLAIN",))
    check(AUTH, (b"STARTTLS\r\n", "503"), settings=settings, answers=WELCOME)


def test_no_starttls_where_it_is_not_offered(check: Check) -> None:
    check((b"STARTTLS\r\n", "502"), settings=replace(SETTINGS, starttls=False))


def test_a_refused_starttls_goes_on_in_the_clear(check: Check) -> None:
    answers = {StartTls: Reply(454, "not now")}
    check((b"STARTTLS\r\n", "454"), ENVELOPE, answers=answers)


def test_octets_of_the_handshake_are_not_for_the_core() -> None:
    connection = a_player().connection
    connection.receive(b"STARTTLS\r\n")
    assert connection.next_event() == StartTls()
    connection.answer(READY_FOR_TLS)
    assert connection.wants_tls
    assert connection.next_event() is None
    with pytest.raises(ProtocolError):
        connection.receive(b"\x16")
    connection.secured(TLS)
    assert connection.state is State.GREETED


def test_a_peer_that_ends_instead_of_the_handshake_closes_the_session() -> None:
    player = a_player()
    player.connection.receive(b"STARTTLS\r\n")
    assert player.connection.next_event() == StartTls()
    player.connection.answer(READY_FOR_TLS)
    player.connection.receive(b"")
    assert player.connection.next_event() is None
    assert player.connection.is_closed


def test_octets_that_arrive_before_the_answer_to_starttls_end_the_session() -> None:
    connection = a_player().connection
    connection.receive(b"STARTTLS\r\n")
    assert connection.next_event() == StartTls()
    connection.receive(b"RSET\r\n")
    connection.answer(READY_FOR_TLS)
    assert not connection.wants_tls
    assert connection.next_event() == Mistake(OUT_OF_TURN, fatal=True)


def test_secured_without_starttls_is_our_mistake() -> None:
    with pytest.raises(ProtocolError):
        a_player().connection.secured(TLS)


# AUTH (RFC 4954)


def test_auth_with_an_initial_response(check: Check) -> None:
    player = check(AUTH, tls=TLS, answers=WELCOME)
    assert player.events == [AuthStarted("PLAIN", b"\0ann\0secret")]
    assert player.connection.is_authenticated


def test_an_initial_response_of_no_octets(check: Check) -> None:
    player = check((b"AUTH PLAIN =\r\n", "235"), tls=TLS, answers=WELCOME)
    assert player.events == [AuthStarted("PLAIN", b"")]


def test_auth_by_challenge_and_response(check: Check) -> None:
    player = check((b"auth login\r\n", "334"), (b"YW5u\r\n", "235"), ENVELOPE, tls=TLS)
    assert player.events[:2] == [AuthStarted("LOGIN", None), AuthResponse(b"ann")]
    assert player.connection.is_authenticated


def test_a_second_auth_and_one_in_a_transaction_are_out_of_order(check: Check) -> None:
    check(AUTH, (AUTH[0], "503"), tls=TLS, answers=WELCOME)
    check(ENVELOPE, (AUTH[0], "503"), tls=TLS, answers=WELCOME)


def test_a_star_cancels(check: Check) -> None:
    player = check((b"AUTH LOGIN\r\n", "334"), (b"*\r\n", "501"), ENVELOPE, tls=TLS)
    assert player.events[1] == AuthResponse(None)
    assert not player.connection.is_authenticated


def test_a_failed_auth_may_be_tried_again(check: Check) -> None:
    answers = {AuthStarted: Reply(535, "no")}
    player = check((AUTH[0], "535"), (AUTH[0], "535"), tls=TLS, answers=answers)
    assert not player.connection.is_authenticated


@each("said", [b"!!!", b"YW5", b"YW5u=", b"YW 5u", b"Y=Wu", b"\xff", b"a\0b"])
def test_what_is_not_base64_ends_the_exchange(check: Check, said: bytes) -> None:
    player = check((b"AUTH LOGIN\r\n", "334"), (said + b"\r\n", "50"), ENVELOPE, tls=TLS)
    assert player.events[1].line == b""


@each(
    ("line", "expected"),
    [
        (b"AUTH", "501"),
        (b"AUTH PLAIN a b", "501"),
        (b"AUTH PLAIN ab", "501 5.5.2"),
        (b"AUTH CRAM-MD5", "504 5.5.4"),
        (b"AUTH \xff", "500"),
    ],
)
def test_malformed_auth_is_not_quoted(check: Check, line: bytes, expected: str) -> None:
    player = check((line + b"\r\n", expected), tls=TLS)
    assert player.events[0].line == b"AUTH"


def test_auth_behind_a_space_is_no_command_and_not_quoted_either(check: Check) -> None:
    player = check((b" AUTH PLAIN AGFubgBzZWNyZXQ=\r\n", "500"), tls=TLS)
    assert player.events[0].line == b"(28 octets, no command)"


@pytest.mark.parametrize("verb", [b"\0AUTH", b"AUTH\t", b"XAUTH", b"AUHT", b"\xffAUTH"])
def test_what_is_nearly_auth_is_not_quoted(check: Check, verb: bytes) -> None:
    player = check((verb + b" PLAIN AGFubgBzZWNyZXQ=\r\n", "500"), tls=TLS)
    assert b"AGFubg" not in player.events[0].line


def test_who_goes_on_behind_a_refused_auth_tells_no_secret(check: Check) -> None:
    player = check(
        (b"AUTH LOGIN\r\n", "5"), (b"YW5uQGEudGVzdA==\r\n", "500"), (b"c2VjcmV0\r\n", "500")
    )
    lines = [event.line for event in player.events]
    assert lines == [b"AUTH", b"(16 octets, no command)", b"(8 octets, no command)"]


def test_no_auth_in_the_clear(check: Check) -> None:
    player = check((AUTH[0], "538 5.7.11"))
    assert not any(isinstance(event, AuthStarted) for event in player.events)
    sent = a_player().say(b"EHLO c\r\n")
    assert b"AUTH" not in sent
    assert b"STARTTLS" in sent


def test_auth_where_there_is_none(check: Check) -> None:
    check((AUTH[0], "502"), tls=TLS, settings=replace(SETTINGS, auth=()))


def test_an_exchange_has_lines_of_12288_octets(check: Check) -> None:
    fits = b64encode(b"x" * 9213) + b"\r\n"
    assert len(fits) == 12_286
    check((b"AUTH LOGIN\r\n", "334"), (fits, "235"), tls=TLS)
    check((b"AUTH LOGIN\r\n", "334"), (b"AAAA" + fits, "500 5.5.6"), ENVELOPE, tls=TLS)


# XCLIENT


def test_xclient_from_a_listed_peer_begins_anew(check: Check) -> None:
    player = check(
        (b"XCLIENT NAME=a+2Eb.test addr=192.0.2.1\r\n", "220"),
        (b"MAIL FROM:<>\r\n", "503"),
        xclient=True,
    )
    assert player.events[0] == Xclient((("NAME", "a.b.test"), ("ADDR", "192.0.2.1")))
    assert b"XCLIENT NAME ADDR" in a_player(xclient=True).say(b"EHLO c\r\n")


def test_a_refused_xclient_changes_nothing(check: Check) -> None:
    check((b"XCLIENT NAME=a\r\n", "550"), ENVELOPE, xclient=True, answers={Xclient: Reply(550)})


def test_xclient_from_a_stranger_is_refused(check: Check) -> None:
    player = check((b"XCLIENT ADDR=127.0.0.1\r\n", "550 5.7.0"))
    assert not any(isinstance(event, Xclient) for event in player.events)


@each("text", [b"", b" FOO=1", b" NAME", b" NAME=", b" NAME=a+0Ab", b" NAME=a=b"])
def test_malformed_xclient(check: Check, text: bytes) -> None:
    check((b"XCLIENT" + text + b"\r\n", "501"), xclient=True)


def test_only_a_space_separates_attributes(check: Check) -> None:
    check(("XCLIENT NAME=a\u2003ADDR=192.0.2.1\r\n".encode(), "501"), xclient=True)


def test_xclient_in_a_transaction_is_out_of_order(check: Check) -> None:
    check(ENVELOPE, (b"XCLIENT NAME=a\r\n", "503"), xclient=True)


# One event, one answer


def test_an_event_is_answered_before_the_next_is_asked_for() -> None:
    connection = ServerConnection(SETTINGS)
    with pytest.raises(ProtocolError):
        connection.answer(OK)
    connection.next_event()
    with pytest.raises(ProtocolError):
        connection.next_event()
    with pytest.raises(ProtocolError):
        connection.answer(None)
    with pytest.raises(ProtocolError):
        connection.answer_each([OK])


def test_octets_of_content_are_answered_with_nothing() -> None:
    player = a_player()
    player.say(ENVELOPE[0] + b"DATA\r\n")
    player.connection.receive(b"Hi\r\n")
    assert player.connection.next_event() == BodyOctets(b"Hi")
    with pytest.raises(ProtocolError):
        player.connection.answer(OK)


def test_mail_is_never_routed_by_percent_or_bang(check: Check) -> None:
    player = check((b"MAIL FROM:<>\r\n", "250"))
    for local in ("a%b.test", "b.test!a", '"a@b.test"', '"a%b.test"'):
        player.say(f"RCPT TO:<{local}@here.test>\r\n".encode())
        assert player.events[-1].recipient.domain == "here.test"


@pytest.mark.parametrize("route", [b"@x.test:", b"@x.test,@[192.0.2.1]:", b"@[IPv6:::1],@y.test:"])
def test_source_routes_are_ignored(check: Check, route: bytes) -> None:
    player = check((b"MAIL FROM:<" + route + b"a@b.test>\r\n", "250"))
    assert isinstance(player.events[0], MailFrom)
    assert str(player.events[0].sender) == "a@b.test"
