"""Listeners: limits, sockets of every kind, and how they stop."""

import asyncio
import errno
import os
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from merpati.clock import SystemClock
from merpati.wire.accepting import PAUSE, Accepting
from merpati.wire.connection import Connection
from merpati.wire.dial import SocketDialer
from merpati.wire.endpoint import Endpoint
from merpati.wire.errors import (
    WireError,
    WireLost,
    WireRefused,
    WireTaken,
    WireTimeout,
    WireUnreachable,
)
from merpati.wire.listen import Arrival, Crowd, Listener, ListenSettings
from merpati.wire.loop import Wire
from merpati.wire.sockets import bind, bound_to
from tests.cases import each


async def tell_crowd(arrival: Arrival) -> None:
    arrival.stream.write(b"421 " if arrival.crowd else b"220 ")
    arrival.stream.write(arrival.crowd.name.encode() if arrival.crowd else b"welcome")
    while not arrival.crowd and await arrival.stream.read():
        pass
    await arrival.stream.close()


async def greeting(port) -> bytes:
    stream = await port.dial()
    return await stream.read()


async def until(true: Callable[[], bool]) -> None:
    """Wait for what the other end of a connection sets going."""
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0)


async def last_words(stream: Connection) -> bytes:
    """What is heard until the connection ends, by whichever end."""
    try:
        return await stream.read()
    except WireLost:
        return b""


@pytest.mark.parametrize("crowd", [Crowd.CONNECTIONS, Crowd.PER_IP])
async def test_connection_above_a_limit_is_marked_for_a_421(serving_port, crowd: Crowd) -> None:
    limits = {
        Crowd.CONNECTIONS: ListenSettings(connections=2),
        Crowd.PER_IP: ListenSettings(connections_per_ip=2),
    }
    async with serving_port(tell_crowd, limits[crowd]) as port:
        first = await port.dial()
        assert await first.read() == b"220 welcome"
        assert await greeting(port) == b"220 welcome"
        assert await greeting(port) == b"421 " + crowd.name.encode()
        await first.close()
        await until(lambda: len(port.listener) == 1)
        assert await greeting(port) == b"220 welcome"


async def test_far_above_a_limit_is_dropped_without_a_word(serving_port) -> None:
    async with serving_port(tell_crowd, ListenSettings(connections=0, refusals=0)) as port:
        stream = await port.dial()
        assert await last_words(stream) == b""
        assert len(port.listener) == 0


async def test_defect_of_a_session_ends_that_session_alone(serving_port) -> None:
    async def fail_on_x(arrival: Arrival) -> None:
        while octets := await arrival.stream.read():
            if octets == b"x":
                raise ValueError("a defect")
            arrival.stream.write(octets)

    async with serving_port(fail_on_x) as port:
        good, bad = await port.dial(), await port.dial()
        bad.write(b"x")
        assert await last_words(bad) == b""
        good.write(b"y")
        assert await good.read() == b"y"
        assert [str(error) for error in port.failures] == ["a defect"]
        await good.close()


async def test_stop_waits_for_sessions_within_the_grace(serving_port) -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slow(arrival: Arrival) -> None:
        begun.set()
        await may_end.wait()
        arrival.stream.write(b"250 done")
        await arrival.stream.close()

    async with serving_port(slow) as port:
        stream = await port.dial()
        await begun.wait()
        port.listener.stop(60.0)
        for _ in range(2):  # It hears of it, and closes its sockets.
            await asyncio.sleep(0)
        with pytest.raises(WireRefused):
            await port.dial()
        may_end.set()
        assert await stream.read() == b"250 done"
        await stream.close()


async def test_stop_cancels_what_outlives_the_grace(serving_port) -> None:
    ended: list[str] = []
    begun = asyncio.Event()

    async def endless(arrival: Arrival) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            arrival.stream.write(b"421 going down")
            await arrival.stream.close()
            ended.append("cancelled")
            raise

    async with serving_port(endless) as port:
        stream = await port.dial()
        await begun.wait()
        port.listener.stop(0.01)
        assert await stream.read() == b"421 going down"
        await stream.close()
    assert ended == ["cancelled"]


