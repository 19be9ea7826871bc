"""Carries octets between a client connection and its stream; knows how long a wait may be."""

from dataclasses import dataclass

from merpati.clock import Clock
from merpati.smtp.client import ClientConnection
from merpati.smtp.client_events import ClientEvent
from merpati.smtp.client_states import Command
from merpati.wire.errors import WireError, WireLost
from merpati.wire.stream import Stream

_PIECE = 256 * 1024


@dataclass(frozen=True, slots=True)
class ConversationSettings:
    """How a conversation is held. Times in seconds, sizes in octets (RFC 5321 §4.5.3.2)."""

    hostname: str
    """Our name in EHLO."""
    connect: float = 30.0
    greeting: float = 300.0
    hello: float = 300.0
    tls: float = 60.0
    auth: float = 120.0
    mail: float = 300.0
    """For MAIL, RCPT and RSET."""
    data: float = 120.0
    block: float = 180.0
    """For each piece of a body to leave."""
    end: float = 600.0
    """From the final octets to the verdict; less makes duplicates."""
    idle: float = 5.0
    idle_tls: float = 15.0
    age: float = 300.0
    alone: int = 1024 * 1024
    """A larger body goes with nothing behind it."""
    refused_in_a_row: int = 8
    """Fully refused transactions before a fresh connection (error budgets of Postfix and Exim)."""
    ignored: frozenset[str] = frozenset()
    """EHLO keywords, upper case, that are taken as not offered."""


def patience(settings: ConversationSettings) -> dict[Command, float]:
    """How long the reply to each command may take."""
    return {
        Command.GREETING: settings.greeting,
        Command.HELLO: settings.hello,
        Command.STARTTLS: settings.hello,
        Command.AUTH: settings.auth,
        Command.RSET: settings.mail,
        Command.MAIL: settings.mail,
        Command.RCPT: settings.mail,
        Command.DATA: settings.data,
        Command.BODY: settings.end,
        Command.CHUNK: settings.end,
        Command.LONE_DOT: settings.end,
        Command.QUIT: 1.0,
    }


class Link:
    """One open connection. Every failure is a WireError."""

    def __init__(
        self, stream: Stream, smtp: ClientConnection, clock: Clock, settings: ConversationSettings
    ) -> None:
        self.stream = stream
        self.smtp = smtp
        self._clock = clock
        self._settings = settings
        self._patience = patience(settings)

    def now(self) -> float:
        """Seconds since 1970."""
        return self._clock.now()

    def allow(self, seconds: float) -> None:
        """The next waits end within so many seconds from now."""
        self.stream.deadline = self._clock.monotonic() + seconds

    async def event(self) -> ClientEvent:
        """Send what waits, in one write, and read until the replies amount to something.

        Each reply has its time, whole: a host that sends it octet by octet gets no more.
        """
        smtp, stream = self.smtp, self.stream
        timed = -1
        while (event := smtp.next_event()) is None:
            octets = smtp.take()
            if timed != smtp.answers:
                timed = smtp.answers
                self._allow_for(smtp.waiting_for)
            if octets:
                stream.write(octets)
            elif smtp.answers:
                # RFC 1122 §4.2.3.4 meets §4.2.3.2: a server with Nagle's algorithm sends the next
                # of several replies when the last one is acknowledged, after 40 ms by default.
                # What we send acknowledges too, so this is for waits without anything to send.
                stream.quickack()
            arrived = await stream.read()
            if not arrived:
                raise WireLost("the other end closed the connection")
            smtp.receive(arrived)
        return event

    async def listen(self) -> None:
        """Take in what arrived while nobody waited, so that it is not held for an answer."""
        if not self.stream.pending:
            return
        try:
            self.smtp.receive(await self.stream.read())
        except WireError:
            return  # Whoever waits next meets it.

    async def pour(self, octets: bytes) -> None:
        """Send a piece of a large body, waiting until memory is bounded again."""
        for start in range(0, len(octets), _PIECE):
            self.smtp.write_body(octets[start : start + _PIECE])
            self.stream.write(self.smtp.take())
            self.allow(self._settings.block)
            await self.stream.drain()

    def _allow_for(self, awaited: Command | None) -> None:
        self.allow(self._settings.end if awaited is None else self._patience[awaited])
