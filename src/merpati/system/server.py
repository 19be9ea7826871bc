"""One worker: builds the rooms, opens the doors, delivers, and ends in order.

Order at the end: doors accept no more and sessions finish (at most 30 s); deliveries settle what is
in flight; the stores are flushed and closed. Nothing that was acknowledged depends on it.
"""

import asyncio
import gc
import os
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from msgspec import structs

from merpati import __version__
from merpati.api import http, operations
from merpati.api import questions as ask
from merpati.api.client import RemoteCounter, short_path
from merpati.api.errors import Mistaken
from merpati.api.moments import day_number, moment
from merpati.api.node import Node
from merpati.api.operations import OwnCounter
from merpati.certificates.watch import Watch
from merpati.clock import Clock
from merpati.config.errors import ConfigError
from merpati.config.files import look
from merpati.config.places import Places
from merpati.config.routes import read_routes
from merpati.config.settings import Settings, load
from merpati.delivery.route import Route
from merpati.journal.events import Lifecycle
from merpati.node.memory import SharedMemory
from merpati.policy.rules.space import Disk, disk_of
from merpati.reception.port import Port
from merpati.report.metrics import Series
from merpati.system.aside import EVENT, notices
from merpati.system.blueprint import Blueprint
from merpati.system.certificate import take_up
from merpati.system.chores import keep_on
from merpati.system.delivering import Threads
from merpati.system.doors import GRACE, Door, Household, household
from merpati.system.full import when_there_is_room
from merpati.system.identity import Outsiders, outsiders
from merpati.system.log import Log
from merpati.system.office import submit, suspended
from merpati.system.pages import Pages
from merpati.system.reload import unchangeable
from merpati.system.secret import installation_secret
from merpati.system.shard import Shard, ShardParts
from merpati.system.showing import Showing
from merpati.system.spacewatch import SpaceWatch
from merpati.system.stores import Stores, open_all
from merpati.system.threadpool import started_pool
from merpati.system.web import serving
from merpati.system.webdoor import WebDoor, WebParts
from merpati.wire.endpoint import Endpoint
from merpati.wire.handover import Handover
from merpati.wire.listen import Listener, ListenSettings
from merpati.wire.sockets import bind, bound_to

# Threads: hashes and file writes release the interpreter's lock, so that two cores serve.
_HASHERS = 4
_WRITERS = 4
_SIGNERS = 4
_ASIDE = 6
_TELL = 1.0


class Superior(Protocol):
    """Who runs the workers of a node."""

    def stop(self) -> None:
        """Stop all of them gracefully."""
        ...

    def restart(self) -> None:
        """Replace them one after the other. Mistaken where there is no other to serve meanwhile."""
        ...

    def reloaded(self) -> None:
        """A worker has taken up the configuration as it is in the file now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Which shards of a node are whose."""

    own: int
    """The worker's number, and that of the shard that takes in its mail."""
    adopted: tuple[int, ...] = ()
    """Shards of workers that are not there any more: they run dry."""
    node: tuple[int, ...] = (0,)
    """All shards of the node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the process gives to its worker."""

    ports: Sequence[socket.socket]
    """Listening, in the order of the configuration's ports."""
    web: Sequence[socket.socket]
    """The same of the HTTP doors."""
    challenges: socket.socket | None = None
    """The same of the door for a CA."""
    control: socket.socket
    """Where commands ask."""
    local: socket.socket
    """Where programs of this machine speak SMTP."""
    watch: Watch
    """What the doors show to who speaks TLS."""
    memory: SharedMemory
    handover: Handover | None
    """The way to the other workers, if there are any."""
    assignment: Assignment
    superior: Superior
    pid: int
    """Of the process that operators know."""
    clock: Clock
    log: Log
    ready: Callable[[str], None]
    """Called when every door answers, with a line for people."""
    stopping: Callable[[], None]
    """Called when no more is accepted."""


