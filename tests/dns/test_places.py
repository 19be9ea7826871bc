"""Names that nobody answers for keep no others waiting, and nothing is without a bound."""

import asyncio
import time
from itertools import chain

import pytest

from merpati.dns.errors import DnsTimeout
from merpati.dns.places import Places
from merpati.testing.zone import Fault

MOMENT = 0.01
BY_TURNS = [0, 1, *chain.from_iterable(zip(range(2, 11), range(19, 10, -1), strict=True))]
"""Of twenty with two places: the first and the last that wait, by turns."""


class Asked:
    """Questions that nobody answers, of which it is known how many are under way."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.under_way: list[int] = []
        self.ended: list[int] = []
        self.moved = asyncio.Condition()

    async def ask(self, number: int) -> None:
        try:
            async with asyncio.timeout(30) as deadline, self.places.place(deadline):
                await self._tell(self.under_way.append, number)
                await asyncio.Event().wait()
        except TimeoutError:
            await self._tell(self.ended.append, number)

    async def until(self, number: int, known: list[int]) -> None:
        async with asyncio.timeout(20), self.moved:
            await self.moved.wait_for(lambda: len(known) >= number)

    async def _tell(self, append, number: int) -> None:
        async with self.moved:
            append(number)
            self.moved.notify_all()


@pytest.mark.slow
async def test_who_is_late_leaves_the_place_to_the_next_and_is_not_ended() -> None:
    asked = Asked(Places(2, 100, MOMENT))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(asked.ask(n)) for n in range(20)]
        await asked.until(20, asked.under_way)
        assert asked.under_way == BY_TURNS
        assert asked.ended == []
        for task in tasks:
            task.cancel()


@pytest.mark.slow
async def test_beyond_the_bound_who_waits_for_longest_is_ended() -> None:
    asked = Asked(Places(2, 6, MOMENT))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(asked.ask(n)) for n in range(20)]
        await asked.until(12, asked.ended)
        assert asked.ended[:12] == BY_TURNS[:12]
        assert len(asked.under_way) - len(asked.ended) <= 2 + 6
        for task in tasks:
            task.cancel()


@pytest.mark.slow
async def test_without_room_for_the_late_a_place_is_kept() -> None:
    asked = Asked(Places(2, 0, MOMENT))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(asked.ask(n)) for n in range(4)]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5 * MOMENT):
                await asked.until(3, asked.under_way)
        tasks[0].cancel()
        await asked.until(3, asked.under_way)
        for task in tasks:
            task.cancel()


@pytest.mark.slow
async def test_whoever_leaves_and_however_gives_one_place_back() -> None:
    places = Places(2, 3, MOMENT)
    asked = Asked(places)
    for _ in range(3):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(asked.ask(n)) for n in range(10)]
            await asked.until(3, asked.ended)
            for task in tasks:  # Some wait, some have places, some are late.
                task.cancel()
        asked.ended.clear()
    kept = Asked(places)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(kept.ask(n)) for n in range(3)]
        await kept.until(2, kept.under_way)
        assert kept.under_way == [0, 1]
        for task in tasks:
            task.cancel()


async def test_the_last_that_came_waits_for_one_other() -> None:
    asked = Asked(Places(1, 100, MOMENT))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(asked.ask(n)) for n in range(50)]
        await asked.until(1, asked.under_way)
        tasks.append(group.create_task(asked.ask(50)))
        await asked.until(3, asked.under_way)
        assert asked.under_way == [0, 1, 50]
        for task in tasks:
            task.cancel()


async def test_who_is_late_goes_on_and_comes_to_its_end() -> None:
    places, answered = Places(1, 10, MOMENT), asyncio.Event()

    async def ask() -> None:
        async with asyncio.timeout(30) as deadline, places.place(deadline):
            await answered.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(ask())
        asked = Asked(places)
        next_one = group.create_task(asked.ask(1))
        await asked.until(1, asked.under_way)
        answered.set()
        next_one.cancel()


@pytest.mark.slow
async def test_a_healthy_name_behind_hundreds_of_dead_ones_is_answered_soon(asking) -> None:
    """They would take ten rounds of two minutes. So few that no socket's buffer loses one of them,
    however slow the machine is."""
    patience = {"server_seconds": 60.0, "total_seconds": 120.0}
    async with asking(concurrency=20, moment=MOMENT, **patience) as asker:
        for n in range(200):
            asker.server.faults[f"d{n}.test"] = Fault.SILENT
        async with asyncio.TaskGroup() as group:
            dead = [group.create_task(asker.dns.mx(f"d{n}.test")) for n in range(200)]
            await asyncio.sleep(0)
            async with asyncio.timeout(20):
                assert len((await asker.dns.mx("a.test")).records) == 2
            assert not any(ask.done() for ask in dead)
            for ask in dead:
                ask.cancel()


@pytest.mark.slow
async def test_the_wait_for_a_place_counts_as_time_of_the_question(asking) -> None:
    """One after the other they would take ten seconds."""
    async with asking(concurrency=1, late=0, total_seconds=0.1) as asker:
        asker.server.faults["*"] = Fault.SILENT
        begun = time.monotonic()
        asks = (asker.dns.mx(f"d{n}.test") for n in range(100))
        told = await asyncio.gather(*asks, return_exceptions=True)
        assert time.monotonic() - begun < 5.0
        assert {type(one) for one in told} == {DnsTimeout}
