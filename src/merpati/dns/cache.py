"""A cache with a bound: what weighs so much in all, the entry that was not used for longest goes
first."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Cache(Generic[K, V]):
    """Values until a time, which weigh at most `size` together; one weighs 1 if nothing else is
    said. Knows no clock: `now` is an argument."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[K, tuple[float, V, int]] = OrderedDict()
        self._weight = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K, now: float) -> V | None:
        """The value if there is one that has not expired."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        expires, value, _ = entry
        if expires <= now:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return value

    def put(self, key: K, value: V, expires: float, weight: int = 1) -> None:
        """Keep this value until `expires`, at the cost of the least used ones."""
        self._drop(key)
        self._entries[key] = (expires, value, weight)
        self._weight += weight
        while self._weight > self._size:
            self._drop(next(iter(self._entries)))

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._weight = 0

    def _drop(self, key: K) -> None:
        _, _, weight = self._entries.pop(key, (0.0, None, 0))
        self._weight -= weight
