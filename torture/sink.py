"""A recording SMTP sink that shares no code with the server under test.

Recipients choose their fate by the first word of their local part:

    ok      taken                                        temp    450 the first two times
    perm    550 always                                   slow    taken, half a second late
    cut     taken, the connection is lost behind the     drop    the connection is lost at RCPT
            final dot the first time                             the first time

What is taken is kept by message id, recipient and content hash. Notices (from the null sender) are
read for the recipients that they give up.
"""

import asyncio
import hashlib
import re
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Key = tuple[str, str]
"""(message id from the X-Torture field, recipient's local part)"""

STALL = 0.5
"""Seconds that `slow` is late."""
_NOTICED = 10.0
"""Seconds within which a connection of ours ends by itself when it was broken off."""
_LIMIT = 1 << 24
_FAILED = re.compile(rb"^Final-Recipient: *rfc822; *([^@\s]+)@", re.M | re.I)
_NAMED = re.compile(rb"^X-Torture: *(\S+)", re.M | re.I)


@dataclass(frozen=True, slots=True)
class Taken:
    """One transaction that was taken, or one file that was found in a mailbox."""

    message: str
    recipients: tuple[str, ...]
    digest: str
    epoch: int
    """How many interruptions the server had seen by then."""
    place: int = 0
    """What `Sink.where` said at that moment."""


def read_message(content: bytes, recipients: tuple[str, ...], epoch: int, place: int = 0) -> Taken:
    """What a message says of itself; the digest is of its body alone."""
    head, _, body = content.partition(b"\r\n\r\n")
    named = _NAMED.search(head)
    digest = hashlib.sha256(body.removesuffix(b"\r\n")).hexdigest()
    return Taken(named[1].decode() if named else "?", recipients, digest, epoch, place)


