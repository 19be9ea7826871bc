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


class ChokingQueue(MemoryQueue):
    """Cannot write the result of one recipient, whatever it is, until it waits."""

    def __init__(self, clock, chokes):
        super().__init__(clock)
        self.chokes = chokes
        self.written = []

    async def settle(self, settlements, events=()):
        if any(self.chokes(one) for one in settlements):
            raise ValueError("this cannot be written")
        self.written += settlements
        await super().settle((), events)


def no_defect(event, error):
    raise AssertionError(event) from error


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
    settler = Settler(queue, VirtualClock(), no_defect)
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
    settler = Settler(queue, clock, no_defect)
    async with running(settler):
        settler.add(a_result(1), lambda: done.append(1))
        await clock.advance(3)
        assert done == []
        await clock.advance(10)
        assert done == [1]
    events = [event for _, event in await queue.journal.follow(0, 10)]
    assert [type(event) for event in events] == [Lifecycle]
    assert "the disk is full" in events[0].detail


async def test_one_result_that_cannot_be_written_keeps_no_other_and_waits_itself():
    clock, done, defects = VirtualClock(), [], []
    queue = ChokingQueue(clock, lambda one: one.n == 3 and one.state is State.FAILED)
    settler = Settler(queue, clock, lambda event, error: defects.append(error))
    async with running(settler):
        for n in range(5):
            failed = [Settled(Settlement("ID", n, State.FAILED))]
            settler.add(failed, lambda n=n: done.append(n))
    assert [(one.n, one.state) for one in sorted(queue.written, key=lambda one: one.n)] == [
        (n, State.WAITING if n == 3 else State.FAILED) for n in range(5)
    ]
    assert (done, len(defects)) == ([0, 1, 2, 3, 4], 1)
    events = [event for _, event in await queue.journal.follow(0, 10)]
    assert [(one.what, "this cannot be written" in one.detail) for one in events] == [
        ("delivery-defect", True)
    ]


async def test_a_result_that_cannot_be_written_at_all_ends_nothing():
    clock, done, defects = VirtualClock(), [], []
    queue = ChokingQueue(clock, lambda one: one.n == 0)
    settler = Settler(queue, clock, lambda event, error: defects.append(error))
    async with running(settler):
        settler.add(a_result(0), lambda: done.append(0))
        settler.add(a_result(1), lambda: done.append(1))
    assert ([one.n for one in queue.written], done, len(defects)) == ([1], [0, 1], 2)
