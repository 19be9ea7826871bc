"""The log is folded back into the file; what a failed sync may have cost there is written anew."""

import asyncio
import threading
from itertools import count
from pathlib import Path

import apsw
import pytest

from merpati.storage.connection import StorageSettings
from merpati.storage.database import Database

# What the disk raises while SQLite closes a file has no caller to go to; apsw then reports it here.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

_NAMES = count(1)
_LOG = 10


class Disk(apsw.VFS):
    """Tells of the database's own file, whose next sync may fail."""

    def __init__(self) -> None:
        self.name = f"folding{next(_NAMES)}"
        self.dirty: set[int] = set()
        """Where was written since the last sync that was good,"""
        self.dropped: set[int] = set()
        """and where the kernel may have dropped that: the sync failed, and nothing came since."""
        self.syncs = 0
        self.fails = False
        super().__init__(self.name, "")

    def xOpen(self, name: object, flags: list[int]) -> apsw.VFSFile:
        kind = _Main if flags[0] & apsw.SQLITE_OPEN_MAIN_DB else _Other
        return kind(self, name, flags)


class _Other(apsw.VFSFile):
    def __init__(self, disk: Disk, name: object, flags: list[int]) -> None:
        self._disk = disk
        super().__init__("", name, flags)  # type: ignore[arg-type]  # as apsw hands it over


class _Main(_Other):
    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.dirty.add(offset)
        self._disk.dropped.discard(offset)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        if self._disk.fails:
            self._disk.fails = False
            self._disk.dropped |= self._disk.dirty
            self._disk.dirty.clear()
            raise apsw.exception_for(apsw.SQLITE_IOERR_FSYNC)
        super().xSync(flags)
        self._disk.syncs += 1
        self._disk.dirty.clear()


class Store:
    """A database, and messages of it."""

    def __init__(self, path: Path) -> None:
        self.disk = Disk()
        self.database = Database(StorageSettings(path, ride=0.0, log=_LOG, vfs=self.disk.name))
        self._numbers = count(1)

    async def put(self, octets: int) -> None:
        """Some pages."""
        row = (next(self._numbers), bytes(octets))
        await self.database.write(
            lambda connection: connection.execute("INSERT INTO chunk VALUES (?, ?)", row)
        )

    async def fold(self) -> None:
        """All that is in the log by now."""
        before = self.disk.syncs
        while self.disk.syncs == before:
            await self.put(_LOG * 9000)

    async def count(self) -> int:
        return await self.database.read(
            lambda connection: int(connection.execute("SELECT count(*) FROM chunk").get)
        )


async def test_a_log_is_folded_when_it_is_long(tmp_path: Path) -> None:
    store = Store(tmp_path / "0.db")
    await store.database.open()
    for _ in range(40):
        await store.put(9000)
    assert store.disk.syncs > 1
    assert store.database.log_octets < 8 * _LOG * 8192
    await store.database.close()


async def test_a_fold_that_fails_is_made_again_from_the_first_page(tmp_path: Path) -> None:
    """Also of the part that was written without a sync, since somebody read meanwhile."""
    store = Store(tmp_path / "0.db")
    await store.database.open()
    await store.fold()
    await store.put(3 * 9000)
    began, may_end = threading.Event(), threading.Event()

    def hold(connection: apsw.Connection) -> None:
        with connection:
            connection.execute("SELECT count(*) FROM chunk").fetchall()
            began.set()
            may_end.wait(60)

    held = asyncio.create_task(store.database.read(hold))
    await asyncio.to_thread(began.wait, 60)
    assert await store.count() > 0
    await store.put(2 * _LOG * 9000)
    await store.put(100)  # Behind the fold.
    assert store.disk.dirty, "nothing was written of what the reader sees"
    may_end.set()
    await held
    store.disk.fails = True
    while store.disk.fails:
        await store.put(9000)
    before = await store.count()
    await store.put(9000)
    await store.fold()
    assert store.disk.dropped == set(), "a page that may be lost was believed to be on disk"
    assert await store.count() > before
    await store.database.close()
