"""G15: SIGTERM and reload under load.

A stop ends what is under way within thirty seconds, and since nothing is torn, nothing at all may
come twice. Whoever has named a recipient by then ends the transaction: some clients stand there, at
several steps, when each stop comes, and go on some time later. A reload finds the file changed, is
seen to take it up, drops no connection and refuses no message.
"""

import asyncio
import os
import random
import signal
import time
from enum import Enum
from pathlib import Path

from torture.generator import BOX, Door, Generator, Pace, Refused, Sent, Talk
from torture.oracle import compare
from torture.server import Setup, Victim
from torture.sink import Sink
from torture.torment import Batch, Outcome, Torment, nothing

STOP_SECONDS = 30.0
_RELOADS = 5
"""Before each stop."""
_WORKERS = 2
_PACE = Pace(
    sessions=50,
    pause=0.2,
    fates=(*["ok"] * 12, BOX, "slow", *["temp"] * 4, "perm"),
    lines=(3, 40, 200, 5000),
)


_HANGING = (0.0, 0.5, 2.0, 6.0)
"""Seconds behind a stop at which a client goes on that stands in a transaction."""
_TAKEN_UP = b"reloaded"
"""What each worker writes into the log then,"""
_TAKEN_UP_SECONDS = 5.0
"""and all of them within these seconds behind the last signal."""
_RETRIES = ('retry = ["1s", "1s", "1s", "2s"]', 'retry = ["1s", "1s", "2s", "2s"]')
"""What a reload finds changed, to and fro: harmless, and taken up by every worker."""


async def run(batch: Batch) -> Outcome:
    """Loads, each with reloads and ended by a stop."""
    sink = Sink(offers_chunking=bool(batch.number % 2))
    await sink.start()
    server = Victim(batch.folder, Setup(f"smtp://127.0.0.1:{sink.port}", workers=_WORKERS))
    await asyncio.to_thread(server.populate)
    chance = random.Random(batch.seed)
    generator = Generator(server.doors, batch.seed, _PACE)
    flaws: list[str] = []
    slowest = 0.0
    for turn in range(batch.count):
        await asyncio.to_thread(server.start)
        await asyncio.to_thread(server.wait_greeting)
        generator.prefix = f"{batch.seed}-{turn}"
        generator.go_on()
        hanging = Hanging(server, generator.sent, f"{batch.seed}-hanging-{turn}")
        async with asyncio.TaskGroup() as group:
            group.create_task(generator.run())
            flaws += await _reload(server, generator, chance)
            await hanging.begin()
            ending = group.create_task(hanging.end())
            status, seconds = await _stop(server)
            generator.stop()
        flaws += [f"stop {turn}: {one}" for one in ending.result()]
        slowest = max(slowest, seconds)
        if status or seconds > STOP_SECONDS:
            flaws.append(f"stop {turn}: status {status} after {seconds:.1f} s")
    await asyncio.to_thread(server.start)
    await server.drain()
    flaws += [] if await asyncio.to_thread(server.stop) == 0 else ["the last stop failed"]
    await sink.stop()
    if "Traceback" in server.log.read_text("utf-8", "replace"):
        flaws.append(f"a traceback in {server.log}")
    verdict = compare(generator.sent, sink, server.boxed(), interrupted=False)
    figures = (("slowest stop, s", round(slowest, 2)), ("workers", float(_WORKERS)))
    tally = {"signals to reload": _RELOADS * batch.count, **generator.sent.refused}
    tally["transactions across a stop"] = 2 * len(Step) * len(_HANGING) * batch.count
    return Outcome(batch.count, (verdict,), tuple(flaws), figures, tuple(tally.items()))


class Step(Enum):
    """How far a transaction has come when the stop begins."""

    RCPT = "behind its recipient"
    DATA = "behind DATA"
    CONTENT = "within its content"


