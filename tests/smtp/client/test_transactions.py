"""RFC 5321 §3.3, 2920, 3030, 2033: transactions, one after the other and looked ahead."""

from collections.abc import Callable

import pytest

from merpati.smtp.answers import Nonsense
from merpati.smtp.client_events import EnvelopeAnswered, ShutDown, VerdictGiven
from merpati.smtp.client_states import Command, Phase
from merpati.smtp.content import ContentError
from merpati.smtp.errors import ProtocolError
from merpati.smtp.rung import Rung
from merpati.testing.caller import BODY, Caller
from tests.cases import each

MakeCaller = Callable[..., Caller]

MAIL = b"MAIL FROM:<ann@a.test> SIZE=%d\r\n" % len(BODY)
RCPT = b"RCPT TO:<bob@b.test>\r\n"
BDAT = b"BDAT %d LAST\r\n" % len(BODY)
OK = "250 2.0.0 ok"


def test_bdat_waits_for_the_replies_to_its_envelope(a_caller: MakeCaller) -> None:
    caller = a_caller()
    mailing = caller.begin()
    assert caller.said == MAIL + RCPT
    assert caller.hear(OK) == []
    assert caller.said == b""
    assert not mailing.wants_body
    (event,) = caller.hear(OK)
    assert event == EnvelopeAnswered(mailing)
    assert mailing.accepted == [0]
    assert not mailing.finished
    assert caller.send(mailing) == BDAT + BODY
    assert mailing.finished
    assert caller.client.waiting_for is Command.CHUNK
    (event,) = caller.hear("250 2.0.0 taken")
    assert event == VerdictGiven(mailing)
    assert [answer.code for answer in mailing.verdicts] == [250]
    assert caller.client.phase is Phase.READY


def test_the_last_octets_of_a_chunk_make_it_final(a_caller: MakeCaller) -> None:
    caller = a_caller()
    mailing = caller.begin()
    caller.hear(OK, OK)
    assert not mailing.begun
    caller.client.write_body(BODY[:5])
    assert mailing.begun
    assert not mailing.finished
    caller.client.write_body(BODY[5:])
    assert mailing.finished


def test_the_dot_makes_data_final(a_caller: MakeCaller) -> None:
    caller = a_caller(rung=Rung.DATA_LOOKAHEAD)
    mailing = caller.begin()
    assert caller.said == MAIL + RCPT + b"DATA\r\n"
    caller.hear(OK, OK, "354 go")
    caller.client.write_body(BODY)
    assert not mailing.finished
    assert caller.said == BODY
    caller.client.finish_body()
    assert mailing.finished
    assert caller.said == b".\r\n"
    assert caller.client.waiting_for is Command.BODY
    assert caller.hear(OK) == [VerdictGiven(mailing)]


@each("rung", list(Rung)[:4])
def test_rset_stands_before_every_mail_but_the_first(a_caller: MakeCaller, rung: Rung) -> None:
    # Exim queues a message with the sender of the refused one before it otherwise.
    caller = a_caller(rung=rung)
    said = b""
    for reply in ("550 5.1.1 no", OK, OK):
        mailing = caller.begin()
        said += caller.said
        for _ in range(8):
            command = caller.client.waiting_for
            if command is None:
                break
            answer = reply if command is Command.RCPT else OK
            caller.hear("354 go" if command is Command.DATA else answer)
            said += caller.said
        if mailing.wants_body:
            caller.send(mailing)
            caller.hear(OK)
    assert said.count(b"MAIL") == 3
    assert said.count(b"RSET\r\nMAIL") == said.count(b"RSET") == 2
    assert said.startswith(b"MAIL")
    assert caller.client.transactions == 3


def test_rset_stands_before_the_mail_behind_a_body(a_caller: MakeCaller) -> None:
    caller = a_caller()
    first = caller.begin()
    caller.hear(OK, OK)
    assert caller.said == MAIL + RCPT + BDAT
    caller.client.write_body(BODY)
    caller.client.finish_body()
    second = caller.begin("eve@b.test", "bob@b.test")
    assert caller.said == BODY + b"RSET\r\n" + MAIL + b"RCPT TO:<eve@b.test>\r\n" + RCPT
    assert caller.hear(OK) == [VerdictGiven(first)]
    assert caller.client.phase is Phase.ENVELOPE
    assert caller.hear(OK, OK, "550 5.1.1 no", OK) == [EnvelopeAnswered(second)]
    assert second.accepted == [1]
    assert caller.send(second) == BDAT + BODY
    assert caller.hear(OK) == [VerdictGiven(second)]


