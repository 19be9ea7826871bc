"""What the supervisor decides about its workers: on a clock of the test's, without processes."""

import errno
import io
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from merpati.certificates.watch import Watch
from merpati.clock import SystemClock
from merpati.config.settings import load
from merpati.node.memory import share
from merpati.supervisor import bus, fleet
from merpati.supervisor.fleet import Fleet
from merpati.supervisor.inheritance import Inheritance
from merpati.supervisor.notify import Notifier
from merpati.supervisor.subordinate import Subordinate
from merpati.system.log import Log
from merpati.system.server import Assignment


class Hands(SystemClock):
    """A clock whose hands the test moves."""

    def __init__(self) -> None:
        self.steady, self.wall = 1000.0, 1_800_000_000.0
        super().__init__(lambda: self.wall, lambda: self.steady)

    def monotonic(self) -> float:
        return self.steady

    def move(self, seconds: float) -> None:
        self.steady += seconds
        self.wall += seconds


class Machine:
    """Makes processes that are numbers, while there is room for them."""

    def __init__(self) -> None:
        self.has_room = True
        self.made: list[int] = []
        self.ended: list[int] = []
        self.killed: list[int] = []

    def fork(self) -> int:
        if not self.has_room:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        self.made.append(4_000_000 + len(self.made))
        return self.made[-1]

    def waitpid(self, which: int, how: int) -> tuple[int, int]:
        assert (which, how) == (-1, os.WNOHANG)
        return (self.ended.pop(0) if self.ended else 0), 0

    def kill(self, pid: int, name: int) -> None:
        assert name == signal.SIGKILL
        self.killed.append(pid)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(fleet.os, "fork", made.fork)
    monkeypatch.setattr(fleet.os, "kill", made.kill)
    monkeypatch.setattr(fleet.os, "waitpid", made.waitpid)
    return made


@pytest.fixture
def given() -> Iterator[Inheritance]:
    clock = Hands()
    control, local = socket.socketpair()
    with control, local:
        yield Inheritance(
            ports=(),
            web=(),
            challenges=None,
            control=control,
            local=local,
            watch=Watch(clock),
            memory=share(2),
            handover=None,
            clock=clock,
            log=Log(clock, io.StringIO()),
            notifier=Notifier({}, 1),
        )


@pytest.fixture
def node(given: Inheritance, machine: Machine, tmp_path: Path) -> Iterator[Fleet]:
    """Two workers that serve."""
    file = tmp_path / "merpati.toml"
    file.write_text('hostname = "mx.a.test"\nworkers = 2\n')
    made = Fleet(load(file), given, set(), None)
    made._workers = [fleet._Worker(0), fleet._Worker(1)]
    made._tend()
    assert len(machine.made) == 2
    made._is_complete = True
    yield made
    for worker in made._workers:
        if worker.line is not None:
            worker.line.close()


def live(node: Fleet) -> None:
    for worker in node._workers:
        node.given.memory.board.worker = worker.number
        node.given.memory.board.live(node.given.clock.monotonic())
        node.given.memory.board.serve()


def make_ready(node: Fleet) -> None:
    live(node)
    for worker in node._workers:
        node._understand(worker, bus.Ready("mx 127.0.0.1:25"))


def tend_for(node: Fleet, seconds: int) -> None:
    for _ in range(seconds):
        node.given.clock.move(1)  # type: ignore[attr-defined]  # the clock is the test's
        node._tend()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_worker_that_does_not_move_is_killed(node: Fleet, machine: Machine) -> None:
    make_ready(node)
    tend_for(node, 60)
    assert machine.killed == []
    tend_for(node, 1)
    assert machine.killed == machine.made


def test_a_worker_that_never_moves_is_killed_and_made_again_after_ever_longer_pauses(
    node: Fleet, machine: Machine
) -> None:
    tend_for(node, 60)
    assert machine.killed == []
    tend_for(node, 1)
    assert machine.killed == machine.made[:2]
    pauses = []
    for _ in range(8):
        node._ended(node._workers[1], -signal.SIGKILL)
        pauses.append(node._workers[1].start_at - node.given.clock.monotonic())
        tend_for(node, 30)
        assert node._workers[1].pid
        tend_for(node, 62)
        assert node._workers[1].pid in machine.killed
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30]


def test_a_worker_that_hangs_at_the_very_first_start_is_made_again(
    node: Fleet, machine: Machine
) -> None:
    node._is_complete = False
    tend_for(node, 61)
    node._ended(node._workers[1], -signal.SIGKILL)
    tend_for(node, 1)
    assert not node._stopping
    assert node._workers[1].pid == machine.made[2]


def test_a_worker_that_shows_life_may_take_its_time_to_be_ready(
    node: Fleet, machine: Machine
) -> None:
    for _ in range(300):
        for worker in node._workers:
            node.given.memory.board.worker = worker.number
            node.given.memory.board.live(node.given.clock.monotonic())
        tend_for(node, 1)
    assert machine.killed == []
    assert said(node).count("worker 1 is not ready after 61 s, and works on it") == 1


