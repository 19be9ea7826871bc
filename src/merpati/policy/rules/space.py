"""No message begins while the disk is nearly full: what was taken has to be delivered and told of.

The last of the space is not for mail from outside: deliveries, notices and the journal need it, and
a message that is refused at MAIL costs its sender nothing but another try.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from merpati.clock import Clock
from merpati.policy.rule import Facts, Moment
from merpati.policy.verdict import Verdict
from merpati.smtp.replies import Reply
from merpati.smtp.status import Status

NAME = "space"
# RFC 3463 §3.4: X.3.1 is the system's storage, not a mailbox's.
_FULL = Verdict(Reply(452, "No space left, try again later", Status(4, 3, 1)), NAME)
_BELIEVED = 1.0
"""Seconds that an answer of the file system holds."""
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


class Space:
    """Mail is taken while there is room for it, asked of the disk at most once a second."""

    name = NAME
    moments = frozenset({Moment.MAIL})

    def __init__(
        self, measure: Measure, max_size: int, clock: Clock, least: int | None = None
    ) -> None:
        """`least` octets must be free; None: 1.5 messages of `max_size` or a part of the disk."""
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
            self._is_full = self._ask()
            self._until = now + _BELIEVED
        return _FULL if self._is_full else None

    def _ask(self) -> bool:
        disk = self._measure()
        return disk is not None and disk.free < self._threshold(disk)

    def _threshold(self, disk: Disk) -> int:
        if self._least is not None:
            return self._least
        return max(self._max_size * 3 // 2, min(disk.size // _OF_THE_DISK, _AT_MOST))
