"""A rule: looks at the facts of one moment and refuses, or lets pass."""

from collections.abc import Awaitable
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from merpati.authenticity.judgement import Judgement
from merpati.mail.address import Address
from merpati.mail.envelope import Envelope
from merpati.mail.headers import Headers
from merpati.mail.trace import Client
from merpati.policy.replay import Replayed
from merpati.policy.verdict import Verdict


class Moment(Enum):
    """When a rule can be asked."""

    CONNECT = "connect"
    HELLO = "hello"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    MESSAGE = "message"
    JUDGED = "judged"
    """Behind MESSAGE, for a message whose authenticity was examined."""

    # Enum hashes names in Python; a member is one of a kind, and looked up for every command.
    __hash__ = object.__hash__


# On CPython 3.11 a member costs ten times as much (150 ns) by its class as by a name of its own.
CONNECT, HELLO, AUTH, MAIL, RCPT, MESSAGE, JUDGED = Moment


@dataclass(slots=True)
class Facts:
    """What is known at a moment. The session owns it; rules only read."""

    client: Client
    trusted: bool = False
    """The peer is in one of the port's `trusted` networks."""
    login: Address | None = None
    envelope: Envelope | None = None
    """From MAIL on; its recipients are complete at MESSAGE."""
    recipient: Address | None = None
    """At RCPT: the one that is asked about."""
    size: int = 0
    """At MESSAGE: octets of content; at MAIL: the declared size or 0."""
    headers: Headers = field(default_factory=Headers)
    """At MESSAGE: the header section, whole."""
    now: float = 0.0
    known_recipients: int = 0
    """Accepted in this transaction, each as often as it was named."""
    different_recipients: int = 0
    """Accepted in this session, each counted once, whatever its detail (`ann+shop`)."""
    unknown_recipients: int = 0
    """Refused in this session as nobody's."""
    tags: dict[str, str] = field(default_factory=dict)
    judgement: Judgement | None = None
    """At JUDGED: what was found of the message's authenticity."""
    replayed: Replayed | None = None
    """At JUDGED: a signature of it that came too often by others than its signer."""


Answer = Verdict | None
"""What a rule says: a refusal, or None to let pass."""


class Rule(Protocol):
    """One concern, one file under `rules/`."""

    @property
    def name(self) -> str:
        """As it stands in the journal and in the documentation."""
        ...

    @property
    def moments(self) -> frozenset[Moment]:
        """When it wants to be asked."""
        ...

    def judge(self, moment: Moment, facts: Facts) -> Answer | Awaitable[Answer]:
        """A refusal or None; an `async def` where that has to be waited for.

        Never raises for anything a stranger can send.
        """
        ...
