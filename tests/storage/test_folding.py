"""The log is folded back into the file; what a failed sync may have cost there is written anew."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import apsw
import pytest

from merpati.storage.connection import StorageSettings
from merpati.storage.database import Database
from merpati.storage.errors import StorageError
from merpati.testing.clock import VirtualClock

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
        self.refuses_log = False
        """Whether nothing can be read of the log."""
        super().__init__(self.name, "")

    def xOpen(self, name: object, flags: list[int]) -> apsw.VFSFile:
        kind = _Main if flags[0] & apsw.SQLITE_OPEN_MAIN_DB else _Other
        return kind(self, name, flags)


class _Other(apsw.VFSFile):
    def __init__(self, disk: Disk, name: object, flags: list[int]) -> None:
        self._disk = disk
        super().__init__("", name, flags)  # type: ignore[arg-type]  # as apsw hands it over

    def xRead(self, amount: int, offset: int) -> bytes:
        if self._disk.refuses_log:
            raise apsw.exception_for(apsw.SQLITE_IOERR_READ)
        return super().xRead(amount, offset)


class _Main(_Other):
    def xRead(self, amount: int, offset: int) -> bytes:
        return apsw.VFSFile.xRead(self, amount, offset)

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
        self.clock = VirtualClock()
        self.settings = StorageSettings(path, ride=0.0, hold=0.0, log=_LOG, vfs=self.disk.name)
        self._numbers = count(1)

    async def __aenter__(self) -> "Store":
        self.database = Database(self.settings, self.clock)
        await self.database.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.database.close()

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

    async def fold_partly_and_fail(self) -> None:
        """A part is written without a sync, since somebody reads; the sync of the rest fails."""
        await self.fold()
        await self.put(3 * 9000)
        began, may_end = threading.Event(), threading.Event()

        def hold(connection: apsw.Connection) -> None:
            with connection:
                connection.execute("SELECT count(*) FROM chunk").fetchall()
                began.set()
                may_end.wait(60)

        held = asyncio.create_task(self.database.read(hold))
        await asyncio.to_thread(began.wait, 60)
        assert await self.count() > 0
        await self.put(2 * _LOG * 9000)
        await self.database.write(lambda _: None)  # Behind the fold, and without one.
        assert self.disk.dirty, "nothing was written of what the reader sees"
        may_end.set()
        await held
        self.disk.fails = True
        await self.put(9000)
        while self.disk.fails:  # Behind the commit.
            await asyncio.sleep(0.01)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "0.db")


async def test_a_log_is_folded_when_it_is_long(store: Store) -> None:
    async with store:
        for _ in range(40):
            await store.put(9000)
        assert store.disk.syncs > 1
        assert store.database.log_octets < 8 * _LOG * 8192


async def test_a_fold_that_fails_is_made_again_from_the_first_page(store: Store) -> None:
    async with store:
        await store.fold_partly_and_fail()
        before = await store.count()
        await store.fold()
        assert store.disk.dropped == set(), "a page that may be lost was believed to be on disk"
        assert await store.count() > before


async def test_who_looks_at_the_file_meanwhile_stops_nothing(store: Store) -> None:
    async with store:
        await store.fold_partly_and_fail()
        with looking_at(store):
            syncs, began = store.disk.syncs, time.monotonic()
            for _ in range(5):
                await store.put(_LOG * 9000)
            assert time.monotonic() - began < 5
            assert store.disk.syncs == syncs, "folded, though SQLite may believe what is lost"
        await store.clock.advance(61)
        await store.fold()
        assert store.disk.dropped == set()
        syncs = store.disk.syncs
        await store.fold()
        assert store.disk.syncs > syncs


async def test_nor_does_a_start_believe_what_may_be_lost(store: Store) -> None:
    async with store:
        await store.fold_partly_and_fail()
        looker = contextlib.ExitStack()
        looker.enter_context(looking_at(store))
    syncs = store.disk.syncs
    async with store:
        for _ in range(5):
            await store.put(_LOG * 9000)
        assert store.disk.syncs == syncs
        looker.close()
    async with store:
        assert store.disk.dropped == set()
        assert await store.count() > 5


async def test_a_reader_that_could_not_open_the_file_keeps_nobody_out(store: Store) -> None:
    async with store:
        await store.put(9000)
        store.disk.refuses_log = True
        with pytest.raises(StorageError):
            await store.count()
        store.disk.refuses_log = False
        store.disk.fails = True
        await store.put(_LOG * 9000)
        while store.disk.fails:
            await asyncio.sleep(0.01)
        syncs = store.disk.syncs
        await store.put(9000)
        assert store.disk.syncs > syncs, "the file was not had alone"


@contextlib.contextmanager
def looking_at(store: Store) -> Iterator[None]:
    """As another process does it: the file is open, and its index of the log shared."""
    connection = apsw.Connection(str(store.settings.path), apsw.SQLITE_OPEN_READONLY)
    connection.execute("SELECT count(*) FROM chunk").fetchall()
    try:
        yield
    finally:
        connection.close()
