"""What hangs in one kind of thread keeps nobody from the other; all run from the start."""

import asyncio
import io
import os
import smtplib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from merpati.certificates.watch import Watch
from merpati.clock import SystemClock
from merpati.config.places import Places
from merpati.config.settings import load
from merpati.directory.directory import Secret
from merpati.directory.password import make_secret
from merpati.node.memory import share
from merpati.system.log import Log
from merpati.system.server import Assignment, Server, Surroundings, bind_private, opened
from merpati.system.threadpool import started_pool
from merpati.testing.process import free_port
from tests.system.test_server import Server as Running
from tests.system.test_server import wait_for

pytestmark = pytest.mark.slow


class Nobody:
    """A superior who is never asked."""

    def stop(self) -> None:
        raise AssertionError

    def restart(self) -> None:
        raise AssertionError

    def reloaded(self) -> None:
        raise AssertionError


async def test_a_password_is_checked_while_every_write_to_a_maildir_hangs(tmp_path: Path) -> None:
    file = tmp_path / "merpati.toml"
    file.write_text('hostname = "mx.a.test"\n')
    (tmp_path / "var").mkdir()
    settings, clock = load(file), SystemClock()
    places = Places(settings.data)
    secret = make_secret("", "secret words", os.urandom)
    disk_answers = threading.Event()
    with bind_private(places.control) as control, bind_private(places.smtp) as local:
        given = Surroundings(
            ports=(),
            web=(),
            control=control,
            local=local,
            watch=Watch(clock),
            memory=share(1),
            handover=None,
            assignment=Assignment(own=0),
            superior=Nobody(),
            pid=os.getpid(),
            clock=clock,
            log=Log(clock, io.StringIO()),
            ready=lambda text: None,
            stopping=lambda: None,
        )
        async with opened(settings, given) as server:
            await check(server, secret, disk_answers)


async def check(server: Server, secret: Secret, disk_answers: threading.Event) -> None:
    writers = server.own.delivering._dispatcher._parts.mailboxes.executor
    hanging = [writers.submit(disk_answers.wait, 60) for _ in range(20)]
    try:
        async with asyncio.timeout(30):
            found = await server._house.hasher.find([secret], "secret words")
        assert found == secret
        assert not any(one.done() for one in hanging)
    finally:
        disk_answers.set()


class Logins(Running):
    """With a port that checks passwords."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.door = free_port()
        self.config.write_text(
            self.config.read_text()
            + f'[[port]]\nrole = "submission"\nlisten = "127.0.0.1:{self.door}"\n'
            "auth_without_tls = true\n"
        )

    def submit(self, _: int) -> None:
        with smtplib.SMTP("127.0.0.1", self.door, timeout=60) as client:
            client.login("ann@a.test", "secret words")
            client.sendmail("ann@a.test", ["ann@a.test"], b"Subject: x\r\n\r\nhello\r\n")

    def threads(self) -> set[str]:
        """Of ours; uvloop's library looks after its own."""
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        return {task.name for task in tasks if "libuv" not in (task / "comm").read_text()}


def test_a_server_that_runs_starts_no_threads(tmp_path: Path) -> None:
    # To start one on the loop may hang it for ever where memory is short.
    server = Logins(tmp_path)
    server.populate()
    with server:
        server.ask("status")  # Ports are open before anybody serves them.
        before = server.threads()
        with ThreadPoolExecutor(8) as clients:
            list(clients.map(server.submit, range(16)))
        wait_for(lambda: len(server.mails()) == 16)
        server.ask("status")
        assert server.page("/metrics")[0] == 200
        assert server.threads() == before


def test_where_the_system_gives_no_more_threads_none_is_left_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[threading.Thread] = []

    def start(
        thread: threading.Thread, really: Callable[..., None] = threading.Thread.start
    ) -> None:
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        really(thread)
        started.append(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(RuntimeError, match="new thread"):
        started_pool(4, "test")
    for thread in started:
        thread.join(60)
    assert [thread.is_alive() for thread in started] == [False, False]
