"""P6: what a queue of a million dead recipients does to mail that has somewhere to go.

    python -m benchmarks.million                         # 1,000,000 for 100,000 domains: 20 minutes
    python -m benchmarks.million --count 20000           # a short form
    python -m benchmarks.million --data FOLDER --fill    # fill alone, to measure from there later

Two servers stand side by side, one with an empty queue, one with the full one, and are measured in
turns; who is not asked is stopped (SIGSTOP), so that neither slows the other. The dead domains have
a host each, which refuses connections; a domain's recipients fall due together, all domains within
an hour, as in a queue that is some hours old. The healthy destination is a sink. The restart is one
after kill -9.
"""

import argparse
import asyncio
import contextlib
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import apsw

from benchmarks.generator import percentile
from benchmarks.load import Load, cpu_of_tree, drive
from benchmarks.servers import Background, OwnSink, end_in_order
from merpati.api import questions as ask
from merpati.api.client import RemoteCounter
from merpati.api.operations import QUEUE_LIST
from merpati.clock import SystemClock
from merpati.config.places import Places
from merpati.journal.events import Accepted
from merpati.journal.store import JournalStore
from merpati.mail.address import Address
from merpati.mail.envelope import Body, Envelope, Recipient
from merpati.mail.trace import Client
from merpati.queue.entry import Entry
from merpati.queue.ids import IdMaker
from merpati.queue.store import QueueSettings, QueueStore
from merpati.storage.connection import StorageSettings
from merpati.storage.database import Database
from merpati.testing.process import MerpatiProcess, free_port

CONFIG = """\
hostname = "mx.example.org"
workers = 1
[[port]]
role = "mx"
listen = "127.0.0.1:{port}"
trusted = ["127.0.0.1/32"]
[[route]]
match = ["b.test"]
to = "smtp://127.0.0.1:{out}"
tls = "off"
[dns]
servers = ["127.0.0.1:{zone}"]
[delivery]
mx_port = {dead}
"""
BODY = Body((b"Subject: dead\r\n\r\n", b"x" * 500))
TOGETHER = 250
HOUR = 3600.0
ROUNDS = 3
ACCEPT = Load(style="pipelined", domains=1)
STEADY = Load(style="steps", rate=100.0)


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure, what it must not exceed or fall below, and how it came out."""

    name: str
    figure: float
    unit: str
    most: float | None = None
    least: float | None = None

    def line(self) -> str:
        """One row."""
        kept = (self.most is None or self.figure <= self.most) and (
            self.least is None or self.figure >= self.least
        )
        bound = f"<= {self.most:g}" if self.most is not None else ""
        bound = f">= {self.least:g}" if self.least is not None else bound
        verdict = ("reached" if kept else "MISSED") if bound else ""
        return f"| {self.name} | {self.figure:.2f} {self.unit} | {bound} | {verdict} |"


async def fill(path: Path, there: int, count: int, domains: int) -> None:
    """Dead recipients straight into a queue's file, which has so many of them already."""
    path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
    clock = SystemClock()
    new_id = IdMaker(clock.now, random.randbytes).make
    database = Database(StorageSettings(path, hold=0.0, ride=0.0))
    await database.open()
    try:
        queue = QueueStore(database, JournalStore(database), clock, QueueSettings(in_hand=0))
        await queue.open()
        now = clock.now()
        for first in range(there, count, TOGETHER):
            numbers = range(first, min(first + TOGETHER, count))
            entries = [dead(n, domains, now, new_id()) for n in numbers]
            await asyncio.gather(*(queue.put(one, BODY, [accepted(one)]) for one in entries))
    finally:
        await database.close()


def put_off(path: Path) -> None:
    """Let the first fall due in a minute from now, or a part of them would be overdue."""
    connection = apsw.Connection(str(path))
    with connection:
        first = connection.execute("SELECT min(due) FROM recipient").get
        seconds = SystemClock().now() + 60 - first
        connection.execute("UPDATE recipient SET due = due + ?", (seconds,))
        connection.execute("UPDATE lane SET ready = ready + ?", (seconds,))
        connection.execute("UPDATE site SET ready = ready + ?", (seconds,))
    connection.close()


