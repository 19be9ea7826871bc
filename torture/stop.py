"""G15: SIGTERM and reload under load.

A stop ends what is under way within thirty seconds, and since nothing is torn, nothing at all may
come twice. A reload drops no connection and refuses no message.
"""

import asyncio
import os
import random
import signal
import time

from torture.generator import BOX, Generator, Pace
from torture.oracle import compare
from torture.server import Setup, Victim
from torture.sink import Sink
from torture.torment import Batch, Outcome, Torment, nothing

STOP_SECONDS = 30.0
_RELOADS = 5
"""Before each stop."""
_PACE = Pace(
    sessions=50,
    pause=0.2,
    fates=(*["ok"] * 12, BOX, "slow", *["temp"] * 4, "perm"),
    lines=(3, 40, 200, 5000),
)


async def run(batch: Batch) -> Outcome:
    """Loads, each with reloads and ended by a stop."""
    sink = Sink(offers_chunking=bool(batch.number % 2))
    await sink.start()
    server = Victim(batch.folder, Setup(f"smtp://127.0.0.1:{sink.port}"))
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
        async with asyncio.TaskGroup() as group:
            group.create_task(generator.run())
            flaws += await _reload(server, generator, chance)
            status, seconds = await _stop(server)
            generator.stop()
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
    figures = (("slowest stop, s", round(slowest, 2)),)
    tally = (("reloads", _RELOADS * batch.count), *generator.sent.refused.items())
    return Outcome(batch.count, (verdict,), tuple(flaws), figures, tally)


async def _reload(server: Victim, generator: Generator, chance: random.Random) -> list[str]:
    """What a client noticed of some reloads."""
    await asyncio.sleep(0.5)
    dropped, refused = generator.dropped, dict(generator.sent.refused)
    for _ in range(_RELOADS):
        os.kill(server.pid, signal.SIGHUP)
        await asyncio.sleep(chance.uniform(0.02, 0.3))
    if generator.dropped == dropped and generator.sent.refused == refused:
        return []
    return [f"a reload was noticed: {generator.dropped - dropped} dropped, {refused} before"]


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
