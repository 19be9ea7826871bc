"""Load with unique ids and content hashes; what was acknowledged is written down.

It survives the server's deaths and never sends a message twice: what was in doubt stays in doubt.
"""

import asyncio
import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field

BOX = "box"
"""The local part of the mailbox that the server has itself."""
SENDER = "load@c.test"
DOMAIN = "b.test"
"""Sender, and recipients' domain, of what says nothing else."""
FATES = ["ok"] * 62 + ["temp"] * 20 + ["perm"] * 5 + [BOX] * 10 + ["cut", "slow", "drop"]
GOOD = ["ok"] * 90 + [BOX] * 10
LINES = [3] * 10 + [40] * 10 + [200] * 10 + [5000]
"""Of 72 octets, so bodies are 200 octets to 360 KB."""
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Door:
    """Where the server takes mail."""

    port: int
    is_lmtp: bool = False


@dataclass(slots=True)
class Sent:
    """What the generator put in, message by message."""

    digests: dict[str, str] = field(default_factory=dict)
    """Of everything that was ever begun: acknowledged or in doubt."""
    offered: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Message id to recipients' local parts, of the same."""
    senders: dict[str, str] = field(default_factory=dict)
    """Message id to return path, of the same; `SENDER` where it is not named."""
    domains: dict[str, str] = field(default_factory=dict)
    """Recipient's local part to domain; `DOMAIN` where it is not named."""
    acknowledged: dict[tuple[str, str], int] = field(default_factory=dict)
    """(message id, local part) of each 250 for the content, to the `where` of that moment."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Octets of the bodies of the same."""
    refused: dict[str, int] = field(default_factory=dict)
    """How often which code was said instead, as "452 4.3.1"."""

    def put(
        self,
        name: str,
        recipients: tuple[str, ...],
        body: bytes,
        *,
        fields: bytes = b"",
        sender: str = SENDER,
    ) -> None:
        """A message is about to be sent: X-Torture field, `fields`, empty line, `body`, CRLF.

        `recipients` are addresses, or local parts where the domain is `DOMAIN`. ValueError when
        there was one of that name: two could stand in for one another.
        """
        if name in self.offered:
            raise ValueError(f"{name} was sent before")
        self.digests[name] = hashlib.sha256(fields + b"\r\n" + body + b"\r\n").hexdigest()
        self.sizes[name] = len(body)
        self.senders[name] = sender
        split = [one.partition("@") for one in recipients]
        self.offered[name] = tuple(local for local, _, _ in split)
        self.domains.update({local: domain or DOMAIN for local, _, domain in split})

    def add(self, other: "Sent") -> None:
        """Take in what another generator sent; ValueError as of `put`."""
        if both := self.offered.keys() & other.offered.keys():
            raise ValueError(f"{sorted(both)[:3]} were sent before")
        self.digests |= other.digests
        self.sizes |= other.sizes
        self.offered |= other.offered
        self.senders |= other.senders
        self.domains |= other.domains
        self.acknowledged |= other.acknowledged
        for said, times in other.refused.items():
            self.refused[said] = self.refused.get(said, 0) + times


@dataclass(frozen=True, slots=True)
class Pace:
    """How hard the generator works."""

    sessions: int = 50
    limit: int = 1_000_000
    """Messages in all."""
    pause: float = 0.3
    """Seconds between two messages of a session, on average."""
    fates: tuple[str, ...] = tuple(FATES)
    lines: tuple[int, ...] = tuple(LINES)
    domains: tuple[str, ...] = ("b.test",)
    """Of the recipients that are not here."""
    greeting: float = _PATIENCE
    """Seconds that a new connection waits for its greeting."""


class Refused(Exception):
    """The server said something else than hoped for."""


