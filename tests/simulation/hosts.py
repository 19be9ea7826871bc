"""The hosts of a run: servers that behave, each connection as its host does at that time."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from merpati.testing import broken
from merpati.testing.plain_server import HangUp, Ledger, PlainServer
from merpati.testing.simulation.network import Fate, Network, Place, SimulatedStream
from tests.simulation.plan import NARROW


@dataclass(slots=True, eq=False)
class Copy:
    """A message that a host took on."""

    host: str
    end: SimulatedStream
    sender: str
    recipients: tuple[str, ...]
    content: bytes
    mark: int | None = None
    """Octets that the host has sent when its verdict is out; None: it was never said."""

    @property
    def verdict_was_read(self) -> bool:
        """The worker has read, on this connection, all of the verdict."""
        return self.mark is not None and self.end.other.received >= self.mark


class Recording(PlainServer):
    """In front of every server: tells what it keeps, and knows the recipients of a run."""

    host: "SimulatedHost"

    def keep(self, content: bytes) -> None:
        """Tell."""
        super().keep(content)
        end = self.stream
        assert isinstance(end, SimulatedStream)
        self._copy = Copy(self.host.name, end, self.sender or "", tuple(self.recipients), content)
        self.host.kept(self._copy)

    async def take(self, content: bytes) -> None:
        """Note where the verdict ends among what is sent."""
        self._copy: Copy | None = None
        await super().take(content)
        if self._copy is not None:
            assert isinstance(self.stream, SimulatedStream)
            self._copy.mark = self.stream.sent + len("".join(self._out))

    def opinion_of_recipient(self, address: str) -> str:
        """Some do not exist, some are never or only later to be had."""
        if address.startswith("soon-"):
            asked = self.host.asked[address] = self.host.asked.get(address, 0) + 1
            if asked <= 2:
                return "450 4.2.1 mailbox is busy"
        return super().opinion_of_recipient(address)


class TurnsAway(PlainServer):
    """Has enough connections."""

    greeting = "421 4.7.0 too many connections from you"

    async def greet(self) -> None:
        """And hang up."""
        self.say(self.greeting)
        raise HangUp


class SlowDown(PlainServer):
    """Complains of our rate at MAIL."""

    def opinion_of_sender(self, line: str) -> str:
        """Each time."""
        return "450 4.7.28 rate limit exceeded, slow down"


class Full(PlainServer):
    """Has no room."""

    def opinion_of_sender(self, line: str) -> str:
        """Each time."""
        return "452 4.3.1 insufficient system storage"


class Reputation(PlainServer):
    """Does not like our address."""

    greeting = "554 5.7.1 192.0.2.7 is on our blocklist"


class Spam(PlainServer):
    """Refuses every content."""

    def opinion_of_message(self, content: bytes) -> str:
        """Each time."""
        return "554 5.7.1 this looks like spam"


class Narrow(PlainServer):
    """Is well, takes its time over each message, and bears two connections at once."""

    host: "SimulatedHost"

    async def greet(self) -> None:
        """Or hang up."""
        if self.host.open > 2:
            self.say(TurnsAway.greeting)
            raise HangUp
        await super().greet()

    async def take(self, content: bytes) -> None:
        """Later."""
        await asyncio.sleep(2.0)
        await super().take(content)


class Lmtp(PlainServer):
    """Speaks LMTP."""

    lmtp = True


_CLASSES: Mapping[str, type[PlainServer]] = {
    "plain": PlainServer,
    "lmtp": PlainServer,
    "greylisting": broken.Greylisting,
    "few-recipients": broken.FewRecipients,
    "no-parameters": broken.NoParameters,
    "turns-away": TurnsAway,
    "busy": broken.Busy,
    "slow-down": SlowDown,
    "full": Full,
    "reputation": Reputation,
    "spam": Spam,
    "sticky-sender": broken.StickySender,
    "leaky-chunk": broken.LeakyChunk,
    "chunk-for-nobody": broken.ChunkForNobody,
    "deaf-behind-dot": broken.DeafBehindDot,
    "error-budget": broken.ErrorBudget,
    "postfix-421": broken.Postfix421,
    "exim-421": broken.Exim421,
    "silent-behind-chunk": broken.SilentBehindChunk,
    "double-verdict": broken.DoubleVerdict,
    "chunk-after-refusal": broken.ChunkAfterRefusal,
    "gone-before-dot": broken.GoneBeforeDot,
    "gone-behind-dot": broken.GoneBehindDot,
    "garbage": broken.Garbage,
    "content-for-nobody": broken.ContentForNobody,
    "broken-tls": broken.BrokenTls,
    NARROW: Narrow,
    "dies-anywhere": PlainServer,
    "silent-anywhere": PlainServer,
}


@dataclass(slots=True)
class SimulatedHost:
    """One address."""

    name: str
    ip: str
    network: Network
    chance: Random
    kept: Callable[[Copy], None]
    lmtp: bool = False
    mode: str = "plain"
    share: float = 1.0
    asked: dict[str, int] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    connections: int = 0
    open: int = 0
    """Of them, now."""

    def place(self) -> Place:
        """Where it answers."""
        return Place(self.serve, fate=self._fate)

    def _fate(self) -> Fate:
        latency = self.network.latency()
        fate = Fate(lambda: latency)
        if self.chance.random() < self.share:
            behind = self.chance.randint(1, 3000)
            if self.mode == "dies-anywhere":
                fate.breaks_after = behind
            elif self.mode == "silent-anywhere":
                fate.falls_silent_after = behind
        return fate

    async def serve(self, stream: SimulatedStream) -> None:
        """One connection."""
        self.connections += 1
        mode = self.mode if self.chance.random() < self.share else "plain"
        kind = _CLASSES[mode]
        bases = (Recording, Lmtp, kind) if self.lmtp else (Recording, kind)
        server = type(kind.__name__, bases, {"host": self})(self.ledger)
        stream.deadline = self.network.loop.time() + 3600.0
        self.open += 1
        try:
            await server.serve(stream)
        finally:
            self.open -= 1
