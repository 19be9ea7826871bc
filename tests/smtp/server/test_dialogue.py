"""RFC 5321: the commands, their order and what they are answered."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from merpati.mail.address import Address
from merpati.smtp.events import (
    Connected,
    ContentReceived,
    ContentStarted,
    Expand,
    Hello,
    Help,
    MailFrom,
    Mistake,
    Noop,
    Quit,
    RcptTo,
    Verify,
)
from merpati.smtp.extensions import Extension
from merpati.smtp.replies import OK, SHUTTING_DOWN, Reply
from merpati.smtp.settings import Protocol
from merpati.smtp.states import State
from merpati.testing.dialogue import SETTINGS, Player, a_player
from tests.cases import each

Check = Callable[..., Player]

MAIL = (b"MAIL FROM:<ann@a.test>\r\n", "250 2.1.0")
RCPT = (b"RCPT TO:<bob@b.test>\r\n", "250 2.1.5")
DATA = (b"DATA\r\n", "354")
HELLO = (b"EHLO client.test\r\n", "250")


def test_a_whole_session(check: Check) -> None:
    player = check(
        HELLO,
        MAIL,
        RCPT,
        DATA,
        (b"Subject: hello\r\n\r\nHi\r\n.\r\n", "250"),
        (b"QUIT\r\n", "221"),
        greeted=False,
    )
    assert player.content == b"Subject: hello\r\n\r\nHi\r\n"
    assert [type(event).__name__ for event in player.events] == [
        "Hello",
        "MailFrom",
        "RcptTo",
        "ContentStarted",
        "ContentReceived",
        "Quit",
    ]
    assert player.connection.is_closed


def test_a_pipelined_group_is_answered_in_one_write() -> None:
    player = a_player()
    sent = player.say(b"RSET\r\nMAIL FROM:<ann@a.test>\r\nRCPT TO:<bob@b.test>\r\nDATA\r\n")
    assert [line[:3] for line in sent.splitlines()] == [b"250", b"250", b"250", b"354"]


def test_the_next_envelope_may_stand_behind_the_end_of_data(check: Check) -> None:
    check(MAIL, RCPT, DATA, (b"Hi\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<b@b.test>\r\n", "250|250|250"))


def test_verbs_and_keywords_have_no_case(check: Check) -> None:
    check((b"mAiL fRoM:<ann@a.test>\r\nrcpt to:<bob@b.test>\r\n", "250|250"))


def test_white_space_at_the_end_is_tolerated(check: Check) -> None:
    check((b"MAIL FROM:<ann@a.test> \t\r\nRCPT TO:<b@b.test>  \r\nRSET \r\n", "250|250|250"))


def test_spaces_before_the_path_are_tolerated(check: Check) -> None:
    player = check((b"MAIL FROM: <ann@a.test>\r\n", "250"))
    assert player.events == [MailFrom(Address("ann", "a.test"), player.events[0].parameters)]


def test_the_null_sender(check: Check) -> None:
    player = check((b"MAIL FROM:<>\r\n", "250"))
    assert player.events[0].sender is None


def test_postmaster_needs_no_domain_as_recipient_and_cannot_send_so(check: Check) -> None:
    player = check((b"MAIL FROM:<postmaster>\r\n", "553 5.1.7"), MAIL)
    player.say(b"RCPT TO:<postmaster>\r\n")
    assert player.events[-1] == RcptTo(Address("postmaster", ""))


@each(
    ("turns", "expected"),
    [
        ([b"MAIL FROM:<a@a.test>\r\n"], "503 5.5.1 Say hello"),
        ([b"RCPT TO:<a@a.test>\r\n"], "503 5.5.1 Say hello"),
        ([b"DATA\r\n"], "503 5.5.1 Say hello"),
        ([b"AUTH PLAIN AAAA\r\n"], "503 5.5.1 Say hello"),
        ([b"STARTTLS\r\n"], "503 5.5.1 Say hello"),
        ([b"EHLO c\r\n", b"RCPT TO:<a@a.test>\r\n"], "503 5.5.1"),
        ([b"EHLO c\r\n", b"DATA\r\n"], "503 5.5.1"),
        ([b"EHLO c\r\n", b"MAIL FROM:<>\r\n", b"MAIL FROM:<>\r\n"], "503 5.5.1"),
        ([b"EHLO c\r\n", b"MAIL FROM:<>\r\n", b"DATA\r\n"], "503 5.5.1 No valid recipients"),
        ([b"EHLO c\r\n", b"MAIL FROM:<>\r\n", b"AUTH PLAIN AAAA\r\n"], "503 5.5.1"),
        ([b"EHLO c\r\n", b"MAIL FROM:<>\r\n", b"STARTTLS\r\n"], "503 5.5.1"),
    ],
)
def test_out_of_order(check: Check, turns: list[bytes], expected: str) -> None:
    *before, last = turns
    check(*((turn, "250") for turn in before), (last, expected), greeted=False)


@each("line", [b"NOOP", b"NOOP x", b"VRFY ann", b"EXPN all", b"HELP", b"RSET"])
def test_what_needs_no_hello(check: Check, line: bytes) -> None:
    check((line + b"\r\n", "502" if line[:4] == b"EXPN" else "2"), greeted=False)


def test_hello_ends_a_transaction(check: Check) -> None:
    check(MAIL, RCPT, HELLO, (b"RCPT TO:<bob@b.test>\r\n", "503"), MAIL)


def test_rset_ends_a_transaction(check: Check) -> None:
    check(MAIL, RCPT, (b"RSET\r\n", "250"), (b"DATA\r\n", "503"), MAIL)


def test_a_refused_hello_leaves_everything_as_it_was(check: Check) -> None:
    answers = {Hello: Reply(550, "not you")}
    check((b"EHLO c\r\n", "550"), (b"MAIL FROM:<>\r\n", "503"), answers=answers, greeted=False)


def test_a_refused_sender_begins_no_transaction(check: Check) -> None:
    answers = {MailFrom: Reply(550, "no")}
    check((b"MAIL FROM:<a@a.test>\r\n", "550"), (*RCPT[:1], "503"), answers=answers)


def test_refused_recipients_alone_bring_no_data(check: Check) -> None:
    answers = {RcptTo: Reply(550, "no")}
    check(MAIL, (b"RCPT TO:<b@b.test>\r\n", "550"), (b"DATA\r\n", "503"), answers=answers)


def test_a_refused_end_of_data_ends_the_transaction(check: Check) -> None:
    answers = {ContentReceived: Reply(554, "no")}
    check(MAIL, RCPT, DATA, (b"x\r\n.\r\n", "554"), MAIL, answers=answers)


def test_refused_data_ends_the_transaction(check: Check) -> None:
    answers = {ContentStarted: Reply(451, "not now")}
    check(MAIL, RCPT, (b"DATA\r\n", "451"), MAIL, answers=answers)


def test_421_to_anything_closes(check: Check) -> None:
    player = check(
        (b"NOOP\r\nMAIL FROM:<a@a.test>\r\nNOOP\r\n", "250|421"), answers={MailFrom: SHUTTING_DOWN}
    )
    assert player.connection.is_closed
    assert player.say(b"NOOP\r\n") == b""


def test_a_refusal_at_the_door_closes() -> None:
    player = a_player(answers={Connected: Reply(554, "go away")}, greeted=False)
    assert player.connection.is_closed


def test_free_text_is_handed_on(check: Check) -> None:
    player = check((b"VRFY Ann Lee\r\nEXPN all\r\nHELP MAIL\r\n", "252|502|214"))
    assert player.events == [Verify("Ann Lee"), Expand("all"), Help("MAIL")]


def test_vrfy_and_expn_take_smtputf8(check: Check) -> None:
    player = check(("VRFY jürgen SMTPUTF8\r\nEXPN all smtputf8\r\n".encode(), "252|502"))
    assert player.events == [Verify("jürgen"), Expand("all")]


def test_without_the_extension_smtputf8_is_a_word_like_any_other(check: Check) -> None:
    settings = replace(SETTINGS, extensions=SETTINGS.extensions - {Extension.SMTPUTF8})
    player = check((b"VRFY ann SMTPUTF8\r\n", "252"), settings=settings)
    assert player.events == [Verify("ann SMTPUTF8")]


@each(
    ("line", "expected"),
    [
        (b"FOO", "500 5.5.1"),
        (b"", "500 5.5.1"),
        (b" NOOP", "500 5.5.1"),
        (b"TURN", "502 5.5.1"),
        (b"LHLO x", "500"),
        (b"EHLO", "501 5.5.4"),
        (b"EHLO a b", "501 5.5.4"),
        (b"EHLO a)b", "501 5.5.4"),
        (b"EHLO \xc3\xbc!", "501 5.5.4"),
        (b"RSET x", "501 5.5.4"),
        (b"DATA x", "503"),
        (b"QUIT now", "501 5.5.4"),
        (b"VRFY", "501 5.5.4"),
        (b"STARTTLS x", "501 5.5.4"),
        (b"MAIL", "501 5.5.4"),
        (b"MAIL FROM:ann@a.test", "501 5.5.4"),
        (b"MAIL FROM <ann@a.test>", "501 5.5.4"),
        (b"MAIL FROM:<ann@a.test", "501 5.5.4"),
        (b"MAIL FROM:<ann@a.test>SIZE=1", "501 5.5.4"),
        (b"MAIL FROM:<ann>", "553 5.1.7"),
        (b"MAIL FROM:<a b@a.test>", "553 5.1.7"),
        (b"MAIL FROM:<@a.test>", "553 5.1.7"),
        (b"MAIL FROM:<ann@a.test\0>", "500 5.5.2"),
        (b"NOOP \x1b[2J", "500 5.5.2"),
        (b"NOOP \xff", "500 5.5.2"),
    ],
)
def test_malformed_commands(check: Check, line: bytes, expected: str) -> None:
    player = check((line + b"\r\n", expected), (b"NOOP\r\n", "250"))
    is_known = not expected.startswith("500 5.5.1")
    hidden = b"(%d octets, no command)" % len(line) if line else b""
    assert player.events[0].line == (line if is_known else hidden)


@pytest.mark.parametrize("text", [b"TO:<bob>", b"TO:<b@@b.test>", b'TO:<"b@b.test>', b"TO:<>"])
def test_malformed_recipients(check: Check, text: bytes) -> None:
    expected = "501 5.5.4" if text.count(b'"') else "553 5.1.3"
    check(MAIL, (b"RCPT " + text + b"\r\n", expected), RCPT)


@pytest.mark.parametrize(
    ("said", "name"),
    [
        (b"mail_1.a.test", "mail_1.a.test"),
        (b"[192.0.2.1]", "[192.0.2.1]"),
        ("büro.test".encode(), "xn--bro-hoa.test"),
        (b"a.test.", "a.test."),
    ],
)
def test_names_that_clients_say_of_themselves(check: Check, said: bytes, name: str) -> None:
    player = check((b"EHLO " + said + b"\r\n", "250"))
    assert player.events[0].name == name


def test_helo_brings_no_extensions(check: Check) -> None:
    check((b"HELO c\r\n", "250 mx.test"), (b"MAIL FROM:<a@a.test> SIZE=1\r\n", "555"), MAIL)


def test_after_the_last_mistake_the_connection_closes(check: Check) -> None:
    player = check((b"FOO\r\n" * 30, "|".join(["500"] * 19 + ["421 4.7.0"])))
    assert player.connection.is_closed
    assert player.events[-1].fatal


def test_too_many_recipients_get_452_and_are_no_mistake(check: Check) -> None:
    settings = replace(SETTINGS, max_recipients=2, max_errors=2)
    more = RCPT[0] * 5
    check(MAIL, (more, "250|250|452 4.5.3|452|452"), DATA, settings=settings)


def test_who_never_stops_naming_recipients_is_cut_off(check: Check) -> None:
    settings = replace(SETTINGS, max_recipients=2, max_errors=2)
    expected = "250|250|452 4.5.3|452|452|421 4.7.0"
    player = check(MAIL, (RCPT[0] * 9, expected), settings=settings)
    assert player.connection.is_closed


def test_another_transaction_may_have_as_many_surplus_recipients(check: Check) -> None:
    settings = replace(SETTINGS, max_recipients=2, max_errors=1)
    group = (b"RSET\r\n" + MAIL[0] + RCPT[0] * 4, "250|250|250|250|452|452")
    check(group, group, group, settings=settings)


def test_a_long_line_is_thrown_away_as_it_comes(check: Check) -> None:
    player = check((b"NOOP " + b"x" * 20_000 + b"\r\nNOOP\r\n", "500 5.5.2|250"))
    assert isinstance(player.events[0], Mistake)


def test_only_auth_may_be_longer_than_4096_octets(check: Check) -> None:
    check((b"NOOP " + b"x" * 4089 + b"\r\n", "250"), (b"NOOP " + b"x" * 4090 + b"\r\n", "500"))


def test_a_half_said_command_is_dropped_when_the_peer_ends() -> None:
    player = a_player()
    player.connection.receive(b"NOOP\r\nMAIL FR")
    player.connection.receive(b"")
    assert player.say(b"") == OK.octets
    assert player.connection.is_closed
    assert player.connection.pending == 0


def test_closing_out_of_turn_sends_the_last_word_once() -> None:
    player = a_player()
    player.connection.receive(b"NOOP\r\n")
    assert player.connection.next_event() is not None
    player.connection.close(SHUTTING_DOWN)
    player.connection.close(SHUTTING_DOWN)
    assert player.connection.take() == b"421 4.3.2 mx.test Shutting down; try again shortly\r\n"
    assert player.connection.next_event() is None


def test_whoever_says_goodbye_says_its_name(check: Check) -> None:
    check((b"QUIT\r\n", "221 2.0.0 mx.test Bye"))
    check((b"FOO\r\n" * 20, "|".join(["500"] * 19 + ["421 4.7.0 mx.test Too many"])))
    check((b"NOOP\r\n", "421 4.3.2 mx.test Shut"), answers={Noop: SHUTTING_DOWN})
    settings = replace(SETTINGS, protocol=Protocol.LMTP)
    content = (b"x\r\n.\r\n", "421 4.3.2 mx.test Shut")
    answers = {ContentReceived: [SHUTTING_DOWN]}
    check(MAIL, RCPT, DATA, content, settings=settings, answers=answers)


def test_quit_closes_and_what_follows_is_not_read(check: Check) -> None:
    player = check((b"QUIT\r\nNOOP\r\n", "221"))
    assert player.events == [Quit()]
    assert player.connection.state is State.CLOSED


def test_in_transaction_is_from_mail_to_the_end(check: Check) -> None:
    player = a_player()
    assert not player.connection.in_transaction
    player.say(b"MAIL FROM:<>\r\n")
    assert player.connection.in_transaction
    player.say(b"RSET\r\n")
    assert not player.connection.in_transaction
