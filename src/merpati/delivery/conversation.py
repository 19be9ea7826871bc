"""One connection to one host, drawing transactions from a source until a reason to end."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from merpati.clock import Clock
from merpati.delivery.ending import End
from merpati.delivery.lesson import Lesson, SiteMemory
from merpati.delivery.security import Security
from merpati.delivery.transaction import Host, Source, Way
from merpati.journal.events import Event
from merpati.wire.stream import Stream

Dial = Callable[[Host, float], Awaitable[Stream]]
"""Connect within so many seconds, or raise WireError. Plain TCP or a Unix socket."""


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
    rcpt: float = 300.0
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
    strict_eight_bit: bool = False
    """True: 8-bit content is not sent to a host without 8BITMIME (RFC 6152 §3); 5.6.3 instead."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a conversation is given by its owner."""

    settings: ConversationSettings
    dial: Dial
    clock: Clock
    entropy: Callable[[int], bytes]
    """So many unguessable octets: `secrets.token_bytes`."""
    note: Callable[[Event], None]
    """Takes the Opened event for the journal."""
    learn: Callable[[Lesson], None]
    """Takes what is learned, at once."""


_NOTHING_KNOWN = SiteMemory()


class Conversation:
    """One connection. `open` once, then `run` once; `run` closes.

    Cancelling `run` settles what is in hand first: UNKNOWN for what waits for the verdict on its
    last octets, UNTOUCHED for the rest. Neither method raises for anything a host can do.
    """

    def __init__(
        self,
        way: Way,
        host: Host,
        security: Security,
        surroundings: Surroundings,
        memory: SiteMemory = _NOTHING_KNOWN,
    ) -> None:
        raise NotImplementedError

    async def open(self) -> End | None:
        """Connect, greet, secure, log in, and note the Opened event. None: ready to `run`."""
        raise NotImplementedError

    async def run(self, source: Source) -> End:
        """Draw transactions until a reason to end, settle each exactly once, then close."""
        raise NotImplementedError