def test_data_is_looked_ahead_too(a_caller: MakeCaller) -> None:
    caller = a_caller(["PIPELINING"])
    first = caller.begin()
    caller.hear(OK, OK, "354 go")
    caller.client.write_body(BODY)
    caller.client.finish_body()
    second = caller.begin()
    assert caller.said.endswith(
        BODY + b".\r\nRSET\r\nMAIL FROM:<ann@a.test>\r\n" + RCPT + b"DATA\r\n"
    )
    events = caller.hear("550 5.7.1 spam", OK, OK, OK, "354 go")
    assert events == [VerdictGiven(first), EnvelopeAnswered(second)]
    assert second.wants_body


def test_only_one_envelope_stands_behind_a_body(a_caller: MakeCaller) -> None:
    caller = a_caller()
    mailing = caller.begin()
    caller.hear(OK, OK)
    caller.send(mailing)
    caller.begin()
    with pytest.raises(ProtocolError, match="nothing may be sent behind"):
        caller.begin()


@pytest.mark.parametrize("rung", [Rung.NO_LOOKAHEAD, Rung.LOCKSTEP])
def test_without_lookahead_nothing_stands_behind_a_body(a_caller: MakeCaller, rung: Rung) -> None:
    caller = a_caller()
    mailing = caller.begin()
    caller.hear(OK, OK)
    caller.send(mailing)
    caller.client.rung = rung
    assert not caller.client.may_look_ahead
    with pytest.raises(ProtocolError, match="nothing may be sent behind"):
        caller.begin()
    caller.hear(OK)
    caller.begin()
    assert caller.said.startswith(b"RSET\r\n")


def test_without_pipelining_nothing_is_looked_ahead(a_caller: MakeCaller) -> None:
    assert not a_caller(["CHUNKING"]).client.may_look_ahead


def test_lockstep_sends_one_command_and_waits(a_caller: MakeCaller) -> None:
    caller = a_caller(rung=Rung.LOCKSTEP)
    mailing = caller.begin("bob@b.test", "eve@b.test")
    for expected, reply in [
        (MAIL, OK),
        (RCPT, "550 5.1.1 no"),
        (b"RCPT TO:<eve@b.test>\r\n", OK),
        (b"DATA\r\n", "354 go"),
    ]:
        assert caller.said == expected
        caller.hear(reply)
    assert mailing.accepted == [1]
    assert not mailing.pipelined
    assert caller.send(mailing) == BODY + b".\r\n"


@pytest.mark.parametrize(
    ("replies", "command", "said"),
    [
        (["550 5.7.1 no"], Command.MAIL, MAIL),
        ([OK, "550 5.1.1 no"], Command.RCPT, MAIL + RCPT),
        ([OK, OK, "451 no"], Command.DATA, MAIL + RCPT + b"DATA\r\n"),
    ],
)
def test_lockstep_stops_at_what_makes_the_rest_senseless(
    a_caller: MakeCaller, replies: list[str], command: Command, said: bytes
) -> None:
    caller = a_caller(rung=Rung.LOCKSTEP)
    mailing = caller.begin()
    sent = caller.said
    for reply in replies:
        caller.hear(reply)
        sent += caller.said
    assert sent == said
    assert caller.events == [EnvelopeAnswered(mailing)]
    assert mailing.first_refusal is not None
    assert mailing.first_refusal[0] is command
    assert caller.client.phase is Phase.READY
    caller.begin()
    assert caller.said == b"RSET\r\n"


def test_lockstep_stops_at_a_refused_rset(a_caller: MakeCaller) -> None:
    caller = a_caller(rung=Rung.LOCKSTEP)
    delivered_by_data(caller)
    mailing = caller.begin()
    assert caller.said == b"RSET\r\n"
    assert caller.hear("502 no") == [EnvelopeAnswered(mailing)]
    assert mailing.first_refusal is not None
    assert mailing.first_refusal[0] is Command.RSET
    assert mailing.accepted == []
    assert caller.said == b""


def delivered_by_data(caller: Caller) -> None:
    mailing = caller.begin()
    while caller.client.waiting_for is not None:
        caller.hear("354 go" if caller.client.waiting_for is Command.DATA else OK)
    caller.send(mailing)
    caller.hear(OK)


