"""What a merpati.toml must be beyond the types of its keys: how keys fit one another."""

import ipaddress
import json
from collections.abc import Iterator

from merpati.config.acme import check_acme
from merpati.config.document import Document
from merpati.config.errors import Flaw
from merpati.config.locate import Lines, Path
from merpati.config.logins import check_templates, ldap_server, web_url
from merpati.config.read import say
from merpati.config.routes import configured
from merpati.config.tables.http import HttpTable
from merpati.config.tables.login import LoginLdapTable, LoginOauthTable, LoginTable
from merpati.config.tables.port import PortTable
from merpati.config.tables.route import RouteTable
from merpati.delivery.route import RouteError
from merpati.identity.ldap.names import TemplateError
from merpati.mail.address import AddressError, parse_domain
from merpati.reception.port import ClientCertificates, Role
from merpati.wire.endpoint import Endpoint


def is_loopback(end: Endpoint) -> bool:
    """Only this machine can reach it."""
    return not end.ip or ipaddress.ip_address(end.ip).is_loopback


def check(document: Document, lines: Lines) -> list[Flaw]:
    """Every contradiction, with its line."""
    found = [
        *_names(document),
        *_ports(document),
        *_tls(document),
        *check_acme(document),
        *_routes(document),
        *_login(document),
        *_dns(document),
        *_queue(document),
        *_mta_sts(document),
        *_autoconfig(document),
        *_forwarding(document),
    ]
    return [Flaw(say(path), lines.of(path), what, hint) for path, what, hint in found]


Found = Iterator[tuple[Path, str, str]]


def _names(document: Document) -> Found:
    if not document.hostname:
        return
    try:
        name = parse_domain(document.hostname)
    except AddressError as error:
        name = f"[{error}]"
    # RFC 5321 §2.3.5: EHLO and Received name the server by its domain name.
    if name.startswith("["):
        shown = json.dumps(document.hostname, ensure_ascii=False)
        yield ("hostname",), f"{shown} is no domain name", 'Allowed: a name like "mail.a.test"'


def _ports(document: Document) -> Found:
    taken: dict[Endpoint, int] = {}
    for n, port in enumerate(document.port):
        first = taken.setdefault(port.listen, n)
        if first != n and port.listen.port:
            yield ("port", n, "listen"), f"port {first + 1} listens there already", ""
        yield from _port(n, port)
    if document.http is not None:
        yield from _http(document.http, taken)


def _http(http: HttpTable, taken: dict[Endpoint, int]) -> Found:
    if not http.doors():
        yield ("http",), "opens no door", 'Write listen = "127.0.0.1:8026", https = "[::]:443"'
    for name, end in http.doors():
        if end.port and end in taken:
            yield ("http", name), f"port {taken[end] + 1} listens there already", ""
    if http.https and http.https.port and http.https == http.listen:
        yield ("http", "https"), "is the same as listen, which has no TLS", ""
    if http.https and http.https.path:
        yield ("http", "https"), "is no address with a port", 'Example: https = "[::]:443"'


def _port(n: int, port: PortTable) -> Found:
    if port.auth_without_tls and not is_loopback(port.listen):
        yield (
            ("port", n, "auth_without_tls"),
            "passwords would cross the network in the clear",
            "Allowed on a loopback address or a Unix socket only",
        )
    if port.role is Role.LMTP and not port.listen.path and port.listen.port == 25:
        # RFC 2033 §5: LMTP must not be used on TCP port 25.
        yield ("port", n, "listen"), "LMTP must not use port 25 (RFC 2033)", "Use 24"


def _login(document: Document) -> Found:
    asking = [
        n
        for n, port in enumerate(document.port)
        if port.client_certificates is not ClientCertificates.OFF
    ]
    for n in asking:
        place: Path = ("port", n, "client_certificates")
        if document.port[n].role not in {Role.SUBMISSION, Role.SUBMISSIONS}:
            # Servers show certificates that no authority of ours knows, and would be turned away.
            yield place, "is for those who log in", 'Allowed with role "submission", "submissions"'
        if document.login.certificates is None:
            yield place, "needs [login.certificates], which is not there", ""
    if document.login.certificates and not asking:
        yield (
            ("login", "certificates"),
            "no port asks for certificates",
            'Write client_certificates = "optional" into [[port]]',
        )
    yield from _login_sources(document.login)


def _login_sources(login: LoginTable) -> Found:
    if login.http and login.ldap:
        yield ("login", "ldap"), "stands beside [login.http]", "One of them knows the passwords"
    if login.http:
        yield from _web(("login", "http", "url"), login.http.url)
    if login.oauth:
        yield from _web(("login", "oauth", "issuer"), login.oauth.issuer)
        yield from _oauth(login.oauth)
    if login.ldap:
        yield from _ldap(login.ldap)


def _web(place: Path, url: str) -> Found:
    try:
        web_url(url)
    except ValueError as error:
        yield place, f"{json.dumps(url)} does not fit", f"Allowed: {error}"