class Generator:
    """Keeps `sessions` connections busy until told to stop."""

    def __init__(self, doors: list[Door], seed: int, pace: Pace = Pace()) -> None:
        self.sent = Sent()
        self.dropped = 0
        """Connections that ended or could not be made while the server should have been there."""
        self.where: Callable[[], int] = lambda: 0
        """A place on the server's disk, for runs that cut its power."""
        self.prefix = f"{seed}"
        self._doors = doors
        self._chance = random.Random(seed)
        self._pace = pace
        self._left = pace.limit
        self._stopping = False

    def stop(self) -> None:
        """Let `run` return when what is under way has been answered."""
        self._stopping = True

    def refill(self, messages: int) -> None:
        """Let the next `run` send that many."""
        self._left = messages

    def go_on(self) -> None:
        """Let the next `run` send again."""
        self._stopping = False

    async def run(self) -> None:
        """Send until the limit or `stop`."""
        async with asyncio.TaskGroup() as group:
            for n in range(self._pace.sessions):
                group.create_task(self._client(self._doors[n % len(self._doors)]))

    async def _client(self, door: Door) -> None:
        while not self._stopping and self._left > 0:
            try:
                await self._session(door)
            except Refused:
                self._left -= 1  # Lest a limited run tries for ever.
                await asyncio.sleep(0.05)
            except (OSError, EOFError, TimeoutError):
                self._left -= 1
                self.dropped += 1
                await asyncio.sleep(0.05)  # the server is dead for a moment

    async def _session(self, door: Door) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        talk = Talk(reader, writer, self.sent)
        try:
            await talk.expect(b"220", self._pace.greeting)
            await talk.say(b"LHLO generator" if door.is_lmtp else b"EHLO generator")
            for _ in range(20):
                if self._stopping or self._left <= 0:
                    break
                self._left -= 1
                await self._send(talk, door, f"{self.prefix}-{self._left}")
                await asyncio.sleep(self._chance.uniform(0, 2 * self._pace.pause))
        finally:
            writer.close()

    async def _send(self, talk: "Talk", door: Door, name: str) -> None:
        recipients = self._recipients(name)
        sender, fields, body = f"load-{name}@c.test", _fields(name), self._body()
        content = b"X-Torture: %s\r\n%s\r\n%s\r\n" % (name.encode(), fields, body)
        addresses = tuple(f"{local}@{self._domain(local)}" for local in recipients)
        self.sent.put(name, addresses, body, fields=fields, sender=sender)
        await talk.say(f"MAIL FROM:<{sender}>".encode())
        for address in addresses:
            await talk.say(f"RCPT TO:<{address}>".encode())
        await self._content(talk, content)
        # RFC 2033 §4.2: LMTP answers for each recipient.
        for group in [(one,) for one in recipients] if door.is_lmtp else [recipients]:
            await talk.expect(b"250")
            here = self.where()
            self.sent.acknowledged.update({(name, local): here for local in group})

    async def _content(self, talk: "Talk", content: bytes) -> None:
        """By BDAT in one or two chunks, or by DATA."""
        style = self._chance.random()
        if style > 0.4:
            await talk.say(b"DATA", b"354")
            talk.write(content.replace(b"\r\n.", b"\r\n..") + b".\r\n")
            return
        middle = self._chance.randrange(len(content)) if style > 0.2 else 0
        if middle:
            talk.write(b"BDAT %d\r\n" % middle + content[:middle])
            await talk.expect(b"250")
        talk.write(b"BDAT %d LAST\r\n" % (len(content) - middle) + content[middle:])

    def _domain(self, local: str) -> str:
        return "a.test" if local == BOX else self._chance.choice(self._pace.domains)

    def _recipients(self, name: str) -> tuple[str, ...]:
        chosen = [
            self._chance.choice(self._pace.fates) for _ in range(self._chance.choice((1, 1, 3)))
        ]
        named = [fate if fate == BOX else f"{fate}-{name}-{n}" for n, fate in enumerate(chosen)]
        return tuple(dict.fromkeys(named))

    def _body(self) -> bytes:
        # Some lines begin with a dot, so that a transparency that is lost would be seen.
        line = b"%s%020d %s" % (
            self._chance.choice((b"", b"", b".", b"..")),
            self._chance.getrandbits(60),
            b"x" * 50,
        )
        return b"\r\n".join([line] * self._chance.choice(self._pace.lines))


def _fields(name: str) -> bytes:
    """Behind the X-Torture field; folded and spaced so that whoever writes them anew is seen."""
    origin = f"From: <load-{name}@c.test>\r\nMessage-ID: <{name}@c.test>\r\n"
    return f"{origin}subject:  of\r\n\t{name} \r\n".encode()


class Talk:
    """The client's side of one connection."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        sent: Sent,
        patience: float = _PATIENCE,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._sent = sent
        self._patience = patience

    def write(self, octets: bytes) -> None:
        """Send as it is."""
        self._writer.write(octets)

    async def say(self, command: bytes, code: bytes = b"250") -> None:
        """A command, and its reply."""
        self.write(command + b"\r\n")
        await self.expect(code)

    async def expect(self, code: bytes, patience: float | None = None) -> None:
        """Read one reply; Refused when it is another, EOFError after a kill."""
        async with asyncio.timeout(self._patience if patience is None else patience):
            while (line := await self._reader.readuntil(b"\r\n"))[3:4] == b"-":
                pass
        if not line.startswith(code):
            said = " ".join(line.decode("latin-1").split()[:2])
            self._sent.refused[said] = self._sent.refused.get(said, 0) + 1
            raise Refused(line.decode("latin-1"))
