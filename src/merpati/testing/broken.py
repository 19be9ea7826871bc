"""Servers that real mail meets and no RFC foresaw, one class each; docs name where they were seen.

Each is a `PlainServer` with one fault.
"""

from merpati.testing.plain_server import ORDER, HangUp, PlainServer


class StickySender(PlainServer):
    """Exim 4.96: after all recipients were refused, MAIL without RSET is out of order, and what
    follows goes on under the sender of before."""

    async def data(self, line: str) -> None:
        """Refused like Exim does; the transaction stays."""
        if not self.recipients:
            self.say("503 valid RCPT command must precede DATA")
            return
        await super().data(line)


class LeakyChunk(PlainServer):
    """Exim 4.96: a chunk above its limit is refused with 552 and what is left of it runs as
    commands."""

    limit = 100
    offers = ("PIPELINING", "8BITMIME", "CHUNKING")

    async def bdat(self, line: str) -> None:
        """Read only up to the limit."""
        size = int(line.split(" ")[1])
        if size <= self.limit:
            await super().bdat(line)
            return
        await self.octets(self.limit)
        self.end_transaction()
        self.say("552 message too large")


class ChunkForNobody(PlainServer):
    """go-smtp: BDAT without an accepted recipient gives 502 and the chunk runs as commands."""

    async def bdat(self, line: str) -> None:
        """Answer before the chunk is read."""
        if self.recipients:
            await super().bdat(line)
        else:
            self.say("502 5.5.1 missing RCPT TO command")


class DeafBehindDot(PlainServer):
    """Haraka 3.3: takes the message, then answers 503 to what was pipelined behind the dot."""

    offers = ("PIPELINING", "SIZE 10000000", "8BITMIME")

    async def data(self, line: str) -> None:
        """Take the message; what stands behind it already is refused."""
        await super().data(line)
        while self.has_more:
            self.ledger.commands.append(await self.line())
            self.say(ORDER)


class ErrorBudget(PlainServer):
    """Cuts off whoever was refused too often: Postfix after 20 errors, Exim after 12."""

    budget = 20

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]  # whatever a PlainServer is made of
        self._errors = 0

    def say(self, reply: str) -> None:
        """Count refusals."""
        super().say(reply)
        if reply[0] in "45":
            self._errors += 1
            if self._errors >= self.budget:
                super().say("421 4.7.0 too many errors")
                raise HangUp


class Postfix421(PlainServer):
    """Postfix: 421 in the middle of a group; the replies that are still owed never come, and the
    socket stays open."""

    at = "RCPT"
    times = 1
    """How often `at` is answered as usual before."""

    async def command(self, line: str) -> None:
        """Do as usual until it is time."""
        if line.startswith(self.at):
            if not self.times:
                self.say("421 4.3.2 service shutting down")
                await self.after_shutdown()
            self.times -= 1
        await super().command(line)

    async def after_shutdown(self) -> None:
        """Say nothing more."""
        await self.silence()


class Exim421(Postfix421):
    """Exim: 421 in the middle of a group, then 503 to the rest of it, the socket still open."""

    async def after_shutdown(self) -> None:
        """Refuse everything."""
        while True:
            await self.line()
            self.say("503 bad sequence of commands")


class SilentBehindChunk(PlainServer):
    """Exchange, as senders report: takes a chunk and never answers."""

    async def bdat(self, line: str) -> None:
        """Not a word."""
        await self.silence()


class Dropping(PlainServer):
    """nginx's mail proxy: passes CHUNKING on in EHLO, answers 250 to a chunk and drops the mail."""

    async def bdat(self, line: str) -> None:
        """Say that it was taken."""
        await self.octets(int(line.split(" ")[1]))
        self.end_transaction()
        self.say("250 2.0.0 ok")


class DoubleVerdict(PlainServer):
    """SubEtha: answers 250 twice to one message."""

    async def take(self, content: bytes) -> None:
        """Once more."""
        await super().take(content)
        self.say("250 Ok")


class ChunkAfterRefusal(PlainServer):
    """Exim before 4.96: once a recipient was refused, BDAT fails on this connection."""

    _refused = False

    def opinion_of_recipient(self, address: str) -> str:
        """Remember refusals."""
        reply = super().opinion_of_recipient(address)
        self._refused |= reply[0] == "5"
        return reply

    async def bdat(self, line: str) -> None:
        """Refuse behind a refusal."""
        if not self._refused:
            await super().bdat(line)
            return
        await self.octets(int(line.split(" ")[1]))
        self.say("503 BDAT command used when not valid")


