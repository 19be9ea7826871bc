"""The `[[route]]` tables as delivery knows them."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from merpati.config.document import Document
from merpati.config.errors import ConfigError, Flaw
from merpati.config.tables.route import RouteTable
from merpati.delivery.route import Kind, Route, RouteError, parse_route
from merpati.delivery.transaction import Switches, TlsDemand
from merpati.wire.errors import TlsError
from merpati.wire.tls import ClientCertificate, client_context


def configured(
    table: RouteTable, password: str, certificate: ClientCertificate | None = None
) -> Route:
    """One route with its login; RouteError when its keys do not go together."""
    to = str(table.to)
    if table.username:
        scheme, _, host = to.partition("://")
        login = f"{quote(table.username, safe='')}:{quote(password, safe='')}"
        to = f"{scheme}://{login}@{host}"
    tls = table.tls or (TlsDemand.REQUIRED if table.client_certificate else None)
    route = parse_route(to, table.match, tls)
    if table.client_certificate and (route.kind is not Kind.HOST or not route.port):
        raise RouteError("a certificate is shown to a host that is named, by TLS")
    if table.client_certificate and route.tls is TlsDemand.OFF:
        raise RouteError("a certificate is shown within TLS, which is off")
    return replace(route, switches=_switches(table), certificate=certificate)


def _switches(table: RouteTable) -> Switches:
    return Switches(
        lookahead=table.lookahead,
        ehlo_ignore=frozenset(keyword.upper() for keyword in table.ehlo_ignore),
        connections=table.connections,
        max_messages=table.max_messages,
        max_recipients=table.max_recipients,
        bounce_listed_after=table.bounce_listed_after,
    )


def read_routes(document: Document, base: Path) -> list[Route]:
    """All routes in order, their passwords read from the files; ConfigError for one that fails."""
    return [
        configured(table, read_password(table, base), read_certificate(table, base))
        for table in document.route
    ]


def read_certificate(table: RouteTable, base: Path) -> ClientCertificate | None:
    """What the route shows of us; ConfigError, of its file, when that cannot be used."""
    if not table.client_certificate:
        return None
    file = base / table.client_certificate
    try:
        key = (base / table.client_key).read_bytes()
        certificate = ClientCertificate(file.read_bytes(), key)
        client_context(verify=False, certificate=certificate)
    except OSError as error:
        raise ConfigError(str(error.filename), [Flaw("", 0, f"cannot be read: {error}")]) from None
    except TlsError as error:
        raise ConfigError(str(file), [Flaw("", 0, f"cannot be used: {error}")]) from None
    return certificate


def read_password(table: RouteTable, base: Path) -> str:
    """The first line of the route's file; ConfigError, of that file, when there is none."""
    if not table.password_file:
        return ""
    file = base / table.password_file
    try:
        password = file.read_text("utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(file), [Flaw("", 0, f"cannot be read: {error}")]) from None
    if not password:
        raise ConfigError(str(file), [Flaw("", 1, "is empty", "The password stands on line 1")])
    return password
