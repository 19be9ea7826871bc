"""The virtual clock."""

import asyncio
import socket

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


async def test_who_woke_acts_to_the_end_before_the_next() -> None:
    clock = VirtualClock()
    acts: list[str] = []

    async def slow() -> None:
        await clock.sleep(10.0)
        for _ in range(20):
            await asyncio.sleep(0)
        acts.append("slow")

    async def later() -> None:
        await clock.sleep(11.0)
        acts.append("later")

    async with asyncio.TaskGroup() as group:
        group.create_task(slow())
        group.create_task(later())
        await clock.advance(12.0)
        assert acts == ["slow", "later"]


async def test_octets_are_read_before_time_moves_on() -> None:
    clock = VirtualClock()
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)
    _, far = await asyncio.open_connection(sock=theirs)
    read_at: list[float] = []

    async def listen() -> None:
        await reader.readexactly(1)
        read_at.append(clock.monotonic())

    async with asyncio.TaskGroup() as group:
        group.create_task(listen())
        group.create_task(clock.sleep(5.0))
        await asyncio.sleep(0)
        far.write(b"x")
        await clock.advance(10.0)
        assert read_at == [0.0]
    writer.close()
    far.close()


async def test_who_turns_without_end_does_not_stop_time() -> None:
    clock = VirtualClock()

    async def turn() -> None:
        while True:
            await asyncio.sleep(0)

    turning = asyncio.create_task(turn())
    await clock.advance(10.0)
    assert clock.monotonic() == 10.0
    turning.cancel()
