"""A plain stream over loopback sockets."""

import asyncio
import gc
from collections.abc import Callable

import pytest

from merpati.wire.connection import Connection
from merpati.wire.errors import WireLost, WireTimeout
from merpati.wire.listen import Arrival


async def echo(arrival: Arrival) -> None:
    stream = arrival.stream
    while octets := await stream.read():
        stream.write(octets)
        await stream.drain()
    await stream.close()


async def read_exactly(stream, count: int) -> bytes:
    octets = b""
    while len(octets) < count:
        piece = await stream.read()
        if not piece:
            break
        octets += piece
    return octets


async def test_octets_come_back_in_order(serving_port) -> None:
    async with serving_port(echo) as port:
        stream = await port.dial()
        sent = bytes(range(256)) * 4096
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(read_exactly(stream, len(sent)))
            for start in range(0, len(sent), 50_000):
                stream.write(sent[start : start + 50_000])
                await stream.drain()
        assert reading.result() == sent
        await stream.close()


@pytest.mark.slow
async def test_octets_that_nobody_waits_for_are_bounded(serving_port) -> None:
    async def flood(arrival: Arrival) -> None:
        arrival.stream.write(b"x" * 4_000_000)
        await arrival.stream.drain()

    async with serving_port(flood) as port:
        stream = await port.dial()
        async with asyncio.timeout(20):
            while not stream.pending:
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        assert 0 < stream.pending <= 2 * 64 * 1024
        stream.abort()


async def test_peers_end_is_empty_octets_and_stays_so(serving_port) -> None:
    async def bye(arrival: Arrival) -> None:
        arrival.stream.write(b"221 bye\r\n")
        await arrival.stream.close()

    async with serving_port(bye) as port:
        stream = await port.dial()
        assert await stream.read() == b"221 bye\r\n"
        assert await stream.read() == b""
        assert await stream.read() == b""
        await stream.close()


async def test_wait_ends_at_the_deadline(serving_port) -> None:
    async with serving_port(echo) as port:
        stream = await port.dial()
        stream.deadline = port.wire.clock.monotonic() + 0.02
        with pytest.raises(WireTimeout):
            await stream.read()
        stream.deadline = None
        stream.write(b"still usable")
        assert await stream.read() == b"still usable"
        await stream.close()


async def test_drain_ends_at_the_deadline_when_the_peer_takes_nothing(serving_port) -> None:
    forever = asyncio.Event()

    async def deaf(arrival: Arrival) -> None:
        await forever.wait()

    async with serving_port(deaf) as port:
        stream = await port.dial()
        stream.write(b"x" * 20_000_000)
        stream.deadline = port.wire.clock.monotonic() + 0.02
        with pytest.raises(WireTimeout):
            await stream.drain()
        stream.abort()


async def test_close_gives_up_flushing_at_the_deadline(serving_port) -> None:
    forever = asyncio.Event()

    async def deaf(arrival: Arrival) -> None:
        await forever.wait()

    async with serving_port(deaf) as port:
        stream = await port.dial()
        stream.write(b"x" * 20_000_000)
        stream.deadline = port.wire.clock.monotonic() + 0.02
        async with asyncio.timeout(8):
            await stream.close()
            await stream.close()


async def write_forever(stream: Connection) -> None:
    while True:
        stream.write(b"hello" * 100_000)
        await stream.drain()


async def test_reset_is_lost_and_later_writes_are_harmless(serving_port) -> None:
    async def reset(arrival: Arrival) -> None:
        while await arrival.stream.read():
            arrival.stream.abort()

    async with serving_port(reset) as port:
        stream = await port.dial()
        with pytest.raises(WireLost, match="connection"):
            await write_forever(stream)
        stream.write(b"into the void")
        await stream.close()


async def test_reading_an_aborted_stream_is_lost_not_a_hang(serving_port) -> None:
    async with serving_port(echo) as port:
        stream = await port.dial()
        reading = asyncio.ensure_future(stream.read())
        await asyncio.sleep(0)
        stream.abort()
        with pytest.raises(WireLost):
            await reading


async def test_octets_given_back_are_read_first(serving_port) -> None:
    async with serving_port(echo) as port:
        stream = await port.dial()
        stream.write(b"ab")
        octets = await read_exactly(stream, 2)
        stream.unread(octets)
        assert stream.pending == 2
        assert await stream.read() == b"ab"
        await stream.close()


