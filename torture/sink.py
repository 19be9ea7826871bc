"""A recording SMTP sink that shares no code with the server under test.

Recipients choose their fate by the first word of their local part:

    ok      taken                                        temp    450 the first two times
    perm    550 always                                   slow    taken, half a second late
    cut     taken, the connection is lost behind the     drop    the connection is lost at RCPT
            final dot the first time                             the first time

What is taken is kept by message id, envelope and content hash. Notices (from the null sender) are
kept in the same order, with the recipients that they give up.

The sink also counts interruptions: `strike` and `calm` raise the epoch before and behind each, so
that even epochs are calm and odd ones struck.
"""

import asyncio
import hashlib
import re
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path

Key = tuple[str, str]
"""(message id from the X-Torture field, recipient's local part)"""

STALL = 0.5
"""Seconds that `slow` is late."""
_NOTICED = 10.0
"""Seconds within which a connection of ours ends by itself when it was broken off."""
_LIMIT = 1 << 24
_FINAL = re.compile(rb"^Final-Recipient: *rfc822; *(\S+)", re.M | re.I)
_FAILED = re.compile(rb"^Action: *failed\b", re.M | re.I)
_NAMED = re.compile(rb"^X-Torture: (\S+)\r\n", re.M)
_FIELD = re.compile(rb"^([^\s:]+):", re.M)
_RETURN = re.compile(rb"^Return-Path: *<([^>]*)>", re.M | re.I)


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
    sender: str = ""
    """The return path."""
    domains: tuple[str, ...] = ()
    """Of the recipients."""
    front: tuple[str, ...] = ()
    """Names, in lower case, of the header fields before ours."""
    gives_up: tuple[str, ...] = ()
    """Addresses of which it says, as a notice, that they failed."""
    is_in_doubt: bool = False
    """Whether the server could not hear that it was taken."""


@dataclass(frozen=True, slots=True)
class Strike:
    """What an interruption can have cost."""

    workers: int
    """How many of them were killed: each may have forgotten what it had in flight."""
    repeats: int = 1
    """How often one of them may have been interrupted in it."""


def read_message(
    content: bytes, recipients: tuple[str, ...], epoch: int, place: int = 0, sender: str = ""
) -> Taken:
    """What a message says of itself; the digest is of all octets behind the X-Torture field.

    `recipients` are addresses, or local parts.
    """
    head = content[: content.find(b"\r\n\r\n") + 2]
    named = _NAMED.search(head)
    front = head[: named.start()] if named else head
    split = [one.partition("@") for one in recipients]
    return Taken(
        message=named[1].decode() if named else "?",
        recipients=tuple(local for local, _, _ in split),
        digest=hashlib.sha256(content[named.end() :] if named else content).hexdigest(),
        epoch=epoch,
        place=place,
        sender=sender,
        domains=tuple(domain for _, _, domain in split),
        front=tuple(name.decode("latin-1").lower() for name in _FIELD.findall(front)),
    )


def read_failed(notice: bytes) -> tuple[str, ...]:
    """Addresses that a notice gives up; none when it is not one (RFC 3464 §2.3)."""
    groups = [one for one in notice.split(b"\r\n\r\n") if _FAILED.search(one)]
    return tuple(found[1].decode("latin-1") for one in groups if (found := _FINAL.search(one)))


class Sink:
    """Listens on loopback; everything it saw stays in memory."""

    def __init__(self, *, offers_chunking: bool = False, tls: ssl.SSLContext | None = None) -> None:
        self.offers_chunking = offers_chunking
        self.tls = tls
        """With one, STARTTLS is offered."""
        self.plain = 0
        """Transactions that began without TLS."""
        self.taken: list[Taken] = []
        """Messages and notices, in the order in which they came."""
        self.tries: Counter[str] = Counter()
        """How often each fateful recipient was named."""
        self.epoch = 0
        """Odd while the server is struck."""
        self.strikes: dict[int, Strike] = {}
        """What each could cost, by its epoch."""
        self.is_kind = False
        """Whether everything but `perm` is taken at once, whatever its name says."""
        self.refuses_all = False
        """Whether every recipient is told to come later."""
        self.where: Callable[[], int] = lambda: 0
        """A place on the server's disk, for runs that cut its power."""
        self.port = 0
        self._server: asyncio.Server | None = None
        self._standing: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}
        self.unheard: dict[asyncio.StreamWriter, Taken] = {}
        """What was taken last over each connection, while nothing has come behind it."""

    def strike(self) -> None:
        """The server may be interrupted from now on."""
        if self.epoch % 2:
            raise ValueError(f"struck twice in epoch {self.epoch}")
        self.epoch += 1

    def calm(self, strike: Strike) -> None:
        """It is over, and was this."""
        if not self.epoch % 2:
            raise ValueError(f"no strike in epoch {self.epoch}")
        self.strikes[self.epoch] = strike
        self.epoch += 1

    async def caught_up(self) -> None:
        """Return when what had come by now is read, or lies in our own buffers."""
        for _ in range(3):  # Of the turns of the loop, one polls the sockets behind the last word.
            await asyncio.sleep(0)

    async def start(self, port: int = 0, host: str = "127.0.0.1") -> None:
        """Listen on `port` of loopback, or on one that is free."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=_LIMIT)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more, break off what stands, and return when it has noticed."""
        if self._server is not None:
            self._server.close()
        # What the server had not read yet of these replies is gone.
        unheard = {id(one) for one in self.unheard.values()}
        self.taken = [
            replace(one, is_in_doubt=True) if id(one) in unheard else one for one in self.taken
        ]
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
            self.unheard.pop(writer, None)
            writer.close()

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        await _Session(self, reader, writer).run()

    def keep(
        self,
        content: bytes,
        sender: str,
        recipients: tuple[str, ...],
        epoch: int,
        *,
        is_in_doubt: bool,
    ) -> Taken:
        """A message or a notice was taken, which came in that epoch."""
        one = read_message(content, recipients, epoch, self.where(), sender)
        gives_up = () if sender else read_failed(content)
        self.taken.append(replace(one, gives_up=gives_up, is_in_doubt=is_in_doubt))
        return self.taken[-1]


