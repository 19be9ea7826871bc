"""The promises of a store of tallies: what was counted for the reports to other domains.

All workers of a node share one. Each adds what it counted from its own journal, together with the
place in that journal where it stopped, so that everything is counted exactly once whatever crashes.
Any of them takes a report that is due, and no two take the same.

Engines: `tally_store` (SQLite) and `testing.memory_tallies`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from merpati.feedback.received import Kind

DAY = 86_400
_SHARE = 10
"""Of what is left of the common half one family of names may have so much: one part of ten."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept of one day. What comes on top is counted and left out."""

    domains: int = 10_000
    """Of each kind."""
    family: int = 1_000
    """Of these, with the same last two labels, once half of the room is taken: names below a name
    cost nothing, and whoever invents them must leave room for others."""
    rows: int = 5_000
    """Of one domain."""
    all_rows: int = 100_000
    """Of all domains of a kind: a stranger can send mail of which each makes a row."""

    @property
    def own_rows(self) -> int:
        """Of each domain, for which there is room whatever comes of others: half of all."""
        return self.all_rows // (2 * self.domains)

    def room(self, of_day: int, of_domain: int, of_family: int) -> int:
        """How many rows more a domain may have, by how many there are.

        Beyond its own few it has a share of what is left of the other half, together with all
        names below the same: the more there is already, the less anybody may add.
        """
        own = self.own_rows - of_domain
        shared = (self.all_rows // 2 - of_day) // _SHARE - of_family
        left = min(self.rows - of_domain, self.all_rows - of_day)
        return max(0, min(left, max(own, shared)))


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a report will be about."""

    day: int
    """Since 1970, UTC."""
    kind: Kind
    """AGGREGATE or TLS."""
    domain: str

    @property
    def family(self) -> str:
        """The last two labels of the domain."""
        return ".".join(self.domain.split(".")[-2:])


@dataclass(frozen=True, slots=True)
class Tally:
    """What was counted about one subject since the last time."""

    subject: Subject
    due: float
    """When its report may be made, seconds since 1970; counts if it is the first of its subject."""
    name: str
    """Names the report if it is the first: never given twice."""
    rows: Mapping[bytes, int]
    """How often each row was counted; what a row is, is the kind's own."""
    record: str = ""
    """What was published, as it was seen last."""
    reasons: int = 0
    """How much of it is a reason for a report: not what was a report itself."""
    left_out: int = 0
    """How much of it had no room in memory."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the sending of a report has come."""

    message: str = ""
    """The id of the message that was about to be stored, or was; empty before that."""
    is_mailed: bool = False
    """That message is stored, or none is needed."""
    posts: tuple[str, ...] = ()
    """URIs that it is still to be posted to."""
    begun: float = 0.0
    """When it was first tried; 0 before."""


@dataclass(frozen=True, slots=True)
class Due:
    """A report that is to be made now, by the one worker that has taken it."""

    id: int
    token: int
    """How often it was taken: who holds an old one has lost it."""
    subject: Subject
    name: str
    record: str
    reasons: int
    left_out: int
    rows: Sequence[tuple[bytes, int]] = ()
    progress: Progress = field(default_factory=Progress)


@dataclass(frozen=True, slots=True)
class Standing:
    """What there is."""

    waiting: Mapping[Kind, int]
    """Reports that are not finished."""
    left_out: int
    """What was counted for domains that there was no room for, on the days that are kept."""


class Tallies(Protocol):
    """Every method may raise StorageError, and then nothing was changed."""

    async def cursor(self, shard: int) -> int | None:
        """The last event of a shard's journal that was counted; None: none was ever."""
        ...

    async def add(self, shard: int, cursor: int, tallies: Sequence[Tally]) -> None:
        """All of it and the new cursor, or nothing; on disk when it returns.

        What comes for a subject whose report was taken already begins a second one.
        """
        ...

    async def take(self, shard: int, now: float, until: float) -> Due | None:
        """The report that is due for longest, with its rows. Nobody else gets it before `until`.

        One whose message was about to be stored is given to the same shard alone, since only that
        one's journal knows whether it was.
        """
        ...

    async def keep(self, due: Due, progress: Progress, until: float) -> bool:
        """How far it has come, and until when it is left alone. False: somebody else has it now,
        and nothing was written."""
        ...

    async def finish(self, due: Due) -> None:
        """It is sent, or nobody wants it: forget it with its rows."""
        ...

    async def hasten(self, day: int) -> int:
        """Make all due at once whose day is this or lies before; how many."""
        ...

    async def standing(self) -> Standing:
        """What waits, and what had no room."""
        ...

    async def forget(self, before: int) -> int:
        """Drop what is about days before this one, whatever became of it; how many."""
        ...
