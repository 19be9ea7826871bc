"""Tallies in memory, for tests."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from merpati.feedback.received import Kind
from merpati.feedback.tallies import Bounds, Due, Progress, Standing, Subject, Tally


@dataclass(slots=True)
class _Kept:
    id: int
    subject: Subject
    name: str
    due: float
    record: str = ""
    reasons: int = 0
    left_out: int = 0
    rows: Counter[bytes] = field(default_factory=Counter)
    token: int = 0
    shard: int = -1
    progress: Progress = field(default_factory=Progress)


class MemoryTallies:
    """Keeps every promise but that of the disk."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self._bounds = bounds or Bounds()
        self._cursors: dict[int, int] = {}
        self._kept: dict[int, _Kept] = {}
        self._last = 0
        self._domains: Counter[tuple[int, Kind]] = Counter()
        self._rows: Counter[tuple[int, Kind]] = Counter()
        self._left_out: Counter[tuple[int, Kind]] = Counter()

    async def cursor(self, shard: int) -> int | None:
        """See `Tallies`, as all of these."""
        return self._cursors.get(shard)

    async def add(self, shard: int, cursor: int, tallies: Sequence[Tally]) -> None:
        """At once."""
        for tally in tallies:
            self._add(tally)
        self._cursors[shard] = cursor

    def _add(self, tally: Tally) -> None:
        of_day = (tally.subject.day, tally.subject.kind)
        kept = self._open(tally)
        if kept is None:
            self._left_out[of_day] += tally.left_out + sum(tally.rows.values())
            return
        kept.record = tally.record
        kept.reasons += tally.reasons
        kept.left_out += tally.left_out
        family = sum(len(one.rows) for one in self._family(tally.subject))
        room = self._bounds.room(self._rows[of_day], len(kept.rows), family)
        for row, count in tally.rows.items():
            if row not in kept.rows and not room:
                kept.left_out += count
                continue
            room -= row not in kept.rows
            self._rows[of_day] += row not in kept.rows
            kept.rows[row] += count

    def _family(self, subject: Subject) -> list[_Kept]:
        """Those of the same day and kind whose last two labels are the same."""
        return [
            one
            for one in self._kept.values()
            if (one.subject.day, one.subject.kind) == (subject.day, subject.kind)
            and f".{one.subject.domain}".endswith(f".{subject.family}")
        ]

    def _open(self, tally: Tally) -> _Kept | None:
        of_day = (tally.subject.day, tally.subject.kind)
        for kept in self._kept.values():
            if kept.subject == tally.subject and not kept.token:
                return kept
        domains = self._domains[of_day]
        is_crowded = 2 * domains >= self._bounds.domains
        if domains >= self._bounds.domains or (is_crowded and not self._has_family_room(tally)):
            return None
        self._domains[of_day] += 1
        self._last += 1
        kept = _Kept(self._last, tally.subject, tally.name, tally.due)
        self._kept[kept.id] = kept
        return kept

    def _has_family_room(self, tally: Tally) -> bool:
        family = [one for one in self._family(tally.subject) if not one.token]
        return len(family) < self._bounds.family

    async def take(self, shard: int, now: float, until: float) -> Due | None:
        """The first of those that are due."""
        due = [
            one
            for one in self._kept.values()
            if one.due <= now
            and (not one.progress.message or one.progress.is_mailed or one.shard == shard)
        ]
        if not due:
            return None
        kept = min(due, key=lambda one: (one.due, one.id))
        kept.token += 1
        kept.shard, kept.due = shard, until
        return Due(
            kept.id,
            kept.token,
            kept.subject,
            kept.name,
            kept.record,
            kept.reasons,
            kept.left_out,
            tuple(sorted(kept.rows.items())),
            kept.progress,
        )

    async def keep(self, due: Due, progress: Progress, until: float) -> bool:
        """Where the token is still the same."""
        kept = self._kept.get(due.id)
        if kept is None or kept.token != due.token:
            return False
        kept.progress, kept.due = progress, until
        return True

    async def finish(self, due: Due) -> None:
        """Where the token is still the same."""
        kept = self._kept.get(due.id)
        if kept is not None and kept.token == due.token:
            del self._kept[due.id]

    async def hasten(self, day: int) -> int:
        """Those that nobody has taken."""
        waiting = [one for one in self._kept.values() if one.subject.day <= day and not one.token]
        for one in waiting:
            one.due = 0.0
        return len(waiting)

    async def standing(self) -> Standing:
        """Counted."""
        waiting = Counter(one.subject.kind for one in self._kept.values())
        return Standing(dict(waiting), self._left_out.total())

    async def forget(self, before: int) -> int:
        """All of them."""
        old = [one.id for one in self._kept.values() if one.subject.day < before]
        for id_ in old:
            del self._kept[id_]
        for numbers in (self._domains, self._rows, self._left_out):
            for of_day in [one for one in numbers if one[0] < before]:
                del numbers[of_day]
        return len(old)
