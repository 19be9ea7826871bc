"""Which way mail for a domain goes: to a mailbox here, to a fixed host, or to the domain's MX.

Local domains come first, then the operator's routes in their order, then the MX. An operator may
force a single recipient onto another way; it is written like the `to` of a route.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from urllib.parse import SplitResult, unquote, urlsplit

from merpati.delivery.backing import UNBACKED, Backing
from merpati.delivery.transaction import NO_SWITCHES, Switches, TlsDemand, Way
from merpati.directory.directory import Directory
from merpati.errors import MerpatiError
from merpati.mail.address import AddressError, parse_domain
from merpati.wire.tls import ClientCertificate


class RouteError(MerpatiError):
    """Text that names no way; says what is wrong and what is allowed."""


class Kind(Enum):
    """What stands at the end of a route."""

    MAILBOX = "mailbox"
    """A Maildir of ours, one for each recipient."""
    KEEP = "keep"
    """The developer's inbox: one Maildir for everything."""
    HOST = "host"
    """A host that is named: a smarthost, or an LMTP server over TCP or a Unix socket."""
    MX = "mx"
    """The hosts that the domain's MX records name."""


@dataclass(frozen=True, slots=True)
class Route:
    """One way. `name` is what the journal and operators see; it holds no secret."""

    kind: Kind
    name: str
    host: str = ""
    """A name or an IP address; for a Unix socket its path."""
    port: int = 0
    """0 for a Unix socket."""
    lmtp: bool = False
    implicit_tls: bool = False
    tls: TlsDemand = TlsDemand.OPPORTUNISTIC
    username: str = ""
    password: str = ""
    certificate: ClientCertificate | None = None
    """What we show of ourselves; it stands for a login where the host takes it for one."""
    match: tuple[str, ...] = ("*",)
    """Recipient domains: exact, `*.a.test` for all below it, `*` for all."""
    switches: Switches = NO_SWITCHES
    heeds: bool = True
    """What a domain demands of TLS, the recipient's or that of a smarthost, is asked for and
    counts; what the route itself demands always does. False for messages that waive it."""

    @property
    def is_here(self) -> bool:
        """Whether delivery is final and needs no connection."""
        return self.kind in (Kind.MAILBOX, Kind.KEEP)

    @property
    def policy_domain(self) -> str:
        """The domain whose policy of MTA-STS a smarthost is held to: its own name (RFC 8461 §3.4).

        Empty where there is nobody to ask: an IP address, and a name of one label, which nobody on
        the Internet has, are no domains; LMTP is not SMTP. Nor where the operator wants no TLS.
        """
        if self.kind is not Kind.HOST or self.lmtp or self.tls is TlsDemand.OFF or not self.heeds:
            return ""
        try:
            domain = parse_domain(self.host.rstrip("."))
        except AddressError:
            return ""
        return domain if "." in domain else ""

    def site(self, base: str = "", backing: Backing = UNBACKED) -> str:
        """The name of a site on this route; what is talked to differently is another site."""
        name = base or self.name
        demand = "" if self.tls is TlsDemand.OPPORTUNISTIC else f"tls={self.tls.value}"
        waived = "" if self.heeds or self.kind is Kind.MX else "sts=waived"
        told = "&".join(filter(None, (demand, str(backing), waived, str(self.switches))))
        return f"{name}?{told}" if told else name

    def way(self, site: str, backing: Backing = UNBACKED) -> Way:
        """How to talk to the hosts of a site on this route."""
        return Way(
            site=site,
            route=self.name,
            lmtp=self.lmtp,
            implicit_tls=self.implicit_tls,
            tls=self.tls,
            username=self.username,
            password=self.password,
            certificate=self.certificate,
            switches=self.switches,
            backing=backing,
            policy_domain=self.policy_domain,
        )


MAILBOX = Route(Kind.MAILBOX, "mailbox:")
KEEP = Route(Kind.KEEP, "keep:")
BY_MX = Route(Kind.MX, "mx:")

_FIXED = {route.name: route for route in (MAILBOX, KEEP, BY_MX)}
# RFC 5321 §4.5.4.2, RFC 8314 §7.3; LMTP has no port of its own (RFC 2033 §5), 24 is the custom.
_PORTS = {"smtp": 25, "smtps": 465, "lmtp": 24}
_ALLOWED = (
    "smtp://host:port, smtps://host:port, lmtp://host:port, each with user:password@ before the "
    "host if it wants a login; lmtp:unix:/path, mx: or mailbox:"
)


