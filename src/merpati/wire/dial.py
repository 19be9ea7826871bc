"""Opens connections to other hosts."""

import asyncio
import socket
from typing import Protocol

from merpati.wire.connection import Connection
from merpati.wire.endpoint import Endpoint
from merpati.wire.errors import WireTimeout, from_os_error
from merpati.wire.loop import Wire
from merpati.wire.stream import Stream


class Dialer(Protocol):
    """The way out. Tests give one that leads to streams in memory."""

    async def dial(self, to: Endpoint, seconds: float, source: str = "") -> Stream:
        """Connect within `seconds`, from the IP address `source` if given. Raises WireError."""
        ...


class SocketDialer:
    """Connects over TCP or a Unix socket."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def dial(self, to: Endpoint, seconds: float, source: str = "") -> Connection:
        """Connect within `seconds`, from the IP address `source` if given. Raises WireError."""
        try:
            async with asyncio.timeout(seconds):
                return await self._connect(to, source)
        except TimeoutError as error:
            raise WireTimeout(f"no answer within {seconds:g} s") from error
        except OSError as error:
            raise from_os_error(error) from error

    async def _connect(self, to: Endpoint, source: str) -> Connection:
        loop = asyncio.get_running_loop()
        sock = socket.socket(to.family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            if to.ip:
                # asyncio and uvloop do the same; said here because pipelining depends on it.
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if source:
                sock.bind((source, 0))
            await loop.sock_connect(sock, to.address)
            return await self._adopt(sock)
        except BaseException:
            sock.close()
            raise

    async def _adopt(self, sock: socket.socket) -> Connection:
        loop = asyncio.get_running_loop()
        connection = Connection(self._wire)
        if sock.family == socket.AF_UNIX:
            await loop.create_unix_connection(lambda: connection, sock=sock)
        else:
            await loop.create_connection(lambda: connection, sock=sock)
        return connection
