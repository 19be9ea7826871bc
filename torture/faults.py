"""G3: the N-th system call of a kind fails, for every N of a standard scenario and every errno.

strace injects the failure into the running server: once, or from the N-th on until it is taken
away. Behind each the server must take mail again within five seconds, by itself, must have said
nothing worse than "try again later", and must not have synced a file again on which a sync failed.
"""

import asyncio
import os
import random
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from torture.generator import BOX, Generator, Pace, Sent
from torture.oracle import compare
from torture.server import Setup, Victim
from torture.sink import Sink
from torture.torment import Batch, Outcome, Torment, lacking

HEALED_SECONDS = 5.0
_DEAF_SECONDS = 8
"""How long nobody is served where no connection can be accepted."""
_SCENARIO = Pace(
    sessions=2, limit=8, pause=0.0, fates=("ok", "ok", "ok", BOX, "perm"), lines=(3, 40, 9000)
)
_SEED = 5
_SYNCS = ("fdatasync", "fsync")
_LATER = re.compile(r"4\d\d 4\.3\.\d|421")


@dataclass(frozen=True, slots=True)
class Case:
    """One failure."""

    calls: str
    error: str
    nth: int
    """Of each thread."""
    stays: bool = False
    """Whether all that follow fail, too, until the fault is taken away."""
    at_start: bool = False
    """Whether the server starts with it; it may then refuse to, in words."""

    @property
    def is_deaf(self) -> bool:
        """Whether no connection can be accepted, so that nobody is served until it is over."""
        return self.stays and self.calls.startswith("accept")

    @property
    def name(self) -> str:
        """Short, and good for a message's id."""
        more = "+" * self.stays + "s" * self.at_start
        return f"{self.calls.split(',')[0]}.{self.error}.{self.nth}{more}"


# Calls, how many a thread makes of them in the scenario (rounded up), and what they may fail with.
_TABLE = (
    ("pwrite64", 40, ("EIO", "ENOSPC")),
    ("fdatasync", 12, ("EIO", "ENOSPC")),
    ("fsync", 8, ("EIO", "ENOSPC")),
    ("ftruncate", 3, ("EIO", "ENOSPC")),
    ("openat", 12, ("EMFILE", "ENFILE", "ENOMEM", "EACCES", "EIO", "ENOSPC")),
    ("pread64", 25, ("EIO",)),
    ("rename,renameat,renameat2", 4, ("EIO", "ENOSPC")),
    ("mkdir,mkdirat", 6, ("EIO", "ENOSPC")),
    ("accept,accept4", 3, ("EMFILE", "ENFILE", "ENOBUFS", "ENOMEM")),
    ("socket", 4, ("EMFILE", "ENFILE", "ENOBUFS")),
    ("connect", 4, ("EADDRNOTAVAIL", "ENETUNREACH", "ETIMEDOUT")),
    ("mmap", 6, ("ENOMEM",)),
)
_STAYING = ("pwrite64", "fdatasync", "fsync", "openat", "accept,accept4", "socket")
_STARTING = ("pwrite64", "fdatasync", "fsync", "ftruncate")


def cases() -> list[Case]:
    """All of them, in an order of no meaning, so that a few of them are of every kind."""
    found = [
        Case(calls, error, nth)
        for calls, most, errors in _TABLE
        for error in errors
        for nth in range(1, most + 1)
    ]
    staying = {(one.calls, one.error) for one in found if one.calls in _STAYING}
    found += [Case(calls, error, nth, stays=True) for calls, error in staying for nth in (1, 2, 5)]
    starting = {(one.calls, one.error) for one in found if one.calls in _STARTING}
    found += [
        Case(calls, error, nth, at_start=True)
        for calls, error in starting
        for nth in (1, 2, 3, 5, 8)
    ]
    found.sort(key=lambda one: one.name)
    random.Random(_SEED).shuffle(found)
    return found


CASES = cases()


class Injection:
    """strace, attached to the server or around it."""

    def __init__(self, case: Case, log: Path) -> None:
        self._log = log
        when = f"{case.nth}{'+' * case.stays}"
        traced = ",".join({*case.calls.split(","), *_SYNCS, "openat", "close"})
        inject = f"inject={case.calls}:error={case.error}:when={when}"
        self.command = ["strace", "-f", "-qq", "-y", "-o", str(log), "-e", f"trace={traced}"]
        self.command += ["-e", inject]

    @contextmanager
    def attached(self, pids: list[int]) -> Iterator[None]:
        """Let calls fail within the block."""
        targets = [word for pid in pids for word in ("-p", str(pid))]
        tracer = subprocess.Popen([*self.command, *targets], stderr=subprocess.DEVNULL)
        try:
            _wait_traced(pids)
            yield
        finally:
            tracer.terminate()
            tracer.wait(20)

    def strikes(self) -> int:
        """How many calls failed by it."""
        return self._log.read_text("utf-8", "replace").count("(INJECTED)")

    def retried(self) -> list[str]:
        """Files that were synced again, through the same descriptor, after a sync had failed."""
        failed: dict[str, str] = {}
        found: list[str] = []
        for line in self._log.read_text("utf-8", "replace").splitlines():
            if (match := re.match(r"\d+ +(\w+)\((\d+)<", line)) is None:
                continue
            call, descriptor = match.groups()
            if call == "close":
                failed.pop(descriptor, None)
            elif call in _SYNCS and descriptor in failed and "(INJECTED)" not in line:
                found.append(f"{line} after {failed[descriptor]}")
            elif call in _SYNCS and "(INJECTED)" in line:
                failed[descriptor] = line
        return found


