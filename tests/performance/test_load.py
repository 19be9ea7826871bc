"""The generator of our own sends what it was told to, and the sink of our own takes it."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.load import Load
from benchmarks.servers import Certificate, OwnSink

pytestmark = pytest.mark.slow


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[OwnSink]:
    sink = OwnSink(tmp_path / "sink", Certificate(tmp_path / "certificate"), many=False)
    yield sink
    sink.stop()


def send(load: Load, port: int, count: int) -> dict[str, float]:
    done = subprocess.run(
        load.command(port, count), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, float] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("style", ["steps", "pipelined", "bdat"])
@pytest.mark.parametrize("tls", ["none", "starttls"])
@pytest.mark.parametrize("fresh", [False, True])
def test_every_message_arrives_once(sink: OwnSink, style: str, tls: str, fresh: bool) -> None:
    load = Load(style=style, tls=tls, fresh=fresh, sessions=3, recipients=2)
    told = send(load, sink.port, 10)
    assert (told["count"], sink.count()) == (10, 10)


def test_with_a_rate_messages_begin_at_their_time(sink: OwnSink) -> None:
    told = send(Load(style="steps", rate=100.0), sink.port, 30)
    assert told["ended"] - told["began"] >= 0.29
    assert sink.count() == 30


def test_a_server_that_refuses_fails_the_load(sink: OwnSink) -> None:
    load = Load(style="steps", tls="implicit")
    done = subprocess.run(
        load.command(sink.port, 1), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode != 0
    assert "the load failed" in done.stderr