class Server:
    """A worker with its shards: the first takes in its mail."""

    def __init__(
        self,
        settings: Settings,
        given: Surroundings,
        house: Household,
        threads: Threads,
        stores: Mapping[int, Stores],
    ) -> None:
        self._settings = settings
        self._given = given
        self._house = house
        self._started = given.clock.now()
        # Asked of the sockets once: a worker that stops has closed them, and is asked how it is.
        self._ports = tuple(_ports(settings, given))
        self._stop = asyncio.Event()
        self._grace = GRACE
        self._doors: list[Door] = []
        self._web: list[WebDoor] = []
        self._showing = Showing(given, lambda: self._settings, self._note)
        self._space = SpaceWatch(
            partial(disk_of, settings.data),
            self._kept_free,
            given.clock,
            given.log,
            self._note if given.assignment.own == given.assignment.node[0] else None,
        )
        gauges = {
            ("connections_open", "Connections that stand, by port role.", "role"): self._open,
            ("limits_hit", "How often a limit turned somebody away.", "limit"): self._limits,
            ("connections_dropped", "Closed without a word, far above a limit.", "role"): (
                self._dropped
            ),
            ("log_lines_dropped", "Lines of standard error that nobody took.", ""): self._unlogged,
            **self._showing.gauges(),
            ("disk_octets", "Of the disk with the queue: free, and kept free.", "what"): self._disk,
            ("in_hand_octets", "Octets of bodies being delivered from memory.", ""): self._octets,
            ("reports_waiting", "Reports to other domains that wait, by kind.", "kind"): (
                self._reports_waiting
            ),
            ("reports_left_out", "Counted for reports without room, of the last days.", ""): (
                self._reports_left_out
            ),
            ("sts_policies", "Policies of MTA-STS that are kept, by whose mail.", "of"): (
                self._sts_policies
            ),
        }
        parts = ShardParts(
            given.clock, given.log, threads, given.memory.sites, given.assignment.node[0]
        )
        self._shards = [
            Shard(number, settings, replace(house, stores=own), parts, {} if n else gauges)
            for n, (number, own) in enumerate(stores.items())
        ]
        self._own = self._shards[0]
        self._local = self._door(
            "local", house.local_port(Blueprint(settings)), ListenSettings("local")
        )
        routes = read_routes(settings.document, settings.base)
        self._build(routes, outsiders(settings, given.clock, house.wire))

    def begin_stop(self, grace: float = GRACE) -> None:
        """Stop gracefully; `run` returns when it is done. Sessions and what is
        being sent have `grace` seconds each to end."""
        self._grace = grace
        self._stop.set()

    def take_up(self, settings: Settings) -> None:
        """Use changed settings from the next session and attempt on; nothing is dropped.

        ConfigError or TlsError when they cannot be used; then nothing has changed.
        """
        self._look(settings)
        # What can fail comes first: the passwords of routes, then the certificate.
        routes = read_routes(settings.document, settings.base)
        outside = outsiders(settings, self._given.clock, self._house.wire)
        take_up(self._given.watch, settings)
        self._settings = settings
        self._build(routes, outside)
        self._given.log.info("reloaded", str(settings.file))

    def _look(self, settings: Settings) -> None:
        flaws = [
            *look(settings, self._given.watch.reader),
            *unchangeable(self._settings, settings),
        ]
        if flaws:
            raise ConfigError(str(settings.file), flaws)

    def _build(self, routes: list[Route], outside: Outsiders) -> None:
        """The doors' ports and the shards' ways, from the settings in force."""
        blueprint = Blueprint(self._settings)
        self._house.guard.settings = blueprint.guard()
        for shard in self._shards:
            shard.take_up(self._settings, routes)
        self._local.give(self._house.local_port(blueprint), ListenSettings("local"))
        self._own_intake = self._house.intake(blueprint, blueprint.own_rules())
        # A reload never changes which ports there are (`system.reload`), so their order names them:
        # port 0 of one address may stand there more than once.
        for n, table in enumerate(self._settings.document.port):
            port = self._house.port(blueprint, table, outside)
            limits = replace(blueprint.listener(table), number=n)
            if n < len(self._doors):
                self._doors[n].give(port, limits)
            else:
                self._doors.append(self._door(table.role.value, port, limits))

    def _door(self, name: str, port: Port, settings: ListenSettings) -> Door:
        counted = partial(self._own.reporting.metrics.connections_in.add, name)
        told = (counted, self._session_failed)
        return Door(name, self._house, port, settings, told)

    async def _open(self) -> dict[str, float]:
        return {name: float(number) for name, number in self._standing().items()}

    def _listeners(self) -> Iterator[tuple[str, Listener]]:
        yield from ((door.name, door.listener) for door in [*self._doors, self._local])
        yield from ((door.name, door.listener) for door in self._web)

    def _standing(self) -> Counter[str]:
        standing = Counter[str]()
        for name, listener in self._listeners():
            standing[name] += len(listener)
        return standing

    @property
    def own(self) -> Shard:
        """The shard that takes in mail."""
        return self._own

    async def _reports_waiting(self) -> Mapping[str, float]:
        return await self._own.reports.waiting() if self._speaks_for_all else {}

    async def _reports_left_out(self) -> Mapping[str, float]:
        return await self._own.reports.left_out() if self._speaks_for_all else {}

    async def _sts_policies(self) -> Mapping[str, float]:
        if not self._speaks_for_all:
            return {}
        ours, strangers = await self._house.stores.policies.count()
        return {"ours": float(ours), "strangers": float(strangers)}

    @property
    def _speaks_for_all(self) -> bool:
        """One worker tells of what they share, so that nobody adds it up."""
        return self._own.number == self._given.assignment.node[0]

    async def _limits(self) -> dict[str, float]:
        return {name: float(count) for name, count in self._house.limits.totals.items()}

    async def _dropped(self) -> dict[str, float]:
        dropped = Counter[str]()
        for name, listener in self._listeners():
            dropped[name] += listener.dropped
        return dict(dropped)

    async def _unlogged(self) -> dict[str, float]:
        return {"": float(self._given.log.dropped)}

    async def _disk(self) -> dict[str, float]:
        return self._space.gauge() if self._speaks_for_all else {}

    def _kept_free(self, disk: Disk) -> int:
        return Blueprint(self._settings).kept_free(disk)

    async def _octets(self) -> dict[str, float]:
        return {"": float(self._own.delivering.octets)}

    def _session_failed(self, error: Exception) -> None:
        self._given.log.defect("session", error)

    async def run(self) -> None:
        """Serve until told to stop."""
        async with asyncio.TaskGroup() as work:
            beside = [work.create_task(chore) for chore in self._chores()]
            running = [work.create_task(shard.run()) for shard in self._shards]
            await self._serve()
            for shard in self._shards:
                shard.stop(self._grace)
            await asyncio.gather(*running)
            for task in beside:
                task.cancel()

    def _chores(self) -> list[Coroutine[None, None, None]]:
        """What runs beside the shards and must never stop them."""
        limits = keep_on("limits", self._house.limits.run, self._given.clock, self._given.log)
        told = keep_on("log", self._keep_telling, self._given.clock, self._given.log)
        space = keep_on("space", self._space.run, self._given.clock, self._given.log)
        return [limits, told, space, *self._showing.chores()]

    async def _keep_telling(self) -> None:
        """What the log could not say at once."""
        while True:
            self._given.log.catch_up()
            await self._given.clock.sleep(_TELL)

    def _note(self, event: Lifecycle) -> None:
        self._own.house.stores.journal.note(event)

    async def _serve(self) -> None:
        """Open every door, wait for the end, and return when the last session is over."""
        async with AsyncExitStack() as opened, asyncio.TaskGroup() as sessions:
            await self._open_offices(opened)
            for door, listening in zip(self._doors, self._given.ports, strict=True):
                sessions.create_task(door.run(listening))
            sessions.create_task(self._local.run(self._given.local))
            self._take_over()
            self._settle_down()
            self._given.memory.board.serve()
            self._announce()
            await self._stop.wait()
            self._given.stopping()
            self._given.memory.board.leave()
            self._take_over_no_more()
            for door in [*self._doors, self._local]:
                door.stop(self._grace)

    def _take_over(self) -> None:
        """Serve what other workers pass on."""
        if (handover := self._given.handover) is not None:
            loop = asyncio.get_running_loop()
            loop.add_reader(handover.fileno(), handover.take, self._adopt)

    def _adopt(self, port: int, accepted: socket.socket) -> None:
        self._doors[port].adopt(accepted)

    def _take_over_no_more(self) -> None:
        """But what was given until now: it would wait for whoever has this number next."""
        if (handover := self._given.handover) is not None:
            asyncio.get_running_loop().remove_reader(handover.fileno())
            handover.take(self._adopt)

    async def _open_offices(self, opened: AsyncExitStack) -> None:
        """One for each shard, and one where the whole node is asked."""
        counters: dict[int, operations.Counter] = {
            number: RemoteCounter(self._places.control_of(number))
            for number in self._given.assignment.node
        }
        for shard in self._shards:
            counter = OwnCounter(shard.office(_Doors(self, shard), self._showing.desk))
            counters[shard.number] = counter
            if len(counters) > 1:  # Alone there is nobody else who would ask.
                listening = bind_private(self._places.control_of(shard.number))
                own = serving(http.control(counter), listening, GRACE)
                await opened.enter_async_context(own)
        node = Node(counters, self._own.number, self._given.clock)
        control = serving(http.control(node), self._given.control, GRACE)
        await opened.enter_async_context(control)
        await self._open_web(opened, node)

    async def _open_web(self, opened: AsyncExitStack, node: Node) -> None:
        receiver = self._own.delivering.receiver
        pages = Pages(node, lambda: self._settings, self._showing.challenge, receiver.take_posted)
        given = self._given
        made = pages.doors(given.web, given.challenges, self._web_parts, given.watch.tls)
        for door, listening in made:
            self._web.append(door)
            await opened.enter_async_context(door.open(listening, GRACE))

    def _web_parts(self, name: str) -> WebParts:
        house = self._house
        counted = partial(self._own.reporting.metrics.connections_in.add, name)
        return WebParts(
            name,
            house.wire,
            house.memory.addresses,
            house.limits,
            house.clock,
            counted,
            self._session_failed,
        )

    @property
    def _places(self) -> Places:
        return Places(self._settings.data)

    def _settle_down(self) -> None:
        """What was made until now stays: the collector need not look at it again."""
        gc.collect()
        gc.freeze()
        # protocol.md: longest pause 1.4 ms with 200,000 live objects, 92 ms with the default.
        gc.set_threshold(20_000, 20, 50)
        # The loop and the writer pass the interpreter's lock to and fro for each statement; with
        # the default of 5 ms P1 has a tenth to a fifth fewer messages/s at the same CPU.
        sys.setswitchinterval(0.0005)

    def _announce(self) -> None:
        text = ", ".join(self._ports)
        self._given.ready(text)
        self._showing.announce()
        if self._speaks_for_all:
            for text in notices(self._places):
                self._note(Lifecycle(at=self._given.clock.now(), what=EVENT, detail=text))
        for shard in self._shards:
            shard.house.stores.journal.note(
                Lifecycle(at=self._given.clock.now(), what="started", detail=__version__)
            )

    async def submit(self, question: ask.Submission) -> ask.Queued:
        """A message of a program on this machine."""
        return await submit(self._own_intake, question)

    async def status(self, shard: Shard) -> ask.Status:
        """How the server is, as one of its shards tells."""
        queue = await shard.house.stores.queue.count()
        is_own = shard is self._own
        line = ask.WorkerLine(
            shard=shard.number,
            running=True,
            pid=os.getpid(),
            started=moment(self._started),
            connections=dict(self._standing()) if is_own else {},
            queue=queue,
            in_memory=shard.delivering.octets,
        )
        return ask.Status(
            running=True,
            version=__version__,
            pid=self._given.pid,
            started=moment(self._started),
            data=str(self._settings.data),
            config=str(self._settings.file or ""),
            ports=self._ports,
            queue=queue,
            held_sites=len(await shard.house.stores.queue.held()),
            held_senders=tuple(
                ask.HeldSender(
                    sender=hold.tenant, site=hold.site, until=moment(hold.until), why=hold.why
                )
                for hold in shard.delivering.held_tenants()[: ask.MAX_LISTED]
            ),
            suspended=await suspended(shard.house.stores),
            trouble=self._space.trouble,
            limits=dict(self._house.limits.totals) if is_own else {},
            certificates=await self._showing.ailing() if is_own else (),
            notices=notices(self._places),
            workers=(line,),
        )

    async def health(self, shard: Shard) -> ask.Health:
        """Whether a shard can store mail."""
        if self._stop.is_set():
            return ask.Health(trouble="stopping", stopping=True)
        told = notices(self._places)
        trouble = await shard.health.trouble() or self._space.trouble
        return ask.Health(trouble=trouble, notices=told)

    async def metrics(self, shard: Shard) -> list[Series]:
        """Of one shard, with its number where there are several."""
        found = await shard.reporting.metrics.series()
        if len(self._given.assignment.node) == 1:
            return found
        return [structs.replace(one, worker=str(shard.number)) for one in found]

    async def send_reports(self, shard: Shard, question: ask.SendReports) -> ask.Done:
        """Write down what a shard has counted, or send reports before their time."""
        await shard.reports.gather()
        if question.only_gather:
            return ask.Done(changed=0)
        day = day_number(question.day) if question.day else None
        return ask.Done(changed=await shard.reports.hasten(day))

    async def reload(self, question: ask.Reload) -> ask.Done:
        """Read the file again."""
        if self._settings.file is None:
            raise Mistaken("the developer's inbox has no file to read again")
        settings = await asyncio.to_thread(load, self._settings.file)
        if question.only_look:
            self._look(settings)
        else:
            self.take_up(settings)
            self._given.superior.reloaded()
        return ask.Done()

    async def restart(self) -> ask.Done:
        """Begin to replace the workers."""
        self._given.superior.restart()
        return ask.Done()

    async def stop(self) -> ask.Done:
        """Begin to stop."""
        self._given.superior.stop()
        return ask.Done()


