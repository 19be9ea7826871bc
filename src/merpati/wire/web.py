"""Questions by HTTP to servers that the operator named, and to those that such a server names.

One connection a question, no redirect, no proxy of the environment, no cookie, nothing is
decompressed; size and time are bounded. An operator's server may be in any network. One that only
an answer of his names has to be on the Internet: what speaks for him must not make us a tool
against our own network.
"""

import asyncio
import ipaddress
import socket
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from merpati.wire.errors import CertificateError, WireError
from merpati.wire.public import is_public
from merpati.wire.trust import trusting


@dataclass(frozen=True, slots=True)
class WebSettings:
    """How far is gone for an answer."""

    seconds: float = 5.0
    """For all of it."""
    octets: int = 256 * 1024
    authorities: Path | None = None
    """PEM file of the authorities to trust; None: the system's."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One question."""

    url: str
    body: bytes | None = field(default=None, repr=False)
    """None: GET, else POST."""
    content_type: str = "application/json"
    authorization: str = field(default="", repr=False)
    public: bool = False
    """Only if its host is on the Internet."""


@dataclass(frozen=True, slots=True)
class Told:
    """What was answered."""

    status: int
    body: bytes


class Web:
    """Asks, each time over a connection of its own."""

    def __init__(self, settings: WebSettings) -> None:
        self._settings = settings
        self._tls = trusting(settings.authorities)

    async def ask(self, question: Ask) -> Told:
        """The answer, whatever its status. Raises WireError for none, in words that hold neither
        the body nor the authorization."""
        seconds = self._settings.seconds
        try:
            async with asyncio.timeout(seconds):
                return await self._ask(question)
        except TimeoutError:
            raise WireError(f"{question.url} gave no answer within {seconds:g} s") from None
        except aiohttp.ClientConnectorCertificateError as error:
            raise CertificateError(f"{question.url}: {error.certificate_error}") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise WireError(f"{question.url}: {str(error) or type(error).__name__}") from error

    async def _ask(self, question: Ask) -> Told:
        if question.public:
            # As the client reads it: digits of other scripts are an address, too.
            _check_literal(URL(question.url).host or "")
        connector = aiohttp.TCPConnector(
            resolver=_Public() if question.public else None,
            use_dns_cache=False,
            ssl=self._tls,
            force_close=True,
        )
        headers = {"Accept-Encoding": "identity", "Accept": "application/json"}
        if question.authorization:
            headers["Authorization"] = question.authorization
        if question.body is not None:
            headers["Content-Type"] = question.content_type
        async with (
            aiohttp.ClientSession(
                connector=connector,
                trust_env=False,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=headers,
            ) as session,
            session.request(
                "GET" if question.body is None else "POST",
                question.url,
                data=question.body,
                allow_redirects=False,
            ) as response,
        ):
            return Told(response.status, await self._body(question.url, response))

    async def _body(self, url: str, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for piece in response.content.iter_any():
            body += piece
            if len(body) > self._settings.octets:
                raise WireError(f"{url} answers more than {self._settings.octets} octets")
        return bytes(body)


def _check_literal(host: str) -> None:
    """Addresses are not resolved, so the resolver does not see them."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return
    if not is_public(host):
        raise WireError(f"{host} is not on the Internet")


class _Public(AbstractResolver):
    """This machine's resolver, as long as it leads to the Internet."""

    def __init__(self) -> None:
        self._all = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._all.resolve(host, port, family)
        for one in found:
            if not is_public(one["host"]):
                raise OSError(f"{host} leads to {one['host']}, which is not on the Internet")
        return found

    async def close(self) -> None:
        await self._all.close()
