"""The host of the torments: what it took, and when that came."""

import asyncio

import pytest

from torture.sink import Sink, Strike

pytestmark = pytest.mark.slow


async def test_what_came_while_the_sink_stalled_came_in_the_epoch_of_then() -> None:
    sink = Sink(offers_chunking=True)
    await sink.start()
    _, writer = await asyncio.open_connection("127.0.0.1", sink.port)
    for number in (1, 2):
        octets = f"X-Torture: a-{number}\r\n\r\nx".encode()
        writer.write(b"MAIL FROM:<x@c.test>\r\n")
        writer.write(f"RCPT TO:<slow-{number}@b.test>\r\nBDAT {len(octets)} LAST\r\n".encode())
        writer.write(octets)
    while not sink.taken:
        await asyncio.sleep(0)
    await sink.caught_up()
    writer.transport.abort()
    sink.strike()
    sink.calm(Strike(1))
    async with asyncio.timeout(60):
        while len(sink.taken) < 2:
            await asyncio.sleep(0.01)
    assert [one.epoch for one in sink.taken] == [0, 0]
    await sink.stop()