def test_a_pipelined_envelope_is_read_to_its_end_whatever_was_refused(
    a_caller: MakeCaller,
) -> None:
    caller = a_caller(rung=Rung.NO_LOOKAHEAD)
    mailing = caller.begin()
    assert caller.hear("550 5.7.1 no", "503 need MAIL") == []
    assert caller.hear("503 need RCPT") == [EnvelopeAnswered(mailing)]
    assert mailing.first_refusal is not None
    assert mailing.first_refusal[1].code == 550
    assert mailing.accepted == []


def test_a_lone_dot_when_354_came_though_nobody_was_accepted(a_caller: MakeCaller) -> None:
    # RFC 2920 §3.1
    caller = a_caller(rung=Rung.DATA_LOOKAHEAD)
    mailing = caller.begin()
    assert caller.said
    assert caller.hear(OK, "550 5.1.1 no", "354 go") == []
    assert caller.said == b".\r\n"
    assert caller.client.waiting_for is Command.LONE_DOT
    assert caller.hear("250 2.0.0 delivered to nobody") == [EnvelopeAnswered(mailing)]
    assert mailing.verdicts == []
    assert not mailing.finished
    assert caller.client.phase is Phase.READY


def test_no_dot_ends_the_content_of_a_refused_transaction_with_recipients(
    a_caller: MakeCaller,
) -> None:
    caller = a_caller(rung=Rung.DATA_LOOKAHEAD)
    delivered_by_data(caller)
    caller.begin()
    assert caller.said
    (event,) = caller.hear("502 what is RSET?", OK, OK, "354 go")
    assert isinstance(event, Nonsense)
    assert caller.said == b""


def test_one_chunk_refused_and_the_connection_is_over(a_caller: MakeCaller) -> None:
    caller = a_caller()
    first = caller.begin()
    caller.hear(OK, OK)
    caller.send(first)
    second = caller.begin()
    assert caller.hear("552 5.3.4 too large", OK, OK, OK) == [VerdictGiven(first)]
    assert caller.client.phase is Phase.OVER
    assert second.owed == 3
    assert not second.finished


def test_a_refusal_behind_the_dot_is_a_verdict_and_no_more(a_caller: MakeCaller) -> None:
    caller = a_caller(rung=Rung.DATA_LOOKAHEAD)
    mailing = caller.begin()
    caller.hear(OK, OK, "354 go")
    caller.send(mailing)
    assert caller.hear("554 5.7.1 no") == [VerdictGiven(mailing)]
    assert caller.client.phase is Phase.READY


@each("at", range(4))
def test_421_anywhere_in_an_envelope(a_caller: MakeCaller, at: int) -> None:
    caller = a_caller(rung=Rung.DATA_LOOKAHEAD)
    delivered_by_data(caller)
    mailing = caller.begin()
    *_, event = caller.hear(*[OK] * at, "421 4.3.2 shutting down", "503 what?", "503 what?")
    assert isinstance(event, ShutDown)
    assert event.command is (Command.RSET, Command.MAIL, Command.RCPT, Command.DATA)[at]
    assert event.mailing is mailing
    assert mailing.accepted == ([0] if at == 3 else [])
    assert caller.client.next_event() is None


def test_421_instead_of_a_verdict(a_caller: MakeCaller) -> None:
    caller = a_caller()
    first = caller.begin()
    caller.hear(OK, OK)
    caller.send(first)
    caller.begin()
    (event,) = caller.hear("421 4.3.0 out of memory", OK)
    assert isinstance(event, ShutDown)
    assert event.command is Command.CHUNK
    assert event.mailing is first
    assert [answer.code for answer in first.verdicts] == [421]


def test_421_to_the_lone_dot_is_no_verdict(a_caller: MakeCaller) -> None:
    caller = a_caller(rung=Rung.DATA_LOOKAHEAD)
    mailing = caller.begin()
    caller.hear(OK, "550 no", "354 go", "421 bye")
    assert isinstance(caller.events[-1], ShutDown)
    assert mailing.verdicts == []


def test_421_while_a_body_is_awaited_stops_it(a_caller: MakeCaller) -> None:
    caller = a_caller()
    mailing = caller.begin()
    caller.hear(OK, OK, "421 4.4.2 too slow")
    assert isinstance(caller.events[-1], ShutDown)
    assert not mailing.finished
    with pytest.raises(ProtocolError):
        caller.client.write_body(BODY)


def test_a_reply_before_the_body_is_not_its_verdict(a_caller: MakeCaller) -> None:
    # SubEtha answers 250 twice; the second must not deliver what was never sent.
    caller = a_caller()
    caller.begin()
    caller.hear(OK, OK, OK)
    assert isinstance(caller.events[-1], Nonsense)


