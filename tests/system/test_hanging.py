"""Workers that hang: stopped by a signal, as one is that waits for a disk or turns in a circle."""

import os
import re
import signal
import smtplib
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from merpati.testing.process import free_port
from tests.system.test_fleet import Node, wait_for

pytestmark = pytest.mark.slow

# A worker stops at its very first step where a file says so; and a minute is too long for a test.
_SCRIPT = """
import os, signal, sys
from pathlib import Path
from merpati.supervisor import fleet
from merpati.supervisor.subordinate import Subordinate

def live(self, new_loop, really=Subordinate.live):
    told = Path(sys.argv[2]).with_name("hang")
    if told.exists():
        told.rename(told.with_name("hangs"))
        os.kill(os.getpid(), signal.SIGSTOP)
    really(self, new_loop)

Subordinate.live = live
fleet._HUNG = {hung}
from merpati.cli.main import main
main()
"""


class Hanging(Node):
    """A node whose next worker hangs from its start on, if it is told so."""

    hung = 60.0

    def _command(self, *arguments: str) -> list[str]:
        if arguments[0] != "serve":
            return super()._command(*arguments)
        script = _SCRIPT.format(hung=self.hung)
        return [sys.executable, "-c", script, "--config", os.fspath(self.config), *arguments]

    @property
    def are_up(self) -> bool:
        """Whether both workers answer. A command would take longer to start than they do."""
        return [f'merpati_worker_up{{worker="{n}"}} 1' in self.metrics() for n in (0, 1)] == [
            True
        ] * 2

    def let_the_next_hang(self) -> None:
        (self.folder / "hang").touch()

    @property
    def hangs(self) -> bool:
        return (self.folder / "hangs").exists()

    def greeted(self, count: int) -> Iterator[float]:
        """Connect so often, all at once; after how many seconds each was greeted."""
        begun = time.monotonic()
        where = ("127.0.0.1", self.port)
        callers = [socket.create_connection(where, 60) for _ in range(count)]
        for caller in callers:
            with caller:
                assert caller.recv(4).startswith(b"220")
                yield time.monotonic() - begun


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Hanging]:
    node = Hanging(tmp_path, 2, free_port())
    yield node
    node.kill()


def test_a_worker_that_hangs_at_its_start_is_killed_and_made_again(node: Hanging) -> None:
    node.hung = 4.0
    node.start()
    node.let_the_next_hang()
    os.kill(node.pid_of(1), signal.SIGKILL)
    wait_for(lambda: node.hangs)
    assert max(node.greeted(30)) < 20, "the other serves all"
    wait_for(
        lambda: bool(re.search(r"worker 1 has not moved for \d+ s: it is killed", node.output()))
    )
    wait_for(lambda: node.are_up)


def test_a_worker_that_hangs_at_the_very_first_start_is_made_again_too(node: Hanging) -> None:
    node.hung = 4.0
    node.let_the_next_hang()
    node.start()
    assert node.hangs
    wait_for(lambda: node.are_up)


def test_who_was_passed_on_to_a_worker_that_hangs_is_served_by_another(node: Hanging) -> None:
    node.start()
    idle = [smtplib.SMTP("127.0.0.1", node.port, timeout=60) for _ in range(10)]
    hangs = node.pid_of(1)
    os.kill(hangs, signal.SIGSTOP)
    times = list(node.greeted(36))
    assert max(times) < 30, "a minute would pass until it is killed"
    os.kill(hangs, signal.SIGKILL)
    for client in idle:
        client.close()
