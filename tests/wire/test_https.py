"""Documents over HTTPS that a stranger named: only from where they may come (SSRF)."""

import asyncio
import ipaddress
import itertools
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from merpati.wire.errors import CertificateError, CertificateFlaw, WebError, WebFlaw, WireError
from merpati.wire.https import HttpsClient, HttpsSettings
from merpati.wire.public import is_public
from tests.cases import each

HOST = "mta-sts.a.test"
CA = trustme.CA()
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


@dataclass
class Server:
    """A policy host on loopback."""

    settings: HttpsSettings
    ips: Sequence[str] = ("127.0.0.1",)
    response: Callable[[], web.StreamResponse] | None = None
    """None: it says nothing."""
    requests: list[web.BaseRequest] = field(default_factory=list)
    resolved: list[str] = field(default_factory=list)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        if self.response is None:
            await asyncio.Event().wait()
        assert self.response is not None
        return self.response()

    async def read(self, host: str = HOST) -> bytes:
        return await HttpsClient(self.settings, self._addresses).text(host, "/policy.txt")

    async def _addresses(self, host: str) -> Sequence[str]:
        self.resolved.append(host)
        return self.ips


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    authorities = tmp_path / "ca.pem"
    CA.cert_pem.write_to_path(str(authorities))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CA.issue_cert(HOST).configure_cert(context)
    serving = Server(HttpsSettings(5.0, allowed=LOOPBACK, authorities=authorities))
    runner = web.ServerRunner(
        web.Server(lambda request: serving.answer(request)), shutdown_timeout=0.1
    )
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    serving.settings = replace(serving.settings, port=runner.addresses[0][1])
    yield serving
    await runner.cleanup()


async def test_a_document_is_read_from_the_address_that_was_checked(server: Server) -> None:
    server.response = lambda: web.Response(text="version: STSv1\n")
    assert await server.read() == b"version: STSv1\n"
    assert server.resolved == [HOST]
    (request,) = server.requests
    assert request.host.startswith(HOST)
    assert request.headers["Accept-Encoding"] == "identity"


async def test_the_connection_ends_with_the_request_whatever_the_other_end_says(
    server: Server,
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CA.issue_cert(HOST).configure_cert(context)

    def answer(listening: socket.socket) -> bytes:
        """What comes behind the answer, to its end; no farewell is said."""
        peer, _ = listening.accept()
        peer.settimeout(5.0)
        with peer, context.wrap_socket(peer.dup(), server_side=True) as tls:
            tls.recv(4096)
            tls.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\nx"
            )
            return b"".join(iter(lambda: peer.recv(4096), b""))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server.settings = replace(server.settings, port=listening.getsockname()[1])
        ending = asyncio.to_thread(answer, listening)
        text, _ = await asyncio.gather(server.read(), ending)
    assert text == b"x"


@pytest.mark.parametrize(
    "endless",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" * 500,
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n1;"
        + b"x" * 10_000,
    ],
    ids=["interim answers", "an extension of a chunk"],
)
async def test_what_comes_beside_the_document_has_an_end(server: Server, endless: bytes) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CA.issue_cert(HOST).configure_cert(context)

    def answer(listening: socket.socket) -> int:
        """The octets that somebody took."""
        peer, _ = listening.accept()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        peer.settimeout(30.0)
        sent, pieces = 0, itertools.chain([endless], itertools.repeat(endless[-10_000:]))
        with suppress(OSError), context.wrap_socket(peer, server_side=True) as tls:
            tls.recv(4096)
            for piece in pieces:
                sent += tls.send(piece)
        return sent

    server.settings = replace(server.settings, seconds=60.0)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server.settings = replace(server.settings, port=listening.getsockname()[1])
        sending = asyncio.create_task(asyncio.to_thread(answer, listening))
        began = time.monotonic()
        with pytest.raises(WireError, match="more than a document"):
            await server.read()
        assert time.monotonic() - began < 30
        assert await sending > 300_000


@pytest.mark.parametrize("behind", ["(" * 7000, ";" * 7000, ";a=b" * 1700, '"' * 7000, "é" * 100])
async def test_a_type_with_a_long_tail_costs_nothing(server: Server, behind: str) -> None:
    field = {"Content-Type": f"text/plain; {behind}"}
    server.response = lambda: web.Response(body=b"x", headers=field)
    began = time.process_time()
    assert await server.read() == b"x"
    assert time.process_time() - began < 0.3  # 0.5 s at least, or nothing ever, by the library.
    server.response = lambda: web.Response(body=b"x", headers={"Content-Type": behind})
    with pytest.raises(WebError) as raised:
        await server.read()
    assert raised.value.flaw is WebFlaw.TYPE


