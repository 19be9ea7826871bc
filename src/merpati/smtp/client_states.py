"""The tables of the client: what may be done when, and which replies can answer what.

GREETING ── 220 ──> GREETED ── hello ──> HELLO ── 250 ──> READY <──> SECURING, LOGIN
READY ── begin ──> ENVELOPE ── all replies in, somebody accepted ──> BODY
                      │ nobody accepted                              │ finish
                      └──> READY                                     v
READY <── verdict ── VERDICT ── begin (lookahead) ──> VERDICT, then ENVELOPE
any ── 421, nonsense, a failed BDAT ──> OVER
"""

from enum import Enum, IntEnum


class Phase(Enum):
    """Where a client connection stands."""

    GREETING = "greeting"
    GREETED = "greeted"
    HELLO = "hello"
    READY = "ready"
    SECURING = "securing"
    LOGIN = "login"
    ENVELOPE = "envelope"
    BODY = "body"
    VERDICT = "verdict"
    QUITTING = "quitting"
    OVER = "over"


class Act(Enum):
    """What the owner of a connection can do."""

    HELLO = "say hello"
    START_TLS = "start TLS"
    LOG_IN = "log in"
    BEGIN = "begin a transaction"
    WRITE_BODY = "write content"
    QUIT = "quit"


ALLOWED: dict[Act, tuple[Phase, ...]] = {
    # RFC 5321 §4.1.4: EHLO may come again at any time, as after STARTTLS it must.
    Act.HELLO: (Phase.GREETED, Phase.READY),
    Act.START_TLS: (Phase.READY,),
    Act.LOG_IN: (Phase.READY,),
    Act.BEGIN: (Phase.READY, Phase.VERDICT),
    Act.WRITE_BODY: (Phase.BODY,),
    Act.QUIT: (Phase.GREETED, Phase.READY),
}


class Command(IntEnum):
    """What a reply is owed for."""

    GREETING = 0
    HELLO = 1
    STARTTLS = 2
    AUTH = 3
    RSET = 4
    MAIL = 5
    RCPT = 6
    DATA = 7
    BODY = 8
    """The final dot."""
    CHUNK = 9
    """BDAT n LAST."""
    LONE_DOT = 10
    """The end of content that is for nobody (RFC 2920 §3.1)."""
    QUIT = 11


_YES = frozenset({2, 4, 5})

ANSWERS: tuple[frozenset[int], ...] = (
    # The classes that can answer each command, in the order above. Another one means that replies
    # and commands no longer belong together: nothing after it can be believed.
    _YES,  # GREETING
    _YES,  # HELLO
    _YES,  # STARTTLS
    frozenset({2, 3, 4, 5}),  # AUTH
    _YES,  # RSET
    _YES,  # MAIL
    _YES,  # RCPT
    frozenset({3, 4, 5}),  # DATA
    _YES,  # BODY
    _YES,  # CHUNK
    _YES,  # LONE_DOT
    _YES,  # QUIT
)
