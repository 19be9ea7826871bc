"""Whether domains, users, passwords and aliases belong together."""

from collections.abc import Callable, Iterator

import apsw

from merpati.storage.finding import Damage, Finding
from merpati.storage.inspection import UNREADABLE, Seen
from merpati.storage.rows import rows

_KEY = "SELECT record, private FROM dkim_key WHERE domain = ? AND selector = ?"
_LIMIT = 1000
"""Of one kind that are told."""

_STRAYS = {
    "SELECT local || '@' || domain FROM user WHERE domain NOT IN (SELECT name FROM domain)": (
        "user {} is of a domain that is gone"
    ),
    "SELECT id FROM secret WHERE user NOT IN (SELECT id FROM user)": (
        "password number {} belongs to nobody"
    ),
    "SELECT DISTINCT local || '@' || domain FROM alias "
    "WHERE domain NOT IN (SELECT name FROM domain)": "alias {} is of a domain that is gone",
}


def verify_directory(connection: apsw.Connection, seen: Seen) -> Iterator[Finding]:
    """Everything that is wrong with the directory."""
    for table, things in {"domain": "domains", "user": "users", "alias": "aliases"}.items():
        try:
            seen(things, connection.execute(f"SELECT count(*) FROM {table}").get)  # noqa: S608 - constants
        except UNREADABLE as error:
            yield Finding(Damage.ROWS, f"{things} cannot be read: {error}")
    for query, text in _STRAYS.items():
        try:
            found = rows(connection, f"{query} LIMIT {_LIMIT}")
        except UNREADABLE:
            continue  # It was told above, and by SQLite's own check.
        yield from (Finding(Damage.DIRECTORY, text.format(name)) for (name,) in found)


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
