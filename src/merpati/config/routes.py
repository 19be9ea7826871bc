"""The `[[route]]` tables as delivery knows them."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from merpati.config.document import Document, RouteTable
from merpati.config.errors import ConfigError, Flaw
from merpati.delivery.route import Route, parse_route
from merpati.delivery.transaction import Switches


def configured(table: RouteTable, password: str) -> Route:
    """One route with its login; RouteError when its keys do not go together."""
    to = str(table.to)
    if table.username:
        scheme, _, host = to.partition("://")
        login = f"{quote(table.username, safe='')}:{quote(password, safe='')}"
        to = f"{scheme}://{login}@{host}"
    return replace(parse_route(to, table.match, table.tls), switches=_switches(table))


def _switches(table: RouteTable) -> Switches:
    return Switches(
        lookahead=table.lookahead,
        ehlo_ignore=frozenset(keyword.upper() for keyword in table.ehlo_ignore),
        connections=table.connections,
        max_messages=table.max_messages,
        max_recipients=table.max_recipients,
    )


def read_routes(document: Document, base: Path) -> list[Route]:
    """All routes in order, their passwords read from the files; ConfigError for one that fails."""
    return [configured(table, read_password(table, base)) for table in document.route]


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
