"""G1: kill -9 under load, at random moments, at named points, and while the server recovers.

A named point is the N-th system call of a kind, by strace's injection: the signal comes as the
call begins, so what it would have done is not done.
"""

import asyncio
import contextlib
import random
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from torture.generator import Generator, Pace
from torture.injection import untraceable
from torture.oracle import compare
from torture.server import Aim, Setup, Victim
from torture.sink import Sink, Strike
from torture.torment import Batch, Outcome, Torment

POINTS = {
    "before a page is written": "pwrite64",
    "before a commit is synced": "fdatasync",
    "before a file is synced": "fsync",
    "before a reply leaves": "write,writev,sendto,sendmsg",
    "as octets come in": "read,recvfrom,recvmsg",
    "as a file opens": "openat",
    "as a file gets its name": "rename,renameat,renameat2",
    "as a file goes": "unlink,unlinkat,ftruncate",
    "as a connection comes or goes": "accept4,connect,close,shutdown",
}
RECOVERY = "while it recovers"
RANDOM = "at a random moment"
_RECOVERING = ("pwrite64,fdatasync", "openat,ftruncate", "bind,listen,socket")
_WORKERS = (2, 1, 4)
"""Of the servers of one batch after the other."""
_NTH = (1, 1, 2, 3, 5, 8, 13, 21, 34)
_PATIENCE = 2.5
"""Seconds that a named point is waited for; then it is any moment."""
_ALONE_SECONDS = 600.0


@dataclass(slots=True)
class Killer:
    """Chooses whom, how and when, from one seed."""

    server: Victim
    sink: Sink
    chance: random.Random
    loop: asyncio.AbstractEventLoop
    """Of the sink; we block, and are called off it."""
    struck: Counter[str] = field(default_factory=Counter)
    """How often by which way and at whom."""

    def strike(self) -> None:
        """Kill once, and bring the server back as its operator or supervisor would."""
        time.sleep(self.chance.uniform(0.05, 0.8))  # Nothing may come twice in it.
        tree = self.server.tree()
        self.sink.strike()
        aim = self.chance.choice(list(Aim)) if len(tree) > 1 else Aim.WORKER
        way = self.chance.random()
        if way < 0.45:
            name = self._at_a_point(aim)
        else:
            name = RANDOM
            self.server.strike(aim, self.chance)
        self.struck[f"{name}: {aim.value}"] += 1
        self._wait_struck(tree)
        workers = tree[1:] or tree
        repeats, killed = 1, 0
        if way > 0.85 and self.server.has_ended:
            self._die_again()
            repeats, killed = 2, len(workers)
        self.server.recover(len(tree), tree)
        killed += max(1, len(set(workers) - set(self.server.tree())))
        asyncio.run_coroutine_threadsafe(self.sink.caught_up(), self.loop).result(60)
        self.sink.calm(Strike(killed, repeats))

    def _at_a_point(self, aim: Aim) -> str:
        name, calls = self.chance.choice(list(POINTS.items()))
        pid = self.server.tree()[0] if aim is Aim.SUPERVISOR else self.server.worker(self.chance)
        with _tracing(pid, calls, self.chance.choice(_NTH)) as tracer:
            try:
                tracer.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                name = RANDOM
            else:
                self._wait_gone(pid)
        if name == RANDOM or aim is Aim.ALL:
            self.server.strike(aim, self.chance)
        return name

    def _wait_gone(self, pid: int) -> None:
        """What strace was to kill is dead a moment behind its end, or strace failed."""
        end = time.monotonic() + 60
        while pid in self.server.tree():
            assert time.monotonic() < end, "strace ended before whom it was to kill"
            time.sleep(0.005)

    def _wait_struck(self, tree: list[int]) -> None:
        """A signal takes a moment to be obeyed."""
        end = time.monotonic() + 60
        while self.server.tree() == tree:
            assert time.monotonic() < end, "nobody died"
            time.sleep(0.005)

    def _die_again(self) -> None:
        """Kill the next start in the middle of its recovery, too."""
        self.server.kill()
        self.server.spawn()
        time.sleep(self.chance.uniform(0, 0.3))
        calls = self.chance.choice(_RECOVERING)
        with (
            _tracing(self.server.pid, calls, self.chance.choice(_NTH)) as tracer,
            contextlib.suppress(subprocess.TimeoutExpired),
        ):
            tracer.wait(_PATIENCE)
        self.server.strike(Aim.ALL, self.chance)
        self.server.kill()
        self.struck[f"{RECOVERY}: all"] += 1


@contextlib.contextmanager
def _tracing(pid: int, calls: str, nth: int) -> Iterator[subprocess.Popen[bytes]]:
    """Let the N-th of these calls of each thread kill the process."""
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-p", str(pid), "-e", f"trace={calls}"]
    inject = f"inject={calls}:signal=KILL:when={nth}"
    tracer = subprocess.Popen([*command, "-e", inject], stderr=subprocess.DEVNULL)
    try:
        yield tracer
    finally:
        tracer.terminate()
        tracer.wait(60)


def _is_alone(number: int) -> bool:
    """Whether a batch's queue has to run empty by itself: its only host rests for minutes."""
    return number % 10 == 9


async def run(batch: Batch) -> Outcome:
    """Load and kills in turn, then the comparison."""
    chance = random.Random(batch.seed)
    sink = Sink(offers_chunking=bool(batch.number % 2))
    await sink.start()
    workers = _WORKERS[batch.number % len(_WORKERS)]
    server = Victim(batch.folder, Setup(f"smtp://127.0.0.1:{sink.port}", workers=workers))
    await asyncio.to_thread(server.populate)
    await asyncio.to_thread(server.start)
    processes = await server.settled_tree()
    generator = Generator(server.doors, batch.seed, Pace())
    killer = Killer(server, sink, chance, asyncio.get_running_loop())
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(generator.run())
            for _ in range(batch.count):
                await asyncio.to_thread(killer.strike)
            generator.stop()
        await server.drain(_ALONE_SECONDS, hurried=not _is_alone(batch.number))
    finally:
        status = await asyncio.to_thread(server.stop)
        await sink.stop()
    working = max(1, len(processes) - 1)
    verdict = compare(generator.sent, sink, server.boxed(), workers=working)
    flaws = [] if status == 0 else [f"the last stop ended with {status}"]
    if "Traceback" in server.log.read_text("utf-8", "replace"):
        flaws.append(f"a traceback in {server.log}")
    tally = {**killer.struck, "queues that ran empty by themselves": int(_is_alone(batch.number))}
    return Outcome(batch.count, (verdict,), tuple(flaws), tally=tuple(tally.items()))


KILL = Torment(
    name="kill",
    guarantee="G1",
    counted="kills",
    full=1000,
    short=50,
    size=25,
    run=run,
    missing=untraceable,
)