@dataclass(frozen=True, slots=True)
class _Doors:
    """A worker as one of its shards shows it (`api.doors.Doors`)."""

    server: Server
    shard: Shard

    async def submit(self, question: ask.Submission) -> ask.Queued:
        return await self.server.submit(question)

    async def status(self, _: ask.Nothing) -> ask.Status:
        return await self.server.status(self.shard)

    async def health(self, _: ask.Nothing) -> ask.Health:
        return await self.server.health(self.shard)

    async def metrics(self, _: ask.Nothing) -> list[Series]:
        return await self.server.metrics(self.shard)

    async def send_reports(self, question: ask.SendReports) -> ask.Done:
        return await self.server.send_reports(self.shard, question)

    async def reload(self, question: ask.Reload) -> ask.Done:
        if self.shard is not self.server.own:
            return ask.Done(changed=0)  # Its worker is told by the shard that it has of its own.
        return await self.server.reload(question)

    async def restart(self, _: ask.Nothing) -> ask.Done:
        return await self.server.restart()

    async def stop(self, _: ask.Nothing) -> ask.Done:
        return await self.server.stop()


def _ports(settings: Settings, given: Surroundings) -> Iterator[str]:
    """Where we listen, with the ports that the system chose. No reload changes them."""
    document = settings.document
    for port, listening in zip(document.port, given.ports, strict=True):
        yield f"{port.role.value} {_bound(port.listen, listening)}"
    doors = document.http.doors() if document.http else ()
    for (key, end), listening in zip(doors, given.web, strict=True):
        yield f"{'https' if key == 'https' else 'http'} {_bound(end, listening)}"


