"""The virtual clock."""

import asyncio

from merpati.testing.clock import VirtualClock


async def test_sleepers_wake_in_the_order_of_their_time() -> None:
    clock = VirtualClock()
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.monotonic()))

    async with asyncio.TaskGroup() as group:
        group.create_task(sleeper("late", 20.0))
        group.create_task(sleeper("early", 10.0))
        await clock.advance(15.0)
        assert woken == [("early", 10.0)]
        await clock.advance(5.0)
    assert woken == [("early", 10.0), ("late", 20.0)]
    assert clock.monotonic() == 20.0


async def test_running_clock_passes_five_days_at_once() -> None:
    clock = VirtualClock(start=1000.0)
    async with clock.running():
        for _ in range(5):
            await clock.sleep(86_400.0)
    assert clock.now() == 1000.0 + 5 * 86_400


async def test_cancelled_sleep_does_not_move_time() -> None:
    clock = VirtualClock()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(clock.sleep(100.0))
        await asyncio.sleep(0)
        task.cancel()
    async with clock.running():
        await clock.sleep(1.0)
    assert clock.monotonic() == 1.0


async def test_jump_moves_the_time_of_day_alone() -> None:
    clock = VirtualClock(start=1000.0)
    clock.jump(-500.0)
    assert (clock.now(), clock.monotonic()) == (500.0, 0.0)