async def test_who_is_accepted_as_it_stops_is_served_within_the_grace(serving_port) -> None:
    async def farewell(arrival: Arrival) -> None:
        arrival.stream.write(b"421 going down")
        await arrival.stream.close()

    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    with theirs:
        async with serving_port(farewell) as port:
            await asyncio.sleep(0)  # It listens.
            port.listener.adopt(ours)
            port.listener.stop(5.0)
        assert theirs.recv(100) == b"421 going down"


@pytest.mark.parametrize("grace", [0.0, 0.01])
async def test_who_is_accepted_as_it_stops_and_says_nothing_is_cancelled(
    serving_port, grace: float
) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        async with asyncio.timeout(20), serving_port(tell_crowd) as port:
            await asyncio.sleep(0)  # It listens.
            port.listener.adopt(ours)
            port.listener.stop(grace)


async def test_who_is_passed_on_in_the_moment_before_it_runs_is_served(serving_port) -> None:
    ours, theirs = socket.socketpair()
    theirs.settimeout(60)
    with theirs:
        async with serving_port(tell_crowd) as port:
            port.listener.adopt(ours)
            assert await asyncio.to_thread(theirs.recv, 100) == b"220 welcome"


async def test_unix_socket_serves_and_has_its_mode(serving_port, tmp_path: Path) -> None:
    path = tmp_path / "lmtp"
    async with serving_port(tell_crowd, at=f"unix:{path}") as port:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        stream = await SocketDialer(port.wire).dial(Endpoint(path=str(path)), 1.0)
        assert await stream.read() == b"220 welcome"
        assert stream.peer.ip == ""
        await stream.close()


def test_stale_unix_socket_is_replaced_and_a_live_one_is_not(tmp_path: Path) -> None:
    where = Endpoint(path=str(tmp_path / "lmtp"))
    bind(where).close()
    live = bind(where)
    with pytest.raises(WireTaken, match="another server"):
        bind(where)
    live.close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["lmtp"]


def test_file_in_the_way_of_a_unix_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "lmtp"
    path.write_text("precious")
    with pytest.raises(WireTaken, match="no socket"):
        bind(Endpoint(path=str(path)))
    assert path.read_text() == "precious"


def test_taken_port_is_said_in_words() -> None:
    taken = bind(Endpoint("127.0.0.1"))
    with pytest.raises(WireTaken, match=r"cannot listen on 127\.0\.0\.1:\d+: Address already"):
        bind(bound_to(taken))
    taken.close()


async def test_a_listener_of_ipv6_greets(serving_port) -> None:
    async with serving_port(tell_crowd, at="[::1]:0") as port:
        assert (await greeting(port)) == b"220 welcome"


def test_both_families_share_a_port_number() -> None:
    for _ in range(20):
        with bind(Endpoint("::1")) as six:
            try:
                bind(Endpoint("127.0.0.1", bound_to(six).port)).close()
            except WireTaken:
                continue  # By another program, which may be: it is not of every number.
            return
    pytest.fail("no number that is free for one family was free for the other")


async def test_dial_says_refused_unreachable_and_bad_source(serving_port, tmp_path: Path) -> None:
    dialer = SocketDialer(Wire(SystemClock()))
    closed = bind(Endpoint("127.0.0.1"))
    nobody = bound_to(closed)
    closed.close()
    with pytest.raises(WireRefused):
        await dialer.dial(nobody, 1.0)
    with pytest.raises(WireUnreachable, match="does not exist"):
        await dialer.dial(Endpoint(path=str(tmp_path / "nothing")), 1.0)
    with pytest.raises(WireUnreachable, match="source"):
        await dialer.dial(nobody, 1.0, source="192.0.2.1")


async def test_dial_leaves_from_the_source_it_is_told(serving_port) -> None:
    async def say_peer(arrival: Arrival) -> None:
        arrival.stream.write(arrival.peer.ip.encode())
        await arrival.stream.close()

    async with serving_port(say_peer) as port:
        stream = await port.dial(source="127.0.0.2")
        stream.quickack()
        assert await stream.read() == b"127.0.0.2"
        await stream.close()


@pytest.mark.slow
async def test_dial_ends_at_its_time() -> None:
    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    dialer = SocketDialer(Wire(SystemClock()))
    with socket.create_connection(full.getsockname()), pytest.raises(WireTimeout, match="within"):
        await dialer.dial(bound_to(full), 0.05)
    full.close()


@pytest.mark.parametrize("text", ["127.0.0.1:2525", "[::1]:2525", "unix:run/lmtp"])
def test_endpoint_reads_what_it_writes(text: str) -> None:
    assert str(Endpoint.parse(text)) == text


