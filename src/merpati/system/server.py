"""One worker: builds the rooms, opens the doors, delivers, and ends in order.

Order at the end: doors accept no more and sessions finish (at most 30 s); deliveries settle what is
in flight; the stores are flushed and closed. Nothing that was acknowledged depends on it.
"""

import asyncio
import gc
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from merpati import __version__
from merpati.api import http
from merpati.api import questions as ask
from merpati.api.client import short_path
from merpati.api.errors import Mistaken
from merpati.api.moments import moment
from merpati.clock import Clock
from merpati.config.errors import ConfigError
from merpati.config.files import look
from merpati.config.places import Places
from merpati.config.routes import read_routes
from merpati.config.settings import Settings, load
from merpati.journal.events import Lifecycle
from merpati.reception.port import Port
from merpati.system.blueprint import Blueprint
from merpati.system.certificate import reload_certificate
from merpati.system.chores import keep_on
from merpati.system.delivering import Delivering
from merpati.system.doors import GRACE, Door, Household, household
from merpati.system.health import Health
from merpati.system.housekeeping import Housekeeping
from merpati.system.log import Log
from merpati.system.office import office_of, submit
from merpati.system.reload import unchangeable
from merpati.system.reporting import Reporting
from merpati.system.secret import installation_secret
from merpati.system.stores import open_stores
from merpati.system.walwatch import WalWatch
from merpati.system.web import serving
from merpati.wire.endpoint import Endpoint
from merpati.wire.listen import ListenSettings
from merpati.wire.sockets import bind, bound_to
from merpati.wire.tls import TlsContext

# Threads: hashes and file writes release the interpreter's lock, so that two cores serve.
_HASHERS = 4
_WRITERS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the process gives to its worker."""

    ports: Sequence[socket.socket]
    """Listening, in the order of the configuration's ports."""
    web: socket.socket | None
    """The same of the HTTP door, if there is one."""
    tls: TlsContext
    clock: Clock
    log: Log
    ready: Callable[[str], None]
    """Called when every door answers, with a line for people."""
    stopping: Callable[[], None]
    """Called when no more is accepted."""


