"""What is counted of accounts on SQLite, in the directory's file, which all workers share."""

from collections.abc import Sequence

from merpati.directory.looking import Looking
from merpati.directory.usage import Sent, Used
from merpati.directory.usage_rows import UsageRows
from merpati.mail.address import Address
from merpati.storage.database import Database


class UsageStore:
    """`Usage` over a database of kind DIRECTORY. `open` before use."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._looking = Looking(database)

    def open(self) -> None:
        """With the database open: take a connection for questions on this thread."""
        self._looking.open()

    def close(self) -> None:
        """Give the connection back; the database is closed by its owner. Idempotent."""
        self._looking.close()

    def used(self, account: Address, day: int) -> Used:
        """See `Usage`."""
        return self._looking.look(lambda connection: UsageRows(connection).used(account, day))

    def knows(self, account: Address, recipient: int) -> bool:
        """See `Usage`."""
        return self._looking.look(
            lambda connection: UsageRows(connection).knows(account, recipient)
        )

    async def cursor(self, shard: int) -> int | None:
        """See `Usage`."""
        return await self._database.read(lambda connection: UsageRows(connection).cursor(shard))

    async def add(self, shard: int, cursor: int, sent: Sequence[Sent]) -> None:
        """See `Usage`."""
        await self._database.write(
            lambda connection: UsageRows(connection).add(shard, cursor, sent)
        )

    async def forget(self, today: int, most: int) -> int:
        """See `Usage`."""
        return await self._database.write(
            lambda connection: UsageRows(connection).forget(today, most)
        )
