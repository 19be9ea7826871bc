"""Accepts connections and gives each to a session of its own, within limits, until told to stop.

A connection above a limit is still handed over, marked, so that the caller can say 421 in its own
protocol; far above it is dropped without a word, so that saying no cannot be made expensive.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

from merpati.errors import MerpatiError
from merpati.node.table import Row, Table, TableSettings
from merpati.wire import proxy
from merpati.wire.accepting import Accepting
from merpati.wire.connection import Connection
from merpati.wire.endpoint import Endpoint
from merpati.wire.errors import WireError
from merpati.wire.handover import Handover
from merpati.wire.loop import Wire


@dataclass(frozen=True, slots=True)
class ListenSettings:
    """Limits of one port, for all workers together."""

    name: str = ""
    """Of the port, among those that are counted in one table."""
    number: int | None = None
    """Of the port, the same in all workers, if its connections may be passed on to others."""

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
Rows = tuple[Row | None, ...]
"""Where a connection is counted; none for one that is to be refused."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The other workers of the node, as one port's listener knows them."""

    table: Table
    """Where the connections of all are counted."""
    handover: Handover | None = None
    """The way to pass connections on."""


@dataclass(frozen=True, slots=True)
class _Session:
    arrival: Arrival
    rows: Rows


class Listener:
    """One port: its sockets, its sessions, its limits.

    `serve` runs once for each arrival and owns the stream until it returns; what it leaves open is
    aborted. A WireError that ends it is the end of a connection, nothing else. Any other exception
    is a defect of the session: it goes to `failed` and ends that session alone.
    """

    def __init__(  # noqa: PLR0913 - its collaborators, each said by name
        self,
        wire: Wire,
        serve: Serve,
        failed: Callable[[Exception], None],
        settings: ListenSettings | None = None,
        neighbours: "Neighbours | None" = None,
        *,
        starved: Callable[[OSError], None] | None = None,
    ) -> None:
        """`neighbours` are the other workers of the node: what they serve is counted as well.

        `starved` is told when the system has nothing left to take a connection with.
        """
        self._wire = wire
        self._serve = serve
        self._failed = failed
        self._settings = settings or ListenSettings()
        self._neighbours = neighbours or Neighbours(Table(TableSettings()))
        self._sessions: dict[asyncio.Task[Any], _Session] = {}
        self._early: list[socket.socket] = []
        """Passed on by another worker in the moment before `run`."""
        self._owned = 0
        self._refusing = 0
        self.dropped = 0
        """Connections that were closed without a word."""
        self._starved = starved or (lambda error: None)
        self._group: asyncio.TaskGroup | None = None
        self._stop = asyncio.Event()
        self._idle = asyncio.Event()
        self._grace = 0.0
        self._is_over = False

    def __len__(self) -> int:
        """How many sessions run."""
        return len(self._sessions)

    @property
    def owned(self) -> int:
        """Connections that are ours, from before their sessions begin until these have ended."""
        return self._owned

    async def run(self, sockets: Sequence[socket.socket]) -> None:
        """Accept on these listening sockets until `stop`; return when the last session ended.

        Closes the sockets. Cancelled, it cancels its sessions and waits for them.
        """
        async with asyncio.TaskGroup() as group:
            self._group = group
            for accepted in self._early:
                self.adopt(accepted)
            doors = [Accepting(each, self._accepted, self._starved) for each in sockets]
            try:
                await self._stop.wait()
            finally:
                for door in doors:
                    door.close()
            await self._wait_sessions(group)

    def limit(self, settings: ListenSettings) -> None:
        """Use these limits from the next connection on."""
        self._settings = settings

    def stop(self, grace: float) -> None:
        """Accept no more; sessions get `grace` seconds to end, then they are cancelled.

        Who was accepted a moment ago is passed on to another worker, or served to the end here.
        """
        self._grace = grace
        self._stop.set()

    def adopt(self, accepted: socket.socket) -> None:
        """Serve a connection that another worker has accepted on this port."""
        if self._group is None:
            self._early.append(accepted)
            return
        # Counted from here on: a burst is taken in one turn, and its sessions begin in the next.
        self._owned += 1
        self._tell(1)
        self._group.create_task(self._own(accepted))

    def _accepted(self, accepted: socket.socket) -> None:
        if self._passes_on(accepted):
            accepted.close()
        else:
            self.adopt(accepted)

    def _passes_on(self, accepted: socket.socket) -> bool:
        handover, number = self._neighbours.handover, self._settings.number
        if handover is None or number is None:
            return False
        return handover.offer(number, accepted, leaving=self._stop.is_set())

    def _leaves(self, connection: socket.socket) -> bool:
        """Whether it was passed on since we stop."""
        return self._stop.is_set() and self._passes_on(connection)

    async def _own(self, accepted: socket.socket) -> None:
        """One connection, from its descriptor to the end of its session."""
        loop = asyncio.get_running_loop()
        try:
            if self._leaves(accepted):
                accepted.close()
                return
            _, stream = await loop.connect_accepted_socket(
                lambda: Connection(self._wire, is_server=True), accepted
            )
            # The stop may have come meanwhile, and another worker can still greet.
            if stream.is_untouched and self._leaves(stream.socket()):
                stream.abort()
                return
            await self._begin(stream)
        except OSError:
            accepted.close()  # The client is gone already.
        finally:
            self._tell(-1)
            self._owned -= 1
            if not self._owned:
                self._idle.set()

    async def _begin(self, stream: Connection) -> None:
        if self._is_over:
            stream.abort()
            return
        proxied = self._is_proxy(stream.peer.ip)
        rows, crowd = self._count("" if proxied else stream.peer.ip)
        if crowd and self._refusing > self._settings.refusals:
            self._discount(rows)
            self.dropped += 1
            stream.abort()
            return
        arrival = Arrival(stream, stream.peer, stream.local, crowd)
        await self._keep(arrival, rows, self._proxied if proxied else self._session)

    async def _keep(self, arrival: Arrival, rows: Rows, serve: Serve) -> None:
        """Run a session that `stop` knows of, and that counts until it ends."""
        task = _task()
        self._sessions[task] = _Session(arrival, rows)
        try:
            await serve(arrival)
        finally:
            session = self._sessions.pop(task)
            session.arrival.stream.abort()
            self._discount(session.rows)

    def _is_proxy(self, ip: str) -> bool:
        proxies = self._settings.proxies
        return bool(ip and proxies) and any(ip_address(ip) in network for network in proxies)

    def _tell(self, amount: int) -> None:
        if self._neighbours.handover is not None:
            self._neighbours.handover.connected(amount)

    def _count(self, ip: str) -> tuple[Rows, Crowd | None]:
        """Count a connection for all workers; above a limit it counts as one to be refused."""
        settings, now = self._settings, self._wire.clock.monotonic()
        if ip and self._wire.lag > settings.lag:
            self._refusing += 1
            return (), Crowd.BUSY
        table = self._neighbours.table
        port = table.row(f"port {settings.name}", now)
        if port is not None and not port.take(settings.connections):
            self._refusing += 1
            return (), Crowd.CONNECTIONS
        peer = table.row(f"port {settings.name} from {ip}", now) if ip else None
        if peer is not None and not peer.take(settings.connections_per_ip):
            self._discount((port,))
            self._refusing += 1
            return (), Crowd.PER_IP
        return (port, peer), None

    def _discount(self, rows: Rows) -> None:
        if not rows:
            self._refusing -= 1
        for row in rows:
            if row is not None:
                row.give_back()

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
        task = _task()
        self._discount(self._sessions[task].rows)
        rows, crowd = self._count(peer.ip)
        arrival = replace(arrival, peer=peer, local=local, crowd=crowd)
        self._sessions[task] = _Session(arrival, rows)
        return arrival

    async def _session(self, arrival: Arrival) -> None:
        try:
            await self._serve(arrival)
        except WireError:
            return  # The other end is gone; the session has told the journal what it wanted to.
        except Exception as error:
            self._failed(error)

    async def _wait_sessions(self, group: asyncio.TaskGroup) -> None:
        if not self._owned:
            return
        self._idle.clear()
        patience = group.create_task(self._cancel_after_grace())
        await self._idle.wait()
        patience.cancel()

    async def _cancel_after_grace(self) -> None:
        await self._wire.clock.sleep(self._grace)
        self._is_over = True
        for task in self._sessions:
            task.cancel()


def _task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    if task is None:
        raise MerpatiError("a session runs outside of every task")
    return task
