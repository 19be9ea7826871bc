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


@pytest.mark.slow
async def test_who_was_accepted_as_we_stop_is_answered() -> None:
    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/", hello)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with serving(app, listening, grace=1.0):
            reader, writer = await asyncio.open_connection(*listening.getsockname())
            for _ in range(5):
                await asyncio.sleep(0)  # It is accepted by now.
            asyncio.get_running_loop().call_later(0.02, writer.write, b"GET / HTTP/1.0\r\n\r\n")
        assert (await reader.read()).endswith(b"hello")
        writer.close()
