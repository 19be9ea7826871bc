"""Replies on the wire: RFC 5321 §4.2, RFC 2034."""

from hypothesis import given
from hypothesis import strategies as st

from merpati.smtp import replies
from merpati.smtp.replies import Reply
from merpati.smtp.status import Status


def test_one_line() -> None:
    assert Reply(250, "OK").octets == b"250 OK\r\n"
    assert Reply(550, "No", Status(5, 1, 1)).octets == b"550 5.1.1 No\r\n"


def test_every_line_has_the_code_and_all_but_the_last_a_hyphen() -> None:
    reply = Reply(550, "a\nb\nc", Status(5, 7, 1))
    assert reply.octets == b"550-5.7.1 a\r\n550-5.7.1 b\r\n550 5.7.1 c\r\n"


def test_the_space_stays_without_text() -> None:
    assert Reply(334).octets == b"334 \r\n"


def test_severity() -> None:
    assert [Reply(code).is_positive for code in (220, 354, 450, 550)] == [True, True, False, False]
    assert [Reply(code).is_temporary for code in (354, 450, 550)] == [False, True, False]


def test_people_read_it_in_one_line() -> None:
    assert str(Reply(550, "a\nb", Status(5, 7, 1))) == "550 5.7.1 a b"


@given(st.integers(200, 599), st.text(), st.none() | st.just(Status(5, 7, 1)))
def test_no_text_can_add_a_line_or_leave_ascii(code: int, text: str, status: Status | None) -> None:
    octets = Reply(code, text, status).octets
    lines = octets.split(b"\r\n")
    assert lines.pop() == b""
    assert len(lines) == text.count("\n") + 1
    for line in lines:
        assert len(line) <= 510
        assert line.startswith(str(code).encode())
        assert all(32 <= octet < 127 or octet == 9 for octet in line)


def test_the_standing_replies_agree_with_their_status() -> None:
    standing = [value for value in vars(replies).values() if isinstance(value, Reply)]
    assert len(standing) > 30
    for reply in standing:
        assert reply.status is None or reply.status.severity == reply.code // 100