class Routes:
    """The routes of one server, in order."""

    def __init__(
        self, directory: Directory, routes: Sequence[Route] = (), keep_all: bool = False
    ) -> None:
        self._directory = directory
        self._routes = tuple(routes)
        self._keep_all = keep_all
        self._by_text = {route.name: route for route in self._routes}
        self._exact: dict[str, int] = {}
        """The first route of each domain that is named whole: there may be thousands."""
        self._endings: list[tuple[int, str]] = []
        """The others, in order: the place of the route, and how its domains end."""
        for place, route in enumerate(self._routes):
            for pattern in route.match:
                if pattern.startswith("*"):
                    self._endings.append((place, pattern[1:]))
                else:
                    self._exact.setdefault(pattern, place)

    @property
    def hosts(self) -> set[str]:
        """The sites of the hosts that the operator's routes name."""
        return {route.site() for route in self._routes if route.kind is Kind.HOST}

    def choose(self, domain: str, forced: str = "") -> Route:
        """The way for a recipient domain. RouteError only for a forced route that is none.

        A forced route that an operator configured is taken with its login and TLS.
        """
        if self._keep_all:
            return KEEP
        if forced:
            return self._by_text.get(forced) or parse_route(forced)
        if self._directory.is_local(domain):
            return MAILBOX
        place = self._place(domain)
        return BY_MX if place is None else self._routes[place]

    def _place(self, domain: str) -> int | None:
        """The first that was written for `domain` (lower case, A-labels)."""
        whole = self._exact.get(domain)
        for place, ending in self._endings:
            if whole is not None and whole < place:
                break
            if domain.endswith(ending):
                return place
        return whole


def parse_route(to: str, match: Sequence[str] = ("*",), tls: TlsDemand | None = None) -> Route:
    """A route as it is written in `to`; RouteError says what is wrong with it.

    Without `tls` a route that shows a password to a host elsewhere requires TLS: a wish could be
    stripped by whoever is in between (RFC 8314 §5.2), and with it the password.
    """
    pattern = tuple(domain.lower() for domain in match)
    if to in _FIXED:
        fixed = _FIXED[to]
        return Route(fixed.kind, fixed.name, tls=tls or TlsDemand.OPPORTUNISTIC, match=pattern)
    if to.startswith("lmtp:unix:"):
        return _unix(to, pattern)
    return _host(to, pattern, tls)


def _unix(to: str, match: tuple[str, ...]) -> Route:
    path = to.removeprefix("lmtp:unix:")
    if not path.startswith("/"):
        raise RouteError(f"{to!r}: a Unix socket needs an absolute path, lmtp:unix:/path")
    return Route(Kind.HOST, to, host=path, lmtp=True, tls=TlsDemand.OFF, match=match)


def _host(to: str, match: tuple[str, ...], tls: TlsDemand | None) -> Route:
    url = _split(to)
    host, port = _place(to, url)
    username, password = unquote(url.username or ""), unquote(url.password or "")
    demand = tls or _demand(host, bool(username))
    name = _shown(url.scheme, username, host, port)
    _check_secrets(name, host, username, password, demand)
    if url.scheme == "smtps" and demand is TlsDemand.OFF:
        raise RouteError(f"{name}: smtps is TLS from the first octet; with tls off use smtp://")
    return Route(
        Kind.HOST,
        name,
        host=host,
        port=port,
        lmtp=url.scheme == "lmtp",
        implicit_tls=url.scheme == "smtps",
        tls=demand,
        username=username,
        password=password,
        match=match,
    )


def _split(to: str) -> SplitResult:
    try:
        url = urlsplit(to)
    except ValueError as error:
        raise RouteError(f"{_without_login(to)!r}: {error}; allowed: {_ALLOWED}") from None
    if url.scheme not in _PORTS or "://" not in to:
        raise RouteError(f"{_without_login(to)!r} is no route; allowed: {_ALLOWED}")
    if url.path not in ("", "/") or url.query or url.fragment:
        raise RouteError(f"{_without_login(to)!r}: nothing may follow the port")
    return url


def _place(to: str, url: SplitResult) -> tuple[str, int]:
    try:
        port = url.port
    except ValueError:
        raise RouteError(f"{_without_login(to)!r}: a port is a number up to 65535") from None
    if not url.hostname or any(char in " \t\r\n" for char in to):
        raise RouteError(f"{_without_login(to)!r} names no host; allowed: {_ALLOWED}")
    if port == 0:
        raise RouteError(f"{_without_login(to)!r}: port 0 cannot be connected to")
    return url.hostname, port or _PORTS[url.scheme]


def _demand(host: str, shows_password: bool) -> TlsDemand:
    if shows_password and not _is_loopback(host):
        return TlsDemand.REQUIRED
    return TlsDemand.OPPORTUNISTIC


def _check_secrets(name: str, host: str, username: str, password: str, demand: TlsDemand) -> None:
    if bool(username) != bool(password):
        raise RouteError(f"{name}: a login needs both user and password, user:password@host")
    if username and demand is not TlsDemand.REQUIRED and not _is_loopback(host):
        raise RouteError(f"{name}: a password is sent only with tls = required")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _shown(scheme: str, username: str, host: str, port: int) -> str:
    place = f"[{host}]" if ":" in host else host
    login = f"{username}@" if username else ""
    return f"{scheme}://{login}{place}:{port}"


def _without_login(to: str) -> str:
    scheme, separator, rest = to.partition("://")
    return scheme + separator + rest.rpartition("@")[2]
