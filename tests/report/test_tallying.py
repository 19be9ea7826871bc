"""One shard's journal is counted exactly once, whatever crashes."""

import asyncio
import itertools

import pytest

from merpati.feedback.received import Kind
from merpati.feedback.tallies import DAY, Bounds, Due, Tally
from merpati.journal.events import Accepted, Attempt, Check, Delivered
from merpati.report.book import Book
from merpati.report.tallying import Tallying, TallyingParts, TallyingSettings
from merpati.storage.errors import StorageError
from merpati.testing.clock import VirtualClock
from merpati.testing.memory import MemoryJournal
from merpati.testing.memory_tallies import MemoryTallies

RECORD = "_dmarc.a.test: v=DMARC1; p=reject; rua=mailto:r@a.test"
CHECKS = (
    Check(method="spf", result="fail", about="c.test"),
    Check(method="dmarc", result="fail", about="a.test", record=RECORD, asks="reject"),
)


class World:
    """A journal and tallies on a virtual clock, and whoever counts."""

    def __init__(self, start: float = 20_000.0 * DAY, **settings: float) -> None:
        self.clock = VirtualClock(start)
        self.journal = MemoryJournal()
        self.tallies = MemoryTallies(Bounds())
        self.is_wanted = True
        self._names = map(str, itertools.count())
        self._settings = TallyingSettings(**settings)  # type: ignore[arg-type]  # rows is an int
        self.tallying = self.restarted()

    def restarted(self, shard: int = 0) -> Book:
        """As after a crash: nothing but the stores is left."""
        parts = TallyingParts(
            journal=self.journal,
            tallies=self.tallies,
            clock=self.clock,
            chance=lambda: 0.5,
            new_name=self._names.__next__,
        )
        counter = Tallying(shard, self._settings, parts)
        self.tallying = Book(counter, self.journal, self.clock, lambda: self.is_wanted)
        return self.tallying

    def receive(self, messages: int = 1, ip: str = "192.0.2.1") -> None:
        """Mail that a.test wants to be told of."""
        for _ in range(messages):
            self.journal.note(
                Accepted(
                    at=self.clock.now(),
                    sender="x@c.test",
                    recipients=("y@b.test",),
                    size=1,
                    ip=ip,
                    checks=CHECKS,
                )
            )

    async def due(self, at: float = 1e12) -> list[Due]:
        """All that is due at a time."""
        found = []
        while (due := await self.tallies.take(0, at, 2 * at)) is not None:
            found.append(due)
        return found

    async def total(self) -> int:
        return sum(count for due in await self.due() for _, count in due.rows)


async def running(world: World, *steps: float) -> None:
    """Count for these seconds."""
    task = asyncio.create_task(world.tallying.run())
    for seconds in steps:
        await world.clock.advance(seconds)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_happens_is_written_about_once_a_minute() -> None:
    world = World()
    task = asyncio.create_task(world.tallying.run())
    await world.clock.advance(1.0)
    world.receive(3)
    await world.clock.advance(50.0)
    assert await world.tallies.cursor(0) == 0
    await world.clock.advance(15.0)
    assert await world.tallies.cursor(0) == 3
    task.cancel()
    (due,) = await world.due()
    assert (due.subject.day, due.subject.kind, due.subject.domain) == (
        20_000,
        Kind.AGGREGATE,
        "a.test",
    )
    assert (due.record, due.reasons) == (RECORD, 3)
    assert [count for _, count in due.rows] == [3]


async def test_what_came_before_anybody_counted_is_counted_too() -> None:
    world = World()
    world.receive(5)
    await running(world, 1.0)
    world.receive(2)
    await running(world, 1.0, 100.0)
    assert await world.total() == 7


async def test_history_is_not_counted() -> None:
    world = World()
    world.receive(5)
    await world.clock.advance(2.0 * DAY)
    world.receive(1)
    await running(world, 1.0)
    world.receive(2)
    await running(world, 1.0, 100.0)
    assert await world.total() == 2


async def test_a_journal_that_was_put_back_is_counted_from_its_end() -> None:
    world = World()
    await world.tallies.add(0, 100, ())
    world.receive(5)
    await running(world, 1.0)
    world.receive(2)
    await running(world, 1.0, 100.0)
    assert await world.total() == 2


async def test_a_crash_before_a_write_loses_nothing_and_one_behind_it_doubles_nothing() -> None:
    world = World()
    await running(world, 1.0)
    world.receive(3)
    await running(world, 30.0)  # counted, and not written
    world.restarted()
    world.receive(2)
    await running(world, 1.0, 100.0)  # written
    world.restarted()
    await running(world, 1.0, 100.0)
    assert await world.total() == 5


async def test_a_store_that_fails_once_loses_and_doubles_nothing() -> None:
    world = World()
    await running(world, 1.0)
    add, failures = world.tallies.add, [StorageError("full", is_full=True)]

    async def failing(shard: int, cursor: int, tallies: list[Tally]) -> None:
        if failures and tallies:
            raise failures.pop()
        await add(shard, cursor, tallies)

    world.tallies.add = failing  # type: ignore[method-assign, assignment]
    world.receive(3)
    task = asyncio.create_task(world.tallying.run())
    await world.clock.advance(100.0)
    with pytest.raises(StorageError):
        await task
    await running(world, 1.0, 100.0)  # as `keep_on` does
    assert await world.total() == 3


