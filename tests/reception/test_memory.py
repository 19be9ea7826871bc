"""What a session costs while it serves (promise 4)."""

import tracemalloc
from collections.abc import Callable

import pytest

from merpati.authenticity.examiner import Examiner
from merpati.queue.entry import Entry
from merpati.testing.answers import Answers, TableResolver
from merpati.testing.clock import VirtualClock
from merpati.testing.doors import House, greeted
from merpati.testing.memory import MemoryDraft, MemoryQueue
from merpati.wire.endpoint import Endpoint
from merpati.wire.listen import Arrival

MIB = 1024 * 1024
LINE = b"x" * 76 + b"\r\n"


class CountedDraft(MemoryDraft):
    """Counts octets and keeps none, like a disk."""

    size = 0

    async def write(self, octets: bytes) -> None:
        self.size += len(octets)


class Disk(MemoryQueue):
    """Takes everything and holds nothing."""

    entry: Entry | None = None
    written = 0

    def draft(self) -> CountedDraft:
        return CountedDraft()

    async def put(self, entry: Entry, content: object, *_: object, **__: object) -> None:
        assert isinstance(content, CountedDraft)
        self.entry, self.written = entry, content.size


class Source:
    """A stream that sends a large message without holding it."""

    deadline: float | None = None
    pending = 0
    is_congested = False
    tls = None

    def __init__(self, size: int, block: bytes) -> None:
        self.peer = self.local = Endpoint("192.0.2.7", 1)
        self.said = b""
        envelope = b"MAIL FROM:<eve@b.test>\r\nRCPT TO:<ann@a.test>\r\nDATA\r\n"
        self._steps = iter(
            [b"EHLO client.test\r\n", envelope, b"Subject: Large\r\n\r\n"]
            + [block] * (size // len(block))
            + [b".\r\n", b"QUIT\r\n", b""]
        )

    async def read(self) -> bytes:
        # A copy each time, as a socket gives.
        return bytes(bytearray(next(self._steps)))

    async def feed(self, take: Callable[[bytes], bool]) -> None:
        while take(octets := await self.read()) and octets:
            pass

    def write(self, octets: bytes) -> None:
        self.said += octets

    async def drain(self) -> None:
        pass

    async def close(self) -> None:
        pass


async def cost(house: House, source: Source) -> int:
    """Octets of memory that it takes at most to receive what the source sends."""
    port = house.port(max_size=64 * MIB)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        await port.serve(Arrival(source, source.peer, source.local))  # type: ignore[arg-type]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert b"queued as" in source.said
    return peak - before


@pytest.mark.slow
async def test_a_message_of_fifty_mebibytes_costs_less_than_one() -> None:
    house = House()
    disk = house.queue = Disk(house.clock, house.journal)
    assert await cost(house, Source(50 * MIB, LINE * 840)) < MIB
    assert disk.entry
    assert disk.entry.size == disk.written > 49 * MIB


@pytest.mark.slow
async def test_a_message_that_drips_costs_little_more_than_its_octets() -> None:
    assert await cost(House(), Source(60 * 1024, b"\r\n")) < 512 * 1024


class CountingClock(VirtualClock):
    """Counts how often somebody steps aside."""

    steps = 0

    async def sleep(self, seconds: float) -> None:
        self.steps += seconds == 0
        await super().sleep(seconds)


async def test_a_flood_of_commands_steps_aside_for_others() -> None:
    clock = CountingClock()
    house = House(clock=clock)
    async with greeted(house.port()) as client:
        await client.say("MAIL FROM:<eve@b.test>")
        client.stream.write(b"RCPT TO:<ann@a.test>\r\n" * 500)
        for _ in range(500):
            assert (await client.reply()).startswith("250")
    assert clock.steps >= 5


async def steps_aside(clock: CountingClock, house: House) -> int:
    """How often, for a stranger's message of 609 KiB."""
    before = clock.steps
    async with greeted(house.port()) as client:
        message = b"From: <eve@b.test>\r\n\r\n" + LINE * 8000
        assert (await client.send(message, "ann@a.test", sender="eve@b.test")).startswith("250")
    return clock.steps - before


@pytest.mark.slow
async def test_a_large_body_is_examined_by_pieces_and_others_have_turns() -> None:
    clock = CountingClock()
    house = House(clock=clock)
    unexamined = await steps_aside(clock, house)
    house.examiner = Examiner(TableResolver(Answers({})), clock)
    # It is kept in parts of a quarter of a MiB, each of which is examined by 64 KiB.
    assert await steps_aside(clock, house) >= unexamined + 7
