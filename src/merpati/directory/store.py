"""The directory on SQLite, in a small file of its own."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from merpati.directory.directory import Quotas, Resolution, Secret, Suspension, User
from merpati.directory.following import follow, may_send
from merpati.directory.looking import Looking
from merpati.directory.rows import Rows, check_login_name
from merpati.mail.address import Address
from merpati.storage.database import Database

T = TypeVar("T")
N = TypeVar("N")
_USED_EVERY = 60.0
"""Seconds between two writes of when a secret was last used."""
_USED_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class DirectorySettings:
    """Bounds of a directory."""

    remembered: int = 10_000
    """Names of each kind whose answers are kept in memory until the next change."""


class DirectoryStore:
    """`Directory` and `Registrar` over a database of kind DIRECTORY. `open` before use."""

    def __init__(self, database: Database, settings: DirectorySettings | None = None) -> None:
        self._database = database
        self._looking = Looking(database)
        self._used: dict[int, float] = {}
        remember = lru_cache(maxsize=(settings or DirectorySettings()).remembered)
        self._is_local = remember(lambda domain: self._look(Rows.is_local, domain))
        self._user = remember(lambda address: self._look(Rows.user, address))
        self._first_user = remember(lambda domain: self._look(Rows.first_user, domain))
        self._targets = remember(lambda alias: self._look(Rows.targets, alias))
        self._secrets = remember(lambda address: self._look(Rows.secrets, address))
        self._senders = remember(lambda login: tuple(self._look(Rows.grants, login)))

    async def open(self) -> None:
        """With the database open: take a connection for questions on this thread."""
        self._looking.open()

    def close(self) -> None:
        """Give the connection back; the database is closed by its owner. Idempotent."""
        self._looking.close()

    def is_local(self, domain: str) -> bool:
        """See `Directory`."""
        return self._is_local(domain)

    def resolve(self, address: Address) -> Resolution | None:
        """See `Directory`."""
        return follow(self, address)

    def user(self, address: Address) -> User | None:
        """See `Directory`."""
        return self._user(address)

    def first_user(self, domain: str) -> User | None:
        """See `Directory`."""
        return self._first_user(domain)

    def targets(self, alias: Address) -> Sequence[Address]:
        """What exactly this alias stands for."""
        return self._targets(alias)

    def secrets(self, address: Address) -> Sequence[Secret]:
        """See `Directory`."""
        return self._secrets(address)

    def senders(self, login: Address) -> Sequence[Address]:
        """What was granted to exactly this user."""
        return self._senders(login)

    def may_send_as(self, login: Address, sender: Address) -> bool:
        """See `Directory`."""
        return may_send(self, login, sender)

    def used(self, secret: int, at: float) -> None:
        """See `Directory`. Not waited for: it may be lost with the disk."""
        if at - self._used.get(secret, -_USED_EVERY) < _USED_EVERY:
            return
        if len(self._used) >= _USED_REMEMBERED:
            self._used.clear()
        self._used[secret] = at
        job = self._database.job(lambda connection: Rows(connection).used(secret, at), rides=True)
        job.done = lambda _: self._secrets.cache_clear()
        job.future.add_done_callback(_not_waited_for)
        self._database.submit(job)

    def forget(self) -> None:
        """See `Registrar`."""
        for cache in (
            self._is_local,
            self._user,
            self._first_user,
            self._targets,
            self._secrets,
            self._senders,
        ):
            cache.cache_clear()

    async def add_domain(self, domain: str) -> None:
        """See `Registrar`."""
        await self._change(lambda rows: rows.add_domain(domain))

    async def remove_domain(self, domain: str) -> None:
        """See `Registrar`."""
        await self._change(lambda rows: rows.remove_domain(domain))

    async def domains(self) -> list[str]:
        """See `Registrar`."""
        return await self._database.read(lambda connection: Rows(connection).domains())

    async def add_user(self, address: Address, secret: Secret | None, at: float = 0.0) -> None:
        """See `Registrar`."""
        check_login_name(address)
        await self._change(lambda rows: rows.add_user(address, secret, at))

    async def remove_user(self, address: Address) -> None:
        """See `Registrar`."""
        await self._change(lambda rows: rows.remove_user(address))

    async def users(self, domain: str = "") -> list[User]:
        """See `Registrar`."""
        return await self._database.read(lambda connection: Rows(connection).users(domain))

    async def suspend(
        self, address: Address, suspension: Suspension, *, login: bool = False, told: bool = True
    ) -> bool:
        """See `Registrar`."""
        return await self._change(lambda rows: rows.suspend(address, suspension, login, told))

    async def resume(self, address: Address, at: float) -> None:
        """See `Registrar`."""
        await self._change(lambda rows: rows.resume(address, at))

    async def suspensions(self) -> list[tuple[User, bool]]:
        """See `Registrar`."""
        return await self._database.read(lambda connection: Rows(connection).suspensions())

    async def owner_told(self, address: Address) -> None:
        """See `Registrar`."""
        await self._change(lambda rows: rows.owner_told(address))

    async def set_quotas(self, address: Address, quotas: Quotas) -> None:
        """See `Registrar`."""
        await self._change(lambda rows: rows.set_quotas(address, quotas))

    async def grant(self, address: Address, sender: Address) -> None:
        """See `Registrar`."""
        await self._change(lambda rows: rows.grant(address, sender))

    async def ungrant(self, address: Address, sender: Address) -> None:
        """See `Registrar`."""
        await self._change(lambda rows: rows.ungrant(address, sender))

    async def grants(self, address: Address) -> list[Address]:
        """See `Registrar`."""
        return await self._database.read(lambda connection: Rows(connection).grants(address))

    async def set_secret(self, address: Address, secret: Secret) -> None:
        """See `Registrar`."""
        await self._change(lambda rows: rows.set_secret(address, secret))

    async def revoke_secret(self, address: Address, name: str) -> None:
        """See `Registrar`."""
        await self._change(lambda rows: rows.revoke_secret(address, name))

    async def add_alias(self, alias: Address, targets: Sequence[Address]) -> None:
        """See `Registrar`."""
        await self._change(lambda rows: rows.add_alias(alias, targets))

    async def remove_alias(self, alias: Address) -> None:
        """See `Registrar`."""
        await self._change(lambda rows: rows.remove_alias(alias))

    async def aliases(self, domain: str = "") -> list[tuple[Address, tuple[Address, ...]]]:
        """See `Registrar`."""
        return await self._database.read(lambda connection: Rows(connection).aliases(domain))

    async def _change(self, change: Callable[[Rows], T]) -> T:
        job = self._database.job(lambda connection: change(Rows(connection)))
        job.done = lambda _: self.forget()
        return await self._database.submit(job)

    def _look(self, ask: Callable[[Rows, N], T], name: N) -> T:
        return self._looking.look(lambda connection: ask(Rows(connection), name))


def _not_waited_for(future: "asyncio.Future[None]") -> None:
    """Take a failure as read, so that it is not reported as forgotten."""
    if not future.cancelled():
        future.exception()
