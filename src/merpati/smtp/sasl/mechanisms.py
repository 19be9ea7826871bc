"""Which mechanisms there are, and how an exchange of each begins."""

from collections.abc import Collection
from dataclasses import dataclass

from merpati.smtp.sasl.exchange import ClientExchange, ServerExchange, ServerSide


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client proves itself with: a password or a bearer token."""

    username: str
    password: str = ""
    token: str = ""


@dataclass(frozen=True, slots=True)
class ClientSide:
    """What a client's exchange is made with."""

    credentials: Credentials
    nonce: str
    """At least 18 octets of entropy as printable ASCII without a comma; new for each exchange."""
    encrypted: bool = False
    """TLS is on. Without it nothing is used that gives the password or token away."""
    trusted_path: bool = False
    """An operator said that this unencrypted path (loopback, a tunnel) may carry passwords."""
    channel_bindings: tuple[tuple[str, bytes], ...] = ()
    host: str = ""
    port: int = 0
    """For OAUTHBEARER (RFC 7628 §3.1)."""


def offered(*, encrypted: bool, channel_bindings: bool, tokens: bool = False) -> tuple[str, ...]:
    """The mechanisms that a server may name in EHLO, strongest first; PLAIN and LOGIN need TLS."""
    raise NotImplementedError


def begin(mechanism: str, side: ServerSide) -> ServerExchange | None:
    """A server's exchange; None when the name is not known."""
    raise NotImplementedError


def choose(names: Collection[str], side: ClientSide) -> ClientExchange | None:
    """The strongest mechanism of those offered that these credentials can do; None: none."""
    raise NotImplementedError