@each(
    "text",
    [
        "",
        "25",
        "::1:25",
        "[127.0.0.1]:25",
        "127.0.0.1:",
        "a.test:25",
        "1.2.3.4:99999",
        "unix:",
        "127.0.0.1:" + "9" * 5000,
    ],
)
def test_endpoint_refuses_the_rest(text: str) -> None:
    with pytest.raises(WireError):
        Endpoint.parse(text)


def test_a_port_beyond_the_last_is_told_from_what_is_no_endpoint() -> None:
    with pytest.raises(WireError, match="up to 65535"):
        Endpoint.parse("127.0.0.1:65536")


async def test_a_loop_that_is_behind_its_work_begins_no_more(serving_port) -> None:
    async with serving_port(tell_crowd, ListenSettings(lag=-1.0)) as port:
        assert await greeting(port) == b"421 BUSY"


@pytest.mark.slow
async def test_how_far_a_loop_is_behind_is_seen_at_the_next_sweep(serving_port) -> None:
    async with serving_port(tell_crowd) as port:
        stream = await port.dial()
        assert await stream.read() == b"220 welcome"
        time.sleep(0.1)  # The loop is held up on purpose: it sweeps every 10 ms.
        await until(lambda: port.wire.lag > 0.05)
        await stream.close()


async def test_what_is_far_above_a_limit_is_counted(serving_port) -> None:
    async with serving_port(tell_crowd, ListenSettings(connections=0, refusals=0)) as port:
        assert await greeting(port) == b""
        assert port.listener.dropped == 1


class Starving:
    """A listening socket whose `accept` fails as told, before it does what it should."""

    def __init__(self, listener: socket.socket, *failures: int) -> None:
        self._listener = listener
        self._failures = list(failures)
        self.asked = 0

    def accept(self) -> tuple[socket.socket, object]:
        self.asked += 1
        if self._failures:
            number = self._failures.pop(0)
            raise OSError(number, os.strerror(number))
        return self._listener.accept()

    def setblocking(self, flag: bool) -> None:
        self._listener.setblocking(flag)

    def fileno(self) -> int:
        return self._listener.fileno()

    def close(self) -> None:
        self._listener.close()


async def first_taken(starving: Starving, told: list[int]) -> socket.socket:
    """The connection that arrives in spite of it."""
    taken: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()
    accepting = Accepting(starving, taken.set_result, lambda error: told.append(error.errno))
    try:
        return await asyncio.wait_for(taken, 60)
    finally:
        accepting.close()


@pytest.mark.slow
@pytest.mark.parametrize("lack", [errno.EMFILE, errno.ENOMEM])
async def test_where_the_system_has_no_room_a_connection_waits(lack: int) -> None:
    """And the listener does, too, instead of asking without end."""
    listener = bind(Endpoint.parse("127.0.0.1:0"))
    listener.setblocking(True)  # As somebody else may hand it in.
    starving, told = Starving(listener, lack, lack), []
    with socket.create_connection(listener.getsockname()) as client:
        before = time.monotonic()
        with await first_taken(starving, told) as accepted:
            assert accepted.getpeername() == client.getsockname()
        assert time.monotonic() - before >= 2 * PAUSE * 0.9
    assert told == [lack, lack]
    assert starving.asked <= 4


async def test_a_connection_that_broke_keeps_nobody_waiting() -> None:
    listener = bind(Endpoint.parse("127.0.0.1:0"))
    starving, told = Starving(listener, errno.ECONNABORTED, errno.EPERM), []
    with socket.create_connection(listener.getsockname()):
        (await first_taken(starving, told)).close()
    assert told == []


@pytest.mark.slow
async def test_a_listener_tells_of_starvation_and_goes_on() -> None:
    told: list[OSError] = []
    listener = Listener(Wire(SystemClock()), tell_crowd, [].append, starved=told.append)
    sock = bind(Endpoint.parse("127.0.0.1:0"))
    with socket.create_connection(sock.getsockname()) as client:
        client.setblocking(False)
        running = asyncio.create_task(listener.run([Starving(sock, errno.ENFILE)]))
        heard = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 64), 60)
        assert heard == b"220 welcome"
        listener.stop(0.0)
        await running
    assert [error.errno for error in told] == [errno.ENFILE]
