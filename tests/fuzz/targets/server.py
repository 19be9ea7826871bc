"""The SMTP and LMTP server's core and the sessions around it: any octets at any state."""

import asyncio
import re
from dataclasses import replace

from merpati.mail.trace import Client, Tls, received
from merpati.reception.port import Role
from merpati.smtp import events as happened
from merpati.smtp.body import DotReader, Inspector
from merpati.smtp.content import ContentError, DottedContent
from merpati.smtp.errors import CommandError
from merpati.smtp.offer import make_offer
from merpati.smtp.outgoing import to_xtext
from merpati.smtp.parameters import decode_xtext, parse_mail_parameters, parse_rcpt_parameters
from merpati.smtp.replies import OUT_OF_TURN, Reply
from merpati.smtp.server import ServerConnection
from merpati.smtp.settings import Protocol, ServerSettings
from merpati.testing.deliveries import an_entry
from merpati.testing.dialogue import TLS, Answers, Player, split
from merpati.testing.doors import House, networks, talking
from tests.fuzz.target import Target

_REPLIES = re.compile(rb"(?:[2-5][0-9]{2}[ -][ -~]{0,508}\r\n)*")
_SETTINGS = ServerSettings(
    "mx.test", starttls=True, auth=("PLAIN", "LOGIN", "SCRAM-SHA-256"), auth_in_clear=("PLAIN",)
)
_ANSWERS: tuple[Answers, ...] = (
    {},
    {happened.RcptTo: Reply(550, "No"), happened.ContentReceived: Reply(451, "Later")},
    {happened.MailFrom: Reply(450, "Later"), happened.AuthResponse: Reply(334, "")},
    {happened.Connected: Reply(554, "No"), happened.AuthStarted: Reply(235, "Welcome")},
    {happened.RcptTo: Reply(421, "Closing")},
    {happened.ContentStarted: Reply(451, "Later"), happened.Xclient: Reply(501, "No")},
    {happened.StartTls: Reply(454, "Not now"), happened.ChunkReceived: Reply(452, "Full")},
    {happened.Connected: Reply(421, "Closing")},
)


class Play(Player):
    """Plays some octets, cut up in one way, and keeps what came of them."""

    def __init__(self, choices: int, octets: bytes, way: str) -> None:
        is_lmtp, is_secure, xclient = choices & 1, choices & 2, choices & 4
        settings = replace(_SETTINGS, protocol=Protocol.LMTP if is_lmtp else Protocol.SMTP)
        tls = TLS if is_secure else None
        connection = ServerConnection(settings, tls, xclient=bool(xclient))
        super().__init__(connection, _ANSWERS[choices >> 3 & 7])
        self.messages: list[bytes] = []
        self.sent = self.say(b"")
        for piece in split(octets, way):
            self.sent += self.say(piece)
            # 12,288 for a line; content is handed on, but for the octets of a possible end.
            assert connection.pending < 12_288
        connection.receive(b"")
        self.sent += self.say(b"")
        assert connection.is_closed
        assert connection.pending == 0
        assert _REPLIES.fullmatch(self.sent)

    def _answer(self, event: happened.Event) -> None:
        super()._answer(event)
        if isinstance(event, happened.ContentReceived):
            self.messages.append(bytes(self.content))
            self.content.clear()


def server(octets: bytes) -> None:
    """First octet: choices. However the rest is cut up, the same comes of it."""
    if not octets:
        return
    choices, said = octets[0], octets[1:4096]
    # Octet by octet nobody can speak out of turn; where somebody does, the session ends.
    single = Play(choices, said, "bytes")
    for way in ("whole", "random-1"):
        other = Play(choices, said, way)
        early = [
            n
            for n, event in enumerate(other.events)
            if isinstance(event, happened.Mistake) and event.reply is OUT_OF_TURN
        ]
        if early:
            assert other.events[: early[0]] == single.events[: early[0]]
            assert other.messages == single.messages[: len(other.messages)]
        else:
            assert other.events == single.events
            assert other.sent == single.sent
            assert other.messages == single.messages


def session(octets: bytes) -> None:
    """First octet: the port. Whole sessions: rules, logins, XCLIENT, the queue behind them."""
    if not octets:
        return
    role = (Role.MX, Role.SUBMISSION, Role.LMTP)[octets[0] % 3]
    said = asyncio.run(_session(role, octets[1:4096], is_slow=octets[0] >= 128))
    assert _REPLIES.fullmatch(said)


async def _session(role: Role, octets: bytes, *, is_slow: bool) -> bytes:
    house = House()
    xclient = networks("192.0.2.0/24")
    port = house.port(role, auth_without_tls=True, xclient=xclient, trusted=xclient)
    async with talking(port) as client:
        for piece in octets.splitlines(keepends=True) if is_slow else [octets]:
            client.stream.write(piece)
            await house.clock.advance(0)  # the session comes to rest
        await client.stream.close()
        await house.clock.advance(60)  # refused logins are held back
        return b"".join(client.stream._inbox)


_OFFER = make_offer(
    replace(_SETTINGS, auth=("PLAIN",)), Tls("TLSv1.3", "x"), xclient=True, now=1_700_000_000.0
)


