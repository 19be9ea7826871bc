"""G1: kill -9 under load loses nothing that was acknowledged.

`MERPATI_KILLS` sets how often; the short form is 50.
"""

import asyncio
import os
import random
import time
from pathlib import Path

import pytest

from merpati.testing.process import MerpatiProcess, free_port
from tests.torture.generator import Generator
from tests.torture.oracle import Verdict, compare
from tests.torture.sink import Key, Sink

KILLS = int(os.environ.get("MERPATI_KILLS", "50"))
SESSIONS = 20
MESSAGES = 60 * KILLS
SEED = 20_26

CONFIG = """\
hostname = "mx.a.test"
data = "var"
[[port]]
role = "mx"
listen = "127.0.0.1:{port}"
trusted = ["127.0.0.1/32"]
[[route]]
match = ["*"]
to = "smtp://127.0.0.1:{sink}"
tls = "off"
[queue]
retry = ["1s", "1s", "1s", "2s"]
[log]
events = false
"""


async def torment(server: MerpatiProcess, port: int, kills: int) -> Generator:
    """Load and kill in turn; returns when the load has ended and the server runs once more."""
    chance = random.Random(SEED)
    generator = Generator(port, SEED, SESSIONS, MESSAGES)
    async with asyncio.TaskGroup() as group:
        load = group.create_task(generator.run())
        for _ in range(kills):
            await asyncio.sleep(chance.uniform(0.05, 0.8))
            server.kill()
            await asyncio.to_thread(server.start)
        generator.stop()
        await load
    return generator


def drain(server: MerpatiProcess, seconds: float = 120.0) -> None:
    """Let everything be tried at once until the queue is empty, as an operator would."""
    end = time.monotonic() + seconds
    while server.ask_json("queue", "list"):
        assert time.monotonic() < end, server.ask("queue", "list")
        for site in server.ask_json("queue", "sites"):
            server.ask("queue", "resume", site["site"])
        server.run("queue", "retry", "--all")
        time.sleep(1)


async def failed_for_good(server: MerpatiProcess, names: list[str]) -> set[Key]:
    """The recipients that the server says it gave up, told by their own stories."""
    keys: set[Key] = set()
    for name in names:
        local = f"{name}@b.test"
        for story in await asyncio.to_thread(server.ask_json, "trace", local):
            for event in story["events"]:
                if event["kind"] == "failed" and event["address"] == local:
                    keys.add((name.split("-", 1)[1].rsplit("-", 1)[0], name))
    return keys


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_fifty_kills_lose_nothing(tmp_path: Path) -> None:
    sink = Sink()
    await sink.start()
    port = free_port()
    server = MerpatiProcess(tmp_path, CONFIG.format(port=port, sink=sink.port), [port])
    await asyncio.to_thread(server.start)
    try:
        generator = await torment(server, port, KILLS)
        await asyncio.to_thread(drain, server)
        permanent = [
            local
            for locals_ in generator.sent.acknowledged.values()
            for local in locals_
            if local.startswith("perm")
        ]
        failed = await failed_for_good(server, permanent)
    finally:
        server.stop()
        await sink.stop()
    verdict: Verdict = compare(generator.sent, sink, failed)
    print(f"{KILLS} kills: {verdict}")
    assert verdict.acknowledged > KILLS
    assert not verdict.lost, verdict.lost[:5]
    assert not verdict.unexpected, verdict.unexpected[:5]
    # At most 64 transactions of up to 3 recipients stand in the window at each kill.
    assert verdict.duplicates <= verdict.in_doubt + 64 * 3 * KILLS
