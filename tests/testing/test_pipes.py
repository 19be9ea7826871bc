"""Streams in memory keep the promises of Stream."""

import asyncio

import pytest

from merpati.testing.clock import VirtualClock
from merpati.testing.pipes import octet_by_octet, stream_pair
from merpati.wire.errors import TlsError, WireLost, WireTimeout
from merpati.wire.stream import Stream


async def test_octets_arrive_as_they_are_split() -> None:
    ours, theirs = stream_pair(VirtualClock(), octet_by_octet)
    ours.write(b"abc")
    assert theirs.pending == 3
    assert [await theirs.read() for _ in range(3)] == [b"a", b"b", b"c"]


async def test_close_is_the_others_end_after_what_was_written() -> None:
    ours, theirs = stream_pair(VirtualClock())
    ours.write(b"221 bye\r\n")
    await ours.close()
    assert await theirs.read() == b"221 bye\r\n"
    assert await theirs.read() == b""
    with pytest.raises(WireLost):
        await ours.read()


async def test_wait_ends_at_the_deadline_of_the_clock() -> None:
    clock = VirtualClock()
    ours, _ = stream_pair(clock)
    ours.deadline = 300.0
    async with clock.running():
        with pytest.raises(WireTimeout):
            await ours.read()
    assert clock.monotonic() == 300.0


async def test_drain_waits_until_the_other_end_reads() -> None:
    ours, theirs = stream_pair(VirtualClock())
    ours.write(b"x" * 200_000)
    ours.write(b"x" * 200_000)
    async with asyncio.TaskGroup() as group:
        draining = group.create_task(ours.drain())
        await asyncio.sleep(0)
        assert not draining.done()
        await theirs.read()


async def test_abort_breaks_both_ends() -> None:
    ours, theirs = stream_pair(VirtualClock())
    ours.write(b"lost")
    ours.abort()
    with pytest.raises(WireLost, match="reset"):
        await theirs.read()


async def test_both_ends_must_take_part_in_tls() -> None:
    ours, theirs = stream_pair(VirtualClock())
    async with asyncio.TaskGroup() as group:
        client = group.create_task(ours.secure(object(), "mx.a.test"))
        server = group.create_task(theirs.secure(object()))
    assert client.result() == server.result()
    assert ours.server_name == "mx.a.test"


async def test_plain_octets_before_the_handshake_fail_it() -> None:
    ours, theirs = stream_pair(VirtualClock())
    ours.write(b"RSET\r\n")
    with pytest.raises(TlsError):
        await theirs.secure(object())


async def test_plain_octets_instead_of_a_handshake_fail_it() -> None:
    ours, theirs = stream_pair(VirtualClock())
    handshake = asyncio.ensure_future(theirs.secure(object()))
    await asyncio.sleep(0)
    ours.write(b"EHLO a.test\r\n")
    with pytest.raises(TlsError):
        await handshake


def test_pipe_is_a_stream() -> None:
    stream: Stream = stream_pair(VirtualClock())[0]
    assert stream.deadline is None
