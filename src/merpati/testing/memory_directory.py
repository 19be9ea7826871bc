"""A directory for tests: the real rules over a database in memory, answered at once."""

from collections.abc import Sequence

from merpati.directory.directory import Quotas, Resolution, Secret, Suspension, User
from merpati.directory.following import follow, may_send
from merpati.directory.rows import Rows, check_login_name
from merpati.directory.usage import Sent
from merpati.directory.usage_rows import UsageRows
from merpati.mail.address import Address
from merpati.storage.connection import Kind, in_memory


class MemoryDirectory:
    """`Directory` and `Registrar`."""

    def __init__(self) -> None:
        self.connection = in_memory(Kind.DIRECTORY)
        self._rows = Rows(self.connection)
        self.is_local = self._rows.is_local
        self.user = self._rows.user
        self.first_user = self._rows.first_user
        self.targets = self._rows.targets
        self.secrets = self._rows.secrets
        self.used = self._rows.used
        self.senders = self._rows.grants

    def resolve(self, address: Address) -> Resolution | None:
        """See `Directory`."""
        return follow(self._rows, address)

    def may_send_as(self, login: Address, sender: Address) -> bool:
        """See `Directory`."""
        return may_send(self, login, sender)

    def forget(self) -> None:
        """There is no memory beside the truth."""

    async def add_domain(self, domain: str) -> None:
        """See `Registrar`."""
        self._rows.add_domain(domain)

    async def remove_domain(self, domain: str) -> None:
        """See `Registrar`."""
        self._rows.remove_domain(domain)

    async def domains(self) -> list[str]:
        """See `Registrar`."""
        return self._rows.domains()

    async def add_user(self, address: Address, secret: Secret | None, at: float = 0.0) -> None:
        """See `Registrar`."""
        check_login_name(address)
        with self.connection:
            self._rows.add_user(address, secret, at)

    async def remove_user(self, address: Address) -> None:
        """See `Registrar`."""
        self._rows.remove_user(address)

    async def users(self, domain: str = "") -> list[User]:
        """See `Registrar`."""
        return self._rows.users(domain)

    async def suspend(
        self, address: Address, suspension: Suspension, *, login: bool = False, told: bool = True
    ) -> bool:
        """See `Registrar`."""
        return self._rows.suspend(address, suspension, login, told)

    async def resume(self, address: Address, at: float) -> None:
        """See `Registrar`."""
        self._rows.resume(address, at)

    async def suspensions(self) -> list[tuple[User, bool]]:
        """See `Registrar`."""
        return self._rows.suspensions()

    async def owner_told(self, address: Address) -> None:
        """See `Registrar`."""
        self._rows.owner_told(address)

    async def set_quotas(self, address: Address, quotas: Quotas) -> None:
        """See `Registrar`."""
        self._rows.set_quotas(address, quotas)

    async def grant(self, address: Address, sender: Address) -> None:
        """See `Registrar`."""
        self._rows.grant(address, sender)

    async def ungrant(self, address: Address, sender: Address) -> None:
        """See `Registrar`."""
        self._rows.ungrant(address, sender)

    async def grants(self, address: Address) -> list[Address]:
        """See `Registrar`."""
        return self._rows.grants(address)

    async def set_secret(self, address: Address, secret: Secret) -> None:
        """See `Registrar`."""
        self._rows.set_secret(address, secret)

    async def revoke_secret(self, address: Address, name: str) -> None:
        """See `Registrar`."""
        self._rows.revoke_secret(address, name)

    async def add_alias(self, alias: Address, targets: Sequence[Address]) -> None:
        """See `Registrar`."""
        self._rows.add_alias(alias, targets)

    async def remove_alias(self, alias: Address) -> None:
        """See `Registrar`."""
        self._rows.remove_alias(alias)

    async def aliases(self, domain: str = "") -> list[tuple[Address, tuple[Address, ...]]]:
        """See `Registrar`."""
        return self._rows.aliases(domain)


class MemoryUsage:
    """`Usage` of the users of a directory in memory."""

    def __init__(self, directory: MemoryDirectory) -> None:
        self._rows = UsageRows(directory.connection)
        self.used = self._rows.used
        self.knows = self._rows.knows

    async def cursor(self, shard: int) -> int | None:
        """See `Usage`."""
        return self._rows.cursor(shard)

    async def add(self, shard: int, cursor: int, sent: Sequence[Sent]) -> None:
        """See `Usage`."""
        self._rows.add(shard, cursor, sent)

    async def forget(self, today: int, most: int) -> int:
        """See `Usage`."""
        return self._rows.forget(today, most)
