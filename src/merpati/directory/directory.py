"""The promises of a directory of domains, users and aliases.

Engines: `store` (SQLite) and `testing.memory`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from merpati.mail.address import Address


@dataclass(frozen=True, slots=True)
class Quotas:
    """What an account may send in a day (UTC). None: as is usual here; 0: any number."""

    messages: int | None = None
    recipients: int | None = None
    strangers: int | None = None
    """Recipients elsewhere that it never wrote to before."""


@dataclass(frozen=True, slots=True)
class Suspension:
    """An account may not send: since when, and why, in words for people."""

    at: float
    why: str


@dataclass(frozen=True, slots=True)
class User:
    """Someone with a mailbox and a login, which is the address."""

    address: Address
    suspended: bool = False
    """May not even log in: an operator said so."""
    suspension: Suspension | None = None
    """May not send; who may not log in has one, too."""
    quotas: Quotas = Quotas()
    since: float = 0.0
    """What it sent before this time is no part of its quotas."""
    made: float = 0.0
    """Mail from before this time is that of an earlier account of the same name."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A password as it is kept: argon2id for PLAIN and LOGIN, the SCRAM-SHA-256 keys beside it."""

    name: str
    """Empty for the account's own password, else the program's (`thunderbird`)."""
    argon2: str
    scram_salt: bytes
    scram_iterations: int
    stored_key: bytes
    server_key: bytes
    last_used: float | None = None
    id: int = 0


@dataclass(frozen=True, slots=True)
class Resolution:
    """Where an address here leads: mailboxes and foreign addresses, every alias followed."""

    mailboxes: tuple[Address, ...] = ()
    forwards: tuple[Address, ...] = ()
    via: tuple[tuple[str, str], ...] = ()
    """(alias, target) steps in order."""

    @property
    def targets(self) -> tuple[Address, ...]:
        """All final addresses."""
        return self.mailboxes + self.forwards


class Directory(Protocol):
    """Questions about who lives here. Synchronous: from a bounded cache or one read."""

    def is_local(self, domain: str) -> bool:
        """Whether mail for `domain` ends here."""
        ...

    def resolve(self, address: Address) -> Resolution | None:
        """Where it leads; None: nobody. `+detail` falls back to the bare name, then catch-all.

        Raises DirectoryError for a loop or more than 1,000 targets (refused when they are made,
        so this is damage).
        """
        ...

    def user(self, address: Address) -> User | None:
        """The user with exactly this address."""
        ...

    def first_user(self, domain: str) -> User | None:
        """The oldest user of a domain, "" for any domain, who is not suspended."""
        ...

    def secrets(self, address: Address) -> Sequence[Secret]:
        """The own password first, then app passwords. Empty for nobody or a suspended user."""
        ...

    def may_send_as(self, login: Address, sender: Address) -> bool:
        """The user's own address, its +details, aliases that lead to it, and what was granted."""
        ...

    def used(self, secret: int, at: float) -> None:
        """Note when a secret was last used; written with the next change, at most once a minute."""
        ...


class Registrar(Protocol):
    """Changes to the directory. Each returns when stored; else DirectoryError says why not."""

    def forget(self) -> None:
        """Somebody else has changed the same directory: what is remembered may not be true."""
        ...

    async def add_domain(self, domain: str) -> None: ...

    async def remove_domain(self, domain: str) -> None:
        """Only an empty one."""
        ...

    async def domains(self) -> list[str]: ...

    async def add_user(self, address: Address, secret: Secret | None, at: float = 0.0) -> None:
        """Without a secret somebody else knows the password, or issues tokens or certificates.

        `at` is now: what came before is not its mail.
        """
        ...

    async def remove_user(self, address: Address) -> None:
        """The mailbox stays on disk."""
        ...

    async def users(self, domain: str = "") -> list[User]: ...

    async def suspend(
        self, address: Address, suspension: Suspension, *, login: bool = False, told: bool = True
    ) -> bool:
        """It may not send, and with `login` not log in; whether that is new.

        Of several who say so at once for one, the first is told True. `told`: its owner knows.
        """
        ...

    async def resume(self, address: Address, at: float) -> None:
        """It may log in and send, and its quotas begin anew."""
        ...

    async def suspensions(self) -> list[tuple[User, bool]]:
        """All who may not send, and whether the owner was told. From storage, never remembered."""
        ...

    async def owner_told(self, address: Address) -> None:
        """The owner knows why it may not send."""
        ...

    async def set_quotas(self, address: Address, quotas: Quotas) -> None: ...

    async def grant(self, address: Address, sender: Address) -> None:
        """It may send as this, too; an empty local part is the whole domain."""
        ...

    async def ungrant(self, address: Address, sender: Address) -> None: ...

    async def grants(self, address: Address) -> list[Address]: ...

    async def set_secret(self, address: Address, secret: Secret) -> None:
        """Replace the own password, or add or replace an app password of that name."""
        ...

    async def revoke_secret(self, address: Address, name: str) -> None: ...

    async def add_alias(self, alias: Address, targets: Sequence[Address]) -> None:
        """Local part `*` is the catch-all of a domain. Loops are refused."""
        ...

    async def remove_alias(self, alias: Address) -> None: ...

    async def aliases(self, domain: str = "") -> list[tuple[Address, tuple[Address, ...]]]: ...
