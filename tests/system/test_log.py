"""What the server says about itself, to somebody who does not listen."""

import json
import os
import smtplib
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from merpati.system import outlet
from merpati.system.log import Log
from merpati.system.outlet import Outlet
from merpati.testing.clock import VirtualClock
from merpati.testing.process import free_port
from tests.system.test_fleet import Node, wait_for


class Ear:
    """Both ends of what standard error may be. The one that is written to blocks, as the shell's
    does."""

    def __init__(self, given: int, read: Callable[[int], bytes]) -> None:
        self.given, self._read = given, read

    def hear(self) -> bytes:
        """What was said since."""
        heard = b""
        with suppress(BlockingIOError):
            while piece := self._read(65536):
                heard += piece
        return heard


@pytest.fixture(params=["pipe", "pipe of another user", "socket"])
def ear(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ear]:
    if request.param == "socket":
        one, other = socket.socketpair()
        other.setblocking(False)
        with one, other:
            yield Ear(one.fileno(), other.recv)
        return
    if request.param != "pipe":
        monkeypatch.setattr(outlet.os, "open", refuse)
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    yield Ear(writing, partial(os.read, reading))
    os.close(reading)
    os.close(writing)


def refuse(*_: object) -> int:
    raise PermissionError


def test_a_line_that_nobody_takes_is_dropped_and_told_of(ear: Ear) -> None:
    log = Log(VirtualClock(), Outlet(ear.given))
    assert os.get_blocking(ear.given), "it is not ours alone"
    said = 0
    while not log.dropped:
        log.info("event", f"{said} {'x' * 3000}")
        said += 1
        assert said < 10_000
    log.info("event", "one more")
    log.catch_up()
    heard = ear.hear()
    log.catch_up()
    heard += ear.hear()
    log.info("event", "heard again")
    heard += ear.hear()
    texts = [json.loads(line)["text"] for line in heard.splitlines()]
    told = [text for text in texts if "lines were dropped" in text]
    assert sum(int(text.split()[0]) for text in told) == log.dropped >= 1
    taken = [text for text in texts if text not in told]
    assert len(taken) + log.dropped == said + 2
    assert taken[-1] == "heard again"


def test_a_line_longer_than_a_page_is_whole(ear: Ear) -> None:
    log = Log(VirtualClock(), Outlet(ear.given))
    log.error("defect", "\x01" * 7000)
    assert json.loads(ear.hear())["text"] == "\x01" * 7000
    assert log.dropped == 0


def test_a_file_is_written_where_its_end_is(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        file.write("before\n")
        file.flush()
        Log(VirtualClock(), Outlet(file.fileno())).info("event", "text")
    first, second = (tmp_path / "log").read_text().splitlines()
    assert (first, json.loads(second)["text"]) == ("before", "text")


class Mute(Node):
    """A node that nobody listens to: its standard error is full before it begins."""

    def spawn(self) -> None:
        reading, writing = os.pipe()
        self.reading = reading
        os.set_blocking(writing, False)
        with suppress(BlockingIOError):
            while True:
                os.write(writing, b"\n" * 4096)
        os.set_blocking(writing, True)
        self._process = subprocess.Popen(
            self._command("serve"), stdout=subprocess.DEVNULL, stderr=writing
        )
        os.close(writing)

    def has_started(self) -> bool:
        """Its words go nowhere, and the doors are open from the first worker on."""
        return all(line["running"] for line in self.workers())

    def listen(self) -> str:
        os.set_blocking(self.reading, False)
        with suppress(BlockingIOError):
            return os.read(self.reading, 1 << 20).decode()
        return ""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_mail_is_taken_while_nobody_takes_the_log(tmp_path: Path, workers: int) -> None:
    node = Mute(tmp_path, workers, free_port())
    with node:
        node.send(4)
        node.ask("reload")  # Every process has something to say.
        for _ in range(6):
            with smtplib.SMTP("127.0.0.1", node.port, timeout=60) as client:
                assert client.ehlo()[0] == 250
        assert 'lines_dropped{worker="0"}' in node.metrics() or workers == 1
        heard: list[str] = []
        wait_for(lambda: bool(heard.append(node.listen())) or "were dropped" in "".join(heard))
        os.close(node.reading)
    assert node.has_ended
