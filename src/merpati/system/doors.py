"""The doors for mail of one worker: a listener for each port, and what its sessions talk to.

A reload gives a door a new port for the connections to come; sessions that stand keep the port they
began with, so none is dropped.
"""

import secrets
import socket
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from weakref import WeakSet

from merpati.authenticity.examiner import Examiner, spf_check
from merpati.clock import Clock
from merpati.config.tables.port import PortTable
from merpati.dns.client import DnsClient, DnsSettings
from merpati.intake import Intake
from merpati.journal.limits import Limits
from merpati.mail.trace import Client, Tls
from merpati.node.memory import SharedMemory
from merpati.node.table import Table
from merpati.policy.forwarding import Forwarding
from merpati.policy.guard import Guard, GuardSettings
from merpati.policy.replay import Replays
from merpati.policy.rule import Facts
from merpati.policy.rules.space import disk_of
from merpati.policy.rules.table import RuleSettings, Watch, judge_of
from merpati.queue.ids import IdMaker
from merpati.reception.failures import Failures, FailureSettings
from merpati.reception.hasher import Hasher
from merpati.reception.login import Logins
from merpati.reception.port import ClientCertificates, Port, PortSettings
from merpati.reception.room import Room, RoomSettings
from merpati.system.blueprint import Blueprint
from merpati.system.identity import Outsiders
from merpati.system.stores import Stores
from merpati.wire.endpoint import Endpoint
from merpati.wire.handover import Handover
from merpati.wire.listen import Arrival, Listener, ListenSettings, Neighbours
from merpati.wire.loop import Wire
from merpati.wire.tls import TlsContext

Counted = Callable[[], None]
Failed = Callable[[Exception], None]
GRACE = 30.0
"""Seconds that sessions have to end when the server stops."""


class LocalPort(Port):
    """The socket of this machine's own programs: whoever can open its file may send."""

    def facts(self, peer: Endpoint, tls: Tls | None) -> Facts:
        """Trusted, and completed like a submission."""
        return Facts(Client(ip="", tls=tls, role="local"), trusted=True)

    @property
    def name(self) -> str:
        """It has no role of its own."""
        return "local"


@dataclass(frozen=True, slots=True)
class IntakeParts:
    """What every door into the queue of a shard needs."""

    stores: Stores
    clock: Clock
    new_id: Callable[[], str]
    meters: Table | None = None
    """What was used lately at the ports of this node."""
    examiner: Examiner | None = None
    """Of a door for strangers."""
    signatures: Table | None = None
    """How often each came by others, at all such doors of this node."""
    guard: Guard | None = None
    """Of a door for who logs in."""
    limits: Limits | None = None
    """Where those that are hit are counted."""


