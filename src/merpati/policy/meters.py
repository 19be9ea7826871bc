"""Leaky counters by key: what a peer or an account used lately, in a table that cannot grow."""

from collections import OrderedDict
from collections.abc import Hashable


class Meters:
    """Each key has a level that rises when it is used and drains with time.

    A stranger can make any number of keys, so the table keeps the `capacity` most recently used:
    forgetting is safe, growing is not.
    """

    def __init__(self, drain: float, capacity: int = 10_000) -> None:
        """`drain` is how much a level falls in a second."""
        self._drain = drain
        self._capacity = capacity
        self._levels: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._levels)

    def level(self, key: Hashable, now: float) -> float:
        """How full it is; 0.0 for one that was never used. `now` is monotonic."""
        level, at = self._levels.get(key, (0.0, now))
        return max(0.0, level - (now - at) * self._drain)

    def add(self, key: Hashable, now: float, amount: float = 1.0) -> float:
        """Use it; the level after that."""
        level = self.level(key, now) + amount
        self._levels[key] = (level, now)
        self._levels.move_to_end(key)
        if len(self._levels) > self._capacity:
            self._levels.popitem(last=False)
        return level

    def clear(self, key: Hashable) -> None:
        """Forget one."""
        self._levels.pop(key, None)
