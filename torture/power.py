"""G2: the power is cut at any write of a real ext4 while the server works on it.

One life under load is recorded with every write and flush of its disk. Each cut makes the image
that the disk would have at that moment, mounts it, starts the server on it, lets it deliver what is
queued, and compares with what had been acknowledged by then. The first batch also lives a life in
which nothing is synced any more from soon behind the start: the same comparison must find mail lost
there, or the test has no teeth. A cut behind which nothing could be compared is counted apart and
proves nothing.
"""

import asyncio
import random
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import apsw

from merpati.api.errors import ApiError
from torture.disk import RecordedDisk, image_name, missing, mounted
from torture.generator import GOOD, Generator, Pace, Sent
from torture.injection import untraceable
from torture.oracle import Verdict, compare
from torture.server import Setup, Victim
from torture.sink import Sink
from torture.torment import Batch, Outcome, Torment

_SECONDS, _MOST_SECONDS = 5.0, 60.0
"""Of a recorded life, at least and at most."""
# Of 72 octets. Some are of several pieces.
_LINES = (*[3] * 5, *[40] * 5, *[200] * 4, 3000, 5000, 12_000)
_PACE = Pace(sessions=50, pause=0.4, fates=(*GOOD, *["perm"] * 3, *["temp"] * 7), lines=_LINES)
_STREAMED = 256 << 10
"""Octets of a body from which on it is large to the store."""
_WORKERS = (2, 1)
"""Of the servers of one batch after the other."""
_SYNCS = "fdatasync,fsync,sync_file_range"
# The first of each thread are true, so that there is a store, and what is lost can be counted.
_UNSYNCED = (
    *("strace", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", f"trace={_SYNCS}"),
    *("-e", f"inject={_SYNCS}:retval=0:when=30+"),
)
_CONTROLS = 3
"""Cuts of the life without syncs, at least;"""
_MOST_CONTROLS = 9
"""at most, until mail is seen to be lost."""
_CONTROL_SECONDS = 60.0
"""For the queue that one of them left, some of it perhaps too damaged to go."""


class Life:
    """A server under load on a recorded disk, and what was promised when."""

    def __init__(self, folder: Path, seed: int, *, workers: int, syncs: bool) -> None:
        self.sink = Sink()
        self.chance = random.Random(seed)
        self.folder = folder
        self._seed = seed
        self._workers = workers
        self._syncs = syncs
        self._disk = RecordedDisk(folder, folder / "disk")
        self._begun = 0
        self.sent = Sent()

    async def live(self) -> None:
        """Some seconds under load, from the first start on."""
        await self.sink.start()
        route = f"smtp://127.0.0.1:{self.sink.port}"
        setup = Setup(route, data="disk/var", workers=self._workers)
        self.server = Victim(self.folder, setup)
        if not self._syncs:
            self.server.wrapper = _UNSYNCED
        await asyncio.to_thread(self._disk.mount)
        try:
            await asyncio.to_thread(self.server.populate)
            self._begun = self._disk.place()
            await asyncio.to_thread(self.server.start)
            await asyncio.to_thread(self.server.wait_greeting)
            generator = Generator(self.server.doors, self._seed, _PACE)
            self.sent = generator.sent
            generator.where = self.sink.where = self._disk.place
            async with asyncio.TaskGroup() as group:
                group.create_task(generator.run())
                await self._last()
                generator.stop()
        finally:
            await asyncio.to_thread(self.server.kill_all)
            await asyncio.to_thread(self._disk.unmount)
        self.server.wrapper = ()
        self.history = self._disk.history()
        self.before = self.sink.taken
        self.sink.where = lambda: 0
        self.sink.is_kind = True

    async def _last(self) -> None:
        """Return when the life was long enough: also a slow one has a large message in it."""
        begun = time.monotonic()
        while (passed := time.monotonic() - begun) < _MOST_SECONDS:
            if passed >= _SECONDS and self.streamed(self._disk.place()):
                return
            await asyncio.sleep(0.2)

    def places(self, count: int) -> list[int]:
        """Where to cut: anywhere from the first start to the end."""
        end = len(self.history.writes)
        return sorted(self.chance.sample(range(self._begun, end), count))

    async def cut(self, place: int, seconds: float = 300.0, *, hurried: bool = False) -> Verdict:
        """Cut, mount, start, drain, compare."""
        image = await asyncio.to_thread(self.history.cut, place, self.folder, self.chance)
        self.sink.taken = []
        with mounted(image, self.folder / "disk"):
            try:
                await asyncio.to_thread(self.server.start)
                await self.server.drain(seconds, hurried=hurried)
            finally:
                await asyncio.to_thread(self.server.stop)
            boxed = self.server.boxed()
        past = [one for one in self.before if one.place <= place]
        self.sink.taken = [*past, *(replace(one, epoch=1) for one in self.sink.taken)]
        owed = {key: at for key, at in self.sent.acknowledged.items() if at <= place}
        sent = replace(self.sent, acknowledged=owed)
        verdict = compare(sent, self.sink, boxed, workers=self._workers)
        if verdict.holds:
            image.unlink()
        return verdict

    def streamed(self, place: int) -> int:
        """How many large messages had been acknowledged by then."""
        names = {name for (name, _), at in self.sent.acknowledged.items() if at <= place}
        return sum(self.sent.sizes[name] > _STREAMED for name in names)


async def run(batch: Batch) -> Outcome:
    """One life with its cuts; beside the first, one without syncs."""
    workers = _WORKERS[batch.number % len(_WORKERS)]
    life = Life(batch.folder / "life", batch.seed, workers=workers, syncs=True)
    await life.live()
    verdicts, streamed = [], 0
    for number, place in enumerate(life.places(batch.count)):
        # Each tenth queue has to run empty by itself: its only host may rest for minutes.
        verdict = await life.cut(place, hurried=number % 10 != 9)
        verdicts.append(verdict)
        streamed += life.streamed(place)
        if not verdict.holds:
            break
    await life.sink.stop()
    flaws = []
    if "Traceback" in life.server.log.read_text("utf-8", "replace"):
        flaws.append(f"a traceback in {life.server.log}")
    if not life.streamed(len(life.history.writes)):
        flaws.append("no large message was acknowledged in the whole life")
    figures = [("writes of the disk", float(len(life.history.writes)))]
    if not batch.number:
        found = await control(batch)
        figures += [(f"without syncs: {name}", float(value)) for name, value in found.items()]
        if not found["lost"]:
            flaws.append(f"nothing was seen to be lost without syncs, so no teeth: {found}")
    tally = {f"cuts with {workers} workers": len(verdicts)}
    tally["large messages acknowledged before a cut"] = streamed
    return Outcome(
        len(verdicts), tuple(verdicts), tuple(flaws), tuple(figures), tuple(tally.items())
    )


async def control(batch: Batch) -> dict[str, int]:
    """What becomes of the same when nothing is synced, by the same oracle."""
    life = Life(batch.folder / "control", batch.seed, workers=_WORKERS[0], syncs=False)
    await life.live()
    kinds = "cuts", "lost", "damaged", "stores destroyed", "cuts with no comparison"
    found = dict.fromkeys(kinds, 0)
    places = life.places(_MOST_CONTROLS)
    life.chance.shuffle(places)
    for place in places:
        if found["cuts"] >= _CONTROLS and found["lost"]:
            break
        found["cuts"] += 1
        try:
            verdict = await life.cut(place, _CONTROL_SECONDS)
        except (apsw.NotADBError, apsw.CorruptError):
            # All that had been acknowledged was in it.
            found["stores destroyed"] += 1
        except (ApiError, AssertionError, OSError, apsw.Error) as error:
            # The server may have met the same, or a mount have failed: who knows.
            found["cuts with no comparison"] += 1
            print(f"control cut {place}: {type(error).__name__}: {str(error)[:300]}")
        else:
            found["lost"] += len(verdict.lost)
            found["damaged"] += len(verdict.unexpected)
        (life.folder / image_name(place)).unlink(missing_ok=True)
    await life.sink.stop()
    return found


def absent() -> str:
    """Why there is no such disk here."""
    if reason := untraceable():
        return reason
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