async def test_a_certificate_for_another_name_is_not_taken(server: Server) -> None:
    server.response = lambda: web.Response(text="x")
    with pytest.raises(CertificateError) as raised:
        await server.read("other.a.test")
    assert raised.value.flaw is CertificateFlaw.NAME
    assert server.requests == []


async def test_an_authority_that_nobody_knows_is_not_taken(server: Server) -> None:
    server.settings = replace(server.settings, authorities=None)
    with pytest.raises(CertificateError) as raised:
        await server.read()
    assert raised.value.flaw is CertificateFlaw.AUTHORITY


@pytest.mark.parametrize(
    "response",
    [
        lambda: web.Response(status=301, headers={"Location": f"https://{HOST}/policy.txt"}),
        lambda: web.Response(status=404, text="no"),
        lambda: web.Response(status=206, text="half"),
        lambda: web.Response(text="<html>", content_type="text/html"),
        lambda: web.Response(text="x" * (64 * 1024 + 1)),
    ],
    ids=["redirect", "missing", "partial", "html", "large"],
)
async def test_what_is_no_small_text_is_refused(
    server: Server, response: Callable[[], web.StreamResponse]
) -> None:
    server.response = response
    with pytest.raises(WireError):
        await server.read()
    assert len(server.requests) == 1


@pytest.mark.slow
async def test_an_answer_that_does_not_come_is_given_up(server: Server) -> None:
    server.settings = replace(server.settings, seconds=0.2)
    with pytest.raises(WireError, match="within"):
        await server.read()


@pytest.mark.parametrize("allowed", [(), LOOPBACK])
async def test_one_address_inside_refuses_the_host(
    server: Server, allowed: tuple[ipaddress.IPv4Network, ...]
) -> None:
    server.settings = replace(server.settings, allowed=allowed)
    server.ips = ("127.0.0.1", "10.0.0.1")
    with pytest.raises(WireError, match="not on the Internet"):
        await server.read()
    assert server.requests == []


async def test_a_proxy_of_the_environment_is_not_asked(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.response = lambda: web.Response(text="x")
    assert await server.read() == b"x"


@each(
    "ip",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "0.0.0.0", "224.0.0.1", "255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1", "fc00::1",
        "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1",
        "2002:7f00:1::", "2001:0:7f00:1::", "2001:db8::1", "fe80::1%eth0", "localhost", "",
        "127.1", "0x7f000001", "fec0::1", "fec0:0:0:ffff::1", "4000::1", "e000::1",
    ],
)  # fmt: skip
def test_what_leads_inside_is_not_public(ip: str) -> None:
    assert not is_public(ip)


@pytest.mark.parametrize("ip", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_the_internet_is_public(ip: str) -> None:
    assert is_public(ip)


def test_an_allowed_network_is_taken_for_public() -> None:
    assert is_public("127.0.0.1", LOOPBACK)
    assert not is_public("10.0.0.1", LOOPBACK)


async def posted(server: Server, uri: str = "", octets: bytes = b"report") -> None:
    client = HttpsClient(server.settings, server._addresses)
    await client.post(uri or f"https://{HOST}:{server.settings.port}/v1?x=y", octets, "a/b")


async def test_a_report_is_posted_to_the_address_that_was_checked(server: Server) -> None:
    bodies = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        bodies.append((request.method, request.path_qs, request.content_type, await request.read()))
        return web.Response(status=201)

    server.answer = answer  # type: ignore[method-assign]
    await posted(server)
    assert bodies == [("POST", "/v1?x=y", "a/b", b"report")]
    assert server.resolved == [HOST]


@pytest.mark.parametrize("status", [301, 307, 400, 404, 429, 500])
async def test_what_is_not_taken_is_a_failure(server: Server, status: int) -> None:
    server.response = lambda: web.Response(status=status, headers={"Location": "https://b.test/"})
    with pytest.raises(WireError):
        await posted(server)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "uri",
    [
        "http://report.a.test/",
        "https://user:word@report.a.test/",
        "https://report.a.test:22/",
        "https://127.0.0.1/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://[::1]/",
        "https://localhost/",
        "https://report.a.test:x/",
        "https:///x",
        "mailto:r@a.test",
        "https://[/",
    ],
)
async def test_nothing_is_posted_to_what_is_no_host_of_the_internet(
    server: Server, uri: str
) -> None:
    server.response = lambda: web.Response()
    with pytest.raises(WireError):
        await posted(server, uri)
    assert server.resolved == []


async def test_nothing_is_posted_into_our_own_network(server: Server) -> None:
    server.ips = ("192.168.0.1",)
    with pytest.raises(WireError, match="not on the Internet"):
        await posted(server)
