"""The directory's rows: one look, one change at a time. Local parts compare in lower case."""

from collections.abc import Sequence

import apsw

from merpati.directory.directory import Secret, User
from merpati.directory.errors import DirectoryError
from merpati.directory.following import CATCH_ALL, check_alias
from merpati.mail.address import Address
from merpati.storage.rows import rows

_USER = "SELECT id, shown, domain, suspended FROM user WHERE domain = ? AND local = ?"
_FIRST_USER = (
    "SELECT shown, domain FROM user WHERE ?1 IN ('', domain) AND NOT suspended ORDER BY id LIMIT 1"
)
_SECRETS = (
    "SELECT name, argon2, scram_salt, scram_iterations, stored_key, server_key, last_used, id "
    "FROM secret WHERE user = ? ORDER BY name"
)
_KEEP = (
    "INSERT INTO secret (user, name, argon2, scram_salt, scram_iterations, stored_key, server_key) "
    "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (user, name) DO UPDATE SET argon2 = excluded.argon2, "
    "scram_salt = excluded.scram_salt, scram_iterations = excluded.scram_iterations, "
    "stored_key = excluded.stored_key, server_key = excluded.server_key"
)


class Rows:
    """`Names` over a connection, and the changes."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def is_local(self, domain: str) -> bool:
        """One look."""
        return bool(rows(self._connection, "SELECT 1 FROM domain WHERE name = ?", (domain,)))

    def user(self, address: Address) -> User | None:
        """One look."""
        found = rows(self._connection, _USER, _name(address))
        return next((User(Address(row[1], row[2]), bool(row[3])) for row in found), None)

    def first_user(self, domain: str) -> User | None:
        """One look; of all domains when `domain` is empty."""
        found = rows(self._connection, _FIRST_USER, (domain,))
        return next((User(Address(local, at)) for local, at in found), None)

    def targets(self, alias: Address) -> Sequence[Address]:
        """One look."""
        found = rows(
            self._connection,
            "SELECT target_local, target_domain FROM alias WHERE domain = ? AND local = ? "
            "ORDER BY n",
            _name(alias),
        )
        return tuple(Address(*row) for row in found)

    def secrets(self, address: Address) -> tuple[Secret, ...]:
        """The own password first, since its name is empty."""
        found = rows(self._connection, _USER, _name(address))
        if not found or found[0][3]:
            return ()
        return tuple(Secret(*row) for row in rows(self._connection, _SECRETS, (found[0][0],)))

    def domains(self) -> list[str]:
        """By name."""
        return [name for (name,) in rows(self._connection, "SELECT name FROM domain ORDER BY name")]

    def users(self, domain: str) -> list[User]:
        """By address; all when `domain` is empty."""
        found = rows(
            self._connection,
            "SELECT shown, domain, suspended FROM user WHERE ?1 IN ('', domain) "
            "ORDER BY domain, local",
            (domain,),
        )
        return [User(Address(local, at), bool(off)) for local, at, off in found]

    def aliases(self, domain: str) -> list[tuple[Address, tuple[Address, ...]]]:
        """By address; all when `domain` is empty."""
        found = rows(
            self._connection,
            "SELECT local, domain, target_local, target_domain FROM alias "
            "WHERE ?1 IN ('', domain) ORDER BY domain, local, n",
            (domain,),
        )
        gathered: dict[Address, tuple[Address, ...]] = {}
        for local, at, target, target_domain in found:
            alias = Address(local, at)
            gathered[alias] = (*gathered.get(alias, ()), Address(target, target_domain))
        return list(gathered.items())

    def add_domain(self, domain: str) -> None:
        """A new one."""
        if self.is_local(domain):
            raise DirectoryError(f"the domain {domain} exists already")
        self._connection.execute("INSERT INTO domain VALUES (?)", (domain,))

    def remove_domain(self, domain: str) -> None:
        """An empty one."""
        self._need_domain(domain)
        if self.users(domain) or self.aliases(domain):
            raise DirectoryError(f"the domain {domain} still has users or aliases")
        self._connection.execute("DELETE FROM domain WHERE name = ?", (domain,))

    def add_user(self, address: Address, secret: Secret | None) -> None:
        """A new one, with a password if it is kept here."""
        self._need_domain(address.domain)
        self._need_free(address)
        self._connection.execute(
            "INSERT INTO user (domain, local, shown) VALUES (?, ?, ?)",
            (*_name(address), address.local),
        )
        if secret is not None:
            self.set_secret(address, secret)

    def remove_user(self, address: Address) -> None:
        """With its secrets."""
        number = self._need_user(address)
        self._connection.execute("DELETE FROM secret WHERE user = ?", (number,))
        self._connection.execute("DELETE FROM user WHERE id = ?", (number,))

    def set_suspended(self, address: Address, suspended: bool) -> None:
        """Or not any more."""
        number = self._need_user(address)
        self._connection.execute("UPDATE user SET suspended = ? WHERE id = ?", (suspended, number))

    def set_secret(self, address: Address, secret: Secret) -> None:
        """The one of that name."""
        words = (
            secret.name,
            secret.argon2,
            secret.scram_salt,
            secret.scram_iterations,
            secret.stored_key,
            secret.server_key,
        )
        self._connection.execute(_KEEP, (self._need_user(address), *words))

    def revoke_secret(self, address: Address, name: str) -> None:
        """The one of that name."""
        self._connection.execute(
            "DELETE FROM secret WHERE user = ? AND name = ?", (self._need_user(address), name)
        )
        if not self._connection.changes():
            raise DirectoryError(f"{address} has no password named {name!r}")

    def add_alias(self, alias: Address, targets: Sequence[Address]) -> None:
        """A new one, which leads somewhere."""
        self._need_domain(alias.domain)
        self._need_free(alias)
        if not targets:
            raise DirectoryError(f"the alias {alias} needs a target")
        check_alias(self, alias, targets)
        self._connection.executemany(
            "INSERT INTO alias VALUES (?, ?, ?, ?, ?)",
            [(*_name(alias), n, to.domain, to.local) for n, to in enumerate(targets)],
        )

    def remove_alias(self, alias: Address) -> None:
        """All its targets."""
        self._connection.execute("DELETE FROM alias WHERE domain = ? AND local = ?", _name(alias))
        if not self._connection.changes():
            raise DirectoryError(f"there is no alias {alias}")

    def used(self, secret: int, at: float) -> None:
        """Never earlier than it was."""
        self._connection.execute(
            "UPDATE secret SET last_used = max(coalesce(last_used, 0), ?) WHERE id = ?",
            (at, secret),
        )

    def _need_domain(self, domain: str) -> None:
        if not self.is_local(domain):
            raise DirectoryError(f"the domain {domain} does not exist here; add it first")

    def _need_user(self, address: Address) -> int:
        found = rows(self._connection, _USER, _name(address))
        if not found:
            raise DirectoryError(f"there is no user {address}")
        return int(found[0][0])

    def _need_free(self, address: Address) -> None:
        if self.user(address) is not None:
            raise DirectoryError(f"{address} is a user already")
        if self.targets(address):
            raise DirectoryError(f"{address} is an alias already")


def check_login_name(address: Address) -> None:
    """A user's name has no wildcard: that is what catch-alls are called."""
    if address.local == CATCH_ALL:
        raise DirectoryError(f"{CATCH_ALL} is the catch-all's name: make an alias of it")


def _name(address: Address) -> tuple[str, str]:
    return address.domain, address.local.lower()