def _oauth(oauth: LoginOauthTable) -> Found:
    place: Path = ("login", "oauth")
    if not any(oauth.audience):
        # A token that a user gave to another service must not open the mailbox (RFC 8725 §3.9).
        yield (*place, "audience"), "names nobody", 'Example: audience = ["mail"]'
    if not oauth.claim:
        yield (*place, "claim"), "names no claim", 'Example: claim = "email"'
    if bool(oauth.client_id) != bool(oauth.client_secret_file):
        yield (*place, "client_id"), "needs client_secret_file beside it, and it client_id", ""


def _ldap(ldap: LoginLdapTable) -> Found:
    place: Path = ("login", "ldap")
    if not ldap.servers:
        yield (*place, "servers"), "names no server", 'Example: servers = ["ldaps://ldap.a.test"]'
    for server in ldap.servers:
        try:
            ldap_server(server, start_tls=ldap.start_tls)
        except ValueError as error:
            yield (*place, "servers"), f"{json.dumps(server)} does not fit", f"Allowed: {error}"
    if bool(ldap.dn) == bool(ldap.filter):
        yield place, "needs either dn, or base and filter", ""
        return
    if bool(ldap.bind_dn) != bool(ldap.bind_password_file):
        yield (*place, "bind_dn"), "needs bind_password_file beside it, and it needs bind_dn", ""
    if ldap.dn and (ldap.base or ldap.bind_dn):
        yield (*place, "dn"), "makes a search needless", "Leave out base and bind_dn"
    try:
        check_templates(ldap)
    except TemplateError as error:
        yield (*place, "dn" if ldap.dn else "filter"), str(error), ""


def _tls(document: Document) -> Found:
    if (tls := document.tls) is None:
        return
    if bool(tls.certificate) != bool(tls.key):
        given, missing = ("certificate", "key") if tls.certificate else ("key", "certificate")
        yield ("tls", given), f"{given} needs {missing} beside it", ""
    elif not (tls.certificate or tls.host or tls.directory):
        yield ("tls",), "names no certificate", 'Example: certificate = "a.pem", key = "a.key"'


def _routes(document: Document) -> Found:
    for n, route in enumerate(document.route):
        yield from _route(n, route)


def _route(n: int, route: RouteTable) -> Found:
    if not route.match:
        yield ("route", n, "match"), "matches nothing", 'Use ["*"] for all domains'
    if bool(route.username) != bool(route.password_file):
        given, missing = ("username", "password_file")
        if not route.username:
            given, missing = missing, given
        yield ("route", n, given), f"{given} needs {missing} beside it", ""
        return
    if bool(route.client_certificate) != bool(route.client_key):
        place: Path = ("route", n, "client_key")
        yield place, "and client_certificate need one another", ""
        return
    try:
        configured(route, "a password" if route.username else "")
    except RouteError as error:
        yield ("route", n, "to"), str(error), ""


def _autoconfig(document: Document) -> Found:
    if document.autoconfig is None:
        return
    if document.http is None:
        yield ("autoconfig",), "is served on [http], which is not there", ""
    if not any(port.role in _SENDING for port in document.port):
        yield ("autoconfig",), "tells of ports to send by, and there is none", _SEND_HERE


_SENDING = {Role.SUBMISSION, Role.SUBMISSIONS}
_SEND_HERE = 'Write [[port]] with role = "submissions" and listen = "[::]:465", say'


def _forwarding(document: Document) -> Found:
    if document.forwarding.seal and not document.authenticity.check:
        yield (
            ("forwarding", "seal"),
            "vouches for what was found of a message, and nobody looks at any",
            "Let [authenticity] check = true",
        )


def _mta_sts(document: Document) -> Found:
    if (policy := document.mta_sts) is None:
        return
    if document.http is None:
        yield ("mta_sts",), "is served on [http], which is not there", ""
    if "*" in policy.mx:
        yield ("mta_sts", "mx"), '"*" names no host', 'Allowed: "mx.a.test", "*.a.test"'


def _dns(document: Document) -> Found:
    for server in document.dns.servers:
        if server.path:
            yield ("dns", "servers"), f'"{server}" is no resolver', 'Allowed: "address:port"'
    for n, update in enumerate(document.dns.update):
        if update.server and update.server.path:
            place = ("dns", "update", n, "server")
            yield place, f'"{update.server}" is no name server', 'Allowed: "address:port"'
    if document.dns.trusted and not document.dns.servers:
        yield ("dns", "trusted"), "needs servers beside it", 'Example: servers = ["127.0.0.1:53"]'
    elif document.dns.trusted and not all(map(is_loopback, document.dns.servers)):
        # RFC 6840 §5.8: the AD bit is worth what the path to the resolver is.
        yield (
            ("dns", "trusted"),
            "a resolver that is not on this machine: answers can be forged on the way",
            'Run one here that validates, as unbound does: servers = ["127.0.0.1:53"]',
        )


def _queue(document: Document) -> Found:
    if not document.queue.retry:
        yield ("queue", "retry"), "mail would be tried without a pause", 'Example: ["1m", "5m"]'
