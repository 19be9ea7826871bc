"""What nobody attempts is looked after all the same: delays are told, and time ends it."""

import asyncio

import pytest

from merpati.mail.envelope import Body
from merpati.system.housekeeping import Housekeeping
from merpati.testing.clock import VirtualClock
from merpati.testing.deliveries import DAY, START, an_entry
from merpati.testing.memory import MemoryQueue

HOUR = 3600.0


@pytest.mark.slow
async def test_mail_of_a_site_on_hold_is_told_of_and_ended_in_time() -> None:
    clock = VirtualClock(START)
    queue = MemoryQueue(clock)
    housekeeping = Housekeeping(queue, queue.journal, clock)
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