class Hanging:
    """Clients that stand within transactions as the server is stopped, by SMTP and by LMTP."""

    def __init__(self, server: Victim, sent: Sent, prefix: str) -> None:
        self._sent = sent
        doors = (server.doors[0], server.doors[-1])
        self._clients = [
            Client(door, sent, f"{prefix}-{number}-{step.name}-{seconds:g}", step, seconds)
            for number, door in enumerate(doors)
            for step in Step
            for seconds in _HANGING
        ]

    async def begin(self) -> None:
        """Return when each stands where it is to."""
        async with asyncio.TaskGroup() as group:
            for client in self._clients:
                group.create_task(client.begin())

    async def end(self) -> list[str]:
        """Go on, and tell whose message was not taken."""
        ends = [client.end() for client in self._clients]
        told = await asyncio.gather(*ends)
        return [words for words in told if words]


class Client:
    """One of them."""

    def __init__(self, door: Door, sent: Sent, name: str, step: Step, seconds: float) -> None:
        self._door, self._sent, self._name = door, sent, name
        self._step, self._seconds = step, seconds
        self._local = f"ok-{name}"

    async def begin(self) -> None:
        """Come to the step."""
        reader, self._writer = await asyncio.open_connection("127.0.0.1", self._door.port)
        self._talk = Talk(reader, self._writer, self._sent)
        await self._talk.expect(b"220")
        await self._talk.say(b"LHLO hanging" if self._door.is_lmtp else b"EHLO hanging")
        await self._talk.say(b"MAIL FROM:<load@c.test>")
        self._sent.put(self._name, (self._local,), b"x")
        await self._talk.say(b"RCPT TO:<%s@b.test>" % self._local.encode())
        if self._step is not Step.RCPT:
            await self._talk.say(b"DATA", b"354")
        if self._step is Step.CONTENT:
            self._talk.write(b"X-Torture: %s\r\n" % self._name.encode())

    async def end(self) -> str:
        """Some time later, go on to the reply; words where there is none, or another."""
        await asyncio.sleep(self._seconds)
        try:
            if self._step is Step.RCPT:
                await self._talk.say(b"DATA", b"354")
            if self._step is not Step.CONTENT:
                self._talk.write(b"X-Torture: %s\r\n" % self._name.encode())
            self._talk.write(b"\r\nx\r\n.\r\n")
            await self._talk.expect(b"250")
        except (Refused, OSError, EOFError, TimeoutError) as error:
            return f"{self._name}, {self._step.value}: {type(error).__name__} {error}"
        finally:
            self._writer.close()
        self._sent.acknowledged[self._name, self._local] = 0
        return ""


async def _reload(server: Victim, generator: Generator, chance: random.Random) -> list[str]:
    """What a client noticed of some reloads, and whether they were any."""
    await asyncio.sleep(0.5)
    dropped, refused = generator.dropped, dict(generator.sent.refused)
    for _ in range(_RELOADS):
        taken_up = _taken_up(server)
        _change(server.config)
        os.kill(server.pid, signal.SIGHUP)
        await asyncio.sleep(chance.uniform(0.02, 0.3))
    # Signals that come close together are one reload.
    begun, starved = time.monotonic(), server.starved()
    while _taken_up(server) < taken_up + _WORKERS:
        if server.elapsed(begun, starved) > _TAKEN_UP_SECONDS:
            return ["a reload was not taken up by all workers"]
        await asyncio.sleep(0.05)
    if generator.dropped != dropped or generator.sent.refused != refused:
        dropped = generator.dropped - dropped
        return [f"a reload was noticed: {dropped} dropped, {refused} before"]
    return []


def _taken_up(server: Victim) -> int:
    return server.log.read_bytes().count(_TAKEN_UP)


def _change(config: Path) -> None:
    text = config.read_text("utf-8")
    one, other = _RETRIES if _RETRIES[0] in text else reversed(_RETRIES)
    fresh = config.with_suffix(".new")
    fresh.write_text(text.replace(one, other), "utf-8")
    fresh.replace(config)


async def _stop(server: Victim) -> tuple[int, float]:
    begun = time.monotonic()
    status = await asyncio.to_thread(server.stop)
    return status, time.monotonic() - begun


STOP = Torment(
    name="stop",
    guarantee="G15",
    counted="stops",
    full=50,
    short=2,
    size=10,
    run=run,
    missing=nothing,
)
