"""Whatever a stranger sends, a session answers in replies and ends without a defect."""

import asyncio
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merpati.journal.events import Accepted
from merpati.reception.port import Role
from merpati.testing.doors import House, talking

pytestmark = pytest.mark.slow

REPLY = re.compile(rb"[2-5][0-9]{2}([ -][ -~]*)?")
COMMANDS = [
    b"EHLO a.test",
    b"LHLO a.test",
    b"MAIL FROM:<eve@b.test>",
    b"MAIL FROM:<eve@b.test> BODY=BINARYMIME SIZE=5",
    b"RCPT TO:<ann@a.test>",
    b"RCPT TO:<nobody@a.test>",
    b"RCPT TO:<x@c.test>",
    b"DATA",
    b"Subject: x",
    b".",
    b"BDAT 5",
    b"hello",
    b"BDAT 0 LAST",
    b"RSET",
    b"AUTH PLAIN AGFubkBhLnRlc3QAYW5uJ3Mgc2VjcmV0",
    b"AUTH SCRAM-SHA-256 biwsbj1hbm5AYS50ZXN0LHI9bm5ubm5u",
    b"AUTH LOGIN",
    b"*",
    b"dXNlcg==",
    b"XCLIENT ADDR=[UNAVAILABLE] PORT=70000",
    b"VRFY ann",
    b"NOOP",
    b"QUIT",
]
MAIL = [COMMANDS[2], COMMANDS[4], b"DATA", b"Subject: x", b"."]
LINES = st.lists(
    st.one_of(st.sampled_from(COMMANDS), st.sampled_from(COMMANDS), st.binary(max_size=40)),
    max_size=25,
)


async def converse(role: Role, lines: list[bytes], *, pipelined: bool) -> tuple[House, bytes]:
    """What is said to a client that sends these lines and hangs up."""
    house = House()
    port = house.port(role, auth_without_tls=True)
    async with talking(port, "127.0.0.1") as client:
        await client.reply()
        await client.say("LHLO me" if port.is_lmtp else "EHLO me")
        ended = [line + b"\r\n" for line in lines]
        for group in [b"".join(ended)] if pipelined else ended:
            client.stream.write(group)
            await house.clock.advance(0)  # the session comes to rest
        await client.stream.close()
        await house.clock.advance(60)  # refused logins are held back
        return house, b"".join(client.stream._inbox)


@given(st.sampled_from([Role.MX, Role.SUBMISSION, Role.LMTP]), LINES, st.booleans())
def test_any_octets_are_answered_by_replies_alone(
    role: Role, lines: list[bytes], pipelined: bool
) -> None:
    _, said = asyncio.run(converse(role, lines, pipelined=pipelined))
    assert all(REPLY.fullmatch(line) for line in said.split(b"\r\n")[:-1])


@given(LINES)
def test_no_octets_from_a_stranger_reach_anybody_elsewhere(lines: list[bytes]) -> None:
    async def told() -> list[Accepted]:
        house, _ = await converse(Role.MX, [*MAIL, *lines], pipelined=False)
        return await house.events(Accepted)

    events = asyncio.run(told())
    assert events
    for accepted in events:
        assert set(accepted.recipients) == {"ann@a.test"}
