"""What hangs in one kind of thread keeps nobody from the other."""

import asyncio
import io
import os
import threading
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
