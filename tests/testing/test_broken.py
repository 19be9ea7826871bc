"""The broken servers are broken as they were seen, when they are talked to without care."""

import asyncio

import pytest

from merpati.clock import SystemClock
from merpati.testing import broken
from merpati.testing.pipes import stream_pair
from merpati.testing.plain_server import Ledger, PlainServer

MAIL, RCPT = b"MAIL FROM:<ann@a.test>\r\n", b"RCPT TO:<bob@b.test>\r\n"
NOBODY = b"RCPT TO:<no@b.test>\r\n"


async def told(server: type[PlainServer], *segments: bytes) -> tuple[list[str], Ledger]:
    """The code of each reply line, and what the server did."""
    ledger = Ledger()
    ours, theirs = stream_pair(SystemClock())
    task = asyncio.create_task(server(ledger).serve(theirs))
    for segment in segments:
        ours.write(segment)
        for _ in range(30):
            await asyncio.sleep(0)
    heard = b""
    while ours.pending:
        heard += await ours.read()
    await ours.close()
    await task
    return [line[:3] for line in heard.decode().splitlines()], ledger


async def test_a_plain_server_takes_a_message() -> None:
    codes, ledger = await told(PlainServer, MAIL + RCPT + b"DATA\r\n", b"..x\r\n.\r\nNONE\r\n")
    assert codes == ["220", "250", "250", "354", "250", "500"]
    assert ledger.received[0].content == b".x\r\n"


async def test_out_of_order() -> None:
    segments = RCPT + b"DATA\r\nBDAT 2\r\nhiSTARTTLS\r\n"
    codes, _ = await told(PlainServer, segments)
    assert codes == ["220", "503", "503", "503", "502"]


@pytest.mark.parametrize("reset", [b"", b"RSET\r\n"])
async def test_without_rset_the_sender_sticks(reset: bytes) -> None:
    first = MAIL + NOBODY + b"DATA\r\n"
    second = b"MAIL FROM:<eve@a.test>\r\n" + RCPT + b"DATA\r\n"
    _, ledger = await told(broken.StickySender, first + reset + second, b"x\r\n.\r\n")
    assert [one.sender for one in ledger.received] == ["eve@a.test" if reset else "ann@a.test"]


async def test_what_is_above_the_limit_runs_as_commands() -> None:
    chunk = b"x" * 100 + b"NOOP\r\n"
    _, ledger = await told(broken.LeakyChunk, MAIL + RCPT + b"BDAT 106 LAST\r\n" + chunk)
    assert ledger.commands[-1] == "NOOP"
    _, ledger = await told(broken.LeakyChunk, MAIL + RCPT + b"BDAT 3 LAST\r\nx\r\n")
    assert len(ledger.received) == 1


async def test_a_chunk_for_nobody_runs_as_commands() -> None:
    _, ledger = await told(broken.ChunkForNobody, MAIL + b"BDAT 6 LAST\r\nNOOP\r\n")
    assert ledger.commands[-1] == "NOOP"


async def test_what_stands_behind_the_dot_is_refused() -> None:
    segments = (MAIL + RCPT + b"DATA\r\n", b"x\r\n.\r\nRSET\r\n" + MAIL)
    codes, _ = await told(broken.DeafBehindDot, *segments)
    assert codes[-3:] == ["250", "503", "503"]


async def test_421_and_then_503s() -> None:
    codes, _ = await told(broken.Exim421, MAIL + RCPT * 3)
    assert codes == ["220", "250", "250", "421", "503"]


async def test_an_error_budget_is_used_up() -> None:
    codes, _ = await told(broken.ErrorBudget, b"X\r\n" * 30)
    assert codes == ["220", *["500"] * 20, "421"]


async def test_a_dropped_message_is_nowhere() -> None:
    codes, ledger = await told(broken.Dropping, MAIL + RCPT + b"BDAT 3 LAST\r\nx\r\n")
    assert (codes[-1], ledger.received) == ("250", [])
