"""Both event loops, and connections over loopback."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import uvloop

from merpati.clock import SystemClock
from merpati.wire.connection import Connection
from merpati.wire.dial import SocketDialer
from merpati.wire.endpoint import Endpoint
from merpati.wire.listen import Arrival, Listener, ListenSettings, Neighbours
from merpati.wire.loop import Wire
from merpati.wire.sockets import bind, bound_to
from tests.quick import is_quick

Serve = Callable[[Arrival], Awaitable[None]]


def pytest_asyncio_loop_factories(
    config: pytest.Config,
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every async test of this room runs on both loops; a quick one on that of our servers."""
    if is_quick(config):
        return {"uvloop": uvloop.new_event_loop}
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


class Port:
    """A listener on loopback that a test talks to."""

    def __init__(self, listener: Listener, at: Endpoint, wire: Wire) -> None:
        self.listener = listener
        self.at = at
        self.wire = wire
        self.failures: list[Exception] = []
        self._dialed: list[Connection] = []

    async def dial(self, source: str = "") -> Connection:
        stream = await SocketDialer(self.wire).dial(self.at, 5.0, source)
        self._dialed.append(stream)
        return stream

    async def hang_up(self) -> None:
        """Close what the test left open."""
        while self._dialed:
            stream = self._dialed.pop()
            stream.abort()
            await stream.close()


@asynccontextmanager
async def serving(
    serve: Serve,
    settings: ListenSettings | None = None,
    at: str = "127.0.0.1:0",
    neighbours: Neighbours | None = None,
) -> AsyncIterator[Port]:
    """Run `serve` for each arrival; stops without grace when the block ends."""
    wire = Wire(SystemClock(), interval=0.01)
    failures: list[Exception] = []
    listener = Listener(wire, serve, failures.append, settings, neighbours)
    sock = bind(Endpoint.parse(at))
    async with asyncio.TaskGroup() as group:
        group.create_task(listener.run([sock]))
        port = Port(listener, bound_to(sock), wire)
        port.failures = failures
        try:
            yield port
        finally:
            listener.stop(0.0)
            await port.hang_up()


@pytest.fixture
def serving_port() -> Callable[..., AbstractAsyncContextManager[Port]]:
    return serving