def said(node: Fleet) -> str:
    written = node.given.log._stream
    assert isinstance(written, io.StringIO)
    return written.getvalue()


def test_a_worker_that_somebody_else_told_to_stop_may_not_take_for_ever(
    node: Fleet, machine: Machine
) -> None:
    make_ready(node)
    node.given.memory.board.leave()
    for _ in range(76):
        node.given.memory.board.worker = 0
        node.given.memory.board.live(node.given.clock.monotonic())
        tend_for(node, 1)
    assert machine.killed == []
    tend_for(node, 1)
    assert machine.killed == [machine.made[1]]


def test_workers_that_stood_still_with_their_supervisor_do_not_hang(
    node: Fleet, machine: Machine
) -> None:
    make_ready(node)
    tend_for(node, 2)
    node.given.clock.move(600)  # type: ignore[attr-defined]  # the clock is the test's
    tend_for(node, 60)
    assert machine.killed == []
    tend_for(node, 2)
    assert machine.killed == machine.made, "who does not move after that either"


def test_a_machine_without_room_for_a_process_is_asked_again(node: Fleet, machine: Machine) -> None:
    before = descriptors()
    machine.has_room = False
    node._ended(node._workers[1], -signal.SIGKILL)
    tend_for(node, 60)
    assert node._workers[1].pid == 0
    assert descriptors() == before - 1, "the line of the one that died is closed"
    machine.has_room = True
    tend_for(node, 30)
    assert node._workers[1].pid == machine.made[2]


def test_children_of_workers_that_were_left_to_us_are_buried_too(
    node: Fleet, machine: Machine
) -> None:
    machine.ended = [7, machine.made[1], 8]
    node._reap()
    assert machine.ended == []
    assert [worker.pid for worker in node._workers] == [machine.made[0], 0]


@pytest.mark.parametrize("complete", [True, False])
def test_a_reload_in_the_middle_of_the_start_is_not_the_end_of_it(
    node: Fleet, tmp_path: Path, complete: bool
) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as ear:
        ear.bind(path)
        node.given = replace(node.given, notifier=Notifier({"NOTIFY_SOCKET": path}, 1))
        node._is_complete, node.settings = complete, replace(node.settings, file=None)
        node._reload()
        heard = list(all_of(ear))
    assert [one.partition(b"=")[0] for one in heard] == ([b"RELOADING", b"READY"] * complete)


def all_of(ear: socket.socket) -> Iterator[bytes]:
    with suppress(BlockingIOError):
        while True:
            yield ear.recv(500)


def test_where_not_even_the_first_can_be_made_all_ends(node: Fleet, machine: Machine) -> None:
    machine.has_room = node._is_complete = False
    node._workers[1].pid = 0
    node._tend()
    assert node._stopping
    assert "Resource temporarily unavailable" in node._failure


def test_the_supervisor_does_not_spin_while_the_last_worker_ends(node: Fleet) -> None:
    node._stop()
    node.given.clock.move(1)  # type: ignore[attr-defined]  # the clock is the test's
    node._ended(node._workers[0], 0)
    assert node._patience() > 0.5


def test_a_worker_that_is_made_in_a_year_begins_with_the_time_of_the_others(node: Fleet) -> None:
    clock = node.given.clock
    assert isinstance(clock, Hands)
    for _ in range(100):
        clock.wall += 1.0
        tend_for(node, 1)
    assert clock.jumped == 0.0
    assert clock.now() == clock.wall


@pytest.fixture
def worker(given: Inheritance, tmp_path: Path) -> Iterator[tuple[Subordinate, bus.Line]]:
    """One that does not serve yet, and its supervisor's end of the line."""
    file = tmp_path / "merpati.toml"
    file.write_text('hostname = "mx.a.test"\nworkers = 2\n')
    mine, theirs = bus.lines()
    yield Subordinate(load(file), given, theirs, Assignment(own=0)), mine
    mine.close()
    theirs.close()


@pytest.mark.parametrize("told", [True, False], ids=["told", "orphaned"])
def test_a_worker_that_waits_for_room_ends_when_it_is(
    worker: tuple[Subordinate, bus.Line],
    monkeypatch: pytest.MonkeyPatch,
    told: bool,
) -> None:
    def leave(status: int) -> None:
        raise SystemExit(status)

    monkeypatch.setattr(os, "_exit", leave)
    early: list[bus.Message] = []
    ours, supervisor = worker
    supervisor.say(bus.Reload())
    ours._listen_early(early, ours.given.log)
    assert early == [bus.Reload()], "it is obeyed when it serves"
    if told:
        supervisor.say(bus.Stop())
    else:
        supervisor.close()
    with pytest.raises(SystemExit):
        ours._listen_early(early, ours.given.log)


def test_the_longest_text_is_one_packet() -> None:
    one, other = bus.lines()
    failed = bus.Failed("\0" * bus.MAX_TEXT)
    one.say(failed)
    assert other.hear() == [failed]
    one.close()
    other.close()
