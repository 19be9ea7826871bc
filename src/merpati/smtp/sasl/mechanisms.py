"""Which mechanisms there are, and how an exchange of each begins."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from merpati.smtp.sasl.exchange import ClientExchange, ServerExchange, ServerSide
from merpati.smtp.sasl.external import EXTERNAL, ExternalClient, ExternalServer
from merpati.smtp.sasl.passwords import LoginClient, LoginServer, PlainClient, PlainServer
from merpati.smtp.sasl.scram import PLUS, SHA_256, ScramClient, ScramServer
from merpati.smtp.sasl.tokens import OAUTHBEARER, XOAUTH2, TokenClient, TokenServer


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client proves itself with: a password, a bearer token, or its certificate."""

    username: str
    password: str = ""
    token: str = ""
    certificate: bool = False
    """The TLS handshake has proved who we are; `username` may say whom we want to be."""


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


def offered(
    *, encrypted: bool, channel_bindings: bool, tokens: bool = False, keys: bool = True
) -> tuple[str, ...]:
    """The mechanisms that a server may name in EHLO, strongest first; PLAIN and LOGIN need TLS.

    Without `keys` there are passwords whose keys for SCRAM the server does not have. EXTERNAL is
    for those who have shown a certificate, and not among these.
    """
    names: tuple[str, ...] = (SHA_256,) if keys else ()
    if channel_bindings and encrypted and keys:
        names = (PLUS, SHA_256)
    if encrypted and tokens:
        names += (OAUTHBEARER, XOAUTH2)
    # RFC 4954 §4: a mechanism that gives the password away is not offered in the clear.
    return (*names, "PLAIN", "LOGIN") if encrypted else names


def begin(mechanism: str, side: ServerSide) -> ServerExchange | None:
    """A server's exchange; None when the name is not known."""
    make = _SERVERS.get(mechanism)
    return make(side) if make else None


def choose(names: Collection[str], side: ClientSide) -> ClientExchange | None:
    """The strongest mechanism of those offered that these credentials can do; None: none.

    Raises SaslError for credentials that no mechanism can carry.
    """
    known = {name.upper() for name in names}
    who = side.credentials
    if who.certificate and side.encrypted and EXTERNAL in known:
        return ExternalClient(who.username)
    if who.certificate and not (who.password or who.token):
        return None
    if who.token:
        return _choose_token(known, side)
    if PLUS in known and side.channel_bindings:
        return ScramClient(who.username, who.password, side.nonce, side.channel_bindings, plus=True)
    if SHA_256 in known:
        # RFC 5802 §6: what we could have done is only worth saying where PLUS is not offered.
        bindings = () if PLUS in known else side.channel_bindings
        return ScramClient(who.username, who.password, side.nonce, bindings, plus=False)
    return _choose_password(known, side)


def _choose_token(known: Collection[str], side: ClientSide) -> ClientExchange | None:
    if not _may_reveal(side):
        return None
    who = side.credentials
    for name in (OAUTHBEARER, XOAUTH2):
        if name in known:
            return TokenClient(name, who.username, who.token, side.host, side.port)
    return None


def _choose_password(known: Collection[str], side: ClientSide) -> ClientExchange | None:
    if not _may_reveal(side):
        return None
    who = side.credentials
    if "PLAIN" in known:
        return PlainClient(who.username, who.password)
    return LoginClient(who.username, who.password) if "LOGIN" in known else None


def _may_reveal(side: ClientSide) -> bool:
    return side.encrypted or side.trusted_path


_SERVERS: dict[str, Callable[[ServerSide], ServerExchange]] = {
    PLUS: lambda side: ScramServer(side, plus=True),
    SHA_256: lambda side: ScramServer(side, plus=False),
    OAUTHBEARER: lambda _: TokenServer(OAUTHBEARER),
    XOAUTH2: lambda _: TokenServer(XOAUTH2),
    "PLAIN": lambda _: PlainServer(),
    "LOGIN": lambda _: LoginServer(),
    EXTERNAL: lambda _: ExternalServer(),
}
