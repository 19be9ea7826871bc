"""The time of day is set between two processes: what is queued waits as long as before."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from merpati.journal.events import Lifecycle
from merpati.journal.store import JournalStore
from merpati.mail.envelope import Body, DeliverBy
from merpati.queue.entry import Entry, Listed, Selection, State
from merpati.queue.leaping import moved
from merpati.queue.store import QueueStore
from merpati.queue.verifying import verify_queue
from merpati.storage.connection import StorageSettings
from merpati.storage.database import Database
from merpati.testing.clock import VirtualClock
from merpati.testing.conformance.queue import NOW, accepted, an_entry, becomes

HOUR, WEEK, TEN_YEARS = 3600.0, 7 * 86_400.0, 3652 * 86_400.0


class Life:
    """One process that has the queue open."""

    def __init__(self, path: Path, clock: VirtualClock) -> None:
        self.clock = clock
        self.database = Database(StorageSettings(path, ride=0.0))
        self.journal = JournalStore(self.database)
        self.queue = QueueStore(self.database, self.journal, clock)

    async def listed(self) -> list[Listed]:
        return await self.queue.search(Selection(), 10)

    async def waits(self) -> list[tuple[float, ...]]:
        """In seconds from now: until it is due, until it expires, since it came."""
        now = self.clock.now()
        times = [
            (one.waiting.due, one.entry.expires, one.entry.received) for one in await self.listed()
        ]
        return [tuple(round(one - now, 3) for one in each) for each in times]

    async def told(self) -> list[str]:
        events = [event for _, event in await self.journal.follow(0, 100)]
        return [one.detail for one in events if isinstance(one, Lifecycle)]


@pytest.fixture
def clock() -> VirtualClock:
    clock = VirtualClock(NOW)
    clock.boot = "a boot"
    return clock


@pytest.fixture
def begin(tmp_path: Path, clock: VirtualClock):
    @asynccontextmanager
    async def life() -> AsyncIterator[Life]:
        one = Life(tmp_path / "0.db", clock)
        await one.database.open()
        await one.queue.open()
        yield one
        await one.database.close()

    return life


def a_message() -> Entry:
    """With every wish that has a time."""
    entry = an_entry(1)
    by = DeliverBy(NOW + 7200, must_return=True)
    return replace(entry, envelope=replace(entry.envelope, deliver_by=by, release_at=NOW - 60))


async def something_waits(life: Life) -> None:
    """For ten minutes, and its site is on hold for an hour."""
    await life.queue.put(a_message(), Body((b"hello",)), [accepted(a_message())])
    (claim,) = await life.queue.claim(NOW, 10)
    await life.queue.settle(becomes(claim, State.WAITING, due=NOW + 600))
    await life.queue.hold("b.test", NOW + HOUR, "down")


AS_BEFORE = [(600.0, 86_400.0, 0.0)]


@pytest.mark.parametrize("leap", [HOUR, -HOUR, TEN_YEARS, -TEN_YEARS])
async def test_what_waits_goes_along_with_the_time_of_day(begin, clock, leap):
    async with begin() as life:
        await something_waits(life)
    clock.jump(leap)
    async with begin() as life:
        assert await life.waits() == AS_BEFORE
        assert (await life.listed())[0].entry == moved(a_message(), leap)
        ((until, _),) = (await life.queue.held()).values()
        assert until - clock.now() == HOUR
        await life.queue.hold("b.test", 0.0, "")
        assert not await life.queue.claim(clock.now() + 599, 10)
        assert await life.queue.claim(clock.now() + 601, 10)
        assert await life.told() == [
            f"the time of day was set by {leap:+.0f} s: what is queued moved along"
        ]


async def test_a_leap_counts_once(begin, clock):
    async with begin() as life:
        await something_waits(life)
    clock.jump(HOUR)
    for _ in range(3):
        async with begin() as life:
            assert await life.waits() == AS_BEFORE


async def test_what_has_moved_is_whole(begin, clock):
    async with begin() as life:
        await something_waits(life)
    clock.jump(HOUR)
    async with begin() as life:
        found = await life.database.read(lambda db: list(verify_queue(db, lambda *_: None)))
        assert not [one for one in found if one]


async def test_a_week_of_rest_is_no_leap(begin, clock):
    async with begin() as life:
        await something_waits(life)
    await clock.advance(WEEK)
    async with begin() as life:
        assert await life.waits() == [(600 - WEEK, 86_400 - WEEK, -WEEK)]
        assert not await life.told()


async def test_a_small_step_is_no_leap(begin, clock):
    async with begin() as life:
        await something_waits(life)
    clock.jump(-30)
    async with begin() as life:
        assert await life.waits() == [(630.0, 86_430.0, 30.0)]


async def test_across_a_boot_time_that_was_is_known_not_to_come_again(begin, clock):
    async with begin() as life:
        await something_waits(life)
    clock.boot = "another boot"
    clock.jump(-NOW)
    async with begin() as life:
        assert await life.waits() == AS_BEFORE
    clock.jump(NOW)
    async with begin() as life:
        assert await life.waits() == AS_BEFORE


async def test_across_a_boot_the_last_event_is_the_latest_time_that_was(begin, clock):
    async with begin() as life:
        await something_waits(life)
        await clock.advance(HOUR)
        entry = replace(an_entry(2), received=clock.now())
        await life.queue.put(entry, Body((b"hello",)), [replace(accepted(entry), at=clock.now())])
    clock.boot = "another boot"
    clock.jump(-HOUR / 2)
    async with begin() as life:
        assert (await life.waits())[0] == (600 - HOUR, 86_400 - HOUR, -HOUR)


async def test_across_a_boot_a_leap_forth_is_believed(begin, clock):
    async with begin() as life:
        await something_waits(life)
    clock.boot = "another boot"
    clock.jump(HOUR)
    async with begin() as life:
        assert await life.waits() == [(600 - HOUR, 86_400 - HOUR, -HOUR)]


async def test_a_damaged_entry_moves_by_what_stands_beside_it(begin, clock):
    async with begin() as life:
        await something_waits(life)
        await life.database.write(lambda db: db.execute("UPDATE message SET entry = x'00'"))
    clock.jump(TEN_YEARS)
    async with begin() as life:
        ((_, expires, _),) = await life.waits()
        assert expires == 86_400.0
