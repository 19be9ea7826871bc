"""HTTP applications on sockets that are open already."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

IDLE = 75.0
"""Seconds that a connection may stand without a whole request, the first one included. By itself
the library lets strangers keep our descriptors for an hour each. Proxies end theirs after 60."""
_LAST = 2.0
"""Seconds that who was accepted as we stop has to ask, over a slow line or from a busy machine: the
library would break off, and another worker would have answered. Five doors one after the other stay
within what a worker has to stop, beside sessions and deliveries."""
_LOOK = 0.02


@asynccontextmanager
async def serving(
    app: web.Application, listening: socket.socket, grace: float, idle: float = IDLE
) -> AsyncIterator[None]:
    """Answer requests until left; requests that run then have `grace` seconds to end."""
    runner = runner_of(app, grace, idle)
    await runner.setup()
    site = web.SockSite(runner, listening)
    try:
        await site.start()
        yield
        await site.stop()
        await hear_out(lambda: runner.server is not None and bool(runner.server.connections))
    finally:
        await runner.cleanup()


async def hear_out(somebody_waits: Callable[[], bool]) -> None:
    """Return soon after nobody waits any more, or when who does had time enough.

    No more is accepted from here on; who was accepted in this very turn is seen in a later one.
    """
    for _ in range(round(_LAST / _LOOK)):
        await asyncio.sleep(_LOOK)
        if not somebody_waits():
            return


def runner_of(app: web.Application, grace: float, idle: float) -> web.AppRunner:
    """Who answers requests by an application, in our manner."""
    return web.AppRunner(
        app,
        access_log=None,
        handle_signals=False,
        shutdown_timeout=grace,
        logger=_logger(),
        keepalive_timeout=idle,
    )


def _logger() -> logging.Logger:
    """Without what clients cause: a stranger must not fill the log by not speaking HTTP."""
    logger = logging.Logger("http")
    logger.addFilter(_is_of_ours)
    return logger


def _is_of_ours(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