def intake_of(blueprint: Blueprint, rules: RuleSettings, parts: IntakeParts) -> Intake:
    """The door into the queue behind one set of rules."""
    stores, clock = parts.stores, parts.clock
    forwarding = None
    if (forwards := blueprint.forwarding()) is not None:
        forwarding = Forwarding(forwards, stores.directory, stores.stamps, clock)
    expander = blueprint.expander(stores.directory, forwarding)
    measure = partial(disk_of, blueprint.settings.data)
    return Intake(
        settings=blueprint.intake(),
        queue=stores.queue,
        journal=stores.journal,
        expander=expander,
        judge=judge_of(rules, expander, clock, measure, Watch(parts.meters, parts.guard)),
        clock=clock,
        new_id=parts.new_id,
        examiner=parts.examiner,
        replays=Replays(rules.replay, clock, parts.signatures) if parts.examiner else None,
        forwarding=forwarding,
        guard=parts.guard,
        limits=parts.limits,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Household:
    """What all doors of a worker share."""

    stores: Stores
    clock: Clock
    wire: Wire
    tls: TlsContext
    new_id: Callable[[], str]
    hasher: Hasher
    failures: Failures
    room: Room
    limits: Limits
    secret: bytes
    memory: SharedMemory
    handover: Handover | None
    guard: Guard
    _resolvers: dict[DnsSettings, DnsClient] = field(default_factory=dict)

    def resolver(self, settings: DnsSettings) -> DnsClient:
        """One for all doors of a worker, so that they share what is known and what is being asked;
        another one only when a reload names other servers."""
        if settings not in self._resolvers:
            self._resolvers.clear()
            self._resolvers[settings] = DnsClient(self.clock, settings)
        return self._resolvers[settings]

    def intake(
        self, blueprint: Blueprint, rules: RuleSettings, examiner: Examiner | None = None
    ) -> Intake:
        """The door into the queue behind one set of rules."""
        guard = self.guard if rules.has_accounts else None
        parts = IntakeParts(
            self.stores,
            self.clock,
            self.new_id,
            meters=self.memory.meters,
            examiner=examiner,
            signatures=self.memory.signatures,
            guard=guard,
            limits=self.limits,
        )
        return intake_of(blueprint, rules, parts)

    def logins(self, blueprint: Blueprint, outside: Outsiders) -> Logins:
        """Who may log in."""
        return Logins(
            directory=self.stores.directory,
            journal=self.stores.journal,
            clock=self.clock,
            hasher=self.hasher,
            failures=self.failures,
            entropy=secrets.token_bytes,
            secret=self.secret,
            hostname=blueprint.settings.hostname,
            everyone=blueprint.settings.is_inbox,
            passwords=outside.passwords,
            tokens=outside.tokens,
        )

    def port(self, blueprint: Blueprint, table: PortTable, outside: Outsiders) -> Port:
        """What the sessions of one door talk to."""
        examiner = None
        if blueprint.examines(table):
            check = spf_check(blueprint.settings.hostname, self.clock)
            resolver = self.resolver(blueprint.dns_of_doors())
            examiner = Examiner(resolver, self.clock, check, blueprint.examiner())
        intake = self.intake(blueprint, blueprint.rules(table), examiner)
        settings = blueprint.port(table)
        logins = self.logins(blueprint, outside)
        return Port(
            settings,
            intake,
            self.clock,
            logins,
            self._tls_of(settings),
            room=self.room,
            limits=self.limits,
        )

    def _tls_of(self, settings: PortSettings) -> TlsContext:
        if settings.client_certificates is ClientCertificates.OFF:
            return self.tls
        return self.tls.asking[settings.client_certificates is ClientCertificates.REQUIRED]

    def local_port(self, blueprint: Blueprint) -> Port:
        """The same for programs of this machine."""
        intake = self.intake(blueprint, blueprint.own_rules())
        settings = blueprint.own_port()
        return LocalPort(settings, intake, self.clock, room=self.room, limits=self.limits)


def household(
    stores: Stores,
    clock: Clock,
    tls: TlsContext,
    threads: Executor,
    keeps: tuple[bytes, SharedMemory, Handover | None],
) -> Household:
    """Make what all doors share; `keeps` are the installation's secret, the memory of the node, and
    the way to its other workers."""
    secret, memory, handover = keeps
    limits = Limits(stores.journal, clock)
    books = (stores.directory, stores.usage)
    guard = Guard(GuardSettings(), books, clock, secret, memory.accounts)
    guard.hit = lambda limit: limits.hit(f"accounts: {limit.value}")
    return Household(
        stores=stores,
        clock=clock,
        wire=Wire(clock),
        tls=tls,
        new_id=IdMaker(clock.now, secrets.token_bytes).make,
        hasher=Hasher(threads),
        failures=Failures(FailureSettings(), clock, memory.meters),
        room=Room(RoomSettings().divided(memory.board.workers), clock),
        limits=limits,
        secret=secret,
        memory=memory,
        handover=handover,
        guard=guard,
    )


class Door:
    """One listener and the port that its next session gets."""

    def __init__(
        self,
        name: str,
        house: Household,
        port: Port,
        settings: ListenSettings,
        told: tuple[Counted, Failed],
    ) -> None:
        """`told`: whom to tell of each connection, and of each defect."""
        self.name = name
        self._port = port
        self._counted, failed = told
        # Earlier ports live as long as their sessions hold them.
        self._ports = WeakSet([port])
        neighbours = Neighbours(house.memory.addresses, house.handover)
        self.listener = Listener(
            house.wire, self._serve, failed, settings, neighbours, starved=house.limits.starved
        )

    async def _serve(self, arrival: Arrival) -> None:
        self._counted()
        await self._port.serve(arrival)

    def give(self, port: Port, settings: ListenSettings) -> None:
        """From the next session on."""
        self._port = port
        self.listener.limit(settings)
        self._ports.add(port)

    def adopt(self, accepted: socket.socket) -> None:
        """Serve a connection that another worker has accepted."""
        self.listener.adopt(accepted)

    async def run(self, listening: socket.socket) -> None:
        """Accept until `stop`; return when the last session has ended."""
        await self.listener.run([listening])

    def stop(self, grace: float = GRACE) -> None:
        """Accept no more; sessions between transactions end now, others within the grace."""
        for port in list(self._ports):
            port.stop()
        self.listener.stop(grace)