def dead(number: int, domains: int, now: float, new: str) -> Entry:
    """A message whose domain falls due within the hour, all of a domain together."""
    domain = number % domains
    envelope = Envelope(
        Address(f"s{number % 1000}", "a.test"),
        (Recipient(Address(f"u{number}", f"d{domain}.dead.test")),),
        release_at=now + HOUR * domain / domains,
    )
    return Entry(new, now, now + 5 * 86_400, envelope, Client("127.0.0.1"), BODY.size)


def accepted(entry: Entry) -> Accepted:
    """The first event of its story."""
    to = tuple(str(one.address) for one in entry.envelope.recipients)
    sender = str(entry.envelope.sender)
    return Accepted(
        at=entry.received, message=entry.id, sender=sender, recipients=to, size=entry.size
    )


class Side:
    """A server with its sink, which is stopped while the other one is measured."""

    def __init__(self, aside: Path, folder: Path, zone: int) -> None:
        self.sink = OwnSink(aside / f"sink-{folder.name}", None, many=False)
        self.port = free_port()
        text = CONFIG.format(port=self.port, out=self.sink.port, zone=zone, dead=free_port())
        self.server = MerpatiProcess(folder, text, [self.port])
        self.places = Places(folder / "var")

    def start(self) -> tuple[float, float]:
        """Seconds until the port answers, and until a message has been delivered."""
        began, before = time.monotonic(), self.sink.count()
        self.server.start()
        opened = time.monotonic() - began
        drive(Load(style="pipelined", sessions=1), 1, self, self._reached(before + 1))
        return opened, time.monotonic() - began

    def cpu(self) -> float:
        """Seconds so far."""
        return cpu_of_tree(self.server.pid)

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Running only here."""
        os.kill(self.server.pid, signal.SIGCONT)
        try:
            yield
        finally:
            os.kill(self.server.pid, signal.SIGSTOP)

    def accept_rate(self, count: int) -> float:
        """Messages a second until the last 250, the sink taking them meanwhile.

        0 when the generator gave up on a server that did not take them within its time.
        """
        target = self.sink.count() + count
        try:
            done = drive(ACCEPT, count, self, lambda: True)
        except RuntimeError:
            return 0.0
        self._wait(target)
        return done.rate

    def latency(self, count: int) -> float:
        """Milliseconds from MAIL to the sink at a modest load, p99."""
        known = len(self.sink.waits())
        drive(STEADY, count, self, self._reached(self.sink.count() + count))
        return percentile(self.sink.waits()[known:], 0.99)

    def peak(self) -> float:
        """MiB that were resident at most."""
        text = Path(f"/proc/{self.server.pid}/status").read_text()
        line = next(one for one in text.splitlines() if one.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024

    def stop(self) -> None:
        """Both, whatever state they are in."""
        with contextlib.suppress(AssertionError):  # not started
            os.kill(self.server.pid, signal.SIGCONT)
        self.server.stop()
        self.sink.stop()

    def _reached(self, target: int) -> Callable[[], bool]:
        return lambda: self.sink.count() >= target

    def _wait(self, target: int) -> None:
        end = time.monotonic() + 60
        while self.sink.count() < target:
            if time.monotonic() > end:
                raise TimeoutError("the healthy destination did not get its mail")
            time.sleep(0.01)


SEARCHES = {
    "everything": ask.Filter(),
    "a domain": ask.Filter(domain="d7.dead.test"),
    "a sender": ask.Filter(sender="s7@a.test"),
    "an address": ask.Filter(recipient="u7@d7.dead.test"),
    "what is held": ask.Filter(state="held"),
    "what waits": ask.Filter(state="waiting"),
}


async def search(places: Places) -> Iterator[Goal]:
    """First pages of 50 from the running server, over its socket."""
    counter = RemoteCounter(places.control)
    goals = []
    for name, selection in SEARCHES.items():
        question = ask.ListQueue(filter=selection, limit=50)
        spent = await timed(partial(counter.ask, QUEUE_LIST, question))
        goals.append(Goal(f"search, first page: {name}", spent, "ms", most=500))
    return iter(goals)


async def timed(ask_it: Callable[[], Awaitable[object]], times: int = 5) -> float:
    """Milliseconds, the slowest."""
    spent = []
    for _ in range(times):
        began = time.monotonic()
        await ask_it()
        spent.append((time.monotonic() - began) * 1e3)
    return max(spent)


def compare(empty: Side, full: Side, count: int) -> list[Goal]:
    """In turns; medians of the rounds."""
    rates: dict[Side, list[float]] = {empty: [], full: []}
    waits: dict[Side, list[float]] = {empty: [], full: []}
    for number in range(ROUNDS):
        for side in (empty, full) if number % 2 else (full, empty):
            with side.awake():
                rates[side].append(side.accept_rate(count))
                waits[side].append(side.latency(count=600))
    rate = {side: statistics.median(many) for side, many in rates.items()}
    wait = {side: statistics.median(many) for side, many in waits.items()}
    return [
        Goal("accepted, empty queue", rate[empty], "messages/s"),
        Goal("accepted, full queue", rate[full], "messages/s"),
        Goal("accepted, full / empty", rate[full] / rate[empty], "", least=0.8),
        Goal("healthy destination p99, empty queue", wait[empty], "ms"),
        Goal("healthy destination p99, full queue", wait[full], "ms"),
        Goal("healthy destination p99, full / empty", wait[full] / wait[empty], "", most=2.0),
    ]


def filled(places: Places, count: int, domains: int) -> Iterator[Goal]:
    """Unless an earlier call has done it, or with what it left to do."""
    there = stored(places.queue())
    if there < count:
        began = time.monotonic()
        asyncio.run(fill(places.queue(), there, count, domains))
        yield Goal("fill", (count - there) / (time.monotonic() - began), "messages/s")


def stored(path: Path) -> int:
    """Messages in a queue's file."""
    if not path.exists():
        return 0
    with contextlib.closing(apsw.Connection(str(path))) as connection:
        return int(connection.execute("SELECT count(*) FROM message").get)


