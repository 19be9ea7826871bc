"""HTTP applications on sockets that are open already."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web


@asynccontextmanager
async def serving(
    app: web.Application, listening: socket.socket, grace: float
) -> AsyncIterator[None]:
    """Answer requests until left; requests that run then have `grace` seconds to end."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=grace)
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        yield
    finally:
        await runner.cleanup()