def _wait_traced(pids: list[int]) -> None:
    end = time.monotonic() + 10
    while any(_tracer(pid) == "0" for pid in pids):
        assert time.monotonic() < end, "strace does not attach"
        time.sleep(0.01)


def _tracer(pid: int) -> str:
    status = Path(f"/proc/{pid}/status").read_text()
    return status.partition("TracerPid:")[2].split()[0]


class Patient:
    """A server that case after case is done to."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.sink = Sink()
        self.sent = Sent()
        self.flaws: list[str] = []
        self.struck: Counter[str] = Counter()
        self._folder = folder
        self._seed = seed

    async def begin(self) -> None:
        """Start."""
        await self.sink.start()
        self.server = Victim(self._folder, Setup(f"smtp://127.0.0.1:{self.sink.port}"))
        self._doors = [self.server.doors[0], self.server.doors[-1]]
        await asyncio.to_thread(self.server.populate)
        await self._start()

    async def _start(self) -> None:
        await asyncio.to_thread(self.server.start)
        await asyncio.to_thread(self.server.wait_greeting)

    async def suffer(self, case: Case) -> None:
        """One case, and what it did to the server."""
        injection = Injection(case, self._folder / f"{case.name}.strace")
        if case.at_start:
            await self._start_with(case, injection)
        else:
            with injection.attached(self.server.tree()):
                await self._scenario(case)
        self.flaws += [f"{case.name}: {one}" for one in injection.retried()]
        self.struck["struck" if injection.strikes() else "never came to it"] += 1
        if self.server.has_ended:
            self.flaws.append(f"{case.name}: the server ended: {self.server.output()[-600:]}")
            await self._start()
        await self._heal(case)
        self.sink.epoch += 1

    async def _scenario(self, case: Case) -> None:
        pace = replace(_SCENARIO, greeting=_DEAF_SECONDS) if case.is_deaf else _SCENARIO
        generator = Generator(self._doors, _SEED, pace)
        generator.prefix = case.name
        async with asyncio.TaskGroup() as group:
            working = group.create_task(generator.run())
            watching = group.create_task(self._watch(case, generator))
            await working
            watching.cancel()
        harsh = [said for said in generator.sent.refused if not _LATER.match(said)]
        self.flaws += [f"{case.name}: was told {said}" for said in harsh]
        self.sent.add(generator.sent)

    async def _watch(self, case: Case, generator: Generator) -> None:
        """Let nobody wait for a server that has ended, or for one that says nothing."""
        before = self._processor_seconds()
        seconds = _DEAF_SECONDS - 1 if case.is_deaf else 60
        for _ in range(seconds * 5):
            await asyncio.sleep(0.2)
            if self.server.has_ended:
                generator.stop()
        generator.stop()
        if not case.is_deaf:
            self.flaws.append(f"{case.name}: the scenario is not over after a minute")
        elif (spent := self._processor_seconds() - before) > seconds / 4:
            self.flaws.append(f"{case.name}: {spent:.1f} s of CPU in {seconds} s of waiting")

    def _processor_seconds(self) -> float:
        """Of the whole server, while it lives."""
        ticks = os.sysconf("SC_CLK_TCK")
        stats = [Path(f"/proc/{pid}/stat").read_text() for pid in self.server.tree()]
        return sum(sum(map(int, stat.rpartition(")")[2].split()[11:13])) for stat in stats) / ticks

    async def _heal(self, case: Case) -> None:
        """Without a restart mail is taken again, soon."""
        end = time.monotonic() + HEALED_SECONDS
        turn = 0
        while time.monotonic() < end:
            turn += 1
            generator = Generator(self._doors[:1], turn, Pace(1, 1, 0.0, ("ok",), (3,)))
            generator.prefix = f"{case.name}-healed{turn}"
            await generator.run()
            self.sent.add(generator.sent)
            if generator.sent.acknowledged:
                return
        self.flaws.append(f"{case.name}: takes no mail {HEALED_SECONDS:g} s after the fault")

    async def _start_with(self, case: Case, injection: Injection) -> None:
        """Stop with mail in the queue, and start with the fault; it may not come up."""
        await asyncio.to_thread(self.server.kill_all)
        self.server.wrapper = tuple(injection.command)
        await asyncio.to_thread(self.server.spawn)
        try:
            await asyncio.to_thread(self.server.wait_greeting, 10)
        except AssertionError:
            self.struck["did not start"] += 1
        await asyncio.to_thread(self.server.kill_all)
        self.server.wrapper = ()
        await self._start()


async def run(batch: Batch) -> Outcome:
    """Some of all cases, one after the other, on one server."""
    patient = Patient(batch.folder, batch.seed)
    await patient.begin()
    chosen = CASES[batch.number * FAULTS.size :][: batch.count]
    try:
        for case in chosen:
            await patient.suffer(case)
        await patient.server.drain()
    finally:
        await asyncio.to_thread(patient.server.stop)
        await patient.sink.stop()
    if "Traceback" in patient.server.log.read_text("utf-8", "replace"):
        patient.flaws.append(f"a traceback in {patient.server.log}")
    verdict = compare(patient.sent, patient.sink, patient.server.boxed())
    tally = tuple({**patient.struck, **patient.sent.refused}.items())
    return Outcome(len(chosen), (verdict,), tuple(patient.flaws), tally=tally)


FAULTS = Torment(
    name="faults",
    guarantee="G3",
    counted="faults",
    full=len(CASES),
    short=12,
    size=30,
    run=run,
    missing=lambda: lacking("strace"),
)
