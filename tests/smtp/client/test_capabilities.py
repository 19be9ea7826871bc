"""RFC 5321 §4.1.1.1, RFC 9422: what a server's answer to EHLO offers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merpati.smtp.answers import Answer
from merpati.smtp.capabilities import Capabilities, parse
from merpati.testing.caller import hello_reply
from tests.cases import each


def offered(*lines: str, ignored: tuple[str, ...] = ()) -> Capabilities:
    return parse(Answer(250, hello_reply(lines)), ignored)


def test_keywords_have_no_case_and_unknown_ones_do_no_harm() -> None:
    found = offered("pipelining", "X-Foo bar=baz", "8BitMime")
    assert found.keywords == {"PIPELINING", "X-FOO", "8BITMIME"}
    assert found.offers("8BITMIME")
    assert found.name == "mx.b.test"


@each("line", ["", " ", "=x", "-SIZE 5", "SIZE\u00e9 5", "?"])
def test_what_is_no_keyword_is_not_said(line: str) -> None:
    assert offered(line).keywords == frozenset()


@each(
    ("line", "size"),
    [
        ("SIZE 1000", 1000),
        ("SIZE", None),
        ("SIZE 0", None),  # RFC 1870 §4: no fixed limit
        ("SIZE -1", None),
        ("SIZE much", None),
        ("SIZE 99999999999999999999", None),
    ],
)
def test_size(line: str, size: int | None) -> None:
    found = offered(line)
    assert found.size == size
    assert found.offers("SIZE")


@pytest.mark.parametrize(
    ("lines", "mechanisms"),
    [
        (["AUTH PLAIN login"], ("PLAIN", "LOGIN")),
        (["AUTH=LOGIN"], ("LOGIN",)),
        (["AUTH PLAIN LOGIN", "AUTH=LOGIN PLAIN"], ("PLAIN", "LOGIN")),
        (["AUTH"], ()),
    ],
)
def test_auth(lines: list[str], mechanisms: tuple[str, ...]) -> None:
    assert offered(*lines).mechanisms == mechanisms


@each(
    ("line", "limits"),
    [
        ("LIMITS MAILMAX=5 RCPTMAX=100", (5, 100)),
        ("LIMITS rcptmax=7 FOO=3", (None, 7)),
        ("LIMITS MAILMAX=05 RCPTMAX=x", (None, None)),
        ("LIMITS MAILMAX=0 RCPTMAX=1000000", (None, None)),
        ("LIMITS MAILMAX", (None, None)),
        ("LIMITS", (None, None)),
    ],
)
def test_limits_and_malformed_ones_are_ignored(
    line: str, limits: tuple[int | None, int | None]
) -> None:
    found = offered(line)
    assert (found.mail_max, found.rcpt_max) == limits


@pytest.mark.parametrize(("line", "seconds"), [("DELIVERBY 240", 240), ("DELIVERBY", 0)])
def test_deliverby(line: str, seconds: int) -> None:
    assert offered(line).shortest_by == seconds


def test_what_is_ignored_was_not_said() -> None:
    found = offered("SIZE 5", "CHUNKING", ignored=("SIZE",))
    assert (found.keywords, found.size) == (frozenset({"CHUNKING"}), None)


def test_more_lines_than_anyone_needs_are_not_read() -> None:
    assert len(offered(*(f"X{n}" for n in range(1000))).keywords) < 200


@given(st.lists(st.text(), max_size=10))
def test_any_answer_offers_something_or_nothing(lines: list[str]) -> None:
    text = "".join(line.replace("\n", " ") for line in lines)
    found = parse(Answer(250, f"250 {text}\r\n".encode("utf-8", "replace")))
    assert found.size is None or found.size > 0
