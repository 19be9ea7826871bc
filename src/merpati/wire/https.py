"""Small documents that strangers tell us to read or to post, over HTTPS, without becoming their
tool.

The name is resolved once, every address has to be public, and the connection goes to what was
checked. No redirect is followed, no proxy of the environment is used, no cookie is kept, nothing
is decompressed; size and time are bounded, and so is what comes beside the document.
"""

import asyncio
import re
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from merpati.wire.errors import (
    CertificateError,
    CertificateFlaw,
    TlsError,
    WebError,
    WebFlaw,
    WireError,
    from_tls_error,
)
from merpati.wire.media import media_type
from merpati.wire.public import Network, is_public
from merpati.wire.trust import trusting

# Letters in the last label: what a URI takes for an address in any form has none there.
_is_name = re.compile(
    r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
).fullmatch
_BESIDE, _FOLD = 128 * 1024, 4
"""Octets that may come beside a document (certificates, header), and how often as many as it may
have: what stands around chunks counts as well."""
_LOOK = 0.1
"""Seconds between two looks at how much came."""
_BYTES_RECEIVED = 128
Addresses = Callable[[str], Awaitable[Sequence[str]]]
"""The addresses of a name; may raise any MerpatiError."""


@dataclass(frozen=True, slots=True)
class HttpsSettings:
    """How far is gone for a document."""

    seconds: float = 30.0
    """For all of it."""
    octets: int = 64 * 1024
    port: int = 443
    allowed: tuple[Network, ...] = ()
    """Networks that are taken for public. Empty but in tests: this is the guard of our own."""
    authorities: Path | None = None
    """PEM file of the authorities to trust; None: the system's."""


class HttpsClient:
    """Reads or posts one document at a time, each over a connection of its own."""

    def __init__(self, settings: HttpsSettings, addresses: Addresses) -> None:
        self._settings = settings
        self._addresses = addresses
        # RFC 8461 §3.3: the certificate is checked like any other of the web.
        self._tls = trusting(settings.authorities)

    async def text(self, host: str, path: str) -> bytes:
        """The document `https://host/path` of type text/plain; raises what `document` does."""
        # RFC 8461 §3.2: where users upload pages of their own, none of them is taken for a policy.
        return await self.document(host, path, ("text/plain",))

    async def document(
        self, host: str, path: str, types: Sequence[str], question: bytes = b""
    ) -> bytes:
        """The document `https://host/path` of one of these media types: by GET, or by POST as the
        answer to a question of the first of them.

        Raises WireError: CertificateError for what the server's certificate does not prove,
        WebError for an answer that is none; and what the look-up of addresses raises.
        """
        if not _is_name(host):
            raise WebError(f"{host[:200]} is no name of a host", WebFlaw.NOWHERE)
        url = f"https://{host}:{self._settings.port}{path}"
        headers = {"Accept": ", ".join(types)}
        if question:
            headers["Content-Type"] = types[0]
        method = "POST" if question else "GET"
        async with (
            self._session(url, host, headers) as session,
            session.request(method, url, data=question or None, allow_redirects=False) as response,
        ):
            return await self._body(url, response, types)

    async def post(self, url: str, octets: bytes, media_type: str) -> None:
        """Bring octets to a URI of https; returns when they were taken (RFC 8460 §5.4).

        Raises WireError, also for a URI that names a login, an address or another port than ours.
        """
        host = self._host(url)
        headers = {"Content-Type": media_type}
        async with (
            self._session(url, host, headers) as session,
            session.post(url, data=octets, allow_redirects=False) as response,
        ):
            # What it says beside the status is not read.
            if not 200 <= response.status < 300:
                raise WireError(f"{url} answers {response.status}")

    def _host(self, url: str) -> str:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port or self._settings.port
        except ValueError as error:
            raise WireError(f"{url[:200]} is no URI: {error}") from error
        if parts.scheme != "https" or parts.username is not None or port != self._settings.port:
            raise WireError(f"{url[:200]} is nowhere that reports are posted to")
        if not _is_name(host):
            raise WireError(f"{url[:200]} names no host by its name")
        return host

    @asynccontextmanager
    async def _session(
        self, url: str, host: str, headers: Mapping[str, str]
    ) -> AsyncIterator[aiohttp.ClientSession]:
        """For one request to one host, whose failures are told in our words."""
        seconds = self._settings.seconds
        sockets = _Sockets(_BESIDE + _FOLD * self._settings.octets)
        try:
            async with asyncio.timeout(seconds) as deadline, sockets.ending(deadline):
                connector = aiohttp.TCPConnector(
                    resolver=_Fixed(await self._checked(host)),
                    use_dns_cache=False,
                    ssl=self._tls,
                    force_close=True,
                    socket_factory=sockets.open,
                )
                async with aiohttp.ClientSession(
                    connector=connector,
                    trust_env=False,
                    auto_decompress=False,
                    cookie_jar=aiohttp.DummyCookieJar(),
                    headers={"Accept-Encoding": "identity", **headers},
                ) as session:
                    yield session
        except TimeoutError:
            if sockets.are_flooded:
                raise WireError(f"{url} sends more than a document needs") from None
            raise WireError(f"{url} gave no answer within {seconds:g} s") from None
        except aiohttp.ClientConnectorCertificateError as error:
            raise _not_proven(url, error.certificate_error) from error
        except aiohttp.ClientConnectorSSLError as error:
            raise TlsError(f"{url}: {error}") from error
        except (aiohttp.ClientError, OSError, ValueError, RecursionError) as error:
            raise WireError(f"{url}: {str(error) or type(error).__name__}") from error

    async def _checked(self, host: str) -> Sequence[str]:
        ips = await self._addresses(host)
        if not ips:
            raise WebError(f"{host} has no address", WebFlaw.NOWHERE)
        for ip in ips:
            if not is_public(ip, self._settings.allowed):
                what = f"{host} leads to {ip}, which is not on the Internet"
                raise WebError(what, WebFlaw.INSIDE)
        return ips

    async def _body(
        self, url: str, response: aiohttp.ClientResponse, types: Sequence[str]
    ) -> bytes:
        # RFC 8461 §3.3: redirects must not be followed, and all but 200 is a failure.
        if response.status != 200:
            raise WebError(f"{url} answers {response.status}", _flaw(response.status))
        found = media_type(response.headers.get("Content-Type", ""))
        if found not in types:
            raise WebError(f"{url} is of type {found}, not {' or '.join(types)}", WebFlaw.TYPE)
        body = bytearray()
        async for piece in response.content.iter_any():
            body += piece
            if len(body) > self._settings.octets:
                what = f"{url} is longer than {self._settings.octets} octets"
                raise WebError(what, WebFlaw.LENGTH)
        return bytes(body)


