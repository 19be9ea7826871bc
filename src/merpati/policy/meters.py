"""Leaky counters by key: what a peer or an account used lately, in a table that cannot grow."""

from collections.abc import Hashable

from merpati.node.table import Table, TableSettings

_LEVEL, _AT = range(2)


class Meters:
    """Each key has a level that rises when it is used and drains with time.

    The levels stand in a table that all workers of a node share. A stranger can make any number of
    keys, so those that were used longest ago are forgotten: forgetting is safe, growing is not.
    """

    def __init__(self, drain: float, table: Table | None = None, name: str = "") -> None:
        """`drain` is how much a level falls in a second; `name` tells these meters from others in
        the same table. Without a table they have one of their own."""
        self.drain = drain
        self._table = table or Table(TableSettings())
        self._name = name

    def level(self, key: Hashable, now: float) -> float:
        """How full it is; 0.0 for one that was never used. `now` is monotonic."""
        row = self._table.find(self._key(key))
        return 0.0 if row is None else self._now(row.values, now)

    def add(self, key: Hashable, now: float, amount: float = 1.0) -> float:
        """Use it; the level after that."""
        row = self._table.row(self._key(key), now)
        if row is None:
            return amount  # Nobody counts in these rows, so there is always one to have.
        level = self._now(row.values, now) + amount
        row.values[_LEVEL], row.values[_AT] = level, now
        return level

    def clear(self, key: Hashable) -> None:
        """Forget one."""
        row = self._table.find(self._key(key))
        if row is not None:
            row.values[_LEVEL] = 0.0

    def _now(self, values: "memoryview[float]", now: float) -> float:
        return max(0.0, values[_LEVEL] - (now - values[_AT]) * self.drain)

    def _key(self, key: Hashable) -> str:
        return f"{self._name} {key}"
