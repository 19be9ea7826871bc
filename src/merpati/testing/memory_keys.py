"""Keys for tests: the real rules over a database in memory, answered at once."""

from collections.abc import Iterable

from merpati.directory.key_rows import KeyRows
from merpati.directory.keys import DkimKey
from merpati.storage.connection import Kind, in_memory


class MemoryKeys:
    """`Keys` and `KeyKeeper`."""

    def __init__(self, signing: Iterable[DkimKey] = ()) -> None:
        """`signing` have taken over already."""
        self._connection = in_memory(Kind.DIRECTORY)
        self._rows = KeyRows(self._connection)
        self.has_active = self._rows.has_active
        self.active = self._rows.active
        for key in signing:
            self._rows.add(key)
            self._rows.rotate(key.domain, key.since)

    def forget(self) -> None:
        """There is no memory beside the truth."""

    async def keys(self, domain: str = "") -> list[DkimKey]:
        """See `KeyKeeper`."""
        return self._rows.keys(domain)

    async def add_key(self, key: DkimKey) -> None:
        """See `KeyKeeper`."""
        self._rows.add(key)

    async def rotate_keys(self, domain: str, at: float) -> list[DkimKey]:
        """See `KeyKeeper`."""
        return self._rows.rotate(domain, at)

    async def remove_key(self, domain: str, selector: str, at: float, *, force: bool) -> None:
        """See `KeyKeeper`."""
        self._rows.remove(domain, selector, at, force=force)
