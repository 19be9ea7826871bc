"""Where reports about TLS are posted (RFC 8460 §5.4): by anybody, so bounded in every way."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from merpati.report.errors import ReportError
from merpati.storage.errors import StorageError
from merpati.wire.media import media_type

PATH = "/tls-reports"
MAX_OCTETS = 1024 * 1024
"""As it comes; of real reports a few thousand."""
SECONDS = 30.0
"""For the whole of it to come."""
_AT_ONCE = 4
_TYPES = frozenset({"application/tlsrpt+gzip", "application/tlsrpt+json"})
Take = Callable[[bytes], Awaitable[None]]


def add_tls_reports(app: web.Application, take: Take) -> None:
    """Let reports be posted; `take` keeps one, or raises ReportError or StorageError."""
    standing = 0

    async def post(request: web.Request) -> web.Response:
        nonlocal standing
        if media_type(request.headers.get("Content-Type", "")) not in _TYPES:
            return _said(415, " or ".join(sorted(_TYPES)))
        if standing >= _AT_ONCE:
            return _said(503, "many reports come now: try again later")
        standing += 1
        try:
            return await _taken(request, take)
        finally:
            standing -= 1

    app.router.add_post(PATH, post)


async def _taken(request: web.Request, take: Take) -> web.Response:
    try:
        async with asyncio.timeout(SECONDS):
            octets = await _body(request)
    except TimeoutError:
        return _said(408, f"not all of it came in {SECONDS:.0f} seconds")
    if octets is None:
        return _said(413, f"at most {MAX_OCTETS} octets")
    try:
        await take(octets)
    except ReportError as error:
        return _said(400, str(error))
    except StorageError:
        return _said(503, "it cannot be stored now: try again later")
    return _said(201, "kept")


async def _body(request: web.Request) -> bytes | None:
    """None for one that is too large."""
    octets = bytearray()
    async for piece in request.content.iter_any():
        octets += piece
        if len(octets) > MAX_OCTETS:
            return None
    return bytes(octets)


def _said(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=f"{text}\n")
