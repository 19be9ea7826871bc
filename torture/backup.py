"""A check and a backup under load, the loss of all else, and what comes out of the backup alone.

Every other time nothing listens where the mail goes until the backup has been restored, so that all
of it has to come from there. Duplicates are no flaw: what was delivered behind the backup comes
again, as its document says.
"""

import asyncio
import random
import zlib
from dataclasses import replace
from pathlib import Path

from merpati.testing.process import free_port
from torture.generator import Generator, Pace
from torture.oracle import Verdict, compare
from torture.server import Setup, Victim
from torture.sink import Key, Sink, Strike
from torture.torment import Batch, Outcome, Torment, nothing

_PACE = Pace(sessions=20, pause=0.05)


async def run(batch: Batch) -> Outcome:
    """Backups, each of a server of its own."""
    chance = random.Random(batch.seed)
    verdicts: list[Verdict] = []
    flaws: list[str] = []
    figures: dict[str, float] = {}
    for number in range(batch.count):
        folder = batch.folder / str(number)
        loss = _Loss(folder, f"{batch.seed}-{number}", is_alone=bool(number % 2))
        await loss.happen(chance)
        verdicts.append(await loss.judge())
        flaws += loss.flaws
        for name, value in loss.figures.items():
            figures[name] = max(value, figures.get(name, 0.0))
    return Outcome(batch.count, tuple(verdicts), tuple(flaws), tuple(figures.items()))


class _Loss:
    """One server, its backup, its end, and the server that takes its place."""

    def __init__(self, folder: Path, prefix: str, *, is_alone: bool) -> None:
        self.flaws: list[str] = []
        self.figures: dict[str, float] = {}
        self._backup = folder / "backup"
        self._is_alone = is_alone
        self._port = free_port()
        self._sink = Sink()
        setup = Setup(f"smtp://127.0.0.1:{self._port}")
        self._first = Victim(folder / "first", setup)
        self._second = Victim(folder / "second", setup)
        self._generator = Generator(self._first.doors, zlib.crc32(prefix.encode()), _PACE)
        self._generator.prefix = prefix
        self._owed: dict[Key, int] = {}
        """What had been acknowledged before the backup began."""

    async def happen(self, chance: random.Random) -> None:
        """Load, the backup in the midst of it, and kill -9."""
        if not self._is_alone:
            await self._sink.start(self._port)
        await asyncio.to_thread(self._first.populate)
        await asyncio.to_thread(self._first.start)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._generator.run())
            await asyncio.sleep(chance.uniform(1.0, 4.0))
            await self._verify(self._first)
            sent = self._generator.sent
            self._owed = dict(sent.acknowledged)
            await self._make("backup", self._first)
            self.figures["acknowledged while it was made"] = len(sent.acknowledged) - len(
                self._owed
            )
            self._sink.strike()
            self._first.kill()
            self._generator.stop()
        self._sink.calm(Strike(1))

    async def judge(self) -> Verdict:
        """Restore it, let everything go, and compare with what was acknowledged before it began."""
        await self._make("restore", self._second)
        if self._is_alone:
            await self._sink.start(self._port)
        await asyncio.to_thread(self._second.start)
        try:
            # A host that failed rests for minutes, and a restored store knows of it.
            await self._second.drain(hurried=True)
            await self._verify(self._second)
        finally:
            await asyncio.to_thread(self._second.stop)
            await self._sink.stop()
        owed = replace(self._generator.sent, acknowledged=self._owed)
        verdict = compare(owed, self._sink, self._second.boxed())
        return replace(verdict, window=max(verdict.window, verdict.worst))

    async def _verify(self, server: Victim) -> None:
        """Whatever is under way, nothing looks damaged."""
        done = await asyncio.to_thread(server.run, "verify", "--mailboxes")
        if done.returncode:
            self.flaws.append(f"verify: {done.stdout}{done.stderr}")

    async def _make(self, command: str, server: Victim) -> None:
        done = await asyncio.to_thread(server.run, command, str(self._backup))
        if done.returncode:
            self.flaws.append(f"{command}: {done.stdout}{done.stderr}")


BACKUP = Torment(
    name="backup",
    guarantee="G1, by a backup",
    counted="backups",
    full=50,
    short=2,
    size=2,
    run=run,
    missing=nothing,
)
