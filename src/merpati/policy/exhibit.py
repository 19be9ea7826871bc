"""Records that a verdict went by, made to fit: which are cut, and which are left off first."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from merpati.authenticity.seen import Seen

_LEAST = 40
"""Characters of a record that are worth its name; the mark of one that is cut has 21 or so."""


class Rank(IntEnum):
    """What is left off last stands first."""

    DECISIVE = 0
    """Without it nobody can tell why: cut before it is left off, all of this rank to one length."""
    ON_THE_WAY = 1
    """It refers to the one that decided. From here on whole or not at all."""
    BESIDE = 2
    """It was asked for, and did not decide."""
    SECOND = 3
    """Of a check that decides nothing."""
    PROVED = 4
    """The key of a seal that is good."""


@dataclass(frozen=True, slots=True)
class Exhibit:
    """A record, and whether it is told with its name or its check says of itself where it is."""

    rank: Rank
    seen: Seen
    is_named: bool = True

    @property
    def label(self) -> int:
        """Characters of the name."""
        return len(self.seen.name) if self.is_named else 0

    @property
    def space(self) -> int:
        """Characters that it would take whole."""
        return self.label + self.seen.size


def fit(exhibits: Sequence[Exhibit], room: int) -> list[str | None]:
    """What is kept of each record, so that all of them with their names have at most `room`
    characters. A record that is cut says how long it was; None: it is left off."""
    if sum(one.space for one in exhibits) <= room:
        return [one.seen.record for one in exhibits]
    kept: list[str | None] = [None] * len(exhibits)
    decisive = [one.space for one in exhibits if one.rank is Rank.DECISIVE]
    share = _even(decisive, room)
    for at in sorted(range(len(exhibits)), key=lambda at: exhibits[at].rank):
        one = exhibits[at]
        text = _cut(one, share) if one.rank is Rank.DECISIVE else _whole(one, room)
        if text is not None:
            kept[at] = text
            room -= one.label + len(text)
    return kept


def _even(sizes: list[int], room: int) -> int:
    """How much each may have so that all have room: what short ones leave goes to the long."""
    for n, size in enumerate(sorted(sizes)):
        share = room // (len(sizes) - n)
        if size > share:
            return share
        room -= size
    return max(sizes, default=0)


def _cut(one: Exhibit, room: int) -> str | None:
    if one.space <= room:
        return one.seen.record
    room -= one.label
    mark = f"... ({one.seen.size} characters)"
    return one.seen.record[: room - len(mark)] + mark if room >= _LEAST else None


def _whole(one: Exhibit, room: int) -> str | None:
    return one.seen.record if one.space <= room else None
