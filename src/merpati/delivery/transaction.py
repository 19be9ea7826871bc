"""What a conversation sends, and where it gets it from: the seam between one connection and a site.

A `Source` belongs to a site (`pool`); a `Conversation` is one connection that draws from it.
"""

import ipaddress
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import msgspec

from merpati.delivery.backing import UNBACKED, Backing
from merpati.delivery.outcome import Outcome
from merpati.mail.address import Address
from merpati.mail.envelope import Body
from merpati.queue.entry import Entry, Waiting
from merpati.wire.tls import ClientCertificate


class TlsDemand(Enum):
    """How a route wants TLS."""

    OFF = "off"
    OPPORTUNISTIC = "opportunistic"
    """Encrypt when offered, accept any certificate, fall back to plain text."""
    REQUIRED = "required"
    """Encrypted with a certificate that is valid for the host's name, or not at all."""


@dataclass(frozen=True, slots=True)
class Host:
    """One address to try."""

    name: str
    """As the MX or the route names it; what a certificate must be for. Empty for a Unix socket."""
    ip: str
    """IPv4 or IPv6 text, or the path of a Unix socket."""
    port: int = 25

    @property
    def is_here(self) -> bool:
        """Whether it is of this machine: a Unix socket, or an address of loopback."""
        return not self.name or ipaddress.ip_address(self.ip).is_loopback


@dataclass(frozen=True, slots=True)
class Switches:
    """What an operator knows of a route's hosts that they do not say themselves."""

    lookahead: bool = True
    """The next message's envelope may leave behind a body."""
    ehlo_ignore: frozenset[str] = frozenset()
    """Keywords of EHLO, upper case, that are taken as not said."""
    connections: int | None = None
    """At most so many at once."""
    max_messages: int | None = None
    """At most so many a connection."""
    max_recipients: int | None = None
    """At most so many a transaction."""
    bounce_listed_after: float | None = None
    """Seconds; mail that old is returned where the site refuses this server. None: as usual."""

    def __str__(self) -> str:
        """Those that differ from the defaults, for the name of a site: `lookahead=no&…`."""
        told = {
            "lookahead": "" if self.lookahead else "no",
            "ehlo_ignore": ",".join(sorted(self.ehlo_ignore)),
            "connections": self.connections,
            "max_messages": self.max_messages,
            "max_recipients": self.max_recipients,
            "bounce_listed_after": _seconds(self.bounce_listed_after),
        }
        return "&".join(f"{name}={value}" for name, value in told.items() if value)


def _seconds(time: float | None) -> str:
    return "" if time is None else f"{time:g}"


NO_SWITCHES = Switches()


@dataclass(frozen=True, slots=True)
class Way:
    """How to talk to the hosts of a site."""

    site: str
    route: str
    """The route as the configuration names it, for the journal."""
    lmtp: bool = False
    implicit_tls: bool = False
    tls: TlsDemand = TlsDemand.OPPORTUNISTIC
    username: str = ""
    password: str = ""
    certificate: ClientCertificate | None = None
    """What we show of ourselves within TLS."""
    switches: Switches = NO_SWITCHES
    backing: Backing = UNBACKED
    policy_domain: str = ""
    """See `Route.policy_domain`."""


class Transaction(msgspec.Struct, frozen=True):
    """One message for up to `max_rcpt` recipients of one site, all with the same return path."""

    entry: Entry
    recipients: tuple[Waiting, ...]
    body: Body | Callable[[], AsyncIterator[bytes]]
    top: bytes = b""
    """Header fields that go before the content: signatures."""

    @property
    def return_path(self) -> Address | None:
        """The sender that the host is told, where it is not the envelope's."""
        return self.recipients[0].recipient.return_path if self.recipients else None

    def to(self, recipients: tuple[Waiting, ...]) -> "Transaction":
        """The same for these of its recipients."""
        return Transaction(self.entry, recipients, self.body, self.top)


class Source(Protocol):
    """Where a conversation gets its next transaction and leaves the results."""

    def next(self) -> Transaction | None:
        """The next ready transaction, taken for this connection; None: nothing is ready."""
        ...

    async def wait_next(self, seconds: float) -> Transaction | None:
        """The same, waiting up to `seconds`; None also when the connection should close."""
        ...

    async def permit(self) -> None:
        """Wait for one of this worker's 64 places between last octet and commit of the verdict.

        Taken before the final octets leave; given back when the outcome was settled, by whoever
        settles.
        """
        ...

    def finished(self, transaction: Transaction, outcomes: Sequence[Outcome]) -> None:
        """Called exactly once for each transaction taken, with one outcome for each recipient."""
        ...
