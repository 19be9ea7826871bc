"""What nobody attempts is looked after all the same: delays are told, and time ends it."""

import asyncio

import pytest

from merpati.feedback.feedback import Room
from merpati.mail.envelope import Body
from merpati.storage.errors import StorageError
from merpati.system.housekeeping import Housekeeping
from merpati.testing.clock import VirtualClock
from merpati.testing.deliveries import DAY, START, an_entry
from merpati.testing.memory import MemoryQueue
from merpati.testing.memory_feedback import MemoryFeedback

HOUR = 3600.0


class Crowd(MemoryQueue):
    """So many messages come to their time together that each slice is full."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self.looked_at = 0
        self.ended = 0

    async def remind(self, now: float, patience: float, limit: int) -> int:
        self.looked_at += limit
        return limit

    async def expire(self, now: float, limit: int) -> int:
        self.ended += limit
        return limit


async def test_a_crowd_that_comes_to_its_time_leaves_the_writer_to_mail() -> None:
    clock = VirtualClock(START)
    queue = Crowd(clock)
    task = asyncio.create_task(Housekeeping(queue, queue.journal, MemoryFeedback(), clock).run())
    await clock.advance(1.0)
    task.cancel()
    assert 0 < queue.looked_at <= 1_100
    assert queue.ended == queue.looked_at


async def test_reports_that_cannot_be_written_keep_no_mail_from_its_end() -> None:
    class Broken(MemoryFeedback):
        async def forget(self, now: float, room: Room, most: int) -> int:
            raise StorageError("feedback.db is damaged")

    class Few(Crowd):
        async def expire(self, now: float, limit: int) -> int:
            self.ended += limit
            return limit if self.ended < 4 * limit else 0

        async def remind(self, now: float, patience: float, limit: int) -> int:
            return 0

    clock = VirtualClock(START)
    queue = Few(clock)
    tidying = asyncio.create_task(Housekeeping(queue, queue.journal, Broken(), clock).tidy())
    await clock.advance(10.0)
    with pytest.raises(StorageError):
        await tidying
    assert queue.ended == 4 * 50


@pytest.mark.slow
async def test_mail_of_a_site_on_hold_is_told_of_and_ended_in_time() -> None:
    clock = VirtualClock(START)
    queue = MemoryQueue(clock)
    housekeeping = Housekeeping(queue, queue.journal, MemoryFeedback(), clock)
    housekeeping.retention = 30 * DAY
    await queue.hold("a.test", START + 30 * DAY, "the whole site is down")
    await queue.put(an_entry(1, "ann@a.test", "bob@a.test"), Body((b"x",)))
    task = asyncio.create_task(housekeeping.run())
    await clock.advance(4 * HOUR - 60)
    assert await queue.owed(10) == []
    await clock.advance(120)
    assert [owed.action for owed in await queue.owed(10)] == ["delayed", "delayed"]
    await clock.advance(5 * DAY)
    told = [(owed.action, owed.status) for owed in await queue.owed(10)]
    assert told == [("delayed", "4.4.0")] * 2 + [("failed", "4.4.7")] * 2
    assert (await queue.count())["waiting"] == 0
    task.cancel()
