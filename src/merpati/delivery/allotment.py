"""A site's connections as the workers of this node share them: limits hold for all together.

The count of open connections, the window, the pause and the rate that the site taught one worker
stand in memory that all of them see (`node.table`). A worker that has mail for the site and no
connection says so in a second row; who has more than an even share, or has held the only one for
a while, closes a connection between two messages then and opens none for a moment.
"""

import math

from merpati.delivery.pacing import Pace
from merpati.node.table import Row, Table, TableSettings
from merpati.queue.flow import kept_from_bulk

_WINDOW, _PAUSED_UNTIL, _RATE, _SLOWED_AT = range(4)
_SLICE = 5.0
"""Seconds that a worker may keep connections for which others wait."""
_RESTRAINT = 2.0
"""Seconds without a new connection after one was given up: whoever waits looks once a second."""


class Allotment:
    """One worker's part of one site. Times are monotonic seconds, the same in all processes."""

    def __init__(self, table: Table, site: str, now: float) -> None:
        self._table = table
        self._site = site
        self._row = self._fetch(site, now)
        self._queue: Row | None = None
        """Where this worker counts while it waits for its turn."""
        self._seen = 0.0
        self._since = now
        self._restrained_until = -math.inf

    def exchange(self, pace: Pace, now: float) -> None:
        """Take up what the others learned, and leave what this worker did."""
        if not self._row.mine:
            self._row = self._fetch(self._site, now)
        values = self._row.values
        if values[_WINDOW] and values[_WINDOW] != self._seen:
            pace.window = values[_WINDOW]
        self._seen = values[_WINDOW] = pace.window
        values[_PAUSED_UNTIL] = pace.paused_until = max(values[_PAUSED_UNTIL], pace.paused_until)
        if values[_SLOWED_AT] > max(0.0, pace.bucket.slowed_at):
            pace.bucket.adopt(values[_RATE], values[_SLOWED_AT])
        elif pace.bucket.slowed_at > 0.0:
            values[_RATE], values[_SLOWED_AT] = pace.bucket.base, pace.bucket.slowed_at
        pace.bucket.sharers = self._row.sharers

    def lift(self) -> None:
        """An operator lets the site be tried now."""
        self._row.values[_PAUSED_UNTIL] = 0.0

    @property
    def elsewhere(self) -> int:
        """Connections of the other workers, those being opened included."""
        return self._row.total - self._row.mine

    def open(self, window: int, now: float) -> bool:
        """Count a connection, unless that makes more than the window of all workers."""
        if now < self._restrained_until:
            return False
        if not self._row.mine:
            self._since = now
        return self._row.take(window)

    def add(self) -> None:
        """Count a connection that must be, whatever the window says."""
        self._row.add()

    def closed(self) -> None:
        """A connection is gone."""
        self._row.give_back()

    def wait(self, now: float, *, wanting: bool) -> None:
        """Whether this worker has mail and no connection, because others have them all."""
        wanting = wanting and not self._row.mine and self.elsewhere > 0
        if wanting and self._queue is None:
            self._queue = self._fetch(f"{self._site} waits", now)
            self._queue.add()
        elif not wanting and self._queue is not None:
            self._queue.give_back()
            self._queue = None

    def surplus(self, window: int, now: float) -> int:
        """How many of this worker's connections to give up, since others wait; then restrain."""
        if not self._row.mine:
            return 0
        queue = self._table.find(f"{self._site} waits")
        waiting = queue.total if queue is not None else 0
        if not waiting:
            return 0
        more = self._row.mine - max(1, window // (self._row.sharers + waiting))
        if more <= 0 and now >= self._since + _SLICE and self._is_used_up(window):
            more = 1
            self._since = now
        if more > 0:
            self._restrained_until = now + _RESTRAINT
        return max(0, more)

    def _is_used_up(self, window: int) -> bool:
        """Whether who waits, maybe with bulk mail alone, can have none beside those that stand."""
        return self._row.total >= window - kept_from_bulk(window)

    def _fetch(self, key: str, now: float) -> Row:
        # Where every row is in use, thousands of sites are open at once: then this one is limited
        # for each worker alone.
        return self._table.row(key, now) or Table(TableSettings(rows=1)).row(key, now) or _never()


def _never() -> Row:
    raise AssertionError("a new table has room")
