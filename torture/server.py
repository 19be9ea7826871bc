"""The server under torture: an installation on loopback, its doors, its processes.

Where it has several processes, the first is the supervisor and its descendants are the workers.
"""

import asyncio
import contextlib
import os
import random
import signal
import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path

import apsw

from merpati.api import operations as op
from merpati.api import questions as ask
from merpati.api.client import RemoteCounter
from merpati.api.errors import ApiError
from merpati.api.operations import A, Operation, Q
from merpati.storage.errors import StorageError
from merpati.testing.process import MerpatiProcess, free_port
from torture.generator import BOX, Door
from torture.sink import Taken, read_maildir

RESTART_SECONDS = 90.0
_SOON = timedelta(minutes=1)
_CONFIG = """\
hostname = "mx.a.test"
data = "{data}"
{workers}
{before}
[[port]]
role = "mx"
listen = "127.0.0.1:{smtp}"
trusted = ["127.0.0.1/32"]
[[port]]
role = "lmtp"
listen = "127.0.0.1:{lmtp}"
trusted = ["127.0.0.1/32"]
[[route]]
match = ["*"]
to = "{route}"
tls = "{tls}"
[log]
events = false
{tables}
"""


class NotBegun(AssertionError):
    """The server was too slow at its first start: nothing has been tried yet."""


class Aim(Enum):
    """Which processes of the server are struck."""

    WORKER = "worker"
    SUPERVISOR = "supervisor"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Setup:
    """What differs between the servers of the runs."""

    route: str
    """Where all mail but that for the mailbox goes, as in `to` of a route."""
    tls: str = "off"
    """What that route wants of TLS."""
    data: str = "var"
    workers: int = 1
    before: str = ""
    """More lines before the first table,"""
    tables: str = '[queue]\nretry = ["1s", "1s", "1s", "2s"]\n[limits]\nfree_space = 0'
    """and more tables."""
    wrapper: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()


