"""Memory for large content is handed out in shares, in the order of asking."""

import asyncio

import pytest

from merpati.reception.room import SMALL, Room, RoomSettings
from merpati.testing.clock import VirtualClock
from merpati.testing.doors import House, greeted

ENVELOPE = ("MAIL FROM:<eve@b.test>", "RCPT TO:<ann@a.test>", "DATA")
LARGE = b"Subject: Large\r\n\r\n" + b"x\r\n" * SMALL


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def house(clock: VirtualClock) -> House:
    return House(clock=clock)


def test_the_workers_of_a_node_share_evenly_what_one_would_have() -> None:
    whole = RoomSettings(shares=64, each=16)
    assert whole.divided(1) == whole
    assert whole.divided(2) == RoomSettings(shares=32, each=8)
    assert whole.divided(64) == RoomSettings(shares=8, each=2)


async def test_who_waits_longest_comes_first(clock: VirtualClock) -> None:
    room = Room(RoomSettings(shares=1), clock)
    assert await room.take()
    first, second = (asyncio.create_task(room.take()) for _ in range(2))
    await clock.advance(0.0)
    room.give_back()
    await clock.advance(0.0)
    assert first.done()
    assert not second.done()
    room.give_back()
    assert await second


async def test_one_stranger_does_not_get_all_there_is(clock: VirtualClock) -> None:
    room = Room(RoomSettings(shares=3, each=1), clock)
    assert await room.take("192.0.2.7/32")
    greedy = asyncio.create_task(room.take("192.0.2.7/32"))
    await clock.advance(0.0)
    assert not greedy.done()
    assert await room.take("192.0.2.8/32")
    assert await room.take()
    room.give_back("192.0.2.7/32")
    assert await greedy


async def test_patience_ends(clock: VirtualClock) -> None:
    room = Room(RoomSettings(shares=1, patience=60.0), clock)
    assert await room.take()
    waiting = asyncio.create_task(room.take())
    await clock.advance(59.0)
    assert not waiting.done()
    await clock.advance(1.0)
    assert not await waiting
    room.give_back()
    assert await room.take()


async def test_one_that_is_cancelled_takes_nothing_along(clock: VirtualClock) -> None:
    room = Room(RoomSettings(shares=1), clock)
    assert await room.take()
    waiting = asyncio.create_task(room.take())
    await clock.advance(0.0)
    waiting.cancel()
    await asyncio.wait([waiting])
    room.give_back()
    assert await room.take()


async def test_a_share_that_comes_with_the_cancel_is_given_back(clock: VirtualClock) -> None:
    room = Room(RoomSettings(shares=1), clock)
    assert await room.take()
    waiting = asyncio.create_task(room.take())
    await clock.advance(0.0)
    room.give_back()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    assert await asyncio.wait_for(room.take(), 20.0)


async def test_a_large_message_waits_and_a_small_one_does_not(house: House) -> None:
    port = house.port()
    port.room = Room(RoomSettings(shares=1), house.clock)
    async with greeted(port) as slow, greeted(port) as waiting, greeted(port) as small:
        await slow.say(*ENVELOPE)
        slow.stream.write(LARGE)
        await house.clock.advance(1.0)
        await waiting.say(*ENVELOPE)
        waiting.stream.write(LARGE + b".\r\n")
        answer = asyncio.create_task(waiting.reply())
        await house.clock.advance(1.0)
        assert not answer.done()
        assert "queued as" in await small.send(b"Subject: Small\r\n\r\nHi\r\n", "ann@a.test")
        slow.stream.write(b".\r\n")
        assert "queued as" in await slow.reply()
        assert "queued as" in await answer


async def test_who_waits_in_vain_is_told_to_come_again(house: House) -> None:
    port = house.port()
    port.room = Room(RoomSettings(shares=1), house.clock)
    async with greeted(port) as slow, greeted(port) as waiting:
        await slow.say(*ENVELOPE)
        slow.stream.write(LARGE)
        await house.clock.advance(1.0)
        await waiting.say(*ENVELOPE)
        waiting.stream.write(LARGE + b".\r\n")
        answer = asyncio.create_task(waiting.reply())
        await house.clock.advance(61.0)
        assert (await answer).startswith("452 4.3.1")
        slow.stream.write(b".\r\n")
        assert "queued as" in await slow.reply()
        assert "queued as" in await waiting.send(LARGE, "ann@a.test")


async def test_the_time_for_which_we_do_not_read_is_not_the_clients(house: House) -> None:
    port = house.port(short_patience=10.0, connections=2, least_rate=float(len(LARGE)))
    port.room = Room(RoomSettings(shares=1), house.clock)
    async with greeted(port) as slow, greeted(port) as waiting:
        await slow.say(*ENVELOPE)
        slow.stream.write(LARGE)
        await house.clock.advance(1.0)
        await waiting.say(*ENVELOPE)
        waiting.stream.write(LARGE)
        for _ in range(50):
            slow.stream.write(b"x" * 998 + b"\r\n" + LARGE)
            await house.clock.advance(1.0)
        slow.stream.write(b".\r\n")
        assert "queued as" in await slow.reply()
        await house.clock.advance(5.0)
        waiting.stream.write(b".\r\n")
        assert "queued as" in await waiting.reply()


async def test_content_that_is_refused_already_holds_no_share(house: House) -> None:
    port = house.port()
    port.room = Room(RoomSettings(shares=1), house.clock)
    async with greeted(port) as flawed, greeted(port) as other:
        await flawed.say(*ENVELOPE)
        flawed.stream.write(b"X: y\r\n" * 60_000)
        await house.clock.advance(1.0)
        assert "queued as" in await other.send(LARGE, "ann@a.test")
        flawed.stream.write(b"\r\n.\r\n")
        assert (await flawed.reply()).startswith("552 5.3.4")
        assert "queued as" in await flawed.send(LARGE, "ann@a.test")
