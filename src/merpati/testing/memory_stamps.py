"""Keys for stamps, for tests: the real rules over a database in memory, answered at once."""

from collections.abc import Sequence
from functools import cached_property

from merpati.directory.stamps import SECRET, StampKey, StampRows
from merpati.storage.connection import Kind, in_memory


class MemoryStamps:
    """`Stamps`."""

    def __init__(self) -> None:
        self._made = 0

    def known(self) -> Sequence[StampKey]:
        """See `Stamps`."""
        return self._rows.known()

    async def current(self, now: float) -> Sequence[StampKey]:
        """See `Stamps`."""
        return self._rows.turn(now, self._secret(), only_if_due=True)

    async def turn(self, now: float, *, forget: bool = False) -> Sequence[StampKey]:
        """See `Stamps`."""
        if forget:
            self._rows.forget()
        return self._rows.turn(now, self._secret(), only_if_due=False)

    @cached_property
    def _rows(self) -> StampRows:
        return StampRows(in_memory(Kind.DIRECTORY))

    def _secret(self) -> bytes:
        self._made += 1
        return bytes([self._made]) * SECRET
