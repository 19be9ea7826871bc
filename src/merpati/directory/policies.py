"""What other domains demand of who sends to them (MTA-STS), kept over restarts."""

from dataclasses import dataclass

import apsw

from merpati.storage.database import Database
from merpati.storage.rows import rows

_COLUMNS = "domain, ident, text, expires, looked"


@dataclass(frozen=True, slots=True)
class KeptPolicy:
    """A policy as it was fetched. Times in seconds since 1970."""

    domain: str
    ident: str
    """Of the TXT record at that time."""
    text: bytes
    expires: float
    looked: float
    """When it was last tried to renew it."""


class PolicyStore:
    """Over a database of kind DIRECTORY; several workers may share its file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def kept(self, domain: str) -> KeptPolicy | None:
        """The one of a domain, expired or not."""
        query = f"SELECT {_COLUMNS} FROM sts_policy WHERE domain = ?"  # noqa: S608 - constants
        found = await self._ask(query, domain)
        return found[0] if found else None

    async def keep(self, policy: KeptPolicy) -> None:
        """In the place of the domain's last one; on disk when it returns."""
        values = (policy.domain, policy.ident, policy.text, policy.expires, policy.looked)

        def change(connection: apsw.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO sts_policy VALUES (?, ?, ?, ?, ?)", values)

        await self._database.write(change)

    async def stale(self, now: float, before: float, limit: int) -> list[KeptPolicy]:
        """Those that hold `now` and were looked after `before` for the last time."""
        query = (
            f"SELECT {_COLUMNS} FROM sts_policy "  # noqa: S608 - constants
            "WHERE expires > ? AND looked < ? ORDER BY looked LIMIT ?"
        )
        return await self._ask(query, now, before, limit)

    async def forget(self, before: float) -> None:
        """Those that expired before."""

        def change(connection: apsw.Connection) -> None:
            connection.execute("DELETE FROM sts_policy WHERE expires < ?", (before,))

        await self._database.write(change)

    async def _ask(self, query: str, *bindings: object) -> list[KeptPolicy]:
        found = await self._database.read(lambda connection: rows(connection, query, bindings))
        return [KeptPolicy(*row) for row in found]