def _flaw(status: int) -> WebFlaw:
    if 300 <= status < 400:
        return WebFlaw.REDIRECT
    return WebFlaw.ABSENT if status in (404, 410) else WebFlaw.STATUS


def _not_proven(url: str, error: Exception) -> CertificateError:
    told = from_tls_error(error) if isinstance(error, ssl.SSLError) else error
    flaw = told.flaw if isinstance(told, CertificateError) else CertificateFlaw.OTHER
    return CertificateError(f"{url}: {told}", flaw)


class _Sockets:
    """Those of one request, which end with it: the library would wait half a minute for a farewell
    that a stranger does not say. It ends sooner where more comes than so many octets: the library
    reads interim answers and extensions of chunks without an end."""

    def __init__(self, most: int) -> None:
        self.are_flooded = False
        self._most = most
        self._opened: list[socket.socket] = []

    def open(self, place: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, _ = place
        self._opened.append(socket.socket(family, kind, protocol))
        return self._opened[-1]

    @asynccontextmanager
    async def ending(self, deadline: asyncio.Timeout) -> AsyncIterator[None]:
        """At the end of the block, which comes at once when they are flooded."""
        watch = asyncio.create_task(self._watch(deadline))
        try:
            yield
        finally:
            watch.cancel()
            for one in self._opened:
                with suppress(OSError):  # It did not come to stand, or is closed.
                    one.shutdown(socket.SHUT_RDWR)

    async def _watch(self, deadline: asyncio.Timeout) -> None:
        while not self.are_flooded:
            await asyncio.sleep(_LOOK)
            self.are_flooded = sum(map(_received, self._opened)) > self._most
        deadline.reschedule(asyncio.get_running_loop().time())


def _received(opened: socket.socket) -> int:
    """Octets that have come, as the kernel counts them (tcp_info, tcpi_bytes_received)."""
    try:
        told = opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_RECEIVED + 8)
    except OSError:  # It is closed.
        return 0
    return int.from_bytes(told[_BYTES_RECEIVED:], sys.byteorder)


class _Fixed(AbstractResolver):
    """Knows these addresses and asks nobody."""

    def __init__(self, ips: Sequence[str]) -> None:
        self._ips = ips

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=ip,
                port=port,
                family=socket.AF_INET6 if ":" in ip else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for ip in self._ips
        ]

    async def close(self) -> None:
        """There is nothing to close."""
