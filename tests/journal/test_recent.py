"""The newest events are told from memory, and only what surely is the next."""

import asyncio
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from merpati.journal.events import Lifecycle
from merpati.journal.recent import Recent
from merpati.journal.store import JournalSettings, JournalStore
from merpati.storage.connection import StorageSettings
from merpati.storage.database import Database
from merpati.storage.errors import StorageError


def an_event(n: int) -> Lifecycle:
    return Lifecycle(at=float(n), what=f"event {n}")


def recent_with(*numbers: int, octets: int = 1000) -> Recent:
    recent = Recent(octets)
    for n in numbers:
        recent.add((n, an_event(n)), 100)
    recent.commit()
    return recent


def check(recent: Recent, cursor: int, expected: list[int] | None, limit: int = 10) -> None:
    page = recent.after(cursor, limit)
    assert (None if page is None else [n for n, _ in page]) == expected


def test_what_follows_a_cursor_is_told_in_order_and_at_most_a_page() -> None:
    recent = recent_with(5, 6, 7)
    check(recent, 4, [5, 6, 7])
    check(recent, 5, [6, 7])
    check(recent, 4, [5, 6], limit=2)


def test_who_has_seen_the_last_is_told_that_there_is_no_more() -> None:
    check(recent_with(5, 6), 6, [])


@pytest.mark.parametrize("cursor", [0, 3, 7, 100])
def test_what_is_not_all_there_is_not_known(cursor: int) -> None:
    check(recent_with(5, 6), cursor, None)


def test_an_empty_memory_knows_nothing() -> None:
    check(Recent(1000), 0, None)


def test_the_oldest_goes_when_there_is_no_room() -> None:
    recent = recent_with(1, 2, 3, 4, octets=250)
    check(recent, 2, [3, 4])
    check(recent, 1, None)


def test_what_is_not_committed_is_not_told() -> None:
    recent = recent_with(1)
    recent.add((2, an_event(2)), 100)
    check(recent, 0, [1])
    recent.commit()
    check(recent, 0, [1, 2])


def test_what_was_rolled_back_is_never_told() -> None:
    recent = recent_with(1)
    recent.add((2, an_event(2)), 100)
    recent.forget()
    recent.add((2, an_event(20)), 100)
    recent.commit()
    assert recent.after(0, 10) == [(1, an_event(1)), (2, an_event(20))]


def test_behind_a_gap_only_the_newer_part_is_known() -> None:
    recent = recent_with(1, 2)
    recent.add((4, an_event(4)), 100)
    recent.commit()
    check(recent, 0, None)
    check(recent, 3, [4])


@pytest.mark.parametrize("room", [0, 1_000_000])
async def test_the_file_and_the_memory_tell_the_same_whatever_fails(
    tmp_path: Path, room: int
) -> None:
    database = Database(StorageSettings(tmp_path / "0.db"))
    await database.open()
    journal = JournalStore(database, JournalSettings(recent=room))
    refused: list[StorageError | RuntimeError] = []

    def write(n: int) -> "asyncio.Future[None]":
        def work(connection: apsw.Connection) -> None:
            journal.writer.write(connection, [an_event(n)])
            if n % 3 == 0:
                raise RuntimeError("a job of its own fault")

        return database.submit(database.job(work))

    for first in range(0, 12, 4):
        # The four come as one batch, of which the bad ones are undone.
        results = await asyncio.gather(
            *(write(first + n) for n in range(4)), return_exceptions=True
        )
        refused += [one for one in results if isinstance(one, RuntimeError)]
    told, cursor = [], 0
    while page := await journal.follow(cursor, 3):
        told += page
        cursor = page[-1][0]
    assert [event.what for _, event in told if isinstance(event, Lifecycle)] == [
        f"event {n}" for n in range(12) if n % 3
    ]
    assert [n for n, _ in told] == list(range(1, 9))
    assert len(refused) == 4
    await database.close()


@pytest.fixture
def hurried_threads() -> Iterator[None]:
    """The interpreter changes between threads as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.slow
@pytest.mark.usefixtures("hurried_threads")
def test_the_writer_may_add_and_drop_while_the_loop_looks():
    recent = Recent(octets=20_000)
    written = threading.Event()

    def write() -> None:
        for n in range(1, 20_000):
            recent.add((n, an_event(n)), 100)
            recent.commit()
        written.set()

    thread = threading.Thread(target=write)
    thread.start()
    cursor = 0
    while not written.is_set():
        page = recent.after(cursor, 150)
        if page is None:
            page = recent.after(max(0, cursor - 100), 150) or []
        numbers = [number for number, _ in page]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True
        cursor = numbers[-1] if numbers else cursor + 1
    thread.join()
    check(recent, 19_998, [19_999])
