"""Where questions by HTTP that a stranger's answer leads to may go."""

import asyncio
from collections.abc import AsyncIterator
from functools import cache

import pytest

from merpati.wire.errors import WireError
from merpati.wire.web import Ask, Web, WebSettings


@cache
def web() -> Web:
    """One for all: to read the system's authorities takes longer than all the rest."""
    return Web(WebSettings())


@pytest.fixture
async def asked() -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server on loopback: its port, and what it was asked."""
    lines: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append(await reader.readline())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], lines
    server.close()


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "localhost",
        "[::ffff:127.0.0.1]",
        "\uff11\uff12\uff17.0.0.1",
        "127\u30020\u30020\u30021",
        "%31%32%37.0.0.1",
    ],
)
async def test_no_way_of_writing_an_address_leads_into_our_own_network(
    host: str, asked: tuple[int, list[bytes]]
) -> None:
    port, lines = asked
    with pytest.raises(WireError):
        await web().ask(Ask(f"http://{host}:{port}/", public=True))
    assert not lines


@pytest.mark.slow
async def test_an_operators_own_server_may_be_anywhere(asked: tuple[int, list[bytes]]) -> None:
    port, lines = asked
    told = await web().ask(Ask(f"http://127.0.0.1:{port}/"))
    assert (told.status, lines) == (200, [b"GET / HTTP/1.1\r\n"])
