"""The HTTP doors, as strangers use them."""

import asyncio
import socket

import pytest
import uvloop
from aiohttp import web

from merpati.system.web import serving

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: a.test\r\nX-Slow: "])
async def test_who_asks_nothing_is_left(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        async with serving(web.Application(), listening, grace=20.0, idle=0.05):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(said)
            async with asyncio.timeout(60.0):
                assert await reader.read() == b""
            writer.close()


def application() -> web.Application:
    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/", hello)
    return app


async def test_who_was_accepted_as_we_stop_has_seconds_to_ask() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with serving(application(), listening, grace=20.0):
            reader, writer = await asyncio.open_connection(*listening.getsockname())
            for _ in range(5):
                await asyncio.sleep(0)  # It is accepted by now.
            asyncio.get_running_loop().call_later(0.5, writer.write, b"GET / HTTP/1.0\r\n\r\n")
        assert (await reader.read()).endswith(b"hello")
        writer.close()


@pytest.mark.parametrize("turns", range(6))
def test_who_connects_in_the_turn_in_which_we_stop_is_answered_here_or_waits_for_another(
    turns: int,
) -> None:
    """On the loop of our servers: Python's own loses what it accepts as it closes a listener."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(connect_and_stop(turns))


async def connect_and_stop(turns: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, listening.dup() as another:
        async with serving(application(), listening, grace=20.0):
            client = socket.create_connection(another.getsockname())
            client.setblocking(False)
            for _ in range(turns):
                await asyncio.sleep(0)
            asyncio.get_running_loop().call_later(0.01, client.send, b"GET / HTTP/1.0\r\n\r\n")
        await asyncio.sleep(0.02)
        with client:
            try:
                another.accept()[0].close()  # As another worker would, who has the same socket.
            except BlockingIOError:
                assert client.recv(4096).endswith(b"hello")
