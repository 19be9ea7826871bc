"""The HTTP doors, as strangers use them."""

import asyncio
import socket

import pytest
from aiohttp import web

from merpati.system.web import serving

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: a.test\r\nX-Slow: "])
async def test_who_asks_nothing_is_left(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        async with serving(web.Application(), listening, grace=1.0, idle=0.05):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(said)
            async with asyncio.timeout(10.0):
                assert await reader.read() == b""
            writer.close()
