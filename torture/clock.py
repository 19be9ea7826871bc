"""G6: the time of day jumps by an hour, a day, ten years, both ways, while mail waits.

libfaketime tells the server's processes what time it is; what counts up steadily stays true. The
server runs on, or is stopped and started behind the jump, or before and behind it: then it believes
the time that it finds. No message may expire or be given up by a jump, and nothing may be due later
than it ever waits.
"""

import asyncio
import random
import time
from enum import Enum
from pathlib import Path

from merpati.api import operations as op
from merpati.api import questions as ask
from merpati.testing.process import free_port
from torture.generator import Generator, Pace
from torture.oracle import compare
from torture.server import Setup, Victim
from torture.sink import Sink
from torture.torment import Batch, Outcome, Torment

HOUR, DAY, YEAR = 3600.0, 86400.0, 365.25 * 86400.0
JUMPS = tuple(sign * size for size in (HOUR, DAY, 10 * YEAR) for sign in (1, -1))
_RETRY = 3.0
_LONGEST = 3600.0 * 1.25
"""Of a host that is down; a recipient waits `_RETRY` at most. Both jittered."""
_LIBRARIES = (
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
)
_WORKERS = (2, 1)
"""Of the servers of one batch after the other."""
_TABLES = '[queue]\nretry = ["1s", "3s"]\n[limits]\nfree_space = 0'
_PACE = Pace(sessions=10, limit=40, pause=0.01, fates=("ok", "ok", "perm"), lines=(3, 40))


def library() -> str:
    """The one that is installed; empty without."""
    return next((path for path in _LIBRARIES if Path(path).exists()), "")


class Meanwhile(Enum):
    """What becomes of the server when the clock jumps."""

    RUNS = "runs on"
    STARTS_AGAIN = "starts again behind it"
    IS_DOWN = "is down"


class Unsteady:
    """A server whose clock we set."""

    def __init__(self, batch: Batch) -> None:
        self.sink = Sink()
        self.flaws: list[str] = []
        self._batch = batch
        self._chance = random.Random(batch.seed)
        self._file = batch.folder / "time"
        self._offset = 0.0
        self._believed = 0.0
        """The offset that the server found at its start."""

    def set(self, offset: float) -> None:
        """Jump so that the server's time of day is `offset` seconds from ours."""
        self._offset = offset
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{offset:+.0f}\n")
        fresh.rename(self._file)

    async def run(self) -> Outcome:
        """Jumps with mail waiting for a host that refuses it, and for one that is away."""
        await self.sink.start(free_port())  # It goes away, and has to find the same one free.
        workers = _WORKERS[self._batch.number % len(_WORKERS)]
        route = f"smtp://127.0.0.1:{self.sink.port}"
        setup = Setup(route, tables=_TABLES, workers=workers)
        server = Victim(self._batch.folder, setup)
        await asyncio.to_thread(server.populate)
        self.set(0)
        environment = {"LD_PRELOAD": library(), "FAKETIME_TIMESTAMP_FILE": str(self._file)}
        environment |= {"FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        server.environment = environment | {"DONT_FAKE_MONOTONIC": "1"}
        await asyncio.to_thread(server.start)
        await asyncio.to_thread(server.wait_greeting)
        generator = Generator(server.doors, self._batch.seed, _PACE)
        try:
            first = self._batch.number * self._batch.count
            for turn in range(first, first + self._batch.count):
                await self._turn(server, generator, JUMPS[turn % len(JUMPS)], turn)
            self.set(0)
            await server.drain()
        finally:
            await self._stop(server)
            await self.sink.stop()
        if "Traceback" in server.log.read_text("utf-8", "replace"):
            self.flaws.append(f"a traceback in {server.log}")
        verdict = compare(generator.sent, self.sink, server.boxed(), interrupted=False)
        tally = ((f"jumps with {workers} workers", self._batch.count),)
        return Outcome(self._batch.count, (verdict,), tuple(self.flaws), tally=tally)

    async def _turn(self, server: Victim, generator: Generator, jump: float, turn: int) -> None:
        # Every other round the other way about, so that each jump meets both.
        is_away = bool((turn + turn // len(JUMPS)) % 2)
        if is_away:
            await self.sink.stop()
        self.sink.refuses_all = not is_away
        generator.prefix = f"{self._batch.seed}-{turn}"
        generator.refill(_PACE.limit)
        await generator.run()
        queued = await server.queued()
        meanwhile = list(Meanwhile)[(turn + turn // (2 * len(JUMPS))) % len(Meanwhile)]
        await self._jump(server, jump, meanwhile)
        await asyncio.sleep(2.5)
        name = f"turn {turn}, {jump / HOUR:+.0f} h, host {'away' if is_away else 'refuses'}"
        name += f", server {meanwhile.value}"
        if (left := await server.queued()) < queued:
            self.flaws.append(f"{name}: {queued - left} of {queued} have gone by the jump")
        await self._see_dues(server, name)
        self.sink.refuses_all = False
        if is_away:
            await self.sink.start(self.sink.port)
            # Its rest may last a minute; `_see_dues` has seen that it is no longer.
            await server.drain(hurried=True)
            return
        end = time.monotonic() + 60
        while await server.queued() > 0:
            if time.monotonic() > end:
                lines = await server.tell(op.QUEUE_LIST, ask.ListQueue(limit=3))
                self.flaws.append(f"{name}: not tried again within a minute: {lines}")
                break
            await asyncio.sleep(0.2)

    async def _jump(self, server: Victim, jump: float, meanwhile: Meanwhile) -> None:
        if meanwhile is Meanwhile.IS_DOWN:
            await self._stop(server)
        self.set(self._offset + jump)
        if meanwhile is Meanwhile.STARTS_AGAIN:
            await self._stop(server)
        if meanwhile is not Meanwhile.RUNS:
            self._believed = self._offset
            await asyncio.to_thread(server.start)
            await asyncio.to_thread(server.wait_greeting)

    async def _stop(self, server: Victim) -> None:
        if await asyncio.to_thread(server.stop) != 0:
            self.flaws.append("a stop failed")

    async def _see_dues(self, server: Victim, name: str) -> None:
        now = time.time() + self._believed  # It does not follow jumps while it runs.
        lines = await server.tell(op.QUEUE_LIST, ask.ListQueue())
        late = max((line.due.timestamp() - now for line in lines), default=0.0)
        held = await server.tell(op.SITES_HELD, ask.Nothing())
        rest = max((one.until.timestamp() - now for one in held), default=0.0)
        if max(late, rest) > _LONGEST:
            self.flaws.append(f"{name}: due in {late:.0f} s, host rests for {rest:.0f} s")
        soon = min((line.expires.timestamp() - now for line in lines), default=DAY)
        if soon < HOUR:
            self.flaws.append(f"{name}: expires in {soon:.0f} s")


async def run(batch: Batch) -> Outcome:
    """Jumps in turn."""
    return await Unsteady(batch).run()


CLOCK = Torment(
    name="clock",
    guarantee="G6",
    counted="jumps",
    full=48,
    short=3,
    size=12,
    run=run,
    missing=lambda: "" if library() else "libfaketime is not installed",
)
