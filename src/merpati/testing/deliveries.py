"""Entries, a scripted DNS and scripted hosts, for tests of what leaves the queue."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from merpati.clock import Clock
from merpati.delivery.ending import End, Ending
from merpati.delivery.lesson import Lesson, RecipientLimit, Setback, SiteMemory
from merpati.delivery.outcome import Outcome, Result
from merpati.delivery.transaction import Host, Source, Transaction, Way
from merpati.diagnosis.replies import Meaning, Refusal, Stage
from merpati.dns.errors import DnsFailure, DnsTimeout
from merpati.dns.resolver import Answer, Found, Mx
from merpati.journal.events import Attempt
from merpati.mail.address import Address
from merpati.mail.envelope import Body, Envelope, Recipient
from merpati.mail.trace import Client
from merpati.queue.entry import Entry

T = TypeVar("T")

START = 1_800_000_000.0
DAY = 86_400.0


def an_entry(
    n: int, *to: str, sender: str = "eve@b.test", size: int = 22, now: float = START
) -> Entry:
    """A message that was just accepted."""
    return Entry(
        id=f"01TEST{n:020d}",
        received=now,
        expires=now + 5 * DAY,
        envelope=Envelope(
            Address.parse(sender) if sender else None,
            tuple(Recipient(Address.parse(one)) for one in to),
        ),
        client=Client("192.0.2.7"),
        size=size,
    )


A_BODY = Body((b"Subject: hello\r\n\r\n", b"hi\r\n"))
"""Of 22 octets."""


@dataclass
class ScriptedDns:
    """A `Resolver` in dictionaries. For a name in `broken` servers say that they failed, and of one
    in `silent` nothing, in no time."""

    mxs: dict[str, tuple[tuple[int, str], ...]] = field(default_factory=dict)
    v4: dict[str, tuple[str, ...]] = field(default_factory=dict)
    v6: dict[str, tuple[str, ...]] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    """Names that exist without any record that was asked for."""
    broken: set[str] = field(default_factory=set)
    secure: set[str] = field(default_factory=set)
    """Names whose answers are validated."""
    aliases: dict[str, str] = field(default_factory=dict)
    links: set[str] = field(default_factory=set)
    """Aliases that are validated themselves, wherever they lead."""
    tlsas: dict[str, tuple[tuple[int, int, int, bytes], ...]] = field(default_factory=dict)
    txts: dict[str, tuple[bytes, ...]] = field(default_factory=dict)
    ttl: float = 300.0
    asked: int = 0
    silent: set[str] = field(default_factory=set)

    async def mx(self, domain: str) -> Answer[Mx]:
        """MX records."""
        records = tuple(Mx(*record) for record in self.mxs.get(domain, ()))
        return self._answer(domain, records)

    async def ipv4(self, host: str) -> Answer[str]:
        """A records."""
        return self._answer(host, self.v4.get(host, ()))

    async def ipv6(self, host: str) -> Answer[str]:
        """AAAA records."""
        return self._answer(host, self.v6.get(host, ()))

    async def txt(self, name: str) -> Answer[bytes]:
        """TXT records."""
        return self._answer(name, self.txts.get(name, ()))

    async def ptr(self, ip: str) -> Answer[str]:
        """None."""
        return self._answer(ip, ())

    async def tlsa(self, port: int, host: str) -> Answer[tuple[int, int, int, bytes]]:
        """TLSA records."""
        name = f"_{port}._tcp.{host}"
        return self._answer(name, self.tlsas.get(name, ()))

    async def records(self, name: str, kind: str) -> Answer[str]:
        """The alias at a name; of other types none. One that stands in `broken` as `CNAME name`
        gives no answer."""
        self.asked += 1
        if f"{kind} {name}" in self.broken:
            raise DnsFailure(f"{name} is broken")
        if kind != "CNAME" or name not in self.aliases:
            return Answer(Found.NO_DATA, ttl=self.ttl)
        return Answer(Found.RECORDS, (self.aliases[name],), self.ttl, name in self.links)

    def _answer(self, name: str, records: tuple[T, ...]) -> Answer[T]:
        self.asked += 1
        if name in self.silent:
            raise DnsTimeout(f"{name}: no answer in time")
        if name in self.broken:
            raise DnsFailure(f"{name} is broken")
        if records:
            secure, alias = name in self.secure, self.aliases.get(name, "")
            return Answer(Found.RECORDS, records, self.ttl, secure, alias)
        known = name in self.names or name in self.mxs or name in self.v4 or name in self.v6
        return Answer(Found.NO_DATA if known else Found.NO_NAME, ttl=self.ttl)


@dataclass
class ScriptedHost:
    """What one address does. By default it takes everything, a message in `seconds`."""

    seconds: float = 0.01
    connections: int = 1000
    """That it bears at once; one more is turned away with 421."""
    fails: End | None = None
    """How every connection ends before it stands."""
    verdict: Callable[[Transaction], Sequence[Outcome]] | None = None
    setback: Callable[[Transaction], Setback | None] | None = None
    """What its connections learn before a verdict."""
    max_rcpt: int = 1000
    dies: bool = False
    """Every connection is lost while its first message is under way."""
    doubts: int = 0
    """Connections that are lost behind the last octets of their first message."""
    opened: int = 0
    """Connections that stood or were turned away."""
    live: int = 0
    turned_away: int = 0
    received: list[Transaction] = field(default_factory=list)


class ScriptedHosts:
    """Makes conversations with hosts by IP address; unknown addresses are unreachable."""

    def __init__(self, clock: Clock, hosts: dict[str, ScriptedHost]) -> None:
        self._clock = clock
        self._hosts = hosts
        self.tried: list[str] = []
        self.ways: list[Way] = []

    def talk(
        self, way: Way, host: Host, memory: SiteMemory, learn: Callable[[Lesson], None]
    ) -> "ScriptedTalk":
        """A conversation that can be opened."""
        self.tried.append(host.ip)
        self.ways.append(way)
        return ScriptedTalk(self._clock, self._hosts.get(host.ip), host, learn)


class ScriptedTalk:
    """A conversation that does what its host's script says."""

    def __init__(
        self,
        clock: Clock,
        script: ScriptedHost | None,
        host: Host,
        learn: Callable[[Lesson], None],
    ) -> None:
        self._clock = clock
        self._script = script or ScriptedHost(fails=UNREACHABLE)
        self._host = host
        self._learn = learn

    async def open(self) -> End | None:
        """Stand, or fail as the script says."""
        script = self._script
        script.opened += 1
        await self._clock.sleep(0.05)
        if script.fails is not None:
            return script.fails
        if script.live >= script.connections:
            script.turned_away += 1
            return TOO_MANY
        script.live += 1
        return None

    async def run(self, source: Source) -> End:
        """Take messages until there are none for five seconds."""
        count = 0
        try:
            while (transaction := await source.wait_next(5.0)) is not None:
                await source.permit()
                await self._clock.sleep(self._script.seconds)
                if self._script.doubts:
                    self._script.doubts -= 1
                    source.finished(
                        transaction, [_in_doubt(one.n) for one in transaction.recipients]
                    )
                    return End(Ending.LOST, "the connection was reset")
                if self._script.dies:
                    source.finished(
                        transaction, [_untouched(one.n) for one in transaction.recipients]
                    )
                    return End(Ending.LOST, "the connection was reset")
                source.finished(transaction, self._outcomes(transaction))
                count += 1
        finally:
            self._script.live -= 1
        return End(Ending.IDLE, transactions=count)

    def _outcomes(self, transaction: Transaction) -> Sequence[Outcome]:
        script = self._script
        script.received.append(transaction)
        if script.setback and (setback := script.setback(transaction)):
            self._learn(setback)
        if script.verdict:
            return script.verdict(transaction)
        if len(transaction.recipients) > script.max_rcpt:
            self._learn(RecipientLimit(script.max_rcpt))
        return [
            delivered(one.n, self._host) if at < script.max_rcpt else _untouched(one.n)
            for at, one in enumerate(transaction.recipients)
        ]


UNREACHABLE = End(Ending.UNREACHABLE, "the connection was refused", Stage.CONNECT)
TOO_MANY = End(
    Ending.TURNED_AWAY,
    "421 4.7.0 too many connections",
    Stage.CONNECT,
    Meaning(Refusal.CONNECTION, "too-many-connections", permanent=False),
)


def delivered(n: int, host: Host) -> Outcome:
    """A host took it."""
    attempt = Attempt(route="test", host=host.name, ip=host.ip, port=host.port)
    return Outcome(n, Result.DELIVERED, "250 2.0.0 ok", "2.0.0", attempt=attempt)


def _in_doubt(n: int) -> Outcome:
    return Outcome(n, Result.UNKNOWN, "the connection was reset", "4.4.2", "in-doubt")


def _untouched(n: int) -> Outcome:
    return Outcome(n, Result.UNTOUCHED)
