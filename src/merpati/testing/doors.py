"""Doors for mail over memory: a port with everything behind it, and a client that talks to it."""

import asyncio
import ipaddress
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import ParamSpec, TypeVar, cast

from merpati.authenticity.examiner import Examiner
from merpati.directory.expansion import Expander
from merpati.identity.checker import PasswordChecker, TokenChecker
from merpati.intake import Intake, IntakeSettings
from merpati.journal.events import Fact
from merpati.journal.limits import Limits
from merpati.mail.address import Address
from merpati.node.table import Table, TableSettings
from merpati.policy.forwarding import Forwarding, ForwardingSettings
from merpati.policy.replay import Replays
from merpati.policy.rules.space import Measure
from merpati.policy.rules.table import RuleSettings, judge_of
from merpati.queue.ids import IdMaker
from merpati.reception.failures import Failures, FailureSettings
from merpati.reception.hasher import Hasher
from merpati.reception.login import Logins
from merpati.reception.port import Network, Port, PortSettings, Role
from merpati.smtp.sasl.mechanisms import ClientSide, Credentials, choose
from merpati.testing.clock import VirtualClock
from merpati.testing.memory import MemoryJournal, MemoryQueue
from merpati.testing.memory_stamps import MemoryStamps
from merpati.testing.pipes import PipeStream, Split, stream_pair, whole
from merpati.testing.residents import Residents
from merpati.wire.connection import Connection
from merpati.wire.endpoint import Endpoint
from merpati.wire.listen import Arrival, Crowd

T = TypeVar("T", bound=Fact)
P = ParamSpec("P")
R = TypeVar("R")

HOSTNAME = "mx.a.test"
STRANGER = "192.0.2.7"
_FORWARDS = ForwardingSettings(HOSTNAME)


class Inline(Executor):
    """Runs at once what it is given, so that no test waits for a thread."""

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """The result, or what was raised."""
        future: Future[R] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def entropy(size: int) -> bytes:
    """The same every time."""
    return bytes(range(size))


@dataclass
class House:
    """A host with domain a.test, where ann and bob live. All of it can be replaced before use."""

    clock: VirtualClock = field(default_factory=VirtualClock)
    residents: Residents = field(default_factory=Residents)
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    rules: RuleSettings = field(default_factory=RuleSettings)
    failures: FailureSettings = field(default_factory=FailureSettings)
    postmaster: Address | None = None
    measure: Measure | None = None
    examiner: Examiner | None = None
    passwords: PasswordChecker | None = None
    tokens: TokenChecker | None = None
    stamps: MemoryStamps = field(default_factory=MemoryStamps)
    forwards: ForwardingSettings = _FORWARDS
    signatures: Table = field(default_factory=lambda: Table(TableSettings()))

    def __post_init__(self) -> None:
        self.queue = MemoryQueue(self.clock, self.journal)
        self.limits = Limits(self.journal, self.clock)
        self.executor = Inline()
        self.residents.domains.add("a.test")
        for name in ("ann", "bob"):
            self.residents.move_in(f"{name}@a.test", f"{name}'s secret", f"{name}'s app secret")

    def intake(self) -> Intake:
        """The door into this house's queue."""
        forwarding = Forwarding(self.forwards, self.residents, self.stamps, self.clock)
        expander = Expander(self.residents, HOSTNAME, self.postmaster, returns=forwarding)
        return Intake(
            settings=IntakeSettings(HOSTNAME),
            queue=self.queue,
            journal=self.journal,
            expander=expander,
            judge=judge_of(self.rules, expander, self.clock, self.measure),
            clock=self.clock,
            new_id=IdMaker(self.clock.now, entropy).make,
            examiner=self.examiner,
            replays=Replays(self.rules.replay, self.clock, self.signatures),
            forwarding=forwarding,
            limits=self.limits,
        )

    def logins(self) -> Logins:
        """Who may log in, under this house's limits."""
        return Logins(
            directory=self.residents,
            journal=self.journal,
            clock=self.clock,
            hasher=Hasher(self.executor),
            failures=Failures(self.failures, self.clock),
            entropy=entropy,
            secret=b"lasting",
            hostname=HOSTNAME,
            everyone=self.rules.inbox,
            passwords=self.passwords,
            tokens=self.tokens,
        )

    def port(self, role: Role = Role.MX, **settings: object) -> Port:
        """A port of this role; `settings` are those of PortSettings."""
        needs_login = role in {Role.SUBMISSION, Role.SUBMISSIONS}
        self.rules = replace(self.rules, login_required=needs_login)
        base = PortSettings(role, HOSTNAME)
        return Port(
            replace(base, **settings),  # type: ignore[arg-type]  # the caller names what exists
            self.intake(),
            self.clock,
            self.logins(),
            tls=object(),
            limits=self.limits,
        )

    async def events(self, kind: type[T]) -> list[T]:
        """What the journal has of one kind, in order."""
        told = await self.journal.follow(0, 10_000)
        return [event for _, event in told if isinstance(event, kind)]


