"""The directory's rows: one look, one change at a time. Local parts compare in lower case."""

from collections.abc import Sequence

import apsw

from merpati.directory.directory import Quotas, Secret, Suspension, User
from merpati.directory.errors import DirectoryError
from merpati.directory.following import CATCH_ALL, check_alias
from merpati.mail.address import Address
from merpati.storage.rows import rows

_WHOLE = "shown, domain, suspended, stopped, why, messages, recipients, strangers, since, made"
_USER = f"SELECT id, {_WHOLE} FROM user WHERE domain = ? AND local = ?"  # noqa: S608 - constants
_OLDEST = "FROM user WHERE ?1 IN ('', domain) AND NOT suspended ORDER BY id LIMIT 1"
_FIRST_USER = f"SELECT {_WHOLE} {_OLDEST}"
_USERS = f"SELECT {_WHOLE} FROM user WHERE ?1 IN ('', domain) ORDER BY domain, local"  # noqa: S608 - constants
_SUSPENDED = f"SELECT told, {_WHOLE} FROM user WHERE stopped IS NOT NULL ORDER BY id"  # noqa: S608 - constants
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
        return next((_user(*row[1:]) for row in found), None)

    def first_user(self, domain: str) -> User | None:
        """One look; of all domains when `domain` is empty."""
        found = rows(self._connection, _FIRST_USER, (domain,))
        return next((_user(*row) for row in found), None)

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
        found = rows(self._connection, _USERS, (domain,))
        return [_user(*row) for row in found]

    def suspensions(self) -> list[tuple[User, bool]]:
        """By their index."""
        found = rows(self._connection, _SUSPENDED)
        return [(_user(*row), bool(told)) for told, *row in found]

    def grants(self, address: Address) -> list[Address]:
        """By domain; empty for nobody."""
        found = rows(
            self._connection,
            "SELECT s.local, s.domain FROM user u JOIN sender s ON s.user = u.id "
            "WHERE u.domain = ? AND u.local = ? ORDER BY s.domain, s.local",
            _name(address),
        )
        return [Address(*row) for row in found]

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
        self._connection.execute("INSERT INTO domain (name) VALUES (?)", (domain,))

    def remove_domain(self, domain: str) -> None:
        """An empty one."""
        self._need_domain(domain)
        if self.users(domain) or self.aliases(domain):
            raise DirectoryError(f"the domain {domain} still has users or aliases")
        self._connection.execute("DELETE FROM domain WHERE name = ?", (domain,))

    def add_user(self, address: Address, secret: Secret | None, at: float) -> None:
        """A new one, with a password if it is kept here."""
        self._need_domain(address.domain)
        self._need_free(address)
        self._connection.execute(
            "INSERT INTO user (domain, local, shown, made) VALUES (?, ?, ?, ?)",
            (*_name(address), address.local, at),
        )
        if secret is not None:
            self.set_secret(address, secret)

    def remove_user(self, address: Address) -> None:
        """With its secrets, and all that was counted of it."""
        number = self._need_user(address)
        for statement in _OF_USER:
            self._connection.execute(statement, (number,))
        self._connection.execute("DELETE FROM user WHERE id = ?", (number,))

    def suspend(self, address: Address, suspension: Suspension, login: bool, told: bool) -> bool:
        """Whether it is new. What began by itself an operator may tighten, and not the reverse."""
        number = self._need_user(address)
        self._connection.execute(
            "UPDATE user SET stopped = ?1, why = ?2, suspended = ?3, told = ?4 "
            "WHERE id = ?5 AND (stopped IS NULL OR suspended < ?3)",
            (suspension.at, suspension.why, login, told, number),
        )
        return bool(self._connection.changes())

    def resume(self, address: Address, at: float) -> None:
        """And count from now on."""
        number = self._need_user(address)
        self._connection.execute(
            "UPDATE user SET stopped = NULL, why = '', suspended = 0, told = 1, since = ? "
            "WHERE id = ?",
            (at, number),
        )
        self._connection.execute("DELETE FROM used WHERE user = ?", (number,))

    def owner_told(self, address: Address) -> None:
        """Nobody is where the account is gone by now."""
        self._connection.execute(
            "UPDATE user SET told = 1 WHERE domain = ? AND local = ?", _name(address)
        )

    def set_quotas(self, address: Address, quotas: Quotas) -> None:
        """All of them."""
        number = self._need_user(address)
        self._connection.execute(
            "UPDATE user SET messages = ?, recipients = ?, strangers = ? WHERE id = ?",
            (quotas.messages, quotas.recipients, quotas.strangers, number),
        )

    def grant(self, address: Address, sender: Address) -> None:
        """Once is enough."""
        number = self._need_user(address)
        self._connection.execute(
            "INSERT OR IGNORE INTO sender (user, domain, local) VALUES (?, ?, ?)",
            (number, *_name(sender)),
        )

    def ungrant(self, address: Address, sender: Address) -> None:
        """One that it has."""
        number = self._need_user(address)
        self._connection.execute(
            "DELETE FROM sender WHERE user = ? AND domain = ? AND local = ?",
            (number, *_name(sender)),
        )
        if not self._connection.changes():
            raise DirectoryError(f"{address} was not granted {sender}")

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
            "INSERT INTO alias (domain, local, n, target_domain, target_local) "
            "VALUES (?, ?, ?, ?, ?)",
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
            raise DirectoryError(f"the domain {domain} does not exist here: merpati domain list")

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


_OF_USER = tuple(
    f"DELETE FROM {table} WHERE user = ?"  # noqa: S608 - constants
    for table in ("secret", "sender", "used", "known")
)


def _user(  # noqa: PLR0913, PLR0917 - one argument a column
    shown: str,
    domain: str,
    suspended: int,
    stopped: float | None,
    why: str,
    messages: int | None,
    recipients: int | None,
    strangers: int | None,
    since: float,
    made: float,
) -> User:
    suspension = None
    if suspended or stopped is not None:
        suspension = Suspension(stopped or 0.0, why)
    quotas = Quotas(messages, recipients, strangers)
    return User(Address(shown, domain), bool(suspended), suspension, quotas, since, made)


def _name(address: Address) -> tuple[str, str]:
    return address.domain, address.local.lower()
