"""G2: the power is cut at any write of a real ext4 while the server works on it.

One life under load is recorded with every write and flush of its disk. Each cut makes the image
that the disk would have at that moment, mounts it, starts the server on it, lets it deliver what is
queued, and compares with what had been acknowledged by then. The first batch also lives a life in
which nothing is synced: that must lose mail, or the test has no teeth.
"""

import asyncio
import random
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

from merpati.api.errors import ApiError
from torture.disk import RecordedDisk, image_name, missing, mounted
from torture.generator import GOOD, Generator, Pace, Sent
from torture.oracle import Verdict, compare
from torture.server import Setup, Victim
from torture.sink import Sink
from torture.torment import Batch, Outcome, Torment, lacking

_SECONDS = 5.0
"""Of a recorded life."""
_PACE = Pace(sessions=50, pause=0.4, fates=(*GOOD, *["perm"] * 3, *["temp"] * 7))
_UNSYNCED = ("strace", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e")
_CONTROLS = 3


class Life:
    """A server under load on a recorded disk, and what was promised when."""

    def __init__(self, folder: Path, seed: int, *, syncs: bool) -> None:
        self.sink = Sink()
        self.chance = random.Random(seed)
        self.folder = folder
        self._seed = seed
        self._syncs = syncs
        self._disk = RecordedDisk(folder, folder / "disk")
        self._begun = 0
        self.sent = Sent()

    async def live(self) -> None:
        """Some seconds under load, from the first start on."""
        await self.sink.start()
        self.server = Victim(
            self.folder, Setup(f"smtp://127.0.0.1:{self.sink.port}", data="disk/var")
        )
        if not self._syncs:
            injected = ("inject=fdatasync,fsync,sync_file_range:retval=0",)
            self.server.wrapper = (*_UNSYNCED, *injected)
        await asyncio.to_thread(self._disk.mount)
        try:
            await asyncio.to_thread(self.server.populate)
            self._begun = self._disk.place()
            await asyncio.to_thread(self.server.start)
            generator = Generator(self.server.doors, self._seed, _PACE)
            self.sent = generator.sent
            generator.where = self.sink.where = self._disk.place
            async with asyncio.TaskGroup() as group:
                group.create_task(generator.run())
                await asyncio.sleep(_SECONDS)
                generator.stop()
        finally:
            await asyncio.to_thread(self.server.kill_all)
            await asyncio.to_thread(self._disk.unmount)
        self.server.wrapper = ()
        self.history = self._disk.history()
        self.before, self.noticed_at = self.sink.taken, self.sink.noticed_at
        self.sink.where = lambda: 0
        self.sink.is_kind = True

    def places(self, count: int) -> list[int]:
        """Where to cut: anywhere from the first start to the end."""
        end = len(self.history.writes)
        return sorted(self.chance.sample(range(self._begun, end), count))

    async def cut(self, place: int) -> Verdict:
        """Cut, mount, start, drain, compare."""
        image = await asyncio.to_thread(self.history.cut, place, self.folder, self.chance)
        noticed = Counter(local for local, at in self.noticed_at.items() if at <= place)
        self.sink.taken, self.sink.notices = [], noticed
        with mounted(image, self.folder / "disk"):
            try:
                await asyncio.to_thread(self.server.start)
                await self.server.drain()
            finally:
                await asyncio.to_thread(self.server.stop)
            boxed = self.server.boxed()
        past = [one for one in self.before if one.place <= place]
        self.sink.taken = [*past, *(replace(one, epoch=1) for one in self.sink.taken)]
        owed = {key: at for key, at in self.sent.acknowledged.items() if at <= place}
        verdict = compare(replace(self.sent, acknowledged=owed), self.sink, boxed)
        if verdict.holds:
            image.unlink()
        return verdict


async def run(batch: Batch) -> Outcome:
    """One life with its cuts; beside the first, one without syncs."""
    life = Life(batch.folder / "life", batch.seed, syncs=True)
    await life.live()
    verdicts = []
    for place in life.places(batch.count):
        verdict = await life.cut(place)
        verdicts.append(verdict)
        if not verdict.holds:
            break
    await life.sink.stop()
    flaws = []
    if "Traceback" in life.server.log.read_text("utf-8", "replace"):
        flaws.append(f"a traceback in {life.server.log}")
    figures = [("writes of the disk", float(len(life.history.writes)))]
    if not batch.number:
        lost = await control(batch)
        figures.append((f"lost without syncs in {_CONTROLS} cuts", float(lost)))
        if not lost:
            flaws.append("nothing was lost without syncs: the test has no teeth")
    return Outcome(len(verdicts), tuple(verdicts), tuple(flaws), tuple(figures))


async def control(batch: Batch) -> int:
    """How much is lost of the same when nothing is synced."""
    life = Life(batch.folder / "control", batch.seed, syncs=False)
    await life.live()
    lost = 0
    for place in life.places(_CONTROLS):
        try:
            verdict = await life.cut(place)
        except (ApiError, AssertionError, OSError):
            # A store that does not open, or is found damaged, has lost everything.
            lost += sum(at <= place for at in life.sent.acknowledged.values())
        else:
            lost += len(verdict.lost)
        (life.folder / image_name(place)).unlink(missing_ok=True)
    await life.sink.stop()
    return lost


def absent() -> str:
    """Why there is no such disk here."""
    if programs := lacking("strace"):
        return programs
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        reason = missing(Path(folder))
    standing_in = "tests/storage/test_power.py cuts a model of a disk instead"
    return reason and f"{reason}; {standing_in}"


POWER = Torment(
    name="power",
    guarantee="G2",
    counted="cuts",
    full=500,
    short=4,
    size=25,
    run=run,
    missing=absent,
)
