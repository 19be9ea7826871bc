"""The keys that sign, on SQLite: in the file of the directory."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from merpati.directory.key_rows import KeyRows
from merpati.directory.keys import DkimKey
from merpati.directory.looking import Looking
from merpati.storage.database import Database
from merpati.storage.errors import StorageError

T = TypeVar("T")
_REMEMBERED = 1_000
"""Domains whose keys, or whose lack of them, are kept in memory until the next change."""
_OTHERS = 0o077


class KeyStore:
    """`Keys` and `KeyKeeper` over a database of kind DIRECTORY. `open` before use."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._looking = Looking(database)
        self._active = lru_cache(maxsize=_REMEMBERED)(self._look_for_active)
        self._has_active = lru_cache(maxsize=1)(self._look_for_any)

    def open(self) -> None:
        """With the database open. StorageError when others may read its file."""
        keep_private(self._database.settings.path)
        self._looking.open()

    def close(self) -> None:
        """The database is closed by its owner. Idempotent."""
        self._looking.close()

    def has_active(self) -> bool:
        """See `Keys`."""
        return self._has_active()

    def active(self, domain: str) -> Sequence[DkimKey]:
        """See `Keys`."""
        return self._active(domain)

    def forget(self) -> None:
        """See `KeyKeeper`."""
        self._active.cache_clear()
        self._has_active.cache_clear()

    async def keys(self, domain: str = "") -> list[DkimKey]:
        """See `KeyKeeper`."""
        return await self._database.read(lambda connection: KeyRows(connection).keys(domain))

    async def add_key(self, key: DkimKey) -> None:
        """See `KeyKeeper`."""
        await self._change(lambda rows: rows.add(key))

    async def rotate_keys(self, domain: str, at: float) -> list[DkimKey]:
        """See `KeyKeeper`."""
        return await self._change(lambda rows: rows.rotate(domain, at))

    async def remove_key(self, domain: str, selector: str, at: float, *, force: bool) -> None:
        """See `KeyKeeper`."""
        await self._change(lambda rows: rows.remove(domain, selector, at, force=force))

    async def _change(self, change: Callable[[KeyRows], T]) -> T:
        job = self._database.job(lambda connection: change(KeyRows(connection)))
        job.done = lambda _: self.forget()
        return await self._database.submit(job)

    def _look_for_active(self, domain: str) -> Sequence[DkimKey]:
        return self._looking.look(lambda connection: KeyRows(connection).active(domain))

    def _look_for_any(self) -> bool:
        return self._looking.look(lambda connection: KeyRows(connection).has_active())


def keep_private(path: Path) -> None:
    """Make a file its owner's alone. StorageError when that cannot be."""
    try:
        if path.stat().st_mode & _OTHERS:
            path.chmod(0o600)
    except OSError as error:
        raise StorageError(f"others may read {path}, which holds private keys: {error}") from error
