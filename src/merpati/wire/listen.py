"""Accepts connections and gives each to a session of its own, within limits, until told to stop.

A connection above a limit is still handed over, marked, so that the caller can say 421 in its own
protocol; far above it is dropped without a word, so that saying no cannot be made expensive.
"""

import asyncio
import socket
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

from merpati.errors import MerpatiError
from merpati.wire import proxy
from merpati.wire.connection import Connection
from merpati.wire.endpoint import Endpoint
from merpati.wire.errors import WireError
from merpati.wire.loop import Wire
from merpati.wire.sockets import BACKLOG


@dataclass(frozen=True, slots=True)
class ListenSettings:
    """Limits of one port."""

    connections: int = 2000
    """At a time, all peers together."""
    connections_per_ip: int = 50
    """At a time from one address; Unix sockets are not counted by peer."""
    proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    """Peers that must begin with a PROXY header, and are believed. Nobody else may."""
    refusals: int = 100
    """Connections above the limits that are told so at a time; further ones are dropped."""
    lag: float = 5.0
    """Seconds that the event loop may be late. Beyond that no more is begun: who waits longer for
    each reply only comes again, and all would be served too late."""


# From Python 3.13 on, loops look a Unix socket up by the name that it was bound under, to remove it
# at the end; ours was renamed since, and the next server replaces it.
_KEEP_PATH: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}


class Crowd(Enum):
    """Which limit a connection is above."""

    BUSY = "too busy"
    CONNECTIONS = "too many connections"
    PER_IP = "too many connections from one address"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A connection that was accepted."""

    stream: Connection
    peer: Endpoint
    """Who is there; `ip` is empty for a Unix socket."""
    local: Endpoint
    crowd: Crowd | None = None
    """Not None: say 421 and close."""


Serve = Callable[[Arrival], Awaitable[None]]


class Listener:
    """One port: its sockets, its sessions, its limits.

    `serve` runs once for each arrival and owns the stream until it returns; what it leaves open is
    aborted. A WireError that ends it is the end of a connection, nothing else. Any other exception
    is a defect of the session: it goes to `failed` and ends that session alone.
    """

    def __init__(
        self,
        wire: Wire,
        serve: Serve,
        failed: Callable[[Exception], None],
        settings: ListenSettings | None = None,
    ) -> None:
        self._wire = wire
        self._serve = serve
        self._failed = failed
        self._settings = settings or ListenSettings()
        self._sessions: dict[asyncio.Task[Any], Arrival] = {}
        self._by_ip: Counter[str] = Counter()
        self._refusing = 0
        self.dropped = 0
        """Connections that were closed without a word."""
        self._group: asyncio.TaskGroup | None = None
        self._stop = asyncio.Event()
        self._idle = asyncio.Event()
        self._grace = 0.0

    def __len__(self) -> int:
        """How many sessions run."""
        return len(self._sessions)

    async def run(self, sockets: Sequence[socket.socket]) -> None:
        """Accept on these listening sockets until `stop`; return when the last session ended.

        Closes the sockets. Cancelled, it cancels its sessions and waits for them.
        """
        async with asyncio.TaskGroup() as group:
            self._group = group
            servers = [await self._start(listener) for listener in sockets]
            try:
                await self._stop.wait()
            finally:
                for server in servers:
                    server.close()
            await self._wait_sessions(group)

    def limit(self, settings: ListenSettings) -> None:
        """Use these limits from the next connection on."""
        self._settings = settings

    def stop(self, grace: float) -> None:
        """Accept no more; sessions get `grace` seconds to end, then they are cancelled."""
        self._grace = grace
        self._stop.set()

    async def _start(self, listener: socket.socket) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        if listener.family == socket.AF_UNIX:
            return await loop.create_unix_server(
                self._connection, sock=listener, backlog=BACKLOG, **_KEEP_PATH
            )
        return await loop.create_server(self._connection, sock=listener, backlog=BACKLOG)

    def _connection(self) -> Connection:
        return Connection(self._wire, self._arrived)

    def _arrived(self, stream: Connection) -> None:
        proxied = self._is_proxy(stream.peer.ip)
        crowd = self._crowd("" if proxied else stream.peer.ip)
        if self._stop.is_set() or (crowd and self._refusing >= self._settings.refusals):
            self.dropped += 1
            stream.abort()
            return
        if self._group is None:
            raise MerpatiError("a connection arrived before the listener ran")
        arrival = Arrival(stream, stream.peer, stream.local, crowd)
        session = self._proxied(arrival) if proxied else self._session(arrival)
        task = self._group.create_task(session)
        self._count(arrival, task)
        task.add_done_callback(self._ended)

    def _is_proxy(self, ip: str) -> bool:
        proxies = self._settings.proxies
        return bool(ip and proxies) and any(ip_address(ip) in network for network in proxies)

    def _crowd(self, ip: str) -> Crowd | None:
        if ip and self._wire.lag > self._settings.lag:
            return Crowd.BUSY
        if len(self._sessions) - self._refusing >= self._settings.connections:
            return Crowd.CONNECTIONS
        if ip and self._by_ip[ip] >= self._settings.connections_per_ip:
            return Crowd.PER_IP
        return None

    async def _proxied(self, arrival: Arrival) -> None:
        """Learn who is behind the proxy, and count the connection as theirs."""
        stream = arrival.stream
        stream.deadline = self._wire.clock.monotonic() + proxy.SECONDS
        try:
            header = await proxy.read_header(stream)
        except WireError:
            return  # §2 of the specification: without a valid header the connection is dropped.
        stream.deadline = None
        if header.peer is not None and header.local is not None:
            stream.peer, stream.local = header.peer, header.local
            arrival = self._recount(arrival, header.peer, header.local)
        await self._session(arrival)

    def _recount(self, arrival: Arrival, peer: Endpoint, local: Endpoint) -> Arrival:
        self._discount(arrival)
        crowd = arrival.crowd or self._crowd(peer.ip)
        arrival = replace(arrival, peer=peer, local=local, crowd=crowd)
        if task := asyncio.current_task():
            self._count(arrival, task)
        return arrival

    def _count(self, arrival: Arrival, task: asyncio.Task[Any]) -> None:
        self._sessions[task] = arrival
        if arrival.crowd:
            self._refusing += 1
        else:
            self._by_ip[arrival.peer.ip] += 1

    def _ended(self, task: asyncio.Task[Any]) -> None:
        arrival = self._sessions.pop(task)
        arrival.stream.abort()
        self._discount(arrival)
        if not self._sessions:
            self._idle.set()

    def _discount(self, arrival: Arrival) -> None:
        if arrival.crowd:
            self._refusing -= 1
        else:
            self._by_ip[arrival.peer.ip] -= 1
            if not self._by_ip[arrival.peer.ip]:
                del self._by_ip[arrival.peer.ip]

    async def _session(self, arrival: Arrival) -> None:
        try:
            await self._serve(arrival)
        except WireError:
            return  # The other end is gone; the session has told the journal what it wanted to.
        except Exception as error:
            self._failed(error)

    async def _wait_sessions(self, group: asyncio.TaskGroup) -> None:
        if not self._sessions:
            return
        self._idle.clear()
        patience = group.create_task(self._cancel_after_grace())
        await self._idle.wait()
        patience.cancel()

    async def _cancel_after_grace(self) -> None:
        await self._wire.clock.sleep(self._grace)
        for task in self._sessions:
            task.cancel()