def _bound(named: Endpoint, listening: socket.socket) -> Endpoint:
    return named if named.path else bound_to(listening)


def bind_private(path: Path) -> socket.socket:
    """A socket for this user alone, also where the path is too long for a socket's address."""
    with short_path(path) as short:
        return bind(Endpoint(path=short), mode=0o600)


@asynccontextmanager
async def opened(settings: Settings, given: Surroundings) -> AsyncIterator[Server]:
    """A worker over its stores, which are closed when it is left."""
    places, assignment = Places(settings.data), given.assignment
    # For `asyncio.to_thread`; who runs the loop ends it.
    asyncio.get_running_loop().set_default_executor(started_pool(_ASIDE, "aside"))
    # Several pools, so that a disk that hangs keeps nobody from logging in.
    with (
        started_pool(_HASHERS, "hash") as hashers,
        started_pool(_WRITERS, "maildir") as writers,
        started_pool(_SIGNERS, "sign") as signers,
    ):
        shards = (assignment.own, *assignment.adopted)
        open_ = partial(open_all, places, given.clock, shards)
        async with AsyncExitStack() as entered:
            stores = await when_there_is_room(entered, open_, given.ports, given)
            keeps = (installation_secret(places.secret), given.memory, given.handover)
            house = household(stores[assignment.own], given.clock, given.watch.tls, hashers, keeps)
            yield Server(settings, given, house, Threads(writers, signers), stores)