class Sink:
    """Listens on loopback; everything it saw stays in memory."""

    def __init__(self, *, offers_chunking: bool = False, tls: ssl.SSLContext | None = None) -> None:
        self.offers_chunking = offers_chunking
        self.tls = tls
        """With one, STARTTLS is offered."""
        self.plain = 0
        """Transactions that began without TLS."""
        self.taken: list[Taken] = []
        self.in_doubt: set[Key] = set()
        """Taken, but the server was cut off before it could hear so."""
        self.notices: Counter[str] = Counter()
        """Local parts that notices gave up."""
        self.noticed_at: dict[str, int] = {}
        """The place of the first notice of each."""
        self.tries: Counter[str] = Counter()
        """How often each fateful recipient was named."""
        self.epoch = 0
        self.is_kind = False
        """Whether everything but `perm` is taken at once, whatever its name says."""
        self.refuses_all = False
        """Whether every recipient is told to come later."""
        self.where: Callable[[], int] = lambda: 0
        """A place on the server's disk, for runs that cut its power."""
        self.port = 0
        self._server: asyncio.Server | None = None
        self._standing: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}

    async def start(self, port: int = 0, host: str = "127.0.0.1") -> None:
        """Listen on `port` of loopback, or on one that is free."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=_LIMIT)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more, break off what stands, and return when it has noticed."""
        if self._server is not None:
            self._server.close()
        talks = [talk for talk in self._standing.values() if talk is not None]
        for writer in self._standing:
            writer.transport.abort()
        if talks:
            await asyncio.wait(talks, timeout=_NOTICED)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._standing[writer] = asyncio.current_task()
        try:
            await self.converse(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # The server under test was killed: that is what this is for.
        finally:
            del self._standing[writer]
            writer.close()

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        await _Session(self, reader, writer).run()

    def keep(self, content: bytes, recipients: tuple[str, ...]) -> None:
        """A message from a real sender was taken."""
        self.taken.append(read_message(content, recipients, self.epoch, self.where()))

    def note(self, content: bytes) -> None:
        """A notice was taken."""
        for local in _FAILED.findall(content):
            self.notices[local.decode()] += 1
            self.noticed_at.setdefault(local.decode(), self.where())


class _Session:
    """One connection of the server under test."""

    def __init__(
        self, sink: Sink, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._sink = sink
        self._reader = reader
        self._writer = writer
        self._recipients: list[str] = []
        self._is_notice = False
        self._is_over = False
        self._has_tls = False

    async def run(self) -> None:
        self._say("220 sink")
        commands = {
            b"EHLO": self._ehlo,
            b"STAR": self._starttls,
            b"MAIL": self._begin,
            b"RSET": self._begin,
            b"RCPT": self._rcpt,
            b"DATA": self._data,
            b"BDAT": self._bdat,
            b"QUIT": self._quit,
        }
        while not self._is_over and (line := await self._reader.readline()):
            await commands.get(line[:4].upper(), self._unknown)(line)

    def _say(self, reply: str) -> None:
        self._writer.write(reply.encode() + b"\r\n")

    async def _ehlo(self, _: bytes) -> None:
        chunking = "250-CHUNKING\r\n" if self._sink.offers_chunking else ""
        starttls = "250-STARTTLS\r\n" if self._sink.tls and not self._has_tls else ""
        self._say(f"250-sink\r\n250-PIPELINING\r\n{chunking}{starttls}250 8BITMIME")

    async def _starttls(self, _: bytes) -> None:
        if self._sink.tls is None:
            self._say("500 what")
            return
        self._say("220 go")
        await self._writer.start_tls(self._sink.tls)
        self._has_tls = True

    async def _begin(self, line: bytes) -> None:
        self._recipients = []
        self._sink.plain += line[:4].upper() == b"MAIL" and not self._has_tls
        self._is_notice = b"<>" in line
        self._say("250 ok")

    async def _rcpt(self, line: bytes) -> None:
        local = line.split(b"<", 1)[1].split(b"@", 1)[0].decode()
        fate = local.split("-", 1)[0]
        if self._sink.refuses_all:
            self._say("452 4.2.2 mailbox full")
            return
        if fate == "perm":
            self._say("550 5.1.1 no such user")
            return
        self._sink.tries[local] += 1
        if not self._sink.is_kind and fate == "temp" and self._sink.tries[local] <= 2:
            self._say("450 4.2.0 try again")
        elif not self._sink.is_kind and fate == "drop" and self._sink.tries[local] == 1:
            self._is_over = True
        else:
            self._recipients.append(local)
            self._say("250 ok")

    async def _data(self, _: bytes) -> None:
        if not self._recipients:
            self._say("503 no recipients")
            return
        self._say("354 go")
        content = await self._reader.readuntil(b"\r\n.\r\n")
        await self._take(content[:-3].replace(b"\r\n..", b"\r\n."))

    async def _bdat(self, line: bytes) -> None:
        await self._take(await self._reader.readexactly(int(line.split()[1])))

    async def _take(self, content: bytes) -> None:
        if self._is_notice:
            self._sink.note(content)
        else:
            self._sink.keep(content, tuple(self._recipients))
            if not self._sink.is_kind and await self._spoil(content):
                return
        self._recipients = []
        self._say("250 taken")

    async def _spoil(self, content: bytes) -> bool:
        """Be late, or gone, where a recipient asks for it."""
        if any(local.startswith("slow") for local in self._recipients):
            await asyncio.sleep(STALL)
        cut = [one for one in self._recipients if one.startswith("cut") and self._is_first(one)]
        if cut:
            message = read_message(content, (), 0).message
            self._sink.in_doubt.update((message, local) for local in self._recipients)
            self._is_over = True
        return bool(cut)

    def _is_first(self, local: str) -> bool:
        return self._sink.tries[local] == 1

    async def _quit(self, _: bytes) -> None:
        self._is_over = True
        self._say("221 bye")

    async def _unknown(self, _: bytes) -> None:
        self._say("500 what")


def read_maildir(folder: Path) -> list[Taken]:
    """What lies in a mailbox; its owner's name is the recipient.

    A file is named after its message, so what is delivered again replaces its first copy.
    """
    files = sorted((folder / "new").glob("*"))
    return [read_message(_wired(file.read_bytes()), (folder.name,), 0) for file in files]


def _wired(content: bytes) -> bytes:
    """With the line ends of the wire."""
    return content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