class _Session:
    """One connection of the server under test."""

    def __init__(
        self, sink: Sink, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._sink = sink
        self._reader = reader
        self._writer = writer
        self._recipients: list[str] = []
        self._sender = ""
        self._is_over = False
        self._has_tls = False
        self._epoch = sink.epoch
        """In which what was read last came."""

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
        while not self._is_over and (line := await self._come(self._reader.readline())):
            self._sink.unheard.pop(self._writer, None)
            await commands.get(line[:4].upper(), self._unknown)(line)

    async def _come(self, reading: Coroutine[None, None, bytes]) -> bytes:
        """What is read, and in which epoch it came.

        What came while we stalled is here already, so that reading it waits for no turn of the
        loop. Whoever sent it may be dead since then, in an epoch that is over.
        """
        turns: list[None] = []
        turn = asyncio.get_running_loop().call_soon(turns.append, None)
        octets = await reading
        turn.cancel()
        if turns:
            self._epoch = self._sink.epoch
        return octets

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
        self._sender = _path(line) if line[:4].upper() == b"MAIL" else ""
        self._say("250 ok")

    async def _rcpt(self, line: bytes) -> None:
        address = _path(line)
        local = _local(address)
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
            self._recipients.append(address)
            self._say("250 ok")

    async def _data(self, _: bytes) -> None:
        if not self._recipients:
            self._say("503 no recipients")
            return
        self._say("354 go")
        content = await self._come(self._reader.readuntil(b"\r\n.\r\n"))
        await self._take(content[:-3].replace(b"\r\n..", b"\r\n."))

    async def _bdat(self, line: bytes) -> None:
        await self._take(await self._come(self._reader.readexactly(int(line.split()[1]))))

    async def _take(self, content: bytes) -> None:
        cuts = not self._sink.is_kind and any(map(self._is_cut, self._recipients))
        recipients = tuple(self._recipients)
        # What lay in our buffers when we broke off, no reply can tell of any more.
        is_in_doubt = cuts or self._writer.transport.is_closing()
        one = self._sink.keep(
            content, self._sender, recipients, self._epoch, is_in_doubt=is_in_doubt
        )
        self._sink.unheard[self._writer] = one
        if not self._sink.is_kind and any(one.startswith("slow") for one in recipients):
            await asyncio.sleep(STALL)
        if cuts:
            self._is_over = True
            return
        self._recipients = []
        self._say("250 taken")

    def _is_cut(self, address: str) -> bool:
        """Whether the connection is lost instead of the reply: the first time."""
        return address.startswith("cut") and self._sink.tries[_local(address)] == 1

    async def _quit(self, _: bytes) -> None:
        self._is_over = True
        self._say("221 bye")

    async def _unknown(self, _: bytes) -> None:
        self._say("500 what")


def _path(line: bytes) -> str:
    """What stands in the angle brackets of MAIL or RCPT."""
    return line.partition(b"<")[2].partition(b">")[0].decode("latin-1")


def _local(address: str) -> str:
    return address.partition("@")[0]


def read_maildir(folder: Path) -> list[Taken]:
    """What lies in the mailbox `DOMAIN/LOCAL`; the return path is that of its first field.

    A file is named after its message, so what is delivered again replaces its first copy: a second
    file of one message has no excuse.
    """
    recipient = f"{folder.name}@{folder.parent.name}"
    return [_filed(_wired(one.read_bytes()), recipient) for one in sorted(folder.glob("new/*"))]


def _filed(content: bytes, recipient: str) -> Taken:
    path = _RETURN.search(content[: content.find(b"\r\n\r\n") + 2])
    sender = path[1].decode("latin-1") if path else "nobody"
    return read_message(content, (recipient,), 0, sender=sender)


def _wired(content: bytes) -> bytes:
    """With the line ends of the wire."""
    return content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