@dataclass
class Talker:
    """A client on the other end of a session."""

    stream: PipeStream
    clock: VirtualClock
    unread: bytes = b""

    async def reply(self) -> str:
        """The next reply: its lines joined by `\n`, without CRLF; empty at the end."""
        lines = []
        while line := await self._line():
            lines.append(line)
            if line[3:4] != "-":
                break
        return "\n".join(lines)

    async def say(self, *lines: str) -> str:
        """Say these lines, one after the other's reply; the last reply."""
        reply = ""
        for line in lines:
            self.stream.write(line.encode() + b"\r\n")
            reply = await self.reply()
        return reply

    async def start_tls(self) -> None:
        """STARTTLS, the handshake and a new EHLO."""
        assert (await self.say("STARTTLS")).startswith("220")
        await self.stream.secure(object())
        await self.say("EHLO client.test")

    async def login(self, username: str, password: str) -> str:
        """AUTH PLAIN with an initial response; time passes while a refusal is held back."""
        token = b64encode(f"\0{username}\0{password}".encode()).decode()
        answer = asyncio.ensure_future(self.say(f"AUTH PLAIN {token}"))
        await self.clock.advance(0.0)
        while not answer.done():
            await self.clock.advance(1.0)
        return await answer

    async def scram(self, username: str, password: str) -> str:
        """AUTH SCRAM-SHA-256-PLUS; the last reply. The server has to prove itself as well."""
        bindings = self.stream.tls.channel_bindings
        side = ClientSide(Credentials(username, password), "n" * 24, True, False, bindings)
        exchange = choose(["SCRAM-SHA-256-PLUS"], side)
        assert exchange
        initial = b64encode(exchange.initial() or b"").decode()
        reply = await self.say(f"AUTH {exchange.mechanism} {initial}")
        while reply.startswith("334"):
            response = exchange.respond(b64decode(reply[4:]))
            reply = await self.say(b64encode(response).decode())
        if reply.startswith("235"):
            exchange.succeeded()
        return reply

    async def send(self, content: bytes, *recipients: str, sender: str = "eve@b.test") -> str:
        """A whole transaction; the reply to the end of the data, or the first refusal."""
        named = [f"MAIL FROM:<{sender}>", *[f"RCPT TO:<{each}>" for each in recipients], "DATA"]
        for line in named:
            if not (reply := await self.say(line)).startswith(("2", "3")):
                return reply
        self.stream.write(content + b".\r\n")
        return await self.reply()

    async def _line(self) -> str:
        while b"\r\n" not in self.unread:
            octets = await self.stream.read()
            if not octets:
                return ""
            self.unread += octets
        line, _, self.unread = self.unread.partition(b"\r\n")
        return line.decode()


@asynccontextmanager
async def talking(
    port: Port, ip: str = STRANGER, *, split: Split = whole, crowd: Crowd | None = None
) -> AsyncIterator[Talker]:
    """A client from `ip`, connected to `port`; it hangs up at the end."""
    clock = port.clock
    assert isinstance(clock, VirtualClock)
    ours, theirs = stream_pair(clock, split)
    ours.peer = Endpoint(ip, 49152)
    async with asyncio.TaskGroup() as group:
        arrival = Arrival(cast(Connection, ours), ours.peer, ours.local, crowd)
        group.create_task(port.serve(arrival))
        talker = Talker(theirs, clock)
        yield talker
        await theirs.close()


@asynccontextmanager
async def greeted(port: Port, ip: str = STRANGER, *, split: Split = whole) -> AsyncIterator[Talker]:
    """The same, with greeting and EHLO (or LHLO) behind it."""
    async with talking(port, ip, split=split) as talker:
        assert (await talker.reply()).startswith("220")
        hello = "LHLO" if port.is_lmtp else "EHLO"
        assert (await talker.say(f"{hello} client.test")).startswith("250")
        yield talker


def networks(*texts: str) -> tuple[Network, ...]:
    """As PortSettings wants them."""
    return tuple(map(ipaddress.ip_network, texts))
