"""What reports to other domains tell, counted from one shard's journal (RFC 9990, RFC 8460).

It is written about once a minute.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from merpati.clock import Clock
from merpati.feedback.received import Kind
from merpati.feedback.tallies import DAY, Subject, Tallies, Tally
from merpati.journal.events import (
    Accepted,
    Deferred,
    Delivered,
    Event,
    Failed,
    Opened,
    PolicyUnread,
    Refused,
)
from merpati.journal.journal import Journal
from merpati.report.dmarc.tallying import DmarcTally
from merpati.report.tlsrpt.tallying import Memory, TlsTally

_DAYS_BACK = 1
"""What happened before yesterday goes into no report any more."""


@dataclass(frozen=True, slots=True)
class TallyingSettings:
    """Times in seconds."""

    interval: float = 60.0
    """Between two writes."""
    rows: int = 1_000
    """Different rows in memory; with as many they are written at once. To make each ready takes
    10 us, and nothing else runs meanwhile."""
    grace: float = 900.0
    """From the end of a day until its first report: all workers have written by then."""
    spread: float = 4 * 3600.0
    """The reports of a day are spread over this time, so that no receiver gets all at midnight
    (RFC 8460 §4.1 has the same four hours)."""
    late: float = 1800.0
    """At least so long is collected what comes when the day's report was sent already."""


@dataclass(frozen=True, slots=True)
class TallyingParts:
    """What is read, and where it is written."""

    journal: Journal
    tallies: Tallies
    clock: Clock
    chance: Callable[[], float]
    """A number from 0 up to 1."""
    new_name: Callable[[], str]
    """Never the same twice."""


class Tallying:
    """`Counter` for one shard."""

    def __init__(self, shard: int, settings: TallyingSettings, parts: TallyingParts) -> None:
        self._shard = shard
        self._settings = settings
        self._parts = parts
        self._memory = Memory()
        self._empty()

    async def begin(self) -> int:
        """See `Counter`.

        A journal that nobody has counted yet is counted from its beginning. What begins days ago is
        counted from now on: of that no report would go any more.
        """
        self._memory.unwritten()
        self._empty()
        last = await self._parts.journal.last()
        written = await self._parts.tallies.cursor(self._shard)
        start = written or 0
        if start > last or await self._is_long_ago(start):
            start = last
        if start != written:
            await self._parts.tallies.add(self._shard, start, ())
        return start

    async def _is_long_ago(self, written: int) -> bool:
        page = await self._parts.journal.follow(written, 1)
        return bool(page) and int(page[0][1].at // DAY) < self._today - _DAYS_BACK

    @property
    def _today(self) -> int:
        return int(self._parts.clock.now() // DAY)

    def take(self, event: Event, is_new: bool) -> None:
        """See `Counter`."""
        count = self._counts.get(type(event))
        if count is not None:
            count(event)

    def is_due(self, elapsed: float, unwritten: int) -> bool:
        """See `Counter`."""
        rows = self._dmarc.size + self._tls.size
        return rows >= self._settings.rows or elapsed >= self._settings.interval

    def _empty(self) -> None:
        self._dmarc, self._tls = DmarcTally(), TlsTally(self._memory)
        judged, tried = self._dmarc.take, self._tls.take
        self._counts: Mapping[type, Callable[[Any], None]] = {
            Accepted: judged,
            Refused: judged,
            Delivered: tried,
            Deferred: tried,
            Failed: tried,
            PolicyUnread: tried,
            Opened: self._memory.note,
        }

    async def write(self, cursor: int) -> None:
        """See `Counter`."""
        oldest = self._today - _DAYS_BACK
        tallies = [one for one in self._tallies() if one.subject.day >= oldest]
        await self._parts.tallies.add(self._shard, cursor, tallies)
        self._memory.written()
        self._empty()

    def _tallies(self) -> Iterator[Tally]:
        for (day, domain), judged in self._dmarc.groups():
            subject = Subject(day, Kind.AGGREGATE, domain)
            yield self._tally(subject, judged.rows(), judged.reasons, judged.record)
        for (day, domain), tried in self._tls.groups():
            yield self._tally(Subject(day, Kind.TLS, domain), tried.rows(), tried.reasons)

    def _tally(
        self, subject: Subject, rows: Mapping[bytes, int], reasons: int, record: str = ""
    ) -> Tally:
        parts, settings = self._parts, self._settings
        end = (subject.day + 1) * DAY + settings.grace
        due = max(end + settings.spread * parts.chance(), parts.clock.now() + settings.late)
        return Tally(subject, due, parts.new_name(), rows, record, reasons)
