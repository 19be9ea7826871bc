"""The states of a server connection, and the only place that says how it moves.

Rules:
- A step that has no row in a state is out of order there: 503, and nothing moves.
- Each row has two outcomes, after a positive and after a negative answer. A refused end of data
  moves too: the transaction is over either way.
- A positive intermediate answer (3yz) to AUTH asks for another response: `more`.
- `is_alone`: the client must wait for the reply, so octets behind it are an attack or a defect.
  `is_grouped`: it may stand inside a group, when PIPELINING was offered (RFC 2920 §3.1).
- 421, a fatal mistake and QUIT lead to CLOSED from everywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum

from merpati.smtp.replies import HELLO_FIRST, NO_RECIPIENTS, OUT_OF_ORDER, Reply


class State(Enum):
    """Where a server connection stands."""

    CONNECTED = "connected"
    """The greeting was not sent yet."""
    GREETED = "greeted"
    """Greeted, or fresh after TLS or XCLIENT: no hello yet."""
    READY = "ready"
    """Hello was said; no transaction."""
    MAIL = "mail"
    """A sender, no recipient yet."""
    RCPT = "rcpt"
    """A sender and at least one recipient."""
    DATA = "data"
    """Reading dotted content."""
    CHUNK = "chunk"
    """Reading the octets of a BDAT."""
    BETWEEN_CHUNKS = "between chunks"
    """A BDAT was taken that was not the last."""
    AUTH = "auth"
    """Waiting for a response of an AUTH exchange."""
    TLS = "tls"
    """220 to STARTTLS was sent: the handshake's turn."""
    CLOSED = "closed"

    # Enum hashes names in Python; a member is one of a kind, and looked up for every command.
    __hash__ = object.__hash__


class Step(StrEnum):
    """What can happen: commands by their verb, and the events that are none."""

    CONNECT = "connect"
    HELLO = "EHLO"
    STARTTLS = "STARTTLS"
    AUTH = "AUTH"
    RESPONSE = "response"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    BDAT = "BDAT"
    OCTETS = "octets"
    CHUNK_END = "end of chunk"
    END = "end of content"
    RSET = "RSET"
    NOOP = "NOOP"
    VRFY = "VRFY"
    EXPN = "EXPN"
    HELP = "HELP"
    QUIT = "QUIT"
    XCLIENT = "XCLIENT"
    MISTAKE = "mistake"

    __hash__ = str.__hash__  # as above; the string keeps its own


@dataclass(frozen=True, slots=True)
class Row:
    """Where a step leads from one state."""

    step: Step
    yes: State
    no: State
    more: State | None = None
    is_alone: bool = False
    is_grouped: bool = False


def _alone(step: Step, yes: State, no: State, more: State | None = None) -> Row:
    return Row(step, yes, no, more, is_alone=True)


def _grouped(step: Step, yes: State, no: State) -> Row:
    return Row(step, yes, no, is_grouped=True)


def _anywhere(here: State) -> list[Row]:
    """What every state that reads commands takes, and what does not disturb it."""
    calm = (Step.NOOP, Step.VRFY, Step.EXPN, Step.HELP, Step.MISTAKE)
    return [
        _alone(Step.HELLO, State.READY, here),
        Row(Step.QUIT, State.CLOSED, here),
        *(Row(step, here, here) for step in calm),
    ]


def _in_transaction(here: State) -> list[Row]:
    return [*_anywhere(here), _grouped(Step.RSET, State.READY, here)]


_ROWS = {
    # A refusal at the door ends the connection (RFC 7504 §2 allows it with 521).
    State.CONNECTED: [_alone(Step.CONNECT, State.GREETED, State.CLOSED)],
    # RFC 5321 §4.1.4: NOOP, HELP, EXPN, VRFY and RSET need no hello.
    State.GREETED: [
        *_anywhere(State.GREETED),
        _grouped(Step.RSET, State.GREETED, State.GREETED),
    ],
    State.READY: [
        *_in_transaction(State.READY),
        _grouped(Step.MAIL, State.MAIL, State.READY),
        # RFC 4954 §4: not during a transaction.
        _alone(Step.AUTH, State.READY, State.READY, State.AUTH),
        _alone(Step.STARTTLS, State.TLS, State.READY),
        _alone(Step.XCLIENT, State.GREETED, State.READY),
    ],
    State.MAIL: [
        *_in_transaction(State.MAIL),
        _grouped(Step.RCPT, State.RCPT, State.MAIL),
    ],
    State.RCPT: [
        *_in_transaction(State.RCPT),
        _grouped(Step.RCPT, State.RCPT, State.RCPT),
        # Refused content ends the transaction, so that a pipelined RSET or MAIL finds it over.
        _alone(Step.DATA, State.DATA, State.READY),
        Row(Step.BDAT, State.CHUNK, State.READY),
    ],
    State.DATA: [
        Row(Step.OCTETS, State.DATA, State.DATA),
        Row(Step.END, State.READY, State.READY),
    ],
    State.CHUNK: [
        Row(Step.OCTETS, State.CHUNK, State.CHUNK),
        Row(Step.CHUNK_END, State.BETWEEN_CHUNKS, State.READY),
        Row(Step.END, State.READY, State.READY),
    ],
    # RFC 3030 §2: no DATA once a BDAT was taken; RSET clears what came.
    State.BETWEEN_CHUNKS: [
        *_in_transaction(State.BETWEEN_CHUNKS),
        Row(Step.BDAT, State.CHUNK, State.READY),
    ],
    # RFC 4954 §4: whatever goes wrong in an exchange ends it.
    State.AUTH: [
        _alone(Step.RESPONSE, State.READY, State.READY, State.AUTH),
        Row(Step.MISTAKE, State.READY, State.READY),
    ],
    State.TLS: [],
    State.CLOSED: [],
}

TABLE: Mapping[State, Mapping[Step, Row]] = {
    state: {row.step: row for row in rows} for state, rows in _ROWS.items()
}

FATAL = Row(Step.MISTAKE, State.CLOSED, State.CLOSED)
"""After it nothing is read any more."""

ALONE = frozenset(row.step for rows in _ROWS.values() for row in rows if row.is_alone)
"""Steps whose command must be the last octets that came, even where they are out of order."""

TRANSACTION = frozenset({State.MAIL, State.RCPT, State.DATA, State.CHUNK, State.BETWEEN_CHUNKS})
"""Between a MAIL that was taken and the end of its transaction."""


def out_of_order(state: State, step: Step) -> Reply:
    """What to say to a step that has no row in `state`."""
    if state is State.GREETED:
        return HELLO_FIRST
    if state is State.MAIL and step in (Step.DATA, Step.BDAT):
        return NO_RECIPIENTS
    return OUT_OF_ORDER
