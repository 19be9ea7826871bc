"""Any input at any state: never an exception, buffers bounded, one event at a time."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from merpati.smtp.events import AuthResponse, AuthStarted, Connected, ContentStarted, MailFrom
from merpati.smtp.replies import Reply
from merpati.smtp.settings import Protocol
from merpati.smtp.states import TABLE, State
from merpati.testing.dialogue import SETTINGS, TLS, Answers, a_player

FRAGMENTS = [
    b"EHLO c\r\n", b"HELO c\r\n", b"LHLO c\r\n", b"MAIL FROM:<a@a.test>", b" SIZE=10", b"\r\n",
    b"RCPT TO:<b@b.test>\r\n", b"DATA\r\n", b"BDAT 5\r\n", b"BDAT 3 LAST\r\n", b"BDAT 0 LAST\r\n",
    b"BDAT x\r\n", b"RSET\r\n", b"NOOP\r\n", b"QUIT\r\n", b"AUTH PLAIN AAAA\r\n", b"AUTH LOGIN\r\n",
    b"YW5u\r\n", b"*\r\n", b"STARTTLS\r\n", b"XCLIENT NAME=a\r\n", b"VRFY a\r\n", b".", b"\r",
    b"\n",
    b"\r\n.\r\n", b"\0", b"\xff", b"hello", b"x" * 5000, b"VRFY " + "ü".encode(), b"HELP\r\n",
]  # fmt: skip
segments = st.lists(
    st.one_of(
        st.lists(st.sampled_from(FRAGMENTS), max_size=6).map(b"".join),
        st.binary(max_size=40),
    ),
    max_size=25,
)
replies = st.sampled_from([Reply(250), Reply(450), Reply(550), Reply(421), Reply(334)])
answers = st.dictionaries(
    st.sampled_from([AuthStarted, AuthResponse, Connected, ContentStarted, MailFrom]),
    replies,
    max_size=2,
)


@pytest.mark.slow
@settings(max_examples=3 * settings.default.max_examples)
@given(segments, answers, st.booleans(), st.booleans())
def test_nothing_a_peer_sends_breaks_the_core(
    said: list[bytes], answers: Answers, is_lmtp: bool, is_secure: bool
) -> None:
    protocol = Protocol.LMTP if is_lmtp else Protocol.SMTP
    player = a_player(
        replace(SETTINGS, protocol=protocol, auth_in_clear=("PLAIN",)),
        answers,
        tls=TLS if is_secure else None,
        xclient=True,
    )
    for octets in said:
        sent = player.say(octets)
        assert not sent or sent.endswith(b"\r\n")
        # 12,288 for a line, with up to a segment of what came with its end.
        assert player.connection.pending < 12_288
        player.events.clear()
        player.content.clear()
        if player.connection.is_closed:
            assert player.connection.pending == 0


@given(st.binary(min_size=1, max_size=30_000))
def test_a_line_without_end_never_fills_the_buffer(octets: bytes) -> None:
    player = a_player()
    for _ in range(3):
        player.say(octets.replace(b"\n", b"x"))
        assert player.connection.pending <= 12_288


def test_every_state_says_what_a_mistake_leads_to_or_reads_no_commands() -> None:
    silent = {State.CONNECTED, State.DATA, State.CHUNK, State.TLS, State.CLOSED}
    for state, rows in TABLE.items():
        assert ("mistake" in rows) == (state not in silent)
        assert all(row.step == step for step, row in rows.items())
