"""Results are written many at once, and never lost to a store that fails for a while."""

import asyncio
from contextlib import asynccontextmanager

from merpati.delivery.settler import Settler
from merpati.delivery.settling import Settled
from merpati.errors import MerpatiError
from merpati.journal.events import Lifecycle
from merpati.queue.entry import Settlement, State
from merpati.testing.clock import VirtualClock
from merpati.testing.memory import MemoryQueue


class FailingQueue(MemoryQueue):
    """Fails so many times before it works."""

    def __init__(self, clock, failures=0):
        super().__init__(clock)
        self.failures = failures
        self.batches = []

    async def settle(self, settlements, events=()):
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise MerpatiError("the disk is full")
        self.batches.append(len(settlements))
        await super().settle(settlements, events)


def a_result(n):
    return [Settled(Settlement("ID", n, State.DELIVERED))]


@asynccontextmanager
async def running(settler):
    async with asyncio.TaskGroup() as group:
        group.create_task(settler.run())
        yield
        settler.close()


async def test_what_ends_while_a_commit_runs_rides_with_the_next():
    queue = FailingQueue(VirtualClock())
    done = []
    settler = Settler(queue, VirtualClock())
    async with running(settler):
        for n in range(5):
            settler.add(a_result(n), lambda n=n: done.append(n))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for n in range(5, 12):
            settler.add(a_result(n), lambda n=n: done.append(n))
    assert queue.batches == [5, 7]
    assert done == list(range(12))


async def test_a_failing_store_is_tried_again_and_nothing_is_reported_done_before():
    clock = VirtualClock()
    queue = FailingQueue(clock, failures=4)
    done = []
    settler = Settler(queue, clock)
    async with running(settler):
        settler.add(a_result(1), lambda: done.append(1))
        await clock.advance(3)
        assert done == []
        await clock.advance(10)
        assert done == [1]
    events = [event for _, event in await queue.journal.follow(0, 10)]
    assert [type(event) for event in events] == [Lifecycle]
    assert "the disk is full" in events[0].detail
