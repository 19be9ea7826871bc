"""What must not come in does not, whichever way the content takes: DATA, BDAT, several, LMTP."""

from collections.abc import Awaitable, Callable

import pytest

from merpati.policy.rules.limits import LimitSettings
from merpati.policy.rules.table import RuleSettings
from merpati.reception.port import Role
from merpati.testing.doors import House, Talker, greeted

GOOD = b"Subject: Hello\r\nFrom: eve@b.test\r\n\r\nHi.\r\n"
HOP = b"Received: from a by b; Fri, 15 Jan 2027 08:00:00 +0000\r\n"
FORGED = b"MAIL FROM:<ann@a.test>\r\nRCPT TO:<bob@a.test>\r\nDATA\r\nforged\r\n.\r\n"
LIMIT = 200_000

Way = Callable[[Talker, bytes], Awaitable[str]]


async def by_data(client: Talker, content: bytes) -> str:
    """The reply to the end of dotted content."""
    assert (await client.say("DATA")).startswith("354")
    client.stream.write((b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n")
    return await client.reply()


async def by_one_chunk(client: Talker, content: bytes) -> str:
    """The reply to the only chunk."""
    client.stream.write(b"BDAT %d LAST\r\n" % len(content) + content)
    return await client.reply()


async def by_two_chunks(client: Talker, content: bytes) -> str:
    """The reply that decided: to the first chunk if it was refused, else to the last."""
    half = len(content) // 2
    client.stream.write(b"BDAT %d\r\n" % half + content[:half])
    if not (first := await client.reply()).startswith("250"):
        return first
    return await by_one_chunk(client, content[half:])


@pytest.mark.parametrize("role", [Role.MX, Role.LMTP], ids=lambda role: role.value)
@pytest.mark.parametrize("way", [by_data, by_one_chunk, by_two_chunks])
@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        (GOOD + b"bare\nline\r\n", "550 5.5.2"),
        (GOOD + b"bare\rreturn\r\n", "550 5.5.2"),
        (GOOD + b"\n.\n" + FORGED, "550 5.5.2"),
        (GOOD + b"\r\n.\n" + FORGED, "550 5.5.2"),
        (GOOD + b"\n.\r\n" + FORGED, "550 5.5.2"),
        (GOOD + b"\r.\r" + FORGED, "550 5.5.2"),
        (GOOD + b"\0\r\n", "550 5.6.0"),
        (GOOD + b"x" * 999 + b"\r\n", "554 5.6.0"),
        (GOOD + b"x" * 76 + b"\r\n" + b"y\r\n" * LIMIT, "552 5.3.4"),
        (HOP * 51 + GOOD, "554 5.4.6"),
        (b"Delivered-To: ann@a.test\r\n" + GOOD, "554 5.4.6"),
        (b"X: y\r\n" * 1001 + GOOD, "552 5.3.4"),
    ],
    ids=[
        "bare LF",
        "bare CR",
        "LF.LF",
        "CRLF.LF",
        "LF.CRLF",
        "CR.CR",
        "NUL",
        "long line",
        "too large",
        "too many hops",
        "seen before",
        "too many fields",
    ],
)
async def test_refused_whichever_way_it_comes_and_the_session_goes_on(
    role: Role, way: Way, content: bytes, refusal: str
) -> None:
    house = House(rules=RuleSettings(limits=LimitSettings(max_size=LIMIT)))
    envelope = ("MAIL FROM:<eve@b.test>", "RCPT TO:<ann@a.test>")
    async with greeted(house.port(role, max_size=LIMIT)) as client:
        await client.say(*envelope)
        assert (await way(client, content)).startswith(refusal)
        assert await house.queue.claim(house.clock.now(), 10) == []
        await client.say(*envelope)
        assert (await way(client, GOOD)).startswith("250 2.0.0 queued as ")
        assert not client.unread
    [claim] = await house.queue.claim(house.clock.now(), 10)
    assert [str(one.recipient.address) for one in claim.recipients] == ["ann@a.test"]


@pytest.mark.parametrize("way", [by_one_chunk, by_two_chunks])
async def test_what_looks_like_an_end_or_a_command_is_content_of_a_chunk(way: Way) -> None:
    house = House()
    content = GOOD + b"\r\n.\r\n" + FORGED
    async with greeted(house.port()) as client:
        await client.say("MAIL FROM:<eve@b.test>", "RCPT TO:<ann@a.test>")
        assert (await way(client, content)).startswith("250 2.0.0 queued as ")
    [claim] = await house.queue.claim(house.clock.now(), 10)
    stored = b"".join([piece async for piece in house.queue.read(claim.entry.id)])
    assert stored.endswith(content)
