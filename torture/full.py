"""G4: the disk fills up under load, and has room again.

Four ways in turn: nearly full, where new mail is told to come later at MAIL and what is queued
goes on being delivered; full to the last octet; full at the start after a kill; and full at the
start after a stop, when the store has to make files that it had tidied away. Limits are of seconds
in which the server was not kept from a processor by whatever else the machine does.
"""

import asyncio
import contextlib
import os
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

from torture.disk import run as command
from torture.generator import BOX, Generator, Pace, Sent
from torture.oracle import compare
from torture.server import Setup, Victim
from torture.sink import Sink, Strike
from torture.torment import Batch, Outcome, Torment, lacking

_SIZE = "48m"
_ROOM = 9 << 20
"""Octets that are left of a disk that is nearly full."""
_TABLES = """\
[queue]
retry = ["1s", "1s", "1s", "2s"]
[limits]
message_size = "2MiB"
free_space = "10MiB"
"""
_PACE = Pace(sessions=20, pause=0.1, fates=(*["ok"] * 7, BOX, "temp", "perm"), lines=(3, 40, 400))
_STEP = 1 << 19
NORMAL_SECONDS = 5.0
_DRAINED_SECONDS = 30.0
_WORKERS = 2


class Full:
    """A server on a small disk."""

    def __init__(self, batch: Batch) -> None:
        self.sink = Sink()
        self.sent = Sent()
        self.flaws: list[str] = []
        self.slowest = 0.0
        self._batch = batch
        self._disk = batch.folder / "disk"
        self._turn = 0
        self._ballast = self._disk / "ballast"

    async def run(self) -> None:
        """All turns."""
        self._disk.mkdir()
        command("mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(self._disk))
        try:
            await self._turns()
        finally:
            await asyncio.to_thread(self.server.kill_all)
            self.boxed = self.server.boxed()
            command("umount", "--lazy", str(self._disk))

    async def _turns(self) -> None:
        await self.sink.start()
        setup = Setup(
            f"smtp://127.0.0.1:{self.sink.port}",
            data="disk/var",
            tables=_TABLES,
            workers=_WORKERS,
        )
        self.server = Victim(self._batch.folder, setup)
        await asyncio.to_thread(self.server.populate)
        await self._start()
        ways = (self._nearly, self._wholly, self._killed, self._stopped)
        for turn in range(self._batch.count):
            self._turn = turn
            await ways[turn % len(ways)]()
            await self._back_to_normal()
            # A verdict that does not get onto a full disk is forgotten, as if by a kill.
            self.sink.calm(Strike(_WORKERS, repeats=2))
        await self.server.drain()
        self.flaws += [] if await asyncio.to_thread(self.server.stop) == 0 else ["the stop failed"]

    async def _start(self) -> None:
        await asyncio.to_thread(self.server.start)
        await asyncio.to_thread(self.server.wait_greeting)

    async def _nearly(self) -> None:
        """New mail is refused at MAIL, the queue empties."""
        async with self._load():
            self.sink.strike()
            await asyncio.to_thread(self._fill, _ROOM)
            await asyncio.sleep(1.2)  # A second the rule believes what it was told of the disk.
        await self._see_refusals()
        try:
            await self.server.drain(_DRAINED_SECONDS)
        except AssertionError as error:
            self.flaws.append(f"turn {self._turn}: does not drain on a nearly full disk: {error}")

    async def _wholly(self) -> None:
        async with self._load():
            self.sink.strike()
            await asyncio.to_thread(self._fill, 0)
            await asyncio.sleep(1.2)
        await self._see_refusals()

    async def _killed(self) -> None:
        async with self._load():
            pass
        self.sink.strike()
        await asyncio.to_thread(self.server.kill_all)
        await self._start_full()

    async def _stopped(self) -> None:
        async with self._load():
            pass
        await asyncio.to_thread(self.server.stop)
        self.sink.strike()
        await self._start_full()

    async def _start_full(self) -> None:
        """It comes up, whatever the disk is like."""
        await asyncio.to_thread(self._fill, 0)
        try:
            await asyncio.to_thread(self.server.start)
        except AssertionError as error:
            self.flaws.append(f"turn {self._turn}: no start on a full disk: {str(error)[-300:]}")
            self._ballast.unlink()
            await self._start()
        else:
            await self._see_refusals()

    @contextlib.asynccontextmanager
    async def _load(self) -> AsyncIterator[None]:
        generator = Generator(self.server.doors, self._batch.seed + self._turn, _PACE)
        async with asyncio.TaskGroup() as group:
            group.create_task(generator.run())
            await asyncio.sleep(random.Random(self._batch.seed + self._turn).uniform(0.3, 1.0))
            yield
            generator.stop()
        self._take(generator)

    def _take(self, generator: Generator) -> None:
        harsh = [said for said in generator.sent.refused if said[:3] not in ("451", "452", "421")]
        self.flaws += [f"turn {self._turn}: was told {said}" for said in harsh]
        self.sent.add(generator.sent)

    async def _see_refusals(self) -> None:
        """Soon a client is told that it is the disk: 452 at MAIL, or 421 while nothing is open."""
        begun, starved = time.monotonic(), self.server.starved()
        told: dict[str, int] = {}
        number = 9
        while not any(said.endswith(" 4.3.1") for said in told):
            if self.server.elapsed(begun, starved) > NORMAL_SECONDS:
                self.flaws.append(f"turn {self._turn}: a full disk was told as {told or 'nothing'}")
                return
            told = (await self._send(number)).sent.refused
            number += 1

    async def _send(self, number: int) -> Generator:
        pace = Pace(1, 1, 0.0, ("ok",), (3,))
        generator = Generator(self.server.doors[:1], number, pace)
        generator.prefix = f"{self._batch.seed}-{self._turn}-{number}"
        await generator.run()
        self._take(generator)
        return generator

    def _fill(self, left: int) -> None:
        """Down to so many octets: the server writes beside it, so that room is looked at again."""
        step = _STEP if left else 4096
        with self._ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while not left or _free(self._disk) > left:
                file.write(bytes(step))

    async def _back_to_normal(self) -> None:
        self._ballast.unlink(missing_ok=True)
        begun, starved = time.monotonic(), self.server.starved()
        number = 1000
        while not (await self._send(number)).sent.acknowledged:
            number += 1
            if self.server.elapsed(begun, starved) > 3 * NORMAL_SECONDS:
                break
            await asyncio.sleep(0.1)
        seconds = self.server.elapsed(begun, starved)
        self.slowest = max(self.slowest, seconds)
        if seconds > NORMAL_SECONDS:
            self.flaws.append(f"turn {self._turn}: normal only after {seconds:.1f} s")


def _free(folder: Path) -> int:
    room = os.statvfs(folder)
    return room.f_bavail * room.f_frsize


async def run(batch: Batch) -> Outcome:
    """Fill and free in turn."""
    full = Full(batch)
    await full.run()
    await full.sink.stop()
    if "Traceback" in full.server.log.read_text("utf-8", "replace"):
        full.flaws.append(f"a traceback in {full.server.log}")
    verdict = compare(full.sent, full.sink, full.boxed, workers=_WORKERS)
    figures = (
        ("slowest back to normal, s", round(full.slowest, 2)),
        ("workers", float(_WORKERS)),
    )
    tally = tuple(full.sent.refused.items())
    return Outcome(batch.count, (verdict,), tuple(full.flaws), figures, tally)


FULL = Torment(
    name="full",
    guarantee="G4",
    counted="fillings",
    full=60,
    short=4,
    size=12,
    run=run,
    missing=lambda: lacking("mount", "umount", root=True),
)
