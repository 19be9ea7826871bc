"""Reports on SQLite, in a file of their own that the workers of a node share."""

from collections.abc import Sequence

from merpati.feedback.feedback import Line, Room, Selection
from merpati.feedback.received import Received
from merpati.feedback.rows import Rows
from merpati.feedback.sum_rows import SumRows
from merpati.feedback.sums import Alignment, Sessions, Source
from merpati.storage.database import Database


class FeedbackStore:
    """`Feedback` over a database of kind FEEDBACK, which its owner opens and closes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, report: Received, room: Room) -> bool:
        """See `Feedback`."""
        return await self._database.write(lambda connection: Rows(connection).keep(report, room))

    async def reports(self, selection: Selection) -> Sequence[Line]:
        """See `Feedback`."""
        return await self._database.read(lambda connection: Rows(connection).reports(selection))

    async def report(self, id_: str) -> Received | None:
        """See `Feedback`."""
        return await self._database.read(lambda connection: Rows(connection).report(id_))

    async def sources(self, domain: str, since: float, most: int) -> Sequence[Source]:
        """See `Feedback`."""
        return await self._database.read(
            lambda connection: SumRows(connection).sources(domain, since, most)
        )

    async def sessions(self, domain: str, since: float) -> Sequence[Sessions]:
        """See `Feedback`."""
        return await self._database.read(
            lambda connection: SumRows(connection).sessions(domain, since)
        )

    async def alignment(self, domain: str, since: float) -> Alignment:
        """See `Feedback`."""
        return await self._database.read(
            lambda connection: SumRows(connection).alignment(domain, since)
        )

    async def forget(self, now: float, room: Room, most: int) -> int:
        """See `Feedback`."""
        return await self._database.write(
            lambda connection: Rows(connection).forget(now, room, most)
        )
