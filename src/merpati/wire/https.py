"""Small documents that strangers tell us to read or to post, over HTTPS, without becoming their
tool.

The name is resolved once, every address has to be public, and the connection goes to what was
checked. No redirect is followed, no proxy of the environment is used, no cookie is kept, nothing
is decompressed; size and time are bounded.
"""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from merpati.wire.errors import CertificateError, WireError
from merpati.wire.public import Network, is_public
from merpati.wire.tls import client_context

# Letters in the last label: what a URI takes for an address in any form has none there.
_is_name = re.compile(
    r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
).fullmatch
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
        self._tls = client_context(authorities=settings.authorities).context

    async def text(self, host: str, path: str) -> bytes:
        """The document `https://host/path` of type text/plain.

        Raises WireError, CertificateError for what the server's certificate does not prove.
        """
        url = f"https://{host}:{self._settings.port}{path}"
        async with (
            self._session(url, host, {"Accept": "text/plain"}) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            return await self._body(url, response)

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
        try:
            async with asyncio.timeout(seconds):
                connector = aiohttp.TCPConnector(
                    resolver=_Fixed(await self._checked(host)),
                    use_dns_cache=False,
                    ssl=self._tls,
                    force_close=True,
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
            raise WireError(f"{url} gave no answer within {seconds:g} s") from None
        except aiohttp.ClientConnectorCertificateError as error:
            raise CertificateError(f"{url}: {error.certificate_error}") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise WireError(f"{url}: {str(error) or type(error).__name__}") from error

    async def _checked(self, host: str) -> Sequence[str]:
        ips = await self._addresses(host)
        if not ips:
            raise WireError(f"{host} has no address")
        for ip in ips:
            if not is_public(ip, self._settings.allowed):
                raise WireError(f"{host} leads to {ip}, which is not on the Internet")
        return ips

    async def _body(self, url: str, response: aiohttp.ClientResponse) -> bytes:
        # RFC 8461 §3.3: redirects must not be followed, and all but 200 is a failure.
        if response.status != 200:
            raise WireError(f"{url} answers {response.status}")
        # RFC 8461 §3.2: where users upload pages of their own, none of them is taken for a policy.
        if response.content_type != "text/plain":
            raise WireError(f"{url} is of type {response.content_type[:100]}, not text/plain")
        body = bytearray()
        async for piece in response.content.iter_any():
            body += piece
            if len(body) > self._settings.octets:
                raise WireError(f"{url} is longer than {self._settings.octets} octets")
        return bytes(body)


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
