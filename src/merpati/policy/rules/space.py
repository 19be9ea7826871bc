"""No message begins while the disk is nearly full: what was taken has to be delivered and told of.

The last of the space is not for mail from outside: deliveries, notices and the journal need it, and
a message that is refused at MAIL costs its sender nothing but another try.
"""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from merpati.clock import Clock
from merpati.policy.limit import Limit
from merpati.policy.rule import Facts, Moment
from merpati.policy.verdict import Verdict
from merpati.smtp.replies import Reply
from merpati.smtp.status import Status

NAME = "space"
# RFC 3463 §3.4: X.3.1 is the system's storage, not a mailbox's.
_FULL = Verdict(
    Reply(452, "No space left, try again later", Status(4, 3, 1)), NAME, limit=Limit.FREE_SPACE
)
_BELIEVED = 1.0
"""Seconds that an answer of the file system holds at most,"""
_FASTEST = 1024**3
"""and no longer than writing so many octets a second would take to come to what is kept free."""
_OF_THE_DISK = 20
"""One part in so many is kept free,"""
_AT_MOST = 1024**3
"""but never more than this: a large disk that is nearly full has room for mail all the same."""


@dataclass(frozen=True, slots=True)
class Disk:
    """Octets of a file system."""

    size: int
    free: int
    """For this process; what is kept for root does not count."""


Measure = Callable[[], Disk | None]
"""How the disk is now; None where that cannot be learned."""


def disk_of(folder: Path) -> Disk | None:
    """The file system of a folder."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None  # A store that is really broken says so itself when it is written to.
    return Disk(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)


def kept_free(disk: Disk, max_size: int, least: int | None = None) -> int:
    """Octets below which no mail is taken: `least`, else 1.5 messages or a part of the disk."""
    if least is not None:
        return least
    return max(max_size * 3 // 2, min(disk.size // _OF_THE_DISK, _AT_MOST))


class Space:
    """Mail is taken while there is room for it: the nearer the end, the more often it is asked for,
    on a disk with room once a second."""

    name = NAME
    moments = frozenset({Moment.MAIL})

    def __init__(
        self, measure: Measure, max_size: int, clock: Clock, least: int | None = None
    ) -> None:
        """`least` octets must be free; None: as `kept_free` has it for `max_size`."""
        self._measure = measure
        self._max_size = max_size
        self._clock = clock
        self._least = least
        self._is_full = False
        self._until = 0.0

    def judge(self, moment: Moment, facts: Facts) -> Verdict | None:
        """452 4.3.1 for everybody, whoever has logged in: the disk does not know them."""
        now = self._clock.monotonic()
        if now >= self._until:
            room = self._room()
            self._is_full = room < 0
            lasts = _BELIEVED if self._is_full else room / _FASTEST
            self._until = now + min(_BELIEVED, lasts)
        return _FULL if self._is_full else None

    def _room(self) -> float:
        """Octets that may be taken still; without an end where the disk does not say."""
        disk = self._measure()
        if disk is None:
            return math.inf
        return disk.free - kept_free(disk, self._max_size, self._least)
