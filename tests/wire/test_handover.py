"""Connections that are passed on to the worker with fewer."""

import asyncio
import socket

import pytest

from merpati.node.board import Board
from merpati.node.table import Table, TableSettings
from merpati.testing.clock import VirtualClock
from merpati.wire.handover import Handover, channels
from merpati.wire.listen import Arrival, ListenSettings, Neighbours


@pytest.fixture
async def handover():
    """Worker 0 of two, at a time when both have just shown that they live."""
    clock = VirtualClock()
    await clock.advance(100)
    board = Board(2)
    made = channels(2)
    for worker in (1, 0):
        board.become(worker, worker + 1)
        board.live(clock.monotonic())
        board.serve()
    yield Handover(board, made, clock)
    for ends in made:
        for end in ends:
            end.close()


@pytest.fixture
def connection():
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def taken_by(handover: Handover, worker: int) -> list[tuple[int, socket.socket]]:
    found: list[tuple[int, socket.socket]] = []
    before, handover.board.worker = handover.board.worker, worker
    handover.take(lambda port, sock: found.append((port, sock)))
    handover.board.worker = before
    return found


def test_whoever_is_clearly_ahead_passes_on(handover, connection):
    ours, theirs = connection
    handover.connected(4)
    assert handover.offer(3, ours)
    ((port, given),) = taken_by(handover, 1)
    with given:
        ours.close()
        given.sendall(b"220")
        assert (port, theirs.recv(3)) == (3, b"220")


def test_a_little_ahead_is_near_enough(handover, connection):
    handover.connected(3)
    assert not handover.offer(0, connection[0])
    assert taken_by(handover, 1) == []


def test_among_many_a_quarter_is_near_enough(handover, connection):
    handover.connected(100)
    handover.board.worker = 1
    handover.connected(80)
    handover.board.worker = 0
    assert not handover.offer(0, connection[0])
    handover.connected(10)
    assert handover.offer(0, connection[0])
    taken_by(handover, 1)[0][1].close()


async def test_nothing_is_given_to_whoever_shows_no_sign_of_life(handover, connection):
    handover.connected(50)
    await handover.clock.advance(5)
    handover.board.live(handover.clock.monotonic())
    assert not handover.offer(0, connection[0])


def test_nothing_is_given_to_whoever_lives_and_is_not_ready(handover, connection):
    handover.connected(50)
    handover.board.clear(1)
    handover.board.worker = 1
    handover.board.live(handover.clock.monotonic())
    handover.board.worker = 0
    assert not handover.offer(0, connection[0])


def test_nothing_is_given_to_whoever_stops(handover, connection):
    handover.connected(50)
    handover.board.worker = 1
    handover.board.leave()
    handover.board.worker = 0
    assert not handover.offer(0, connection[0])


def test_a_full_channel_keeps_the_connection_here(handover, connection):
    handover.connected(50)
    offered = 0
    while handover.offer(0, connection[0]):
        offered += 1
        assert offered < 10_000
    given = taken_by(handover, 1)
    assert len(given) == offered
    for _, sock in given:
        sock.close()


def test_whoever_leaves_gives_all_to_those_who_stay(handover, connection):
    handover.board.leave()
    assert handover.offer(0, connection[0], leaving=True)
    taken_by(handover, 1)[0][1].close()
    handover.board.worker = 1
    handover.board.leave()
    assert not handover.offer(0, connection[0], leaving=True), "nobody stays"


@pytest.mark.parametrize("early", [b"", b"EHLO x"])
async def test_who_begins_as_a_worker_stops_is_greeted_by_another(
    handover, serving_port, early
) -> None:
    """The stop comes while a connection is being made of what was accepted: nobody has heard
    anything of us then. Only who was read from already stays."""

    async def farewell(arrival: Arrival) -> None:
        assert await arrival.stream.read() == early != b""
        arrival.stream.write(b"421 going down")
        await arrival.stream.close()

    neighbours = Neighbours(Table(TableSettings()), handover)
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.settimeout(60)
        theirs.sendall(early)
        async with serving_port(farewell, ListenSettings(number=3), neighbours=neighbours) as port:
            await asyncio.sleep(0)  # It listens.
            port.listener.adopt(ours)
            await asyncio.sleep(0)  # The connection is being made.
            handover.board.leave()
            port.listener.stop(5.0)
        assert port.failures == []
        given = taken_by(handover, 1)
        for _, sock in given:
            with sock:
                sock.sendall(b"220 welcome" if not early or sock.recv(100) == early else b"lost")
        assert theirs.recv(100) == (b"220 welcome" if given else b"421 going down")


@pytest.fixture
def watching(handover):
    """The same as the supervisor has it, which is no worker, though its number be that of one."""
    return Handover(handover.board, handover.channels, handover.clock)


async def test_what_waits_for_whoever_hangs_is_given_to_the_others(handover, connection, watching):
    handover.connected(50)
    assert handover.offer(3, connection[0])
    assert watching.take_back(1) == 0, "it has just shown that it lives"
    await handover.clock.advance(4)
    assert watching.take_back(1) == 0, "nobody else does"
    handover.board.live(handover.clock.monotonic())
    assert watching.take_back(1) == 1
    assert taken_by(handover, 1) == []
    ((port, given),) = taken_by(handover, 0)
    with given:
        given.sendall(b"220")
        assert (port, connection[1].recv(3)) == (3, b"220")


def test_what_waits_for_the_dead_stays_where_the_others_are_full(handover, connection, watching):
    handover.connected(50)
    assert handover.offer(3, connection[0])
    waiting = 1
    for to, rest in (1, 1000), (0, 1000):
        while rest and handover._give(to, 3, connection[0]):
            waiting, rest = waiting + 1, rest - 1
    handover.board.clear(1)
    assert watching.take_back(1) == 0
    given = [sock for worker in (0, 1) for _, sock in taken_by(handover, worker)]
    for sock in given:
        sock.close()
    assert len(given) == waiting