def test_a_reply_that_is_one_too_many_answers_no_next_command(a_caller: MakeCaller) -> None:
    caller = a_caller(rung=Rung.LOCKSTEP)
    caller.begin()
    caller.hear(OK, OK, OK, OK)
    assert isinstance(caller.events[-1], Nonsense)


def test_250_to_data_is_nonsense(a_caller: MakeCaller) -> None:
    caller = a_caller(rung=Rung.DATA_LOOKAHEAD)
    caller.begin()
    (event,) = caller.hear(OK, OK, OK)
    assert isinstance(event, Nonsense)
    assert event.why == "a 250 cannot answer DATA"


def test_garbage_in_an_envelope_is_nonsense(a_caller: MakeCaller) -> None:
    caller = a_caller()
    caller.begin()
    *_, event = caller.hear(OK, "oops")
    assert isinstance(event, Nonsense)


def test_251_and_252_are_acceptance(a_caller: MakeCaller) -> None:
    caller = a_caller()
    mailing = caller.begin("a@b.test", "b@b.test")
    caller.hear(OK, "251 will forward", "252 cannot verify")
    assert mailing.accepted == [0, 1]


def test_lmtp_answers_for_each_accepted_recipient(a_caller: MakeCaller) -> None:
    caller = a_caller(lmtp=True)
    mailing = caller.begin("a@b.test", "b@b.test", "c@b.test")
    assert caller.said.endswith(b"DATA\r\n")
    caller.hear(OK, OK, "550 5.1.1 no", OK, "354 go")
    caller.send(mailing)
    assert caller.hear("250 2.1.5 a") == []
    assert caller.client.waiting_for is Command.BODY
    assert caller.hear("452 4.2.2 full") == [VerdictGiven(mailing)]
    assert [answer.code for answer in mailing.verdicts] == [250, 452]
    assert caller.client.phase is Phase.READY


def test_lmtp_looks_ahead(a_caller: MakeCaller) -> None:
    caller = a_caller(lmtp=True)
    first = caller.begin("a@b.test", "b@b.test")
    caller.hear(OK, OK, OK, "354 go")
    caller.send(first)
    second = caller.begin()
    events = caller.hear(OK, OK, OK, OK, OK, "354 go")
    assert events == [VerdictGiven(first), EnvelopeAnswered(second)]


def test_the_body_is_written_when_it_is_its_turn_only(a_caller: MakeCaller) -> None:
    caller = a_caller()
    with pytest.raises(ProtocolError, match="cannot write content while ready"):
        caller.client.write_body(BODY)
    with pytest.raises(ProtocolError, match="cannot write content while ready"):
        caller.client.finish_body()
    caller.begin()
    with pytest.raises(ProtocolError, match="cannot write content while envelope"):
        caller.client.write_body(BODY)
    with pytest.raises(ProtocolError, match="cannot quit while envelope"):
        caller.client.quit()


def test_a_body_that_must_not_go_out_is_never_ended(a_caller: MakeCaller) -> None:
    caller = a_caller(rung=Rung.DATA_LOOKAHEAD)
    mailing = caller.begin()
    caller.hear(OK, OK, "354 go")
    with pytest.raises(ContentError):
        caller.client.write_body(b"hello\n.\r\n")
    assert not mailing.finished


def test_a_chunk_of_another_length_than_announced_is_never_finished(a_caller: MakeCaller) -> None:
    caller = a_caller()
    mailing = caller.begin()
    caller.hear(OK, OK)
    caller.client.write_body(BODY[:-1])
    with pytest.raises(ContentError, match="less content"):
        caller.client.finish_body()
    assert not mailing.finished


@each(
    ("reply", "is_void"),
    [
        ("500 5.5.2 what?", True),
        ("502 no", True),
        ("503 5.5.1 order", True),
        ("554 5.5.1 order", True),
        ("550 5.1.1 no", False),
        ("452 4.5.1 no", False),
    ],
)
def test_what_a_pipeline_caused_is_no_verdict(
    a_caller: MakeCaller, reply: str, is_void: bool
) -> None:
    for rung in (Rung.BDAT_LOOKAHEAD, Rung.LOCKSTEP):
        caller = a_caller(rung=rung)
        mailing = caller.begin()
        caller.hear(reply)
        assert mailing.mail is not None
        assert mailing.is_void(mailing.mail) == (is_void and rung is not Rung.LOCKSTEP)