async def test_what_was_written_in_doubt_is_not_written_again() -> None:
    world = World()
    await running(world, 1.0)
    world.receive(3)
    add = world.tallies.add

    async def cancelled(shard: int, cursor: int, tallies: list[Tally]) -> None:
        await add(shard, cursor, tallies)
        raise asyncio.CancelledError  # the process is told to stop while it waits for the disk

    world.tallies.add = cancelled  # type: ignore[method-assign, assignment]
    task = asyncio.create_task(world.tallying.run())
    await world.clock.advance(100.0)
    with pytest.raises(asyncio.CancelledError):
        await task
    world.tallies.add = add  # type: ignore[method-assign]
    await world.tallying.finish()
    assert await world.total() == 3


async def test_the_end_of_a_worker_writes_what_there_is() -> None:
    world = World()
    await running(world, 1.0)
    world.receive(3)
    await running(world, 1.0)
    world.receive(1)
    await world.tallying.finish()
    assert await world.total() == 4


async def test_whoever_wants_all_gathered_gets_it_beside_the_run() -> None:
    world = World()
    task = asyncio.create_task(world.tallying.run())
    await world.clock.advance(1.0)
    world.receive(3)
    await world.tallying.gather()
    assert await world.total() == 3
    await world.clock.advance(100.0)
    assert await world.total() == 0
    task.cancel()


async def test_many_rows_are_written_at_once() -> None:
    world = World(rows=3)
    task = asyncio.create_task(world.tallying.run())
    await world.clock.advance(1.0)
    for n in range(4):
        world.receive(ip=f"192.0.2.{n}")
    await world.clock.advance(1.0)
    assert await world.tallies.cursor(0) == 4
    task.cancel()


async def test_the_report_of_a_day_is_due_some_hours_behind_its_end() -> None:
    world = World(start=20_000.0 * DAY + 100, grace=900.0, spread=4 * 3600.0)
    await running(world, 1.0)
    world.receive()
    await running(world, 100.0)
    at = 20_001.0 * DAY + 900.0 + 2 * 3600.0
    assert await world.due(at - 1) == []
    assert len(await world.due(at)) == 1


async def test_midnight_parts_two_reports() -> None:
    world = World(start=20_000.0 * DAY + DAY - 10)
    await running(world, 1.0)
    world.receive(1)
    await running(world, 30.0)
    world.receive(2)
    await running(world, 100.0)
    found = {due.subject.day: due.rows[0][1] for due in await world.due()}
    assert found == {20_000: 1, 20_001: 2}


async def test_what_is_days_old_is_counted_for_nobody() -> None:
    world = World()
    await running(world, 1.0)
    world.receive(2)
    await world.clock.advance(3.0 * DAY)  # the server was down
    world.restarted()
    await running(world, 100.0)
    world.receive(1)
    await running(world, 100.0)
    assert await world.total() == 1


async def test_a_clock_that_leaps_parts_days_and_counts_all() -> None:
    world = World()
    await running(world, 1.0)
    world.receive(1)
    await running(world, 100.0)
    world.clock.jump(10.0 * DAY)
    world.receive(2)
    await running(world, 100.0)
    world.clock.jump(-10.0 * DAY)
    world.receive(4)
    await running(world, 100.0)
    found = {due.subject.day: due.rows[0][1] for due in await world.due()}
    assert found == {20_000: 5, 20_010: 2}


async def test_two_workers_count_into_one_report() -> None:
    world = World()
    await running(world, 1.0)
    world.receive(1)
    await running(world, 100.0)
    other = World()
    other.tallies = world.tallies
    other.restarted(1)
    await running(other, 1.0)
    other.receive(2)
    await running(other, 100.0)
    (due,) = await world.due()
    assert [count for _, count in due.rows] == [3]


async def test_sessions_are_counted_too() -> None:
    world = World()
    await running(world, 1.0)
    attempt = Attempt(route="mx:", connection="c", tls="TLSv1.3 X", policy="opportunistic")
    for _ in range(3):
        world.journal.note(
            Delivered(at=world.clock.now(), address="x@d.test", reply="250", attempt=attempt)
        )
    await running(world, 100.0)
    (due,) = await world.due()
    assert (due.subject.kind, due.subject.domain) == (Kind.TLS, "d.test")
    assert [count for _, count in due.rows] == [1]


async def test_it_ends_when_nobody_wants_it_any_more_and_leaves_out_what_comes_meanwhile() -> None:
    world = World()
    task = asyncio.create_task(world.tallying.run())
    await world.clock.advance(1.0)
    world.receive(1)
    await world.clock.advance(100.0)
    world.is_wanted = False
    await world.clock.advance(1.0)
    await task
    world.receive(2)
    await world.clock.advance(2.0 * DAY)
    world.is_wanted = True
    await running(world, 100.0)
    assert await world.total() == 1