class Victim(MerpatiProcess):
    """One server under torture."""

    def __init__(self, folder: Path, setup: Setup) -> None:
        self.setup = setup
        self.data = folder / setup.data
        smtp, lmtp = free_port(), free_port()
        self.doors = [Door(smtp), Door(smtp), Door(smtp), Door(lmtp, is_lmtp=True)]
        """Most load comes by SMTP."""
        text = _CONFIG.format(
            data=setup.data,
            workers=f"workers = {setup.workers}",
            before=setup.before,
            smtp=smtp,
            lmtp=lmtp,
            route=setup.route,
            tls=setup.tls,
            tables=setup.tables,
        )
        super().__init__(folder, text, [smtp, lmtp])
        self.wrapper = setup.wrapper
        self.environment = dict(setup.environment)
        self._starts = 0
        self._has_greeted = False

    def spawn(self) -> None:
        """Start the server and wait for nothing."""
        self._starts += 1
        super().spawn()

    def wait_up(self) -> None:
        """Return when every port answers; NotBegun where the first start takes too long."""
        try:
            super().wait_up()
        except AssertionError as error:
            # One that ended was not slow.
            if self._starts == 1 and isinstance(error.__cause__, TimeoutError):
                raise NotBegun(str(error)) from error
            raise

    def populate(self) -> None:
        """The one domain and mailbox of its own; the server does not run yet."""
        self.ask("domain", "add", "a.test")
        self.ask("user", "add", f"{BOX}@a.test", "--password-stdin", text="Merpati terbang 1\n")

    def boxed(self) -> list[Taken]:
        """What lies in its mailbox."""
        return read_maildir(self.data / "mail" / "a.test" / BOX)

    # Its processes.

    def tree(self) -> list[int]:
        """Every process of the server, the supervisor first."""
        return [] if self.has_ended else [self.pid, *_descendants(self.pid)]

    async def settled_tree(self) -> list[int]:
        """The same, once no process has come for a second."""
        await asyncio.to_thread(self.wait_greeting)
        before: list[int] = []
        while (tree := self.tree()) != before:
            before = tree
            await asyncio.sleep(1)
        return tree

    def busy(self) -> float:
        """Seconds of CPU that all of them have had."""
        return sum(map(_busy, self.tree()))

    def worker(self, chance: random.Random) -> int:
        """One process that takes and sends mail."""
        first, *others = self.tree()
        return chance.choice(others) if others else first

    def strike(self, aim: Aim, chance: random.Random) -> None:
        """kill -9 what is aimed at."""
        if not (pids := self.tree()):
            return
        chosen = {Aim.ALL: pids, Aim.SUPERVISOR: pids[:1], Aim.WORKER: [self.worker(chance)]}
        for pid in chosen[aim]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def kill_all(self) -> None:
        """kill -9 everything, with the tracer around it; return when nothing of it is left."""
        left = self.tree()
        self.strike(Aim.ALL, random.Random(0))
        self.kill()
        self._wait_gone(left)

    def recover(self, processes: int, left: list[int]) -> None:
        """Return when `processes` run and every door answers.

        A dead supervisor is started again, as the service manager does; `left` are processes that
        must end by themselves before. A dead worker is the supervisor's business.
        """
        end = time.monotonic() + RESTART_SECONDS
        while self.has_ended or len(self.tree()) < processes:
            assert time.monotonic() < end, f"{self.tree()} instead of {processes} processes"
            if self.has_ended:
                self._wait_gone(left)
                self.kill()
                self.start()
            time.sleep(0.02)
        self.wait_greeting(end - time.monotonic())

    def _wait_gone(self, pids: list[int]) -> None:
        end = time.monotonic() + RESTART_SECONDS
        while still := [pid for pid in pids if _is_alive(pid)]:
            assert time.monotonic() < end, f"orphans: {still}"
            time.sleep(0.01)

    def wait_greeting(self, seconds: float = RESTART_SECONDS) -> None:
        """Return when the first door greets: the ports are open before the store is."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.doors[0].port), 1) as caller,
            ):
                caller.settimeout(max(0.1, end - time.monotonic()))
                if caller.recv(4).startswith(b"220"):
                    self._has_greeted = True
                    return
            time.sleep(0.02)
        why = f"no greeting after {seconds:.0f} s\n{self.output()}"
        is_first = self._starts == 1 and not self._has_greeted
        raise NotBegun(why) if is_first and not self.has_ended else AssertionError(why)

    # Its queue.

    async def tell(self, operation: Operation[Q, A], question: Q) -> A:
        """Ask over the control socket, much faster than by a command."""
        return await RemoteCounter(self.data / "control.sock").ask(operation, question)

    async def queued(self) -> int:
        """How many recipients are not settled."""
        return sum((await self.tell(op.STATUS, ask.Nothing())).queue.values())

    async def hurry(self) -> None:
        """Let everything be tried at once, as an operator would."""
        for held in await self.tell(op.SITES_HELD, ask.Nothing()):
            await self.tell(op.SITES_HOLD, ask.HoldSite(site=held.site, seconds=0))
        everything = ask.AlterQueue(filter=ask.Filter(), action="retry", everything=True)
        await self.tell(op.QUEUE_ALTER, everything)

    async def _take_up_late(self) -> None:
        """What waits longer than any retry: it looks greylisted, or a host broke off in doubt."""
        lines = await self.tell(op.QUEUE_LIST, ask.ListQueue())
        soon = datetime.now(UTC) + _SOON
        late = {one.id for one in lines if one.due > soon}
        if late:
            ids = ask.Filter(ids=tuple(sorted(late)))
            await self.tell(op.QUEUE_ALTER, ask.AlterQueue(filter=ids, action="retry"))

    async def drain(self, seconds: float = 300.0, *, hurried: bool = False) -> None:
        """Return when the queue is empty, and was so for a moment: notices go the same way.

        Nobody helps: what waits is tried again when it is due, and a host that failed when it has
        rested, which is a minute or two. (But what a sink's 450 makes look greylisted would wait
        for five minutes, and what it cut off behind the dot for fifteen: that is told to go.)
        `hurried` is for runs that prove something else and have no time for a rest. Seconds are
        those in which the server could have worked.
        """
        begun, starved = time.monotonic(), self.starved()
        empty = 0
        while not await RemoteCounter(self.data / "control.sock").answers():
            assert self.elapsed(begun, starved) < seconds, "the control socket does not answer"
            await asyncio.sleep(0.1)
        while empty < 3:
            empty = 0 if await self.queued() or self._owes() else empty + 1
            if not empty:
                late = self.elapsed(begun, starved) >= seconds
                assert not late, f"{await self.queued()} are queued still"
                await (self.hurry() if hurried else self._take_up_late())
            await asyncio.sleep(0.2)

    # Its share of a machine that has other work.

    def starved(self) -> float:
        """Seconds in which its threads, or ours, could have run and had no processor."""
        return sum(map(_starved, {os.getpid(), *self.tree()}))

    def elapsed(self, begun: float, starved: float) -> float:
        """Seconds since `begun`, without those in which it starved: `starved` is from then.

        Threads that wait beside one another starve beside one another, so this is the least that
        it may have been; but never less than a fifth, lest a server that starves itself has all
        the time in the world.
        """
        seconds = time.monotonic() - begun
        return max(seconds / 5, seconds - max(0.0, self.starved() - starved))

    def _owes(self) -> bool:
        """Whether somebody is still to be told of a failure: the next look is within a minute."""
        for file in self.data.glob("queue-*.db"):
            connection = apsw.Connection(str(file), apsw.SQLITE_OPEN_READONLY)
            with contextlib.closing(connection):
                connection.set_busy_timeout(5000)
                if connection.execute("SELECT count(*) FROM owed").get:
                    return True
        return False


REFUSALS = (ApiError, StorageError, AssertionError, OSError, TimeoutError)
"""What asking a server that is being tortured may end with."""


def _descendants(pid: int) -> list[int]:
    children: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            children += map(int, (task / "children").read_text().split())
    return [one for child in children for one in (child, *_descendants(child))]


def _busy(pid: int) -> float:
    # proc(5): utime and stime are the 14th and the 15th field, the name in brackets the second.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _starved(pid: int) -> float:
    # Kernel documentation, scheduler/sched-stats: nanoseconds on a processor, and in wait for one.
    seconds = 0.0
    for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            seconds += int(file.read_text().split()[1]) / 1e9
    return seconds


def _is_alive(pid: int) -> bool:
    """Whether it runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
