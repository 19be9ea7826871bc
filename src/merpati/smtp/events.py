"""What a peer asked of the server. Each event waits for exactly one answer.

The connection hands out one event at a time; `answer(reply)` is what moves the state. A positive
reply (2yz, 3yz) means yes, a negative one means no; for `BodyOctets` the answer is None.
"""

from dataclasses import dataclass

import msgspec

from merpati.mail.address import Address
from merpati.mail.envelope import BodyType, DeliverBy, Notify, Return
from merpati.smtp.replies import Reply


@dataclass(frozen=True, slots=True)
class Connected:
    """The connection stands and nothing was said yet. Answer: 220, or 421/554 to turn it away."""


@dataclass(frozen=True, slots=True)
class Hello:
    """HELO, EHLO or LHLO with its domain or address literal (RFC 5321 §4.1.1.1)."""

    verb: str
    name: str
    reply: Reply
    """The positive reply with every extension that is offered now."""


@dataclass(frozen=True, slots=True)
class StartTls:
    """STARTTLS (RFC 3207). After a 220 the pump does the handshake and calls `secured`."""


@dataclass(frozen=True, slots=True)
class AuthStarted:
    """AUTH (RFC 4954). Answer 334 with a challenge to go on, 235 or a refusal to end."""

    mechanism: str
    response: bytes | None
    """The decoded initial response; None when there was none, b"" for `=`."""


@dataclass(frozen=True, slots=True)
class AuthResponse:
    """A decoded line of a running AUTH exchange."""

    response: bytes | None
    """None: the client cancelled with `*`; answer 501."""


@dataclass(frozen=True, slots=True)
class MailParameters:
    """What stood behind MAIL FROM:<…>, checked and decoded."""

    size: int | None = None
    body: BodyType = BodyType.SEVEN_BIT
    smtputf8: bool = False
    ret: Return | None = None
    envelope_id: str | None = None
    auth: str | None = None
    """AUTH= (RFC 4954 §5): a mailbox, `<>`, or None; believed from trusted peers only."""
    require_tls: bool = False
    deliver_by: DeliverBy | None = None
    """`deadline` is in seconds FROM NOW here: the core knows no time."""
    hold_for: int | None = None
    hold_until: float | None = None
    priority: int | None = None


@dataclass(frozen=True, slots=True)
class RcptParameters:
    """What stood behind RCPT TO:<…>, checked and decoded."""

    notify: Notify | None = None
    """None: NOTIFY= was not said."""
    original: str | None = None


# Structs, since each message makes one of each: a dataclass takes three times as long to make.
class MailFrom(msgspec.Struct, frozen=True):
    """MAIL: a transaction wants to begin."""

    sender: Address | None
    parameters: MailParameters


class RcptTo(msgspec.Struct, frozen=True):
    """RCPT: one recipient."""

    recipient: Address
    parameters: RcptParameters = RcptParameters()


class ContentStarted(msgspec.Struct, frozen=True):
    """DATA, or the first BDAT of a transaction, with at least one accepted recipient.

    For DATA a positive answer is 354. For BDAT a positive answer is any 2yz/3yz and is not sent;
    a negative one is sent when the chunk's octets have been swallowed.
    """

    chunking: bool


class BodyOctets(msgspec.Struct, frozen=True):
    """A piece of content before its end: undotted, right across splits. Answer None."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class ChunkReceived:
    """A BDAT that was not LAST came in whole. Answer 250 or a refusal of the transaction.

    `flaw` as in ContentReceived; answered with 250 it is told again at the end.
    """

    size: int
    flaw: Reply | None = None


class ContentReceived(msgspec.Struct, frozen=True):
    """The end of the data, or BDAT LAST. Answer by `answer`, or by `answer_each` for LMTP.

    `flaw` is set when the content broke a rule (bare CR or LF, too large, line too long): the
    answer must then be that refusal, and nothing is kept.
    """

    size: int
    flaw: Reply | None = None
    octets: bytes = b""
    """The last piece of the content: all of it, if it came in one."""


@dataclass(frozen=True, slots=True)
class Reset:
    """RSET."""


@dataclass(frozen=True, slots=True)
class Noop:
    """NOOP."""


@dataclass(frozen=True, slots=True)
class Verify:
    """VRFY (RFC 5321 §3.5.3: 252 is the honest answer)."""

    text: str


@dataclass(frozen=True, slots=True)
class Expand:
    """EXPN."""

    text: str


@dataclass(frozen=True, slots=True)
class Help:
    """HELP with its topic, possibly empty."""

    topic: str


@dataclass(frozen=True, slots=True)
class Quit:
    """QUIT. The answer is 221, then the connection is closed."""


@dataclass(frozen=True, slots=True)
class Xclient:
    """XCLIENT from a listed peer: NAME, ADDR, PORT, PROTO, HELO, LOGIN, decoded."""

    attributes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something malformed, unknown, out of order or too long. Answer with `reply`, or with 421."""

    reply: Reply
    line: bytes = b""
    """What was said, for the journal: see `lines.quote_line`. Never holds a password."""
    fatal: bool = False
    """The connection closes after the reply: what follows cannot be trusted."""


Event = (
    Connected
    | Hello
    | StartTls
    | AuthStarted
    | AuthResponse
    | MailFrom
    | RcptTo
    | ContentStarted
    | BodyOctets
    | ChunkReceived
    | ContentReceived
    | Reset
    | Noop
    | Verify
    | Expand
    | Help
    | Quit
    | Xclient
    | Mistake
)
