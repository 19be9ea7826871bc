"""Whether domains, users, passwords and aliases belong together."""

from collections.abc import Callable, Iterator

import apsw

from merpati.storage.connection import Kind
from merpati.storage.finding import Damage, Finding
from merpati.storage.inspection import UNREADABLE, Seen
from merpati.storage.rows import rows
from merpati.storage.sums import Told, verify_sums

_KEY = "SELECT record, private FROM dkim_key WHERE domain = ? AND selector = ?"
_LIMIT = 1000
"""Of one kind that are told."""

_STRAYS = {
    "SELECT CAST(local || '@' || domain AS BLOB) FROM user "
    "WHERE domain NOT IN (SELECT name FROM domain)": ("user {} is of a domain that is gone"),
    "SELECT CAST(id AS BLOB) FROM secret WHERE user NOT IN (SELECT id FROM user)": (
        "password number {} belongs to nobody"
    ),
    "SELECT DISTINCT CAST(local || '@' || domain AS BLOB) FROM alias "
    "WHERE domain NOT IN (SELECT name FROM domain)": "alias {} is of a domain that is gone",
}

_OF = "(SELECT local || '@' || domain FROM user WHERE id = {}.user)"
_TOLD = {
    "domain": Told("domain {}", "name", Damage.DIRECTORY),
    "user": Told("user {}", "local || '@' || domain", Damage.DIRECTORY),
    "secret": Told("a password of {}", _OF.format("secret"), Damage.DIRECTORY),
    "alias": Told("alias {}", "local || '@' || domain", Damage.DIRECTORY),
    "sender": Told("what {} may send as", _OF.format("sender"), Damage.DIRECTORY),
    "srs_key": Told("key number {} of forwarded senders", "id", Damage.NOTE),
    "dkim_key": Told("the key {}", "selector || ' of ' || domain", Damage.DKIM_KEY),
    "sts_policy": Told("the policy of {}", "domain", Damage.NOTE),
}


def verify_directory(connection: apsw.Connection, seen: Seen) -> Iterator[Finding]:
    """Everything that is wrong with the directory."""
    for table, things in {"domain": "domains", "user": "users", "alias": "aliases"}.items():
        try:
            seen(things, connection.execute(f"SELECT count(*) FROM {table}").get)  # noqa: S608 - constants
        except UNREADABLE as error:
            yield Finding(Damage.ROWS, f"{things} cannot be read: {error}")
    yield from verify_sums(connection, Kind.DIRECTORY, _TOLD)
    for query, text in _STRAYS.items():
        try:
            found = rows(connection, f"{query} LIMIT {_LIMIT}")
        except UNREADABLE:
            continue  # It was told above, and by SQLite's own check.
        for (name,) in found:
            shown = bytes(name).decode(errors="replace")
            yield Finding(Damage.DIRECTORY, text.format(shown))


def verify_keys(
    connection: apsw.Connection, seen: Seen, flaw: Callable[[str, object], str]
) -> Iterator[Finding]:
    """Keys that sign mail; `flaw` says what is wrong with a record and its key in PEM."""
    try:
        for name in rows(connection, "SELECT domain, selector FROM dkim_key ORDER BY 1, 2"):
            for record, private in rows(connection, _KEY, name):  # It may be gone by now.
                seen("keys", 1)
                if why := flaw(str(record), private):
                    domain, selector = name
                    yield Finding(Damage.DKIM_KEY, f"the key {selector} of {domain} {why}")
    except UNREADABLE as error:
        yield Finding(Damage.ROWS, f"keys cannot be read: {error}")
