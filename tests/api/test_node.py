"""The shards of a node behind one counter, while one of them is away, ends or hangs."""

import asyncio
from typing import Any

import pytest

from merpati.api import operations as op
from merpati.api import questions as ask
from merpati.api.errors import Unreachable
from merpati.api.node import Node
from merpati.report.metrics import Series
from merpati.testing.clock import VirtualClock

NOTHING = ask.Nothing()
WELL = ask.Health(trouble="")
FULL = ask.Health(trouble="the disk is full")
ENDING = ask.Health(trouble="stopping", stopping=True)


class Shard:
    """Gives one answer to whatever is asked; an error is raised, and None never comes."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    async def ask(self, operation: op.Operation[Any, Any], question: object) -> Any:
        if self.answer is None:
            await asyncio.Event().wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return [] if operation is op.SITES_HELD else self.answer


GONE = Unreachable("no server answers")


def a_node(*answers: object, numbers: tuple[int, ...] = ()) -> Node:
    """The clock stands still: whoever waits for a worker to come back waits for ever."""
    shards = dict(zip(numbers or range(len(answers)), map(Shard, answers), strict=True))
    return Node(shards, min(shards), VirtualClock(), glance=0.001)


async def at_once(node: Node, operation: op.Operation[Any, Any]) -> Any:
    async with asyncio.timeout(60):
        return await node.ask(operation, NOTHING)


@pytest.mark.parametrize(
    ("answers", "trouble"),
    [
        ((WELL, WELL), ""),
        ((WELL, FULL), "the disk is full"),
        ((WELL, GONE), ""),
        ((ENDING, WELL), ""),
        ((ENDING, GONE), "stopping"),
        ((ENDING, ENDING), "stopping"),
        ((WELL, None), "worker 1 gave no answer for 0.001 s"),
    ],
    ids=["all", "full", "away", "replaced", "no other", "stopped", "hangs"],
)
async def test_a_node_is_well_while_it_takes_mail(answers: tuple[object], trouble: str) -> None:
    assert (await at_once(a_node(*answers), op.HEALTH)).trouble == trouble


async def test_a_node_of_which_nothing_answers_is_not_reached() -> None:
    with pytest.raises(Unreachable):
        await at_once(a_node(GONE, GONE), op.HEALTH)


def a_counter(worker: str) -> Series:
    return Series("merpati_messages_accepted_total", "", "counter", [("", {}, 7.0)], worker)


@pytest.mark.parametrize("ill", [GONE, None], ids=["away", "hangs"])
async def test_the_metrics_of_the_others_come_with_who_is_missing(ill: object) -> None:
    found = await at_once(a_node([a_counter("0")], ill), op.METRICS)
    assert a_counter("0") in found
    up = {one.worker: one.samples[0][2] for one in found if one.name == "merpati_worker_up"}
    assert up == {"0": 1.0, "1": 0.0}


async def test_one_shard_alone_needs_no_telling_whether_it_is_up() -> None:
    assert await at_once(a_node([a_counter("")]), op.METRICS) == [a_counter("")]


@pytest.mark.parametrize("ill", [GONE, None], ids=["away", "hangs"])
async def test_each_shard_is_named_by_its_own_number(ill: object) -> None:
    line = ask.WorkerLine(shard=0, running=True)
    told = ask.Status(
        running=True,
        version="1",
        pid=1,
        started=None,
        data="",
        config="",
        ports=(),
        queue={},
        held_sites=0,
        workers=(line,),
    )
    node = a_node(told, ill, numbers=(0, 7))
    status = await at_once(node, op.STATUS)
    assert [(one.shard, one.running) for one in status.workers] == [(0, True), (7, False)]


async def test_a_worker_that_hung_has_as_long_to_come_back_as_any_other() -> None:
    """The question was asked a minute before it was killed; the next one comes a moment later."""
    clock = VirtualClock()

    class Hung(Shard):
        async def ask(self, operation: op.Operation[Any, Any], question: object) -> Any:
            if clock.monotonic() < 60:
                await clock.sleep(60)
                raise Unreachable("the server broke off")
            if clock.monotonic() < 61:
                raise Unreachable("no server answers")
            return self.answer

    node = Node({0: Shard([]), 1: Hung([])}, 0, clock)
    asked = asyncio.create_task(node.ask(op.QUEUE_LIST, ask.ListQueue(filter=ask.Filter())))
    for _ in range(200):
        await clock.advance(0.5)
        if asked.done():
            break
    assert await asked == []


async def test_a_worker_that_does_not_come_back_is_told_of() -> None:
    clock = VirtualClock()
    node = Node({0: Shard([]), 1: Shard(GONE)}, 0, clock)
    asked = asyncio.create_task(node.ask(op.QUEUE_LIST, ask.ListQueue(filter=ask.Filter())))
    while not asked.done():
        await clock.advance(0.5)
        assert clock.monotonic() < 30
    with pytest.raises(Unreachable, match="worker 1 does not answer"):
        await asked
