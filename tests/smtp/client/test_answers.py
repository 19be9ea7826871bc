"""RFC 5321 §4.2, RFC 2034: replies as they come, within bounds."""

from hypothesis import given
from hypothesis import strategies as st

from merpati.smtp.answers import MAX_LINE, MAX_OCTETS, Answer, AnswerReader, Nonsense
from merpati.smtp.status import Status
from tests.cases import each


def read(octets: bytes) -> list[Answer | Nonsense]:
    """All that came of these octets, whole; octet by octet it must be the same."""
    whole, bits = AnswerReader(), AnswerReader()
    whole.receive(octets)
    found = _drain(whole)
    in_bits = []
    for n in range(len(octets)):
        if not any(isinstance(one, Nonsense) for one in in_bits):
            bits.receive(octets[n : n + 1])
            in_bits += _drain(bits)
    assert [_essence(one) for one in in_bits] == [_essence(one) for one in found]
    return found


def _essence(one: Answer | Nonsense) -> bytes:
    """How much of nonsense is seen depends on how it arrived."""
    return one.octets if isinstance(one, Answer) else b""


def _drain(reader: AnswerReader) -> list[Answer | Nonsense]:
    found = []
    while (one := reader.next()) is not None:
        found.append(one)
        if isinstance(one, Nonsense):
            break
    return found


@each(
    ("octets", "code", "text"),
    [
        (b"250 ok\r\n", 250, "ok"),
        (b"250 ok\n", 250, "ok"),
        (b"250\r\n", 250, ""),
        (b"250\n", 250, ""),
        (b"250 \r\n", 250, ""),
        (b"250-one\r\n250 two\r\n", 250, "one\ntwo"),
        (b"250-one\r\n550 two\r\n", 550, "one\ntwo"),
        (b"550 5.1.1 no such user\r\n", 550, "no such user"),
        (b"550-5.1.1 no such\r\n550 5.1.1 user\r\n", 550, "no such\nuser"),
        (b"250 gr\xc3\xbc\xc3\x9fe \xff\x1b[2J\r\n", 250, "grüße �?[2J"),
        (b"250 \xe2\x80\xaeevil\r\n", 250, "?evil"),
    ],
)
def test_replies(octets: bytes, code: int, text: str) -> None:
    (answer,) = read(octets)
    assert isinstance(answer, Answer)
    assert (answer.code, answer.text, answer.octets) == (code, text, octets)
    assert answer.is_positive == (code < 400)


@each(
    ("octets", "status"),
    [
        (b"550 5.1.1 no\r\n", Status(5, 1, 1)),
        (b"450-4.2.0 no\r\n450 4.2.0 really\r\n", Status(4, 2, 0)),
        (b"550 4.1.1 of another class\r\n", None),
        (b"550 5.1.1.1 no status\r\n", None),
        (b"550 no\r\n", None),
        (b"354 3.0.0 no class\r\n", None),
    ],
)
def test_the_enhanced_status_code(octets: bytes, status: Status | None) -> None:
    (answer,) = read(octets)
    assert answer.status == status


@each(
    ("octets", "line"),
    [
        (b"550 5.1.1 no such user \r\n", "550 5.1.1 no such user"),
        (b"550-5.1.1 no such\r\n550 5.1.1 user\r\n", "550 5.1.1 no such user"),
        (b"550 \x07ding\r\n", "550 ?ding"),
        ("250 grüße\r\n".encode(), "250 grüße"),
        (b"250\r\n", "250"),
    ],
)
def test_a_reply_on_one_line(octets: bytes, line: str) -> None:
    (answer,) = read(octets)
    assert str(answer) == line


def test_several_replies_in_one_segment() -> None:
    found = read(b"250-a\r\n250 b\r\n550 c\r\n354 d\r\n")
    assert [one.code for one in found] == [250, 550, 354]


@each(
    "octets",
    [
        b"hello\r\n",
        b"600 no\r\n",
        b"150 no\r\n",
        b"25 no\r\n",
        b"2500 no\r\n",
        b"250_no\r\n",
        b"\r\n",
        b" 250 ok\r\n",
        b"250-ok\r\nfoo\r\n",
        b"\x16\x03\x01\x02\x00",
        b"HTTP/1.1 400 Bad Request\r\n",
        b"250\rx\r\n",
    ],
)
def test_what_is_no_reply_is_nonsense_as_soon_as_it_is_seen(octets: bytes) -> None:
    *_, last = read(octets)
    assert isinstance(last, Nonsense)
    assert len(last.octets) <= 100


def test_nothing_more_is_needed_to_see_that_it_is_no_reply() -> None:
    reader = AnswerReader()
    reader.receive(b"2x")
    assert isinstance(reader.next(), Nonsense)


def test_a_line_may_be_long_and_not_endless() -> None:
    reader = AnswerReader()
    line = b"250 " + b"x" * (MAX_LINE - 6) + b"\r\n"
    reader.receive(line)
    answer = reader.next()
    assert isinstance(answer, Answer)
    assert len(answer.octets) == MAX_LINE
    reader.receive(b"250 " + b"x" * MAX_LINE)
    assert reader.next() == Nonsense("a reply is too long", b"250 " + b"x" * 96)


def test_a_reply_of_many_lines_ends_somewhere() -> None:
    reader = AnswerReader()
    line = b"250-" + b"x" * 994 + b"\r\n"
    for _ in range(MAX_OCTETS // len(line)):
        reader.receive(line)
        assert reader.next() is None
    reader.receive(line)
    assert isinstance(reader.next(), Nonsense)


def test_pending_says_whether_octets_stand_behind_the_last_reply() -> None:
    reader = AnswerReader()
    reader.receive(b"220 ok\r\n2")
    assert isinstance(reader.next(), Answer)
    assert reader.pending
    reader.receive(b"50 ok\r\n")
    assert isinstance(reader.next(), Answer)
    assert not reader.pending


@given(st.lists(st.binary(max_size=30) | st.sampled_from([b"250-", b"250 ", b"\r\n", b"5"])))
def test_any_octets_give_replies_or_nonsense(pieces: list[bytes]) -> None:
    reader = AnswerReader()
    for piece in pieces:
        reader.receive(piece)
        while (one := reader.next()) is not None:
            if isinstance(one, Nonsense):
                return
            assert 200 <= one.code < 600
            assert "\r" not in str(one)
            assert "\n" not in str(one)