def parameters(octets: bytes) -> None:
    """Parameters of MAIL and RCPT; what is understood can be said again."""
    text = octets.decode("utf-8", "replace")
    if not text.isprintable():
        return  # `decode_line` has refused it
    for parse in (parse_mail_parameters, parse_rcpt_parameters):
        try:
            parse(text, _OFFER)
        except CommandError as error:
            assert error.reply.code >= 500
    if text.isascii():
        assert decode_xtext(to_xtext(text)) == text
    decoded = decode_xtext(text)
    assert decoded is None or decoded.isascii()


def dots(octets: bytes) -> None:
    """A body that may go out comes in as it was, wherever both ways are cut."""
    if len(octets) < 2:
        return
    first, second, body = octets[0], octets[1], octets[2:]
    writer = DottedContent(len(body))
    try:
        written = b"".join(map(writer.write, _pieces(body, first))) + writer.finish()
    except ContentError:
        return
    buffer, read = bytearray(), b""
    reader, inspector = DotReader(buffer), Inspector(1 << 30, 1000)
    for piece in _pieces(written, second):
        assert not reader.has_ended
        buffer += piece
        while got := reader.read():
            read += inspector.inspect(got)
    assert reader.has_ended
    assert not buffer
    expected = body if not body or body.endswith(b"\r\n") else body + b"\r\n"
    # A line that is too long is the one flaw that content on its way out may have.
    assert inspector.flaw is not None or read + inspector.finish() == expected


def _pieces(octets: bytes, size: int) -> list[bytes]:
    step = size or len(octets) or 1
    return [octets[at : at + step] for at in range(0, len(octets), step)]


def trace(octets: bytes) -> None:
    """What a client calls itself cannot leave its place in the Received field."""
    said, _, name = octets.decode("utf-8", "replace").partition("\n")
    client = Client("192.0.2.1", name=name, helo=said).introduced(said, "", extended=True)
    line = received(client, an_entry(1).envelope, "mx.test", "ID", 0.0)
    assert line.count(b"\r\n") == 4
    assert line.endswith(b"\r\n")
    assert all(part.startswith((b"Received: ", b"\t")) for part in line.split(b"\r\n")[:-1])
    assert not set(line) - set(b"\r\n\t") - set(range(0x20, 0x7F))
    assert line.count(b";") == 1


_COMMANDS = (
    b"EHLO c\r\n", b"HELO c\r\n", b"LHLO c\r\n", b"MAIL FROM:<a@a.test>", b" SIZE=10", b"\r\n",
    b" BODY=BINARYMIME", b" BODY=8BITMIME", b" SMTPUTF8", b"MAIL FROM:<>\r\n", b".\r\n",
    b"RCPT TO:<ann@a.test>\r\n", b"RCPT TO:<b@b.test>\r\n", b"RCPT TO:<postmaster>\r\n",
    b"DATA\r\n", b"BDAT 5\r\n", b"BDAT 3 LAST\r\n", b"BDAT 0 LAST\r\n", b"BDAT 99999999999\r\n",
    b"RSET\r\n", b"NOOP\r\n", b"QUIT\r\n", b"AUTH PLAIN AGFubkBhLnRlc3QAYW5uJ3Mgc2VjcmV0\r\n",
    b"AUTH PLAIN\r\n", b"AUTH LOGIN\r\n", b"YW5uQGEudGVzdA==\r\n", b"*\r\n", b"=\r\n",
    b"AUTH SCRAM-SHA-256 biwsbj1hbm5AYS50ZXN0LHI9bm5ubm5u\r\n", b"STARTTLS\r\n", b"HELP\r\n",
    b"XCLIENT NAME=a ADDR=IPV6:2001:db8::1 PORT=25 PROTO=ESMTP HELO=x LOGIN=ann\r\n",
    b"XCLIENT ADDR=[UNAVAILABLE] PORT=[TEMPUNAVAIL]\r\n", b"VRFY a\r\n", b"EXPN a\r\n", b".",
    b"\r", b"\n", b"\r\n.\r\n", b"\n.\n", b"\r\n.\n", b"\0", b"\xff", b"hello", b"Subject: x\r\n",
    b"x" * 999, b"VRFY " + "ü".encode(), b"GET / HTTP/1.1\r\n", b"Received: x\r\n",
)  # fmt: skip
_PARAMETERS = (
    b"SIZE=", b"BODY=", b"8BITMIME", b"BINARYMIME", b"SMTPUTF8", b"RET=HDRS", b"ENVID=",
    b"AUTH=<>", b"REQUIRETLS", b"BY=120;R", b"HOLDFOR=99", b"HOLDUNTIL=2023-11-15T00:00:00Z",
    b"MT-PRIORITY=-3", b"NOTIFY=SUCCESS,FAILURE", b"NEVER", b"ORCPT=rfc822;", b"utf-8;",
    b"\\x{1F}", b"\\x{D800}", b"\\x{110000}", b"+2B", b"+", b"=", b";", b" ", b"-",
    b"99999999999999999999",
)  # fmt: skip

TARGETS = (
    # Every event and reply of three plays is kept to be compared.
    Target("server", server, _COMMANDS, longest=4096, head=b"\x04", room=4 * 1024 * 1024),
    Target("session", session, _COMMANDS, longest=4096, head=b"\x01"),
    Target("parameters", parameters, _PARAMETERS, longest=12_288),
    Target("dots", dots, (b".", b"\r\n", b"\r\n.", b"..", b"\r", b"\n", b"x"), head=b"\x03\x05"),
    Target("trace", trace, (b"(", b")", b";", b"\r\n", b"\\", "é".encode(), b" ", b"x")),
)
