"""The host of the torments: what it took, and when that came."""

import asyncio
from unittest import mock

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


async def test_what_is_read_behind_the_end_of_a_connection_is_in_doubt() -> None:
    """No reply of it can be heard: the server may bring it again."""
    for is_closing in (False, True):
        reader, writer = asyncio.StreamReader(), mock.Mock()
        writer.transport.is_closing.return_value = is_closing
        reader.feed_data(b"MAIL FROM:<x@c.test>\r\nRCPT TO:<ok-1@b.test>\r\nDATA\r\n")
        reader.feed_data(b"X-Torture: a-1\r\n\r\nx\r\n.\r\n")
        reader.feed_eof()
        sink = Sink()
        await sink.converse(reader, writer)
        assert [one.is_in_doubt for one in sink.taken] == [is_closing]
