"""What hangs in one kind of thread keeps nobody from the other."""

import asyncio
import io
import os
import threading
from pathlib import Path

from merpati.clock import SystemClock
from merpati.config.settings import load
from merpati.directory.password import make_secret
from merpati.system.log import Log
from merpati.system.server import Surroundings, opened
from merpati.wire.certificates import make_self_signed
from merpati.wire.tls import server_context


async def test_a_password_is_checked_while_every_write_to_a_maildir_hangs(tmp_path: Path) -> None:
    file = tmp_path / "merpati.toml"
    file.write_text('hostname = "mx.a.test"\n')
    (tmp_path / "var").mkdir()
    clock = SystemClock()
    make_self_signed(tmp_path / "cert.pem", tmp_path / "key.pem", clock, ["mx.a.test"])
    given = Surroundings(
        ports=(),
        web=None,
        tls=server_context(tmp_path / "cert.pem", tmp_path / "key.pem"),
        clock=clock,
        log=Log(clock, io.StringIO()),
        ready=lambda text: None,
        stopping=lambda: None,
    )
    secret = make_secret("", "secret words", os.urandom)
    disk_answers = threading.Event()
    async with opened(load(file), given) as server:
        writers = server._delivering._dispatcher._parts.mailboxes.executor
        hanging = [writers.submit(disk_answers.wait, 60) for _ in range(20)]
        try:
            async with asyncio.timeout(30):
                found = await server._house.hasher.find([secret], "secret words")
            assert found == secret
            assert not any(one.done() for one in hanging)
        finally:
            disk_answers.set()
