"""A small SMTP server over any Stream that does as it should, to be broken on purpose (`broken`).

It takes pipelined groups and answers each in one write. One object is one connection; what all
connections to one host leave behind stands in their `Ledger`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from merpati.wire.errors import WireError
from merpati.wire.stream import Stream

OK = "250 2.0.0 ok"
ORDER = "503 5.5.1 bad sequence of commands"


@dataclass(frozen=True, slots=True)
class Received:
    """A message that a server took on."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes


@dataclass(slots=True)
class Ledger:
    """What reached a host, over all connections."""

    received: list[Received] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    """Every line that was read as a command."""
    segments: list[bytes] = field(default_factory=list)
    """What each read brought."""
    connections: int = 0

    def verbs(self) -> list[str]:
        """The first word of each command."""
        return [line.split(" ")[0] for line in self.commands]


class HangUp(Exception):
    """Close the connection."""


class PlainServer:
    """One connection of a server without faults; others override what they get wrong."""

    greeting = "220 mx.b.test ESMTP"
    offers: tuple[str, ...] = ("PIPELINING", "SIZE 10000000", "8BITMIME", "CHUNKING", "DSN")
    lmtp = False

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.sender: str | None = None
        self.recipients: list[str] = []
        self.verbs: dict[str, Callable[[str], Awaitable[None]]] = {
            "EHLO": self.hello,
            "LHLO": self.hello,
            "HELO": self.hello,
            "STARTTLS": self.starttls,
            "MAIL": self.mail,
            "RCPT": self.rcpt,
            "DATA": self.data,
            "BDAT": self.bdat,
            "RSET": self.rset,
            "QUIT": self.quit,
        }
        self._stream: Stream
        self._in = b""
        self._out: list[str] = []

    async def serve(self, stream: Stream) -> None:
        """The whole connection; returns when either side ends it."""
        self._stream = stream
        self.ledger.connections += 1
        try:
            await self.greet()
            while True:
                await self.command(await self.line())
        except HangUp:
            self.flush()
            await stream.close()
        except WireError:
            stream.abort()  # The client went away: nothing is left to do.

    @property
    def stream(self) -> Stream:
        """Where it is served."""
        return self._stream

    @property
    def has_more(self) -> bool:
        """Octets stand behind what was read."""
        return bool(self._in)

    def say(self, reply: str) -> None:
        """Answer, together with what else is answered before more is read."""
        self._out.append(reply + "\r\n")

    def flush(self) -> None:
        """Send the answers now."""
        octets = "".join(self._out).encode()
        self._out.clear()
        if octets:
            self._stream.write(octets)

    async def line(self) -> str:
        """The next line."""
        return (await self.until(b"\r\n")).decode()

    async def until(self, end: bytes) -> bytes:
        """Octets up to `end`, without it."""
        while end not in self._in:
            await self._read()
        found, self._in = self._in.split(end, 1)
        return found

    async def octets(self, count: int) -> bytes:
        """So many octets."""
        while len(self._in) < count:
            await self._read()
        found, self._in = self._in[:count], self._in[count:]
        return found

    async def silence(self) -> None:
        """Answer nothing more, but listen until the client goes."""
        self.flush()
        while True:
            await self._read()

    async def _read(self) -> None:
        self.flush()
        octets = await self._stream.read()
        if not octets:
            raise HangUp
        self.ledger.segments.append(octets)
        self._in += octets

    async def greet(self) -> None:
        """Say the greeting."""
        self.say(self.greeting)

    async def command(self, line: str) -> None:
        """Do and answer one command."""
        self.ledger.commands.append(line)
        act = self.verbs.get(line.split(" ")[0].upper())
        if act is None:
            self.say("500 5.5.2 unknown command")
        else:
            await act(line)

    async def hello(self, line: str) -> None:
        """EHLO, HELO or LHLO."""
        lines = ["mx.b.test", *(() if line.startswith("HELO") else self.offers)]
        self.say("\r\n".join([f"250-{one}" for one in lines[:-1]] + [f"250 {lines[-1]}"]))

    async def starttls(self, line: str) -> None:
        """Refused, unless it is offered."""
        if "STARTTLS" not in self.offers:
            self.say("502 5.5.1 no TLS here")
            return
        self.say("220 2.0.0 go ahead")
        self.flush()
        await self._stream.secure(None)

    async def mail(self, line: str) -> None:
        """Only outside a transaction."""
        if self.sender is not None:
            self.say(ORDER)
            return
        reply = self.opinion_of_sender(line)
        if reply.startswith("2"):
            self.sender = _path(line)
        self.say(reply)

    async def rcpt(self, line: str) -> None:
        """Only behind MAIL."""
        if self.sender is None:
            self.say(ORDER)
            return
        reply = self.opinion_of_recipient(_path(line))
        if reply.startswith("2"):
            self.recipients.append(_path(line))
        self.say(reply)

    async def data(self, line: str) -> None:
        """Only with a recipient; dots unstuffed."""
        if not self.recipients:
            self.say("503 5.5.1 no valid recipients")
            return
        self.say("354 go ahead")
        await self.take(await self.content())

    async def content(self) -> bytes:
        """Content up to the dot, unstuffed."""
        self._in = b"\r\n" + self._in
        content = await self.until(b"\r\n.\r\n")
        return (content + b"\r\n").replace(b"\r\n.", b"\r\n")[2:]

    async def bdat(self, line: str) -> None:
        """One chunk, which must be the last."""
        content = await self.octets(int(line.split(" ")[1]))
        if self.recipients:
            await self.take(content)
        else:
            self.say(ORDER)

    async def take(self, content: bytes) -> None:
        """The whole content is here: take the message on and say so."""
        reply = self.opinion_of_message(content)
        if reply.startswith("2"):
            self.keep(content)
        replies = [self.opinion_of_delivery(to) for to in self.recipients] if self.lmtp else [reply]
        self.end_transaction()
        for one in replies:
            self.say(one)

    def keep(self, content: bytes) -> None:
        """Write the message down."""
        self.ledger.received.append(Received(self.sender or "", tuple(self.recipients), content))

    def end_transaction(self) -> None:
        """Forget sender and recipients."""
        self.sender = None
        self.recipients = []

    async def rset(self, line: str) -> None:
        """Always allowed."""
        self.end_transaction()
        self.say(OK)

    async def quit(self, line: str) -> None:
        """Close."""
        self.say("221 2.0.0 bye")
        raise HangUp

    def opinion_of_sender(self, line: str) -> str:
        """The reply to a MAIL in order."""
        return "250 2.1.0 sender ok"

    def opinion_of_recipient(self, address: str) -> str:
        """The reply to a RCPT in order: `no…` does not exist, `later…` not now."""
        if address.startswith("no"):
            return "550 5.1.1 no such user"
        return "451 4.3.0 later" if address.startswith("later") else "250 2.1.5 recipient ok"

    def opinion_of_message(self, content: bytes) -> str:
        """The verdict: a subject of `spam` is refused."""
        return "554 5.7.1 spam" if b"Subject: spam" in content else "250 2.0.0 queued"

    def opinion_of_delivery(self, address: str) -> str:
        """The verdict for one recipient in LMTP: `full…` is full."""
        return "452 4.2.2 mailbox full" if address.startswith("full") else "250 2.1.5 delivered"


def _path(line: str) -> str:
    return line[line.index("<") + 1 : line.index(">")]