def measure(folder: Path, aside: Path, count: int, domains: int, load: int) -> Iterator[Goal]:
    """All goals, as they are found. The full queue lies in `folder`, all else in `aside`."""
    zone = free_port()
    names = Background([sys.executable, "-m", "benchmarks.zone", str(zone)], aside / "zone.log")
    empty, full = Side(aside, aside / "empty", zone), Side(aside, folder / "full", zone)
    try:
        yield from filled(full.places, count, domains)
        put_off(full.places.queue())
        octets = sum(one.stat().st_size for one in full.places.data.glob("queue-0.db*"))
        yield Goal("disk, a queued message of 0.5 KB", octets / count, "octets")
        for name, side in (("empty", empty), ("full", full)):
            opened, first = side.start()
            os.kill(side.server.pid, signal.SIGSTOP)
            yield Goal(f"start, {name} queue: port open", opened, "s", most=2)
            yield Goal(f"start, {name} queue: first delivery", first, "s", most=10)
        yield from compare(empty, full, load)
        with full.awake():
            yield from asyncio.run(search(full.places))
            yield Goal("peak memory (RSS)", full.peak() / 1024, "GiB", most=1.5)
            before = full.peak()
        yield Goal("peak memory beside the empty one's", before - empty.peak(), "MiB")
        full.server.kill()
        opened, first = full.start()
        yield Goal("restart after kill -9: port open", opened, "s", most=2)
        yield Goal("restart after kill -9: first delivery", first, "s", most=10)
    finally:
        for side in (empty, full):
            side.stop()
        names.stop()


def main() -> None:
    """Measure in a folder that is removed afterwards."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1_000_000, help="queued recipients")
    parser.add_argument("--domains", type=int, default=0, help="a tenth of the count without")
    parser.add_argument("--load", type=int, default=4_000, help="messages of an accept round")
    parser.add_argument("--data", type=Path, help="keep the queue here, and use the one that is")
    parser.add_argument("--fill", action="store_true", help="fill the queue, measure nothing")
    options = parser.parse_args()
    end_in_order()
    base = Path(os.environ.get("MERPATI_BENCH_DIR", "/var/tmp"))
    print("| P6 | figure | goal | |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="merpati-million-", dir=base) as name:
        folder, domains = options.data or Path(name), options.domains or options.count // 10
        steps = (
            filled(Places(folder / "full/var"), options.count, domains)
            if options.fill
            else measure(folder, Path(name), options.count, domains, options.load)
        )
        for goal in steps:
            print(goal.line(), flush=True)


if __name__ == "__main__":
    main()
