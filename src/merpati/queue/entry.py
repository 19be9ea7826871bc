"""What lies in the queue: a message and its unfinished recipients."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import msgspec

from merpati.mail.envelope import Body, Envelope, Recipient
from merpati.mail.sealing import Sealing
from merpati.mail.trace import Client


class State(Enum):
    """Where a recipient stands; `lifecycle.py` says how it moves. The value is what is stored."""

    WAITING = 0
    IN_HAND = 1
    """Fresh: accepted and given to the first attempt at once. A restart makes it WAITING."""
    HELD = 2
    """By an operator; only a release, a cancel or the expiry moves it."""
    DELIVERED = 3
    FAILED = 4
    EXPIRED = 5
    CANCELLED = 6

    def __init__(self, number: int) -> None:
        # Plain attributes: an Enum's own are computed at each look, and every message looks often.
        self.is_final = number >= 3
        """Finished: the row leaves the queue, the journal remembers."""


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A message as the queue keeps it. Made once by intake; never changes."""

    id: str
    """Sortable, node-free, 26 characters (ULID): the ID of `queued as ID`."""
    received: float
    expires: float
    """Seconds since 1970 UTC; after it what waits ends as EXPIRED."""
    envelope: Envelope
    """`recipients` are all that were accepted, aliases already expanded."""
    client: Client
    size: int
    """Octets of the whole content, `head` among them."""
    eight_bit: bool = False
    """Whether any octet of the content is above 127, known from reading it."""
    utf8_headers: bool = False
    is_notice: bool = False
    """A DSN or report of our own: never answered with another."""
    is_ours: bool = False
    """From a login, a trusted network or this machine: signed with the key of its author's
    domain."""
    is_bulk: bool = False
    """To many, and in no hurry: single messages go before it where both are due."""
    is_disproved: bool = False
    """Whoever it names as its sender has not sent it, as far as could be told when it came: no
    notice is for them (RFC 5321 §6.2, backscatter)."""
    waives_tls: bool = False
    """Its sender would rather have it arrive than travel in safety: what the recipients' domains
    demand of TLS does not count for it (RFC 8689 §4.1, `TLS-Required: No`)."""
    head: bytes = b""
    """What stands before the stored content: of a message that was streamed in, what is known only
    at its end and must stand on top. Whoever reads the content is given it with the rest."""
    expanded: tuple[Recipient, ...] = ()
    """Aliases of several targets: storing the message owes the sender a notice about each."""
    sealing: Sealing | None = None
    """None: it leaves without a seal."""

    @property
    def stored(self) -> int:
        """Octets of the content as it is stored."""
        return self.size - len(self.head)

    @property
    def named(self) -> tuple[Recipient, ...]:
        """Everybody that a debt can be about: `recipients`, then `expanded`."""
        return self.envelope.recipients + self.expanded


class Waiting(msgspec.Struct, frozen=True):
    """One unfinished recipient."""

    n: int
    """Its place in the entry's envelope."""
    recipient: Recipient
    state: State
    due: float
    attempts: int = 0
    delay_told: bool = False
    reply: str = ""
    """The last remote words, for the notice and for people."""
    route: str = ""
    """A route forced by an operator, else empty."""
    cause: str = ""
    """Why the last attempt failed, as a key of `diagnosis`; empty before the first one."""


class Claim(msgspec.Struct, frozen=True):
    """Recipients of one message in one lane, taken out for an attempt. Settle each exactly once."""

    entry: Entry
    domain: str
    recipients: tuple[Waiting, ...]
    body: Body | None
    """In memory when the message is fresh and small, else read it with `Queue.read`."""


class Owed(msgspec.Struct, frozen=True):
    """A notice that is due about one recipient; kept until the notice itself is stored."""

    id: int
    entry: Entry
    recipient: Recipient
    action: str
    """delivered, delayed, failed, relayed, expanded (RFC 3464 §2.3.3)."""
    at: float
    status: str
    """Enhanced status code, `5.1.1`."""
    reply: str
    """The remote words, `550 5.1.1 no such user`; empty when no host spoke."""
    host: str
    """The remote MTA that spoke; empty when none did."""
    final_address: str = ""
    until: float = 0.0
    """For `delayed`: when we give up."""
    cause: str = ""
    """Why, as a key of `diagnosis`; for what expired: why the last attempt failed."""
    damage: str = ""
    """Why the entry cannot be read: it then stands in for what nobody knows, whom to tell above
    all."""


class Notice(msgspec.Struct, frozen=True):
    """A debt to be written with a settlement: the fields of Owed that the queue does not know."""

    action: str
    status: str
    reply: str = ""
    host: str = ""
    cause: str = ""


class Settlement(msgspec.Struct, frozen=True):
    """What became of one claimed recipient, checked by `lifecycle.check_settlement`."""

    entry_id: str
    n: int
    state: State
    due: float = 0.0
    """When next, for WAITING."""
    attempted: bool = True
    """False: untouched, attempts unchanged."""
    reply: str = ""
    delay_told: bool | None = None
    notice: Notice | None = None
    cause: str = ""
    """Why the attempt failed, for WAITING."""


@dataclass(frozen=True, slots=True)
class Selection:
    """A filter for operators; every field given must match. Empty selects everything."""

    ids: Sequence[str] = ()
    domain: str = ""
    sender: str = ""
    recipient: str = ""
    state: State | None = None
    older_than: float | None = None
    """Received before this time, seconds since 1970 UTC."""
    not_before: float | None = None
    """Received at this time or later."""
    login: str = ""
    """Who logged in to send it, in lower case."""
    cause: str = ""
    """Why it waits or is held, as `Waiting` has it."""


class Listed(msgspec.Struct, frozen=True):
    """One line of `queue list`."""

    entry: Entry
    waiting: Waiting
    site: str = ""
    site_hold: float = 0.0
    site_why: str = ""


@dataclass(frozen=True, slots=True)
class ListedLane:
    """Where a domain's mail hangs; with `route`, what an operator sent another way."""

    domain: str
    route: str
    site: str
    waiting: int
    """Recipients in it that wait, or that an attempt has taken out of those that did."""
