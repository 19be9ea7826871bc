"""When slots are short: who is idle goes, who is at work stays, and the journal stays small."""

import asyncio
from contextlib import AsyncExitStack

from merpati.journal.events import Lifecycle, Refused
from merpati.journal.limits import Limits
from merpati.reception.port import Port
from merpati.testing.clock import VirtualClock
from merpati.testing.doors import House, Talker, greeted, talking
from merpati.testing.memory import MemoryJournal
from merpati.wire.listen import Crowd


async def crowd_of(port: Port, number: int, stack: AsyncExitStack) -> list[Talker]:
    return [await stack.enter_async_context(greeted(port)) for _ in range(number)]


async def test_who_stands_idle_is_asked_to_go_as_soon_as_slots_are_short() -> None:
    house = House()
    port = house.port(connections=4)
    async with AsyncExitStack() as stack:
        idle = await crowd_of(port, 3, stack)
        await house.clock.advance(100)
        (late,) = await crowd_of(port, 1, stack)
        await house.clock.advance(9)
        assert not idle[0].stream.pending
        assert (await late.say("NOOP")).startswith("250")
        await house.clock.advance(2)
        for client in idle:
            assert (await client.reply()).startswith("421 4.4.2")
        assert (await late.say("NOOP")).startswith("250")


async def test_a_message_that_comes_in_goes_on_when_slots_are_short() -> None:
    house = House()
    port = house.port(connections=4)
    async with AsyncExitStack() as stack:
        busy, *_ = await crowd_of(port, 3, stack)
        await busy.say("MAIL FROM:<eve@b.test>", "RCPT TO:<ann@a.test>", "DATA")
        await crowd_of(port, 1, stack)
        for _ in range(10):
            busy.stream.write(b"x" * 900 + b"\r\n" + b"y" * 900 + b"\r\n")
            await house.clock.advance(3)
        busy.stream.write(b".\r\n")
        assert (await busy.reply()).startswith("250")


async def test_content_that_drips_is_cut_when_slots_are_short() -> None:
    house = House()
    async with greeted(house.port(connections=1)) as slow:
        await slow.say("MAIL FROM:<eve@b.test>", "RCPT TO:<ann@a.test>", "DATA")
        for _ in range(12):
            slow.stream.write(b"x")
            await house.clock.advance(1)
        assert (await slow.reply()).startswith("421")
    told = [event.detail for event in await house.events(Lifecycle)]
    assert told == ["mx: slots are short", "mx: too slow while slots are short"]


async def test_a_loop_that_is_late_says_that_it_is_busy() -> None:
    house = House()
    async with talking(house.port(), crowd=Crowd.BUSY) as client:
        assert (await client.reply()).startswith("421 4.3.2")


async def test_a_crowd_is_counted_and_told_of_once() -> None:
    house = House()
    port = house.port()
    for _ in range(3):
        async with talking(port, crowd=Crowd.CONNECTIONS) as client:
            await client.reply()
    assert len(await house.events(Refused)) == 3
    [told] = await house.events(Lifecycle)
    assert (told.what, told.detail) == ("limit", "mx: connections")


async def test_the_count_of_a_limit_is_journaled_once_a_minute() -> None:
    clock, journal = VirtualClock(), MemoryJournal()
    limits = Limits(journal, clock)
    counting = asyncio.ensure_future(limits.run())
    for name in ("x", "x", "x", "y"):
        limits.hit(name)
    await clock.advance(60)
    limits.hit("x")
    await clock.advance(60)
    counting.cancel()
    assert await details(journal) == ["x", "y", "x, 3 times in 60 s", "x"]
    assert limits.totals == {"x": 4, "y": 1}


async def test_a_flood_of_refusals_does_not_fill_the_journal() -> None:
    clock, journal = VirtualClock(), MemoryJournal()
    limits = Limits(journal, clock, told=2)
    counting = asyncio.ensure_future(limits.run())
    assert [limits.may_tell("x") for _ in range(5)] == [True, True, False, False, False]
    await clock.advance(60)
    assert limits.may_tell("x")
    counting.cancel()
    assert await details(journal) == ["x, not journaled", "x, not journaled, 3 times in 60 s"]


async def details(journal: MemoryJournal) -> list[str]:
    told = [event for _, event in await journal.follow(0, 10)]
    return [event.detail for event in told if isinstance(event, Lifecycle)]