@pytest.mark.slow
async def test_last_reply_survives_octets_that_nobody_read(serving_port) -> None:
    async def too_much(arrival: Arrival) -> None:
        await arrival.stream.read()
        await asyncio.sleep(0.02)
        arrival.stream.write(b"421 enough\r\n")
        await arrival.stream.close()

    async with serving_port(too_much) as port:
        stream = await port.dial()
        stream.write(b"junk")
        await asyncio.sleep(0.01)
        stream.write(b"junk" * 100_000)
        await asyncio.sleep(0.05)
        assert await stream.read() == b"421 enough\r\n"
        await stream.close()


async def use_connections(port, count: int) -> None:
    streams = [await port.dial() for _ in range(count)]
    for stream in streams:
        stream.write(b"x")
    for stream in streams:
        assert await stream.read() == b"x"
        await stream.close()


@pytest.mark.slow
async def test_thousand_connections_leave_nothing_behind(serving_port) -> None:
    async with serving_port(echo) as port:
        for _ in range(20):
            await use_connections(port, 50)
        async with asyncio.timeout(8):
            while len(port.listener) or len(port.wire):
                await asyncio.sleep(0.01)
    gc.collect()
    assert not [o for o in gc.get_objects() if isinstance(o, Connection)]


async def fed(stream: Connection, answer: Callable[[bytes], bool]) -> list[bytes]:
    """What `feed` gives to `answer`."""
    pieces: list[bytes] = []

    def take(octets: bytes) -> bool:
        pieces.append(octets)
        return answer(octets)

    await stream.feed(take)
    return pieces


async def test_what_arrives_is_fed_until_it_is_enough_and_the_rest_can_be_read(
    serving_port,
) -> None:
    async with serving_port(echo) as port:
        stream = await port.dial()

        def answer(octets: bytes) -> bool:
            stream.write(octets + b"!")
            return len(octets) < 3

        stream.write(b"a")
        assert await fed(stream, answer) == [b"a", b"a!", b"a!!"]
        assert await stream.read() == b"a!!!"
        await stream.close()


async def test_the_end_is_the_last_that_is_fed(serving_port) -> None:
    async def say_goodbye(arrival: Arrival) -> None:
        arrival.stream.write(b"bye")
        await arrival.stream.close()

    async with serving_port(say_goodbye) as port:
        stream = await port.dial()
        assert await fed(stream, lambda octets: True) == [b"bye", b""]
        await stream.close()


async def test_what_taking_raises_is_raised_by_feeding(serving_port) -> None:
    def fail(octets: bytes) -> bool:
        raise KeyError(octets)

    async with serving_port(echo) as port:
        stream = await port.dial()
        stream.write(b"a")
        with pytest.raises(KeyError):
            await fed(stream, fail)
        await stream.close()


async def test_what_taking_raises_behind_a_break_does_not_hide_the_break(serving_port) -> None:
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: told.append(what))

    async with serving_port(echo) as port:
        stream = await port.dial()

        def break_and_fail(octets: bytes) -> bool:
            stream.overdue()
            raise KeyError(octets)

        stream.write(b"a")
        with pytest.raises(WireTimeout):
            await fed(stream, break_and_fail)
        assert "KeyError" in str(told)


async def test_a_deadline_ends_feeding(serving_port) -> None:
    async with serving_port(echo) as port:
        stream = await port.dial()
        stream.deadline = port.wire.clock.monotonic()
        with pytest.raises(WireTimeout):
            await fed(stream, lambda octets: True)
        await stream.close()


async def test_short_writes_leave_together_when_the_turn_is_over(serving_port) -> None:
    async with serving_port(echo) as port:
        stream = await port.dial()
        stream._transport = Written(stream._transport, sent := [])
        stream.write(b"one ")
        stream.write(b"two")
        assert sent == []
        assert await read_exactly(stream, 7) == b"one two"
        assert sent == [b"one two"]
        await stream.close()


async def test_what_is_written_before_long_octets_or_the_end_leaves_before(serving_port) -> None:
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def listen(arrival: Arrival) -> None:
        heard.set_result(await read_exactly(arrival.stream, 1_000_000))

    async with serving_port(listen) as port:
        stream = await port.dial()
        long = b"x" * 10_000
        for octets in (b"first ", long, b" last"):
            stream.write(octets)
        await stream.close()
        assert await heard == b"first " + long + b" last"


class Written:
    """A transport that tells what is written to it."""

    def __init__(self, transport: asyncio.Transport, sent: list[bytes]) -> None:
        self._transport = transport
        self._sent = sent

    def write(self, octets: bytes) -> None:
        self._sent.append(octets)
        self._transport.write(octets)

    def __getattr__(self, name: str) -> object:
        return getattr(self._transport, name)
