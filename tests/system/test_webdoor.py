"""The HTTP doors that strangers reach: their TLS, their limits, and what slow clients get."""

import asyncio
import io
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest
import trustme
from aiohttp import web

from merpati.clock import SystemClock
from merpati.journal.limits import Limits
from merpati.node.table import Table, TableSettings
from merpati.system.webdoor import WebDoor, WebParts
from merpati.testing.memory import MemoryJournal
from merpati.wire.endpoint import Endpoint
from merpati.wire.listen import ListenSettings
from merpati.wire.loop import Wire
from merpati.wire.sockets import bind
from merpati.wire.tls import Identity, TlsContext, load_identity, server_context

pytestmark = pytest.mark.slow
LARGE = bytes(range(256)) * 4096 * 4
Talk = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Site:
    """A door that a test talks to."""

    door: WebDoor
    port: int
    limits: Limits
    counted: list[str]
    listening: socket.socket

    async def dial(self, tls: ssl.SSLContext | None = None, name: str | None = None) -> Talk:
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=tls, server_hostname=name)


def application() -> web.Application:
    async def hello(request: web.Request) -> web.Response:
        return web.Response(text=f"hello {request.host} by {request.scheme}")

    async def large(_: web.Request) -> web.Response:
        return web.Response(body=LARGE)

    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    app = web.Application(client_max_size=len(LARGE) + 1)
    app.router.add_get("/", hello)
    app.router.add_get("/large", large)
    app.router.add_post("/", echo)
    return app


@asynccontextmanager
async def site(
    tls: TlsContext | None = None, settings: ListenSettings | None = None, idle: float = 20.0
) -> AsyncIterator[Site]:
    clock, counted = SystemClock(), list[str]()
    wire = Wire(clock, interval=0.01)
    limits = Limits(MemoryJournal(), clock)
    failures: list[Exception] = []
    parts = WebParts(
        "https" if tls else "http",
        wire,
        Table(TableSettings()),
        limits,
        clock,
        lambda: counted.append("one"),
        failures.append,
    )
    door = WebDoor(application(), parts, settings or ListenSettings(), tls, idle)
    listening = bind(Endpoint("127.0.0.1", 0))
    port = listening.getsockname()[1]
    async with door.open(listening, 20.0):
        yield Site(door, port, limits, counted, listening)
    assert not failures


def identity(authority: trustme.CA, name: str) -> Identity:
    made = authority.issue_cert(name)
    chain = b"".join(one.bytes() for one in made.cert_chain_pems)
    return load_identity(chain, made.private_key_pem.bytes(), name)


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def asked(talk: Talk, host: str) -> bytes:
    reader, writer = talk
    writer.write(b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % host.encode())
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return await reader.readexactly(length)


def serial(talk: Talk) -> str:
    return str(talk[1].get_extra_info("ssl_object").getpeercert()["serialNumber"])


async def test_https_shows_each_name_its_certificate_and_new_ones_at_once() -> None:
    authority, tls = trustme.CA(), server_context()
    shown = {name: identity(authority, name) for name in ("mta-sts.a.test", "mta-sts.b.test")}
    tls.offer(lambda name: shown.get(name, shown["mta-sts.a.test"]))
    trust = trusting(authority)
    async with site(tls) as here:
        standing = await here.dial(trust, "mta-sts.b.test")
        assert await asked(standing, "mta-sts.b.test") == b"hello mta-sts.b.test by https"
        shown["mta-sts.b.test"] = identity(authority, "mta-sts.b.test")
        later = await here.dial(trust, "mta-sts.b.test")
        assert serial(later) != serial(standing)
        assert await asked(standing, "mta-sts.b.test") == b"hello mta-sts.b.test by https"
        for _, writer in (standing, later):
            writer.close()


async def test_who_speaks_no_tls_gets_nothing_at_an_https_door() -> None:
    tls = server_context()
    one = identity(trustme.CA(), "a.test")
    tls.offer(lambda _: one)
    async with site(tls) as here:
        reader, writer = await here.dial()
        writer.write(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert b"hello" not in await reader.read()
        writer.close()


@pytest.mark.parametrize("encrypted", [False, True])
async def test_large_bodies_go_both_ways_whole(encrypted: bool) -> None:
    authority, tls = trustme.CA(), server_context()
    one = identity(authority, "localhost")
    tls.offer(lambda _: one)
    async with (
        site(tls if encrypted else None) as here,
        aiohttp.ClientSession() as client,
    ):
        url = f"{'https' if encrypted else 'http'}://localhost:{here.port}/"
        trust = trusting(authority)
        async with client.get(f"{url}large", ssl=trust) as answer:
            await asyncio.sleep(0.02)  # The door has to stop writing meanwhile.
            assert await answer.read() == LARGE
        async with client.post(url, data=io.BytesIO(LARGE), ssl=trust) as answer:
            assert await answer.read() == LARGE


async def test_connections_above_a_limit_are_told_so_and_counted() -> None:
    async with site(settings=ListenSettings(connections=3, connections_per_ip=2)) as here:
        standing = [await here.dial(), await here.dial()]
        assert await asked(standing[0], "a.test") == b"hello a.test by http"
        reader, writer = await here.dial()
        assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
        writer.close()
        assert here.limits.totals == {"http: connections_per_address": 1}
        standing[0][1].close()
        while len(here.door.listener) > 1:
            await asyncio.sleep(0.001)
        again = await here.dial()
        assert await asked(again, "a.test") == b"hello a.test by http"
        for _, end in (*standing, again):
            end.close()


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: a.test\r\nX-Slow: "])
async def test_who_asks_nothing_is_left(said: bytes) -> None:
    async with site(idle=0.05) as here:
        reader, writer = await here.dial()
        writer.write(said)
        async with asyncio.timeout(60.0):
            assert await reader.read() == b""
        writer.close()


async def test_who_does_not_read_what_he_asked_for_is_left() -> None:
    async with site(idle=0.05) as here:
        _, writer = await here.dial()
        writer.transport.pause_reading()
        writer.write(b"GET /large HTTP/1.1\r\nHost: a.test\r\n\r\n")
        async with asyncio.timeout(60.0):
            while not here.counted or len(here.door.listener):
                await asyncio.sleep(0.005)
        writer.close()


async def test_who_was_accepted_as_we_stop_has_seconds_to_ask() -> None:
    async with site() as here:
        reader, writer = await here.dial()
        for _ in range(5):
            await asyncio.sleep(0)  # It is accepted by now.
        asyncio.get_running_loop().call_later(0.5, writer.write, b"GET / HTTP/1.0\r\n\r\n")
    assert b"hello" in await reader.read()
    writer.close()


@pytest.mark.parametrize("turns", range(6))
async def test_who_connects_in_the_turn_in_which_we_stop_is_answered_here_or_waits_for_another(
    turns: int,
) -> None:
    async with site() as here:
        another = here.listening.dup()
        client = socket.create_connection(another.getsockname())
        client.setblocking(False)
        for _ in range(turns):
            await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.01, client.send, b"GET / HTTP/1.0\r\n\r\n")
    await asyncio.sleep(0.02)
    with client, another:
        try:
            another.accept()[0].close()  # As another worker would, who has the same socket.
        except BlockingIOError:
            assert b"hello" in client.recv(4096)


async def test_who_was_answered_before_keeps_nobody_from_stopping() -> None:
    async with site() as here:
        talk = await here.dial()
        assert await asked(talk, "a.test") == b"hello a.test by http"
        began = time.monotonic()
    assert time.monotonic() - began < 10.0
    talk[1].close()
