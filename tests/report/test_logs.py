"""JSON lines: one event one line, nothing secret, nothing injectable."""

import io
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from merpati.journal.events import Accepted, Attempt, Exchange, Failed, Opened, Refused
from merpati.report.logs import MAX_LINE, EventLog, log_line


@given(st.text(max_size=50))
def test_any_text_of_a_stranger_stays_in_its_line_and_string(text: str) -> None:
    line = log_line(Refused(at=1.0, stage="rcpt", reply=text, rule="relay", helo=text))
    assert line.count(b"\n") == 1
    assert line.endswith(b"}\n")
    written = json.loads(line)
    assert set(written) == {"kind", "at", "stage", "reply", "rule", "helo"} or not text
    assert not set(written["reply"]) & {"\x1b", "\x00", "\u202e", "\u2028", "\x85"}


def test_credentials_do_not_reach_the_log() -> None:
    opened = Opened(
        at=1.0,
        connection="c",
        site="s",
        host="h",
        ip="192.0.2.7",
        dialogue=(Exchange("AUTH PLAIN AGFubgBzZWNyZXQ=", "235 Ok"),),
    )
    line = log_line(opened)
    assert b"AGFubgBzZWNyZXQ" not in line
    assert b"AUTH PLAIN" in line


@pytest.mark.parametrize("sent", ["AUTH PLAIN c2VjcmV0", "auth plain c2VjcmV0"])
def test_a_short_line_keeps_credentials_out_too(sent: str) -> None:
    line = log_line(
        Opened(at=1.0, connection="c", site="s", host="h", ip="", dialogue=(Exchange(sent, "235"),))
    )
    assert b"c2VjcmV0" not in line


def test_a_plain_event_is_written_as_it_is() -> None:
    event = Refused(at=1.0, stage="rcpt", reply="550 no", rule="relay", helo="a.test")
    assert log_line(event) == msgspec.json.encode(event) + b"\n"


def test_a_long_dialogue_is_left_out_and_the_rest_stays() -> None:
    attempt = Attempt(route="mx", host="h", dialogue=(Exchange("x" * 400, "y" * 400),) * 50)
    line = log_line(Failed(at=1.0, reply="550 no", cause="refused", attempt=attempt))
    assert len(line) <= MAX_LINE
    assert json.loads(line)["attempt"] == {"route": "mx", "host": "h"}


def test_very_many_recipients_do_not_make_a_line_long() -> None:
    accepted = Accepted(
        at=1.0, sender="a@a.test", recipients=("r" * 200 + "@b.test",) * 5000, size=1
    )
    assert len(log_line(accepted)) <= MAX_LINE


async def test_each_event_is_one_line_of_the_stream() -> None:
    stream = io.BytesIO()
    log = EventLog(stream)
    for _ in range(3):
        log.take(Refused(at=1.0, stage="rcpt", reply="550", rule="relay"))
    await log.pause()
    assert len(stream.getvalue().splitlines()) == 3
