"""Where mail programs ask for their settings: Thunderbird and others by GET, Outlook by POST.

Anybody may ask; what is told is the same for everybody of a domain, and says nothing of who exists.
"""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from merpati.mail.address import Address, AddressError
from merpati.setup.autoconfig import (
    MAX_QUESTION,
    MailHosts,
    asked_address,
    outlook,
    thunderbird,
)

THUNDERBIRD = ("/mail/config-v1.1.xml", "/.well-known/autoconfig/mail/config-v1.1.xml")
OUTLOOK = ("/autodiscover/autodiscover.xml", "/Autodiscover/Autodiscover.xml")
SECONDS = 10.0
"""For a question to come."""
HostsOf = Callable[[str], Awaitable[MailHosts | None]]


def add_autoconfig(app: web.Application, hosts_of: HostsOf) -> None:
    """Answer for every domain that `hosts_of` knows."""

    async def get(request: web.Request) -> web.Response:
        # Thunderbird says the address as well; the host alone is enough for others.
        host = request.host.partition(":")[0].lower().removeprefix("autoconfig.")
        domain = _domain(request.query.get("emailaddress", "")) or host
        hosts = await hosts_of(domain)
        return _xml(thunderbird(hosts)) if hosts else _unknown()

    async def post(request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(SECONDS):
                address = asked_address(await _body(request))
        except TimeoutError:
            return web.Response(status=408, text="the question did not come in time\n")
        hosts = await hosts_of(address.domain) if address else None
        return _xml(outlook(hosts, address)) if hosts and address else _unknown()

    for path in THUNDERBIRD:
        app.router.add_get(path, get)
    for path in OUTLOOK:
        app.router.add_post(path, post)


def _domain(address: str) -> str:
    try:
        return Address.parse(address).domain
    except AddressError:
        return ""


async def _body(request: web.Request) -> bytes:
    octets = bytearray()
    async for piece in request.content.iter_any():
        octets += piece
        if len(octets) > MAX_QUESTION:
            break
    return bytes(octets)


def _xml(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/xml")


def _unknown() -> web.Response:
    return web.Response(status=404, text="no settings for this here\n")
