"""Plays the server against a client's protocol core: whole, octet by octet, in random pieces."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from merpati.mail.address import Address
from merpati.mail.envelope import Envelope, Recipient
from merpati.smtp.client import ClientConnection, ClientSettings
from merpati.smtp.client_events import ClientEvent, Mailing
from merpati.smtp.outgoing import Outgoing
from merpati.smtp.rung import Rung
from merpati.testing.dialogue import split

BODY = b"Subject: hello\r\n\r\nhi\r\n"
EVERYTHING = (
    "PIPELINING",
    "SIZE 10000000",
    "8BITMIME",
    "SMTPUTF8",
    "CHUNKING",
    "BINARYMIME",
    "DSN",
    "ENHANCEDSTATUSCODES",
)


@dataclass(slots=True)
class Caller:
    """A client connection, what it was told and what came of it."""

    client: ClientConnection
    way: str = "whole"
    events: list[ClientEvent] = field(default_factory=list)

    def hear(self, *lines: str | bytes) -> list[ClientEvent]:
        """Replies of the server, each a line; octets go as they are. Gives what came of them."""
        octets = b"".join(f"{one}\r\n".encode() if isinstance(one, str) else one for one in lines)
        before = len(self.events)
        for piece in split(octets, self.way):
            self.client.receive(piece)
            while (event := self.client.next_event()) is not None:
                self.events.append(event)
        return self.events[before:]

    @property
    def said(self) -> bytes:
        """What the client wants to send since it was last asked."""
        return self.client.take()

    def begin(self, *to: str, **wishes: object) -> Mailing:
        """Begin a transaction for these recipients."""
        return self.client.begin(an_outgoing(*to, **wishes))  # type: ignore[arg-type]  # as there

    def send(self, mailing: Mailing, body: bytes = BODY) -> bytes:
        """Hand over a whole body, whose turn it is; what goes over the wire for it."""
        assert mailing.wants_body
        self.client.write_body(body)
        self.client.finish_body()
        return self.said


def an_outgoing(*to: str, sender: str = "ann@a.test", **wishes: object) -> Outgoing:
    """A message for these recipients, from ann unless told otherwise; `""` is the null sender."""
    known = {name: wishes.pop(name) for name in _OF_OUTGOING & wishes.keys()}
    envelope = Envelope(Address.parse(sender) if sender else None, **wishes)  # type: ignore[arg-type]  # the test says what
    recipients = tuple(Recipient(Address.parse(one)) for one in to or ("bob@b.test",))
    given = {"recipients": recipients, "size": len(BODY), **known}
    return Outgoing(envelope, **given)  # type: ignore[arg-type]  # likewise


_OF_OUTGOING = {
    "recipients",
    "size",
    "eight_bit",
    "utf8_headers",
    "is_lines",
    "deliver_in",
    "bare",
}


def hello_reply(offers: Iterable[str]) -> bytes:
    """The answer to EHLO of a server that offers this."""
    lines = ["mx.b.test", *offers]
    marks = ["-"] * (len(lines) - 1) + [" "]
    return "".join(f"250{mark}{line}\r\n" for mark, line in zip(marks, lines, strict=True)).encode()


def a_caller(
    way: str = "whole",
    offers: Iterable[str] = EVERYTHING,
    rung: Rung = Rung.BDAT_LOOKAHEAD,
    *,
    lmtp: bool = False,
) -> Caller:
    """A client that was greeted, has said hello and is ready for mail."""
    caller = Caller(ClientConnection(ClientSettings("us.test", lmtp), rung), way)
    caller.hear("220 mx.b.test ESMTP")
    caller.client.hello()
    assert caller.said[4:] == b" us.test\r\n"
    caller.hear(hello_reply(offers))
    caller.events.clear()
    return caller