class GoneBeforeDot(PlainServer):
    """Crashes while content comes in."""

    async def content(self) -> bytes:
        """Read a little of it."""
        self.flush()
        await self.octets(3)
        raise HangUp

    async def bdat(self, line: str) -> None:
        """The same."""
        await self.content()


class GoneBehindDot(PlainServer):
    """Crashes between the end of the content and its verdict. It may have the message."""

    async def take(self, content: bytes) -> None:
        """Take it and die."""
        self.keep(content)
        raise HangUp


class Garbage(PlainServer):
    """Answers `verb` with what is no reply."""

    verb = "MAIL"
    answer = "+OK POP3 ready"

    async def command(self, line: str) -> None:
        """Mostly as usual."""
        if line.startswith(self.verb):
            self.say(self.answer)
        else:
            await super().command(line)


class Endless(Garbage):
    """Answers with a reply that never ends; line by line, or in one line."""

    piece = "250-more and more\r\n"

    async def command(self, line: str) -> None:
        """Talk until the client goes."""
        if not line.startswith(self.verb):
            await super().command(line)
            return
        while True:
            self.stream.write(self.piece.encode() * 100)
            await self.stream.drain()


class ContentForNobody(PlainServer):
    """Says 354 though every recipient was refused (allowed by RFC 2920 §3.1)."""

    offers = ("PIPELINING",)

    async def data(self, line: str) -> None:
        """Never refuse; what comes for nobody is taken and thrown away."""
        self.say("354 go ahead")
        content = await self.content()
        if self.recipients:
            await self.take(content)
        else:
            self.end_transaction()
            self.say("250 2.0.0 delivered to nobody")


class FewRecipients(PlainServer):
    """Takes `most` recipients a transaction and answers the others with 452, or 552 as of old."""

    most = 2
    refusal = "452 4.5.3 too many recipients"

    def opinion_of_recipient(self, address: str) -> str:
        """Count."""
        if len(self.recipients) >= self.most:
            return self.refusal
        return super().opinion_of_recipient(address)


class NoParameters(PlainServer):
    """Offers extensions and answers 555 to their parameters."""

    def opinion_of_sender(self, line: str) -> str:
        """SIZE is all it knows."""
        parameters = line.split(" ")[2:]
        known = all(one.startswith("SIZE=") for one in parameters)
        return "250 2.1.0 ok" if known else "555 5.5.4 unsupported parameter"


class Greylisting(PlainServer):
    """Refuses every recipient until the host has been asked `times` times."""

    times = 1

    def opinion_of_recipient(self, address: str) -> str:
        """Count over all connections."""
        asked = sum(1 for line in self.ledger.commands if line.startswith("RCPT"))
        if asked <= self.times:
            return "451 4.7.1 greylisted, come back in five minutes"
        return super().opinion_of_recipient(address)


class Suspicious(PlainServer):
    """Refuses what b.test sends, as whoever checks its SPF record does."""

    def opinion_of_sender(self, line: str) -> str:
        """By the domain."""
        if "@b.test>" in line:
            return "550 5.7.23 SPF validation failed for b.test"
        return super().opinion_of_sender(line)


class BrokenTls(PlainServer):
    """Offers STARTTLS, says 220 and has no working TLS behind it."""

    offers = ("STARTTLS", "PIPELINING", "CHUNKING")

    async def starttls(self, line: str) -> None:
        """Plain text where a handshake is due."""
        self.say("220 2.0.0 go ahead")
        self.flush()
        await self.line_of_handshake()

    async def line_of_handshake(self) -> None:
        """Goes on in plain text."""
        self.say("500 5.5.2 what is this?")
        await self.silence()


class Injecting(BrokenTls):
    """Someone between us puts a reply in the clear behind the 220 (CVE-2021-38371)."""

    async def starttls(self, line: str) -> None:
        """In one segment."""
        self.say("220 2.0.0 go ahead\r\n250-mx.evil.test\r\n250 AUTH PLAIN")
        await self.silence()


class Busy(PlainServer):
    """Greets with a refusal."""

    greeting = "450 4.3.2 too busy"
