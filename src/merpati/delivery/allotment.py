"""A site's connections as the workers of this node share them: limits hold for all together.

The count of open connections, the window, the pause and the rate that the site taught one worker
stand in memory that all of them see (`node.table`), and what they sent of that rate: it is for all
of them together, in equal parts for those who have mail for a slowed site. A worker that has mail
for the site and no connection says so in a second row; who has more than an even share, or has held
the only one for a while, closes a connection between two messages then and opens none for a moment.
Of those who wait, whoever has waited longest comes first, if it comes soon.

A shard that a worker adopted shares with the worker's own as if it were another worker's.
"""

import math

from merpati.delivery.pacing import Pace
from merpati.node.table import Row, Table, TableSettings
from merpati.queue.flow import kept_from_bulk

_WINDOW, _PAUSED_UNTIL, _RATE, _SLOWED_AT, _FREE_AT = range(5)
_WAITS_SINCE, _SAID_SO_AT = range(2)
"""In the second row: of whoever has waited longest."""
_SLICE = 5.0
"""Seconds that a worker may keep connections for which others wait."""
_RESTRAINT = 2.0
"""Seconds without a new connection after one was given up, or while another has waited longer:
whoever waits looks once a second."""


class Allotment:
    """One shard's part of one site. Times are monotonic seconds, the same in all processes."""

    def __init__(self, table: Table, site: str, now: float) -> None:
        self._table = table
        self._site = site
        self._row = self._fetch(site, now)
        self._own = 0
        """Connections of this shard: the worker may count those of others in the same row."""
        self._queue: Row | None = None
        """Where this worker counts while it waits for its turn."""
        self._queued_at = math.inf
        self._yielded_at = math.inf
        """When it first let another come before it."""
        self._senders: Row | None = None
        """The same while it has mail and the site is slowed."""
        self._is_slowed = False
        self._seen = 0.0
        self._paused_until = math.inf
        """As all knew it when we last looked. What the pace says beyond it, this worker learned; of
        a new one it is what all know, or was lifted since."""
        self._since: float | None = None
        """When this shard last had none, or closed one, as far as was looked."""
        self._restrained_until = -math.inf

    def exchange(self, pace: Pace, now: float) -> None:
        """Take up what the others learned, and leave what this worker did."""
        if not self._own:
            self._row = self._fetch(self._site, now)
        values = self._row.values
        self._exchange_pause(pace, values)
        if values[_WINDOW] and values[_WINDOW] != self._seen:
            pace.window = values[_WINDOW]
        self._seen = values[_WINDOW] = pace.window
        if values[_SLOWED_AT] > max(0.0, pace.bucket.slowed_at):
            pace.bucket.adopt(values[_RATE], values[_SLOWED_AT])
        elif pace.bucket.slowed_at > 0.0:
            values[_RATE], values[_SLOWED_AT] = pace.bucket.base, pace.bucket.slowed_at
        pace.bucket.free_at = values[_FREE_AT:]
        self._is_slowed = pace.bucket.base != math.inf
        # Who waits for the rate to let the next message go has no connection meanwhile.
        senders = self._senders.total if self._senders is not None else 0
        pace.bucket.sharers = max(self._row.sharers, senders)

    def _exchange_pause(self, pace: Pace, values: "memoryview[float]") -> None:
        """Who learned of a pause says so once, and all go by what stands there, also when it is
        less: were the longest taken, each who had heard of it would undo what an operator lifts."""
        # A row without a window is a new one, or has given way to another site and come back.
        if pace.paused_until > self._paused_until or not values[_WINDOW]:
            values[_PAUSED_UNTIL] = max(values[_PAUSED_UNTIL], pace.paused_until)
        self._paused_until = pace.paused_until = values[_PAUSED_UNTIL]

    def lift(self) -> None:
        """An operator lets the site be tried now."""
        # A row that nobody counts in may be another site's by now.
        row = self._row if self._own else self._table.find(self._site)
        if row is not None:
            row.values[_PAUSED_UNTIL] = 0.0

    @property
    def elsewhere(self) -> int:
        """Connections of the others, those being opened included."""
        return self._row.total - self._own

    def open(self, window: int, now: float) -> bool:
        """Count a connection, unless that makes more than the window of all workers."""
        if now < self._restrained_until or self._row.total >= window:
            return False
        if not self._own:
            if self._yields(now):
                return False
            self._since = now
        may = self._row.take(window)
        self._own += may
        return may

    def _yields(self, now: float) -> bool:
        """Whether another has waited longer, who may come in a moment. Not for longer: what keeps
        that one back may be something else."""
        queue = self._table.find(f"{self._site} waits")
        if queue is None or not queue.total or self._queued_at <= _longest(queue, now):
            return False
        self._yielded_at = min(self._yielded_at, now)
        return now < self._yielded_at + _RESTRAINT

    def add(self) -> None:
        """Count a connection that must be, whatever the window says."""
        self._row.add()
        self._own += 1

    def closed(self) -> None:
        """A connection is gone."""
        self._row.give_back()
        self._own -= 1
        self._since = None

    def wait(self, now: float, *, wanting: bool) -> None:
        """Whether this worker has mail, and maybe no connection, because others have them all."""
        # Who lets another come first keeps its own place while nobody has a connection.
        waits = wanting and not self._own and (self.elsewhere > 0 or self._queue is not None)
        if waits != (self._queue is not None):
            self._queue = self._stand(self._queue, "waits", now)
            self._queued_at, self._yielded_at = now if waits else math.inf, math.inf
        if self._queue is not None and self._queued_at <= _longest(self._queue, now):
            values = self._queue.values
            values[_WAITS_SINCE], values[_SAID_SO_AT] = self._queued_at, now
        sends = wanting and self._is_slowed
        if sends != (self._senders is not None):
            self._senders = self._stand(self._senders, "sends", now)

    def _stand(self, row: Row | None, why: str, now: float) -> Row | None:
        """Count among those of whom something is so; or no more, in the row of the count."""
        if row is not None:
            row.give_back()
            return None
        row = self._fetch(f"{self._site} {why}", now)
        row.add()
        return row

    def surplus(self, window: int, now: float) -> int:
        """How many of this worker's connections to give up, since others wait; then restrain."""
        if not self._own:
            return 0
        if self._since is None:
            self._since = now
        queue = self._table.find(f"{self._site} waits")
        waiting = queue.total if queue is not None else 0
        if not waiting:
            return 0
        more = self._own - max(1, window // (self._row.sharers + waiting))
        if more <= 0 and now >= self._since + _SLICE and self._is_used_up(window):
            # Again and again until one is closed: a host may take long over each message.
            more = 1
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


def _longest(queue: Row, now: float) -> float:
    """Since when whoever waits longest does; infinite when nobody has said so lately."""
    since, said_at = queue.values[_WAITS_SINCE], queue.values[_SAID_SO_AT]
    return since if said_at and now <= said_at + _RESTRAINT else math.inf


def _never() -> Row:
    raise AssertionError("a new table has room")
