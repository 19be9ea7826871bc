"""The HTTP doors that strangers reach: listener, limits and TLS as the doors for mail have them,
and aiohttp behind.

aiohttp wants a transport of asyncio's. `_Bridge` is one over a stream of ours, so that HTTPS has
the certificates that SMTP shows, changed without a restart, and the small buffers of `wire.tls`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from socket import socket

from aiohttp import web

from merpati.clock import Clock
from merpati.errors import MerpatiError
from merpati.journal.limits import Limits
from merpati.node.table import Table
from merpati.reception.crowds import CROWDS
from merpati.system.doors import Counted, Failed
from merpati.system.web import IDLE, hear_out, runner_of
from merpati.wire.connection import Connection
from merpati.wire.errors import WireError
from merpati.wire.listen import Arrival, Listener, ListenSettings, Neighbours
from merpati.wire.loop import Wire
from merpati.wire.tls import TlsContext

HANDSHAKE = 10.0
"""Seconds for a TLS handshake."""
_REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class WebParts:
    """What a door is made of beside its application."""

    name: str
    """Of the door, in metrics and among limits."""
    wire: Wire
    addresses: Table
    """Where connections are counted, of all workers together."""
    limits: Limits
    clock: Clock
    counted: Counted
    """Called for each connection."""
    failed: Failed
    """Told of each defect."""


class WebDoor:
    """One HTTP door; with `tls` it speaks HTTPS."""

    def __init__(
        self,
        app: web.Application,
        parts: WebParts,
        settings: ListenSettings,
        tls: TlsContext | None = None,
        idle: float = IDLE,
    ) -> None:
        self.name = parts.name
        self._app = app
        self._parts = parts
        self._tls = tls
        self._idle = idle
        self._server: web.Server | None = None
        self._bridges: set[_Bridge] = set()
        self.listener = Listener(
            parts.wire,
            self._serve,
            parts.failed,
            settings,
            Neighbours(parts.addresses),
            starved=parts.limits.starved,
        )

    @asynccontextmanager
    async def open(self, listening: socket, grace: float) -> AsyncIterator[None]:
        """Answer requests until left; requests that run then have `grace` seconds to end."""
        runner = runner_of(self._app, grace, self._idle)
        await runner.setup()
        self._server = runner.server
        async with asyncio.TaskGroup() as group:
            group.create_task(self.listener.run([listening]))
            try:
                yield
            finally:
                self.listener.stop(grace)
                await hear_out(self._somebody_waits)
                await runner.cleanup()

    async def _serve(self, arrival: Arrival) -> None:
        self._parts.counted()
        stream = arrival.stream
        if arrival.crowd is not None:
            self._parts.limits.hit(f"{self.name}: {CROWDS[arrival.crowd].value}")
            if self._tls is None:
                stream.write(_REFUSAL)
            await stream.close()
            return
        if self._tls is not None:
            stream.deadline = self._parts.clock.monotonic() + HANDSHAKE
            await stream.secure(self._tls)
            stream.deadline = None
        await self._converse(stream)

    async def _converse(self, stream: Connection) -> None:
        if self._server is None:
            raise MerpatiError("a door that is not open serves nobody")
        protocol = self._server()
        bridge = _Bridge(stream, protocol, self._tls)
        self._bridges.add(bridge)
        protocol.connection_made(bridge)
        try:
            await bridge.run(lambda: self._parts.clock.monotonic() + self._idle)
        finally:
            bridge.close()
            protocol.connection_lost(None)
            self._bridges.remove(bridge)

    def _somebody_waits(self) -> bool:
        """Who was answered before may ask again elsewhere."""
        return self.listener.owned > sum(bridge.has_answered for bridge in self._bridges)


class _Bridge(asyncio.Transport):
    """A stream, as a protocol of asyncio's writes to it and is fed from it."""

    def __init__(
        self, stream: Connection, protocol: asyncio.Protocol, tls: TlsContext | None
    ) -> None:
        super().__init__(
            {
                "peername": (stream.peer.ip, stream.peer.port),
                "sockname": (stream.local.ip, stream.local.port),
                "socket": stream.socket(),
                "sslcontext": tls.context if tls else None,
            }
        )
        self._stream = stream
        self._protocol = protocol
        self.has_answered = False
        """Whether anything was written."""
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._congested = asyncio.Event()
        self._closing = asyncio.Event()

    async def run(self, patience: Callable[[], float]) -> None:
        """Feed the protocol until either side closes, then flush and close.

        `patience` says until when a client may leave what we write to it unread.
        """
        async with asyncio.TaskGroup() as group:
            work = [group.create_task(self._feed()), group.create_task(self._relieve(patience))]
            await self._closing.wait()
            for task in work:
                task.cancel()
        await self._stream.close()

    async def _feed(self) -> None:
        with suppress(WireError):  # The other end is gone, which is an end as any other.
            while octets := await self._read():
                self._protocol.data_received(octets)
        self.close()

    async def _read(self) -> bytes:
        await self._wanted.wait()
        return await self._stream.read()

    async def _relieve(self, patience: Callable[[], float]) -> None:
        """Let the protocol write again when the client has read what was written."""
        with suppress(WireError):
            while await self._congested.wait():
                self._stream.deadline = patience()
                await self._stream.drain()
                self._stream.deadline = None
                self._congested.clear()
                self._protocol.resume_writing()
        self.close()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Never blocks."""
        self.has_answered = True
        self._stream.write(bytes(data))
        if self._stream.is_congested and not self._congested.is_set():
            self._congested.set()
            self._protocol.pause_writing()

    def is_closing(self) -> bool:
        """Whether nothing more is read."""
        return self._closing.is_set()

    def close(self) -> None:
        """What was written still leaves."""
        self._closing.set()

    def abort(self) -> None:
        """What was written is dropped."""
        self._stream.abort()
        self.close()

    def is_reading(self) -> bool:
        """Whether the protocol takes more."""
        return self._wanted.is_set()

    def pause_reading(self) -> None:
        """At most one read more is fed."""
        self._wanted.clear()

    def resume_reading(self) -> None:
        """Feed it again."""
        self._wanted.set()
