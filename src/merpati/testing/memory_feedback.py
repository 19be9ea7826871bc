"""Reports for tests: the real rules over a database in memory, answered at once."""

from collections.abc import Sequence

from merpati.feedback.feedback import Line, Room, Selection
from merpati.feedback.received import Received
from merpati.feedback.rows import Rows
from merpati.feedback.sum_rows import SumRows
from merpati.feedback.sums import Alignment, Sessions, Source
from merpati.storage.connection import Kind, in_memory


class MemoryFeedback:
    """`Feedback`."""

    def __init__(self) -> None:
        self._connection = in_memory(Kind.FEEDBACK)
        self._rows = Rows(self._connection)
        self._sums = SumRows(self._connection)

    async def keep(self, report: Received, room: Room) -> bool:
        """See `Feedback`."""
        return self._rows.keep(report, room)

    async def reports(self, selection: Selection) -> Sequence[Line]:
        """See `Feedback`."""
        return self._rows.reports(selection)

    async def report(self, id_: str) -> Received | None:
        """See `Feedback`."""
        return self._rows.report(id_)

    async def sources(self, domain: str, since: float, most: int) -> Sequence[Source]:
        """See `Feedback`."""
        return self._sums.sources(domain, since, most)

    async def sessions(self, domain: str, since: float) -> Sequence[Sessions]:
        """See `Feedback`."""
        return self._sums.sessions(domain, since)

    async def alignment(self, domain: str, since: float) -> Alignment:
        """See `Feedback`."""
        return self._sums.alignment(domain, since)

    async def forget(self, now: float, room: Room, most: int) -> int:
        """See `Feedback`."""
        return self._rows.forget(now, room, most)
