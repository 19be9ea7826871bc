"""Content: its true end, its dots, its flaws, and nothing smuggled behind it."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merpati.smtp.body import DotReader, Inspector
from merpati.smtp.errors import ProtocolError
from merpati.smtp.events import ChunkReceived, ContentReceived, ContentStarted, MailFrom, RcptTo
from merpati.smtp.extensions import Extension
from merpati.smtp.replies import BARE_NEWLINE, OK, Reply
from merpati.smtp.settings import Protocol
from merpati.smtp.states import State
from merpati.testing.dialogue import SETTINGS, Player, a_player
from tests.cases import each

Check = Callable[..., Player]

ENVELOPE = (b"MAIL FROM:<ann@a.test>\r\nRCPT TO:<bob@b.test>\r\n", "250|250")
DATA = (b"DATA\r\n", "354")
SMUGGLED = b"MAIL FROM:<evil@a.test>\r\nRCPT TO:<victim@b.test>\r\nDATA\r\nforged\r\n"
TRUE_END = b"\r\n.\r\n"
NEWLINES = [b"\r\n", b"\n", b"\r", b"\n\r", b"\r\r\n", b"\n\n", b"\r\0\n", b"\0\r\n", b"\r\n\0"]
FALSE_ENDS = [
    before + b"." + after
    for before, after in itertools.product(NEWLINES, NEWLINES)
    if not (before.endswith(b"\r\n") and after.startswith(b"\r\n"))
]


def content_of(check: Check, wire: bytes) -> bytes:
    return bytes(check(ENVELOPE, DATA, (wire, "250")).content)


@each("end", FALSE_ENDS)
def test_nothing_but_crlf_dot_crlf_ends_data_and_the_rest_is_refused(
    check: Check, end: bytes
) -> None:
    player = check(ENVELOPE, DATA, (b"hello" + end + SMUGGLED + TRUE_END, "55"))
    assert [type(event) for event in player.events[:2]] == [MailFrom, RcptTo]
    assert [type(event) for event in player.events[2:]] == [ContentStarted, ContentReceived]
    assert b"forged" not in player.content
    assert player.connection.state is State.READY


@each("start", [b"\n.\n", b"\n.\r\n", b"\r.\r", b".\n", b".\r", b"\r\n.\n"])
def test_no_false_end_at_the_very_start(check: Check, start: bytes) -> None:
    player = check(ENVELOPE, DATA, (start + SMUGGLED + TRUE_END, "550 5.5.2"))
    assert len(player.events) == 4


def test_the_dot_may_be_the_very_first_line(check: Check) -> None:
    assert content_of(check, b".\r\n") == b""


def test_a_crlf_before_the_first_dot_is_content(check: Check) -> None:
    assert content_of(check, b"\r\n.\r\n") == b"\r\n"


@each(
    ("wire", "content"),
    [
        (b"..\r\n.\r\n", b".\r\n"),
        (b"...\r\n.\r\n", b"..\r\n"),
        (b"a\r\n..b\r\n.\r\n", b"a\r\n.b\r\n"),
        (b"a\r\n.b\r\n.\r\n", b"a\r\nb\r\n"),
        (b"a.\r\n.\r\n", b"a.\r\n"),
        (b"a\r\n..\r\n..\r\n.\r\n", b"a\r\n.\r\n.\r\n"),
        (b"\r\n\r\n.\r\n", b"\r\n\r\n"),
    ],
)
def test_the_first_dot_of_a_line_is_taken_away(check: Check, wire: bytes, content: bytes) -> None:
    assert content_of(check, wire) == content


@each("bare", [b"a\nb", b"a\rb", b"\n", b"a\r\r\n", b"a\n\r\n", b"a\r\n\rb"])
def test_bare_cr_or_lf_is_refused_at_the_true_end(check: Check, bare: bytes) -> None:
    player = check(ENVELOPE, DATA, (b"x\r\n" + bare + b"\r\nafter\r\n.\r\n", "550 5.5.2"), ENVELOPE)
    assert player.events[3] == ContentReceived(player.events[3].size, BARE_NEWLINE)


def test_a_bare_cr_at_the_end_of_the_last_chunk_is_refused(check: Check) -> None:
    check(ENVELOPE, (b"BDAT 2 LAST\r\na\r", "550 5.5.2"))


def test_nul_is_refused(check: Check) -> None:
    check(ENVELOPE, DATA, (b"a\0b\r\n.\r\n", "550 5.6.0"))


def test_a_text_line_has_at_most_1000_octets(check: Check) -> None:
    fits = b"x" * 998 + b"\r\n"
    check(ENVELOPE, DATA, (b"a\r\n" + fits * 3 + b".\r\n", "250"))
    check(ENVELOPE, DATA, (b"a\r\n" + fits + b"x" + fits + b".\r\n", "554 5.6.0"))


def test_a_message_that_grows_too_large_is_read_to_its_end_and_refused(check: Check) -> None:
    settings = replace(SETTINGS, max_size=100)
    player = check(
        ENVELOPE, DATA, (b"x" * 98 + b"\r\n.\r\n", "250"),
        ENVELOPE, DATA, (b"x" * 99 + b"\r\n.\r\n", "552 5.3.4"),
        ENVELOPE, settings=settings,
    )  # fmt: skip
    assert len(player.content) <= 200


def test_a_flaw_cannot_be_praised() -> None:
    player = a_player()
    player.say(ENVELOPE[0] + DATA[0])
    player.connection.receive(b"a\nb\r\n.\r\n")
    assert isinstance(player.connection.next_event(), ContentReceived)
    with pytest.raises(ProtocolError):
        player.connection.answer(OK)


# BDAT (RFC 3030)


def test_chunks_have_no_dots(check: Check) -> None:
    player = check(ENVELOPE, (b"BDAT 12\r\na\r\n.\r\nMAIL\r\n", "250"), (b"BDAT 0 LAST\r\n", "250"))
    assert player.content == b"a\r\n.\r\nMAIL\r\n"
    assert player.events[3:] == [ChunkReceived(12), ContentReceived(12)]


def test_chunks_may_be_pipelined_with_everything(check: Check) -> None:
    check(
        (
            ENVELOPE[0] + b"BDAT 3\r\na\r\nbdat 3 last\r\nb\r\n" + ENVELOPE[0],
            "250|250|250|250|250|250",
        )
    )


def test_a_last_line_that_has_no_end_is_given_one(check: Check) -> None:
    player = check(ENVELOPE, (b"BDAT 5 LAST\r\nhello", "250"))
    assert player.content == b"hello\r\n"
    assert player.events[-1] == ContentReceived(7, octets=b"hello\r\n")


def test_the_end_that_a_last_line_is_given_counts_with_its_length(check: Check) -> None:
    check(ENVELOPE, (b"BDAT 998 LAST\r\n" + b"x" * 998, "250"))
    check(ENVELOPE, (b"BDAT 999 LAST\r\n" + b"x" * 999, "554 5.6.0"))


def test_an_empty_message_by_chunks(check: Check) -> None:
    assert check(ENVELOPE, (b"BDAT 0 LAST\r\n", "250")).content == b""


def test_a_cr_and_its_lf_may_be_in_two_chunks(check: Check) -> None:
    player = check(ENVELOPE, (b"BDAT 2\r\na\rBDAT 2 LAST\r\n\nb", "250|250"))
    assert player.content == b"a\r\nb\r\n"


def test_a_flaw_in_a_chunk_is_told_at_its_end_and_ends_the_transaction(check: Check) -> None:
    check(ENVELOPE, (b"BDAT 3\r\na\nbBDAT 1 LAST\r\nx", "550 5.5.2|503"), ENVELOPE)


def test_the_size_limit_is_for_the_sum_of_the_chunks(check: Check) -> None:
    settings = replace(SETTINGS, max_size=10)
    chunks = b"BDAT 6\r\naaaa\r\nBDAT 6 LAST\r\nbbbb\r\n"
    check(ENVELOPE, (chunks, "250|552 5.3.4"), ENVELOPE, settings=settings)


@pytest.mark.parametrize("before", [b"", b"MAIL FROM:<a@a.test>\r\n"])
def test_a_chunk_out_of_order_still_swallows_its_octets(check: Check, before: bytes) -> None:
    chunk = b"BDAT %d LAST\r\n" % len(SMUGGLED) + SMUGGLED
    player = check((before + chunk + b"NOOP\r\n", ("250|" if before else "") + "503 5.5.1|250"))
    assert not any(isinstance(event, RcptTo) for event in player.events)


def test_a_chunk_before_hello_swallows_its_octets(check: Check) -> None:
    check((b"BDAT 6\r\nNOOP\r\nNOOP\r\n", "503|250"), greeted=False)


def test_a_refused_first_chunk_swallows_its_octets_before_the_reply(check: Check) -> None:
    answers = {ContentStarted: Reply(452, "full")}
    player = check(ENVELOPE, (b"BDAT 6\r\nNOO", ""), (b"P\r\nNOOP\r\n", "452|250"), answers=answers)
    assert player.content == b""


def test_421_to_a_chunk_is_said_at_once(check: Check) -> None:
    answers = {ContentStarted: Reply(421, "later")}
    player = check(ENVELOPE, (b"BDAT 6\r\n", "421"), answers=answers)
    assert player.connection.is_closed


def test_a_later_chunk_that_is_refused_ends_the_transaction(check: Check) -> None:
    answers = {ChunkReceived: Reply(452, "full")}
    check(ENVELOPE, (b"BDAT 2\r\nabBDAT 2 LAST\r\ncd", "452|503"), ENVELOPE, answers=answers)


@each("size", [b"", b" x", b" -1", b" 1 FIRST", b" 1 LAST x", b" " + b"9" * 21])
def test_an_unreadable_chunk_size_ends_the_connection(check: Check, size: bytes) -> None:
    player = check(ENVELOPE, (b"BDAT" + size + b"\r\nNOOP\r\n", "501 5.5.4"))
    assert player.connection.is_closed


def test_between_chunks_only_chunks_and_resets_go_on(check: Check) -> None:
    check(
        ENVELOPE,
        (b"BDAT 1\r\naDATA\r\n", "250|503"),
        (b"MAIL FROM:<>\r\nRCPT TO:<b@b.test>\r\nRSET\r\n", "503|503|250"),
        ENVELOPE,
        (b"BDAT 1\r\nb", "250"),
        (b"EHLO c\r\n", "250"),
        ENVELOPE,
    )


def test_binary_content_keeps_every_octet_and_goes_by_chunks_alone(check: Check) -> None:
    mail = (b"MAIL FROM:<a@a.test> BODY=BINARYMIME\r\nRCPT TO:<b@b.test>\r\n", "250|250")
    binary = b"\0\r\r\n\n.\n" + b"x" * 3000
    player = check(mail, (b"DATA\r\n", "503"), (b"BDAT %d LAST\r\n" % len(binary) + binary, "250"))
    assert player.content == binary


def test_without_chunking_nothing_of_a_chunk_is_a_command(check: Check) -> None:
    settings = replace(SETTINGS, extensions=frozenset({Extension.PIPELINING}))
    check(ENVELOPE, (b"BDAT 6 LAST\r\nNOOP\r\n", "503"), settings=settings)


# LMTP (RFC 2033)

LMTP = replace(SETTINGS, protocol=Protocol.LMTP)
THREE = (b"MAIL FROM:<>\r\n" + b"RCPT TO:<b@b.test>\r\n" * 3, "250|250|250|250")


def test_lmtp_greets_with_lhlo_only(check: Check) -> None:
    turns = [(b"HELO c\r\n", "500"), (b"EHLO c\r\n", "500"), (b"LHLO c\r\n", "250")]
    check(*turns, settings=LMTP, greeted=False)


def test_lmtp_answers_for_each_recipient(check: Check) -> None:
    each = [Reply(250, "one"), Reply(452, "two"), Reply(550, "three")]
    answers = {ContentReceived: each}
    check(THREE, DATA, (b"x\r\n.\r\n", "250 one|452 two|550 three"), settings=LMTP, answers=answers)


def test_lmtp_repeats_one_answer_for_all(check: Check) -> None:
    check(THREE, DATA, (b"x\r\n.\r\n", "250|250|250"), settings=LMTP)
    check(THREE, DATA, (b"x\ny\r\n.\r\n", "550|550|550"), settings=LMTP)
    check(THREE, (b"BDAT 1\r\nxBDAT 1 LAST\r\ny", "250|250|250|250"), settings=LMTP)


def test_lmtp_refuses_a_last_chunk_for_each_recipient(check: Check) -> None:
    answers = {ContentStarted: Reply(452, "full")}
    check(THREE, (b"BDAT 1 LAST\r\nx", "452|452|452"), settings=LMTP, answers=answers)


@pytest.mark.parametrize("refused", [ContentStarted, ChunkReceived])
def test_lmtp_refuses_a_last_chunk_behind_a_refused_one_for_each_recipient(
    check: Check, refused: type
) -> None:
    chunks = b"BDAT 1\r\nxBDAT 1\r\nyBDAT 1 LAST\r\nzBDAT 0 LAST\r\n"
    said = "452|503|503|503|503|503"  # two chunks, one reply for each of three, and one of none
    check(THREE, (chunks, said), settings=LMTP, answers={refused: Reply(452, "full")})


def test_lmtp_last_chunk_behind_a_finished_message_is_refused_once(check: Check) -> None:
    done = (b"BDAT 1 LAST\r\nx", "250|250|250")
    check(THREE, done, (b"BDAT 0 LAST\r\n", "503"), settings=LMTP)


def test_lmtp_data_without_recipients_fails_with_503(check: Check) -> None:
    check((b"MAIL FROM:<>\r\n", "250"), (b"DATA\r\n", "503"), settings=LMTP)


def test_lmtp_last_chunk_without_recipients_gets_no_reply(check: Check) -> None:
    player = check((b"MAIL FROM:<>\r\nBDAT 6 LAST\r\nNOOP\r\nNOOP\r\n", "250|250"), settings=LMTP)
    assert player.connection.state is State.READY


def test_lmtp_answers_must_be_as_many_as_recipients() -> None:
    player = a_player(LMTP)
    player.say(THREE[0] + DATA[0])
    player.connection.receive(b".\r\n")
    assert player.connection.next_event() == ContentReceived(0)
    with pytest.raises(ProtocolError):
        player.connection.answer_each([OK])


# The readers alone, against a plain model.

octets_near_newlines = st.lists(
    st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"\r\n.", b"a", b"\0", b"bc" * 40])
).map(b"".join)


@given(octets_near_newlines, st.lists(st.integers(1, 9), min_size=1))
def test_dots_come_out_as_the_lines_say_however_they_are_split(
    body: bytes, sizes: list[int]
) -> None:
    stuffed = (b"\r\n" + body).replace(b"\r\n.", b"\r\n..")[2:]
    wire = (stuffed if body.endswith(b"\r\n") or not body else stuffed + b"\r\n") + b".\r\nNOOP\r\n"
    expected = body if body.endswith(b"\r\n") or not body else body + b"\r\n"
    buffer = bytearray()
    reader, read, at = DotReader(buffer), b"", 0
    for size in itertools.cycle(sizes):
        if reader.has_ended:
            break
        buffer += wire[at : at + size]
        at += size
        read += reader.read()
        assert len(buffer) <= 4 or reader.has_ended
    assert read == expected
    assert bytes(buffer) + wire[at:] == b"NOOP\r\n"


@given(octets_near_newlines, st.integers(1, 50), st.integers(2, 40))
def test_flaws_are_found_however_the_content_is_split(body: bytes, size: int, longest: int) -> None:
    inspector = Inspector(10**6, longest)
    for n in range(0, len(body), size):
        inspector.inspect(body[n : n + size])
    inspector.finish()
    lines = body.split(b"\r\n")
    is_bare = any(b"\r" in line or b"\n" in line for line in lines)
    is_long = any(len(line) + 2 > longest for line in lines)
    assert (inspector.flaw is not None) == (is_bare or is_long or b"\0" in body)


def test_a_dotted_line_behind_many_dots_is_found_however_it_is_split() -> None:
    text = b"a. " * 40 + b"\r\n"
    wire = text + b"..leads\r\n" + text + b".\r\nNOOP\r\n"
    for size in (1, 7, 40, len(wire)):
        buffer = bytearray()
        reader, read = DotReader(buffer), b""
        for at in range(0, len(wire), size):
            buffer += wire[at : at + size]
            read += reader.read()
        assert read == text + b".leads\r\n" + text
        assert bytes(buffer) == b"NOOP\r\n"
