"""Counts and values by key in memory that the workers of a node share.

The memory is mapped before the workers are made, so each of them inherits it. Nobody locks: a lock
would hang with whoever is stopped while holding it. Instead each worker writes its own counts only,
and what all may write are single numbers, whose last writer wins. A limit is kept by counting first
and looking at the sum then: two workers that come at once may both step back, but never both go on.

The table cannot grow. A row that nobody counts in gives way to a new key, the longest unused one
first. Two workers that take the same row for different keys at once share it until they let go:
that makes the limit of the key that was written last tighter, and lets the other, which begins anew
in another row, have what was counted in that moment beyond its own.
"""

import mmap
from dataclasses import dataclass
from hashlib import blake2b

_WAYS = 16
"""Rows that a key may lie in: they are looked through at once."""
_VALUES = 5
"""Numbers of a row that all workers may write."""
_OCTETS = 8
"""Of a key, a time, a value and a count each, so that none is ever seen half written."""


@dataclass(frozen=True, slots=True)
class TableSettings:
    """Size of a table: a row takes 56 octets and 8 for each worker."""

    rows: int = 16_384
    workers: int = 1


class Row:
    """One row as one worker sees it, held by its place: what was counted here is taken back here.

    `values` are five numbers of the row's users, 0.0 at first; any worker may write them.
    """

    __slots__ = ("_counts", "_worker", "values")

    def __init__(self, values: "memoryview[float]", counts: "memoryview[int]", worker: int) -> None:
        self.values = values
        self._counts = counts
        self._worker = worker

    @property
    def total(self) -> int:
        """What all workers count."""
        return sum(self._counts)

    @property
    def mine(self) -> int:
        """What this worker counts."""
        return int(self._counts[self._worker])

    @property
    def sharers(self) -> int:
        """Workers that count anything, this one in any case."""
        return sum(map(bool, self._counts)) + (not self._counts[self._worker])

    def add(self) -> None:
        """Count one."""
        self._counts[self._worker] += 1

    def take(self, limit: int) -> bool:
        """Count one, unless that makes more than `limit` of all workers."""
        self.add()
        if self.total <= limit:
            return True
        self.give_back()
        return False

    def give_back(self) -> None:
        """Count one less; never below nothing."""
        if self._counts[self._worker]:
            self._counts[self._worker] -= 1


@dataclass(frozen=True, slots=True)
class Seat:
    """A row of a key, and where it lies."""

    row: Row
    number: int
    index: int


class Table:
    """One table, as one of its workers uses it."""

    def __init__(self, settings: TableSettings, secret: bytes = b"") -> None:
        """Made before the workers are; `secret` (at most 64 octets) keeps strangers from choosing
        keys that push one another out."""
        self._sets = max(1, settings.rows // _WAYS)
        self._workers = settings.workers
        self._secret = secret
        self._worker = 0
        rows = self._sets * _WAYS
        sizes = [rows, rows, rows * _VALUES, rows * settings.workers]
        # Anonymous and shared: children inherit it, and it is gone with the last of them.
        memory = memoryview(mmap.mmap(-1, sum(sizes) * _OCTETS))
        parts = []
        for size in sizes:
            parts.append(memory[: size * _OCTETS])
            memory = memory[size * _OCTETS :]
        self._keys = parts[0].cast("Q")
        self._used = parts[1].cast("d")
        self._values = parts[2].cast("d")
        self._counts = parts[3].cast("Q")

    def become(self, worker: int) -> None:
        """Count as this worker from now on: said once, in the worker's own process."""
        self._worker = worker

    def forget(self, worker: int) -> None:
        """A worker is dead: what it counted is gone."""
        for cell in range(worker, len(self._counts), self._workers):
            if self._counts[cell]:
                self._counts[cell] = 0

    def find(self, key: str) -> Row | None:
        """The row of a key that is known."""
        number, start = self._place(key)
        try:
            return self._row(start + self._keys[start : start + _WAYS].tolist().index(number))
        except ValueError:
            return None

    def row(self, key: str, now: float) -> Row | None:
        """The row of a key, made if need be; None where every row that it could have is in use.

        `now` is monotonic seconds: the row that was asked for longest ago gives way first.
        """
        number, start = self._place(key)
        try:
            index = start + self._keys[start : start + _WAYS].tolist().index(number)
        except ValueError:
            index = self._oldest(start)
            if index < 0:
                return None
            self._values[index * _VALUES : (index + 1) * _VALUES] = _ZEROS
            self._keys[index] = number
        self._used[index] = now
        return self._row(index)

    def seat(self, key: str, now: float) -> "Seat | None":
        """The same, to come back to without looking for the key each time."""
        row = self.row(key, now)
        if row is None:
            return None
        number, start = self._place(key)
        return Seat(row, number, start + self._keys[start : start + _WAYS].tolist().index(number))

    def renew(self, seat: "Seat", now: float) -> bool:
        """Ask for its row again; False where that has given way to another key."""
        if self._keys[seat.index] != seat.number:
            return False
        self._used[seat.index] = now
        return True

    def _oldest(self, start: int) -> int:
        """Of the rows that nobody counts in, one without a key first; -1 for none."""
        keys = self._keys[start : start + _WAYS].tolist()
        if 0 in keys:  # Nobody has ever counted in it.
            return start + keys.index(0)
        free = [index for index in range(start, start + _WAYS) if not any(self._cells(index))]
        return min(free, key=self._used.__getitem__, default=-1)

    def _row(self, index: int) -> Row:
        values = self._values[index * _VALUES : (index + 1) * _VALUES]
        return Row(values, self._cells(index), self._worker)

    def _cells(self, index: int) -> "memoryview[int]":
        return self._counts[index * self._workers : (index + 1) * self._workers]

    def _place(self, key: str) -> tuple[int, int]:
        octets = key.encode("utf-8", "surrogatepass")
        digest = blake2b(octets, digest_size=8, key=self._secret).digest()
        # 0 is the key of a row that was never used.
        number = int.from_bytes(digest, "big") or 1
        return number, number % self._sets * _WAYS


_ZEROS = memoryview(bytes(_OCTETS * _VALUES)).cast("d")