class Server:
    """A worker, and what its operator sees of it (`api.doors.Doors`)."""

    def __init__(
        self, settings: Settings, given: Surroundings, house: Household, delivering: Delivering
    ) -> None:
        self._settings = settings
        self._delivering = delivering
        self._given = given
        self._house = house
        self._started = given.clock.now()
        self._stop = asyncio.Event()
        self._doors: list[Door] = []
        self._housekeeping = Housekeeping(house.stores.queue, house.stores.journal, given.clock)
        gauges = {
            ("connections_open", "Connections that stand, by port role.", "role"): self._open,
            ("limits_hit", "How often a limit turned somebody away.", "limit"): self._limits,
            ("connections_dropped", "Closed without a word, far above a limit.", "role"): (
                self._dropped
            ),
            ("in_hand_octets", "Octets of bodies being delivered from memory.", ""): self._octets,
        }
        self._reporting = Reporting(settings, house.stores, given.clock, gauges)
        self._local = self._door("local", house.local_port(Blueprint(settings)), ListenSettings())
        self._health = Health(house.stores.shard.probe, given.clock)
        self._build()

    def begin_stop(self) -> None:
        """Stop gracefully; `run` returns when it is done."""
        self._stop.set()

    def take_up(self, settings: Settings) -> None:
        """Use changed settings from the next session and attempt on; nothing is dropped.

        ConfigError or TlsError when they cannot be used; then nothing has changed.
        """
        flaws = [*look(settings), *unchangeable(self._settings, settings)]
        if flaws:
            raise ConfigError(str(settings.file), flaws)
        # What can fail comes first: the passwords of routes, then the certificate.
        routes = read_routes(settings.document, settings.base)
        reload_certificate(self._given.tls, settings)
        self._delivering.take_up(settings, routes)
        self._settings = settings
        self._build()
        self._given.log.info("reloaded", str(settings.file))

    def _build(self) -> None:
        """The doors' ports, from the settings in force."""
        blueprint = Blueprint(self._settings)
        self._housekeeping.patience = float(self._settings.document.queue.delay_notice)
        self._housekeeping.retention = float(self._settings.document.retention.journal)
        self._local.give(self._house.local_port(blueprint), ListenSettings())
        self._own_intake = self._house.intake(blueprint, blueprint.own_rules())
        # A reload never changes which ports there are (`system.reload`), so their order names them:
        # port 0 of one address may stand there more than once.
        for n, table in enumerate(self._settings.document.port):
            port, limits = self._house.port(blueprint, table), blueprint.listener(table)
            if n < len(self._doors):
                self._doors[n].give(port, limits)
            else:
                self._doors.append(self._door(table.role.value, port, limits))

    def _door(self, name: str, port: Port, settings: ListenSettings) -> Door:
        counted = partial(self._reporting.metrics.connections_in.add, name)
        return Door(name, self._house.wire, port, settings, (counted, self._session_failed))

    async def _open(self) -> dict[str, float]:
        standing = Counter[str]()
        for door in [*self._doors, self._local]:
            standing[door.name] += len(door.listener)
        return dict(standing)

    async def _limits(self) -> dict[str, float]:
        return {name: float(count) for name, count in self._house.limits.totals.items()}

    async def _dropped(self) -> dict[str, float]:
        dropped = Counter[str]()
        for door in self._doors:
            dropped[door.name] += door.listener.dropped
        return dict(dropped)

    async def _octets(self) -> dict[str, float]:
        return {"": float(self._delivering.octets)}

    def _session_failed(self, error: Exception) -> None:
        self._given.log.defect("session", error)

    async def run(self) -> None:
        """Serve until told to stop."""
        await self._reporting.begin()
        async with asyncio.TaskGroup() as work:
            tasks = [work.create_task(chore) for chore in self._chores()]
            delivering = work.create_task(self._delivering.run())
            await self._serve()
            self._delivering.stop()
            await delivering
            for task in tasks:
                task.cancel()
        await self._reporting.finish()

    def _chores(self) -> list[Coroutine[None, None, None]]:
        """What runs beside the mail and must never stop it."""
        clock, log, stores = self._given.clock, self._given.log, self._house.stores
        watch = WalWatch(lambda: stores.shard.log_octets, stores.journal, clock, log)
        named = {
            "housekeeping": self._housekeeping.run,
            "reporting": self._reporting.run,
            "cursor": self._reporting.keep_place,
            "wal": watch.run,
            "limits": self._house.limits.run,
        }
        return [keep_on(name, work, clock, log) for name, work in named.items()]

    async def _serve(self) -> None:
        """Open every door, wait for the end, and return when the last session is over."""
        async with AsyncExitStack() as opened, asyncio.TaskGroup() as sessions:
            await self._open_web(opened)
            for door, listening in zip(self._doors, self._given.ports, strict=True):
                sessions.create_task(door.run(listening))
            sessions.create_task(self._local.run(_bind_deep(self._places.smtp)))
            self._settle_down()
            self._announce()
            await self._stop.wait()
            self._given.stopping()
            self._given.log.info("stopping", "no more connections; sessions end")
            for door in [*self._doors, self._local]:
                door.stop()

    async def _open_web(self, opened: AsyncExitStack) -> None:
        delivering = self._delivering
        office = office_of(
            self._house.stores,
            self._given.clock,
            self,
            lambda: delivering.routes,
            delivering,
        )
        control = serving(http.control(office), _bind_deep(self._places.control), GRACE)
        await opened.enter_async_context(control)
        if self._given.web is not None:
            public = http.public(self._trouble, self._reporting.metrics.exposition)
            site = serving(public, self._given.web, GRACE)
            await opened.enter_async_context(site)

    @property
    def _places(self) -> Places:
        return Places(self._settings.data)

    async def _trouble(self) -> str:
        return "stopping" if self._stop.is_set() else await self._health.trouble()

    def _settle_down(self) -> None:
        """What was made until now stays: the collector need not look at it again."""
        gc.collect()
        gc.freeze()
        # protocol.md: longest pause 1.4 ms with 200,000 live objects, 92 ms with the default.
        gc.set_threshold(20_000, 20, 50)

    def _announce(self) -> None:
        text = ", ".join(self._ports())
        self._given.log.info("started", text)
        self._given.ready(text)
        self._house.stores.journal.note(
            Lifecycle(at=self._given.clock.now(), what="started", detail=__version__)
        )

    def _ports(self) -> tuple[str, ...]:
        """Where we listen, with the ports that the system chose."""
        document = self._settings.document
        ports = [
            f"{port.role.value} {_bound(port.listen, listening)}"
            for port, listening in zip(document.port, self._given.ports, strict=True)
        ]
        if document.http and self._given.web is not None:
            ports.append(f"http {_bound(document.http.listen, self._given.web)}")
        return tuple(ports)

    async def submit(self, question: ask.Submission) -> ask.Queued:
        """A message of a program on this machine."""
        return await submit(self._own_intake, question)

    async def status(self, _: ask.Nothing) -> ask.Status:
        """How the server is."""
        stores = self._house.stores
        return ask.Status(
            running=True,
            version=__version__,
            pid=os.getpid(),
            started=moment(self._started),
            data=str(self._settings.data),
            config=str(self._settings.file or ""),
            ports=self._ports(),
            queue=await stores.queue.count(),
            held_sites=len(await stores.queue.held()),
            limits=dict(self._house.limits.totals),
        )

    async def reload(self, _: ask.Nothing) -> ask.Done:
        """Read the file again."""
        if self._settings.file is None:
            raise Mistaken("the developer's inbox has no file to read again")
        self.take_up(await asyncio.to_thread(load, self._settings.file))
        return ask.Done()

    async def stop(self, _: ask.Nothing) -> ask.Done:
        """Begin to stop."""
        self.begin_stop()
        return ask.Done()


def _bound(named: Endpoint, listening: socket.socket) -> Endpoint:
    return named if named.path else bound_to(listening)


def _bind_deep(path: Path) -> socket.socket:
    """A socket for this user alone, also where the path is too long for a socket's address."""
    with short_path(path) as short:
        return bind(Endpoint(path=short), mode=0o600)


@asynccontextmanager
async def opened(settings: Settings, given: Surroundings) -> AsyncIterator[Server]:
    """A server over its stores, which are closed when it is left."""
    places = Places(settings.data)
    # Two pools, so that a disk that hangs keeps nobody from logging in.
    with (
        ThreadPoolExecutor(_HASHERS, "hash") as hashers,
        ThreadPoolExecutor(_WRITERS, "maildir") as writers,
    ):
        async with open_stores(places, given.clock) as stores:
            secret = installation_secret(places.secret)
            house = household(stores, given.clock, given.tls, hashers, secret)
            yield Server(settings, given, house, Delivering(settings, house, writers, given.log))
