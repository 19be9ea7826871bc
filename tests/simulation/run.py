"""One run: a plan is carried out, then all that went wrong is mended, and the queue runs empty.

The oracle is asked between any two turns of the loop, and about everything at the end.
"""

import asyncio
import errno
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from random import Random

from msgspec import structs

from merpati.delivery.route import parse_route
from merpati.delivery.transaction import TlsDemand
from merpati.dns.resolver import Mx
from merpati.errors import MerpatiError
from merpati.queue.entry import Selection
from merpati.testing.simulation.clock import MachineClock
from merpati.testing.simulation.disk import Sickness, SimulatedDisk
from merpati.testing.simulation.loop import SimulatedLoop, StuckError, simulated
from merpati.testing.simulation.network import Network
from tests.simulation.hosts import Copy, SimulatedHost
from tests.simulation.oracle import Bounds, Oracle, Violation
from tests.simulation.plan import (
    HERE,
    LMTP,
    MINUTE,
    Alter,
    AnyStep,
    Behave,
    Crash,
    DiskFails,
    DnsFails,
    Down,
    Jump,
    Lacking,
    Plan,
    Restart,
    Submit,
    Suspend,
)
from tests.simulation.resolver import SimulatedDns
from tests.simulation.worker import LONGEST_GAP, LONGEST_HOLD, LONGEST_WAIT, Birth, Worker

START = 1_800_000_000.0
_TOO_MANY_TURNS = 300_000


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a run."""

    plan: Plan
    violation: Violation | None
    accepted: int
    copies: int
    duplicates: int
    events: int
    turns: int
    deaths: int
    virtual: float
    """Seconds."""
    trace: str
    """The digest of everything that happened, in order."""
    story: tuple[str, ...] = ()


def run(
    plan: Plan, *, verbose: bool = False, spoil: Callable[[Worker], None] | None = None
) -> Result:
    """Carry out a plan. `spoil` breaks each worker on purpose, to see that it is found."""
    shared = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="simulation", dir=shared if shared.is_dir() else None))
    try:
        with simulated() as loop:
            asyncio.set_event_loop(loop)
            world = World(plan, loop, folder, verbose, spoil)
            return world.play()
    finally:
        asyncio.set_event_loop(None)
        shutil.rmtree(folder)


class World:
    """Everything there is in one run."""

    def __init__(
        self,
        plan: Plan,
        loop: SimulatedLoop,
        folder: Path,
        verbose: bool,
        spoil: Callable[[Worker], None] | None,
    ) -> None:
        self.plan = plan
        self.loop = loop
        self.machine = MachineClock(loop, START)
        self._folder = folder
        self._spoil = spoil
        self._chance = Random(f"world {plan.seed}")
        self._digest = sha256()
        self._verbose = verbose
        self._story: list[str] = []
        self.network = Network(loop, Random(f"network {plan.seed}"))
        self.sickness = Sickness()
        self._disks = 0
        self._dooms: list[Crash] = []
        self._is_mended = False
        self._look_at = 0.0
        """When the waits are looked at again."""
        self.deaths = 0
        self._found, self._boot = 0.0, ""
        """By how much the clock was set, and the boot, when the last worker began."""
        bounds = Bounds(plan.permits, LONGEST_WAIT, LONGEST_HOLD, LONGEST_GAP, plan.max_age)
        self.oracle = Oracle(bounds, self.machine.true)
        self.hosts = [self._host(n, f"mx{n}.test") for n in range(plan.hosts)]
        self.senders = self._host(200, "mx.senders.test")
        self.lmtp = self._host(256 + 1, "lmtp", lmtp=True)
        self.dns = self._make_dns()
        self.worker: Worker | None = None
        self._disk = self._first_disk()
        self._acts: Mapping[type[AnyStep], Callable[..., None]] = {
            Submit: self._submit,
            Behave: self._behave,
            Down: self._down,
            DnsFails: self._dns_fails,
            DiskFails: self._disk_fails,
            Lacking: self._lacking,
            Crash: self._crash,
            Restart: self._restart,
            Jump: self._jump,
            Alter: self._alter,
            Suspend: self._suspend,
        }

    def _host(self, n: int, name: str, lmtp: bool = False) -> SimulatedHost:
        ip = f"10.0.{n >> 8}.{n & 255}"
        host = SimulatedHost(
            name, ip, self.network, Random(f"{name} {self.plan.seed}"), self._kept, lmtp
        )
        self.network.places[ip] = host.place()
        return host

    def _make_dns(self) -> SimulatedDns:
        mxs = {
            f"d{n}.test": tuple(Mx(preference, f"mx{host}.test") for preference, host in mx)
            for n, mx in enumerate(self.plan.domains)
        }
        mxs["senders.test"] = (Mx(10, "mx.senders.test"),)
        mxs["null.test"] = (Mx(0, ""),)
        return SimulatedDns(mxs, {one.name: one.ip for one in [*self.hosts, self.senders]})

    def _first_disk(self) -> SimulatedDisk:
        folder = self._next_folder()
        folder.mkdir()
        return SimulatedDisk(folder, self.sickness)

    def _next_folder(self) -> Path:
        self._disks += 1
        return self._folder / str(self._disks)

    def tell(self, *what: object) -> None:
        """Something happened: it is part of the trace."""
        line = f"{self.loop.time():.6f} " + " ".join(map(str, what))
        line = line.replace(str(self._folder), "")
        self._digest.update(line.encode() + b"\n")
        if self._verbose:
            self._story.append(line)

    def play(self) -> Result:
        """The whole run."""
        violation = None
        self.loop.watch = self._watch
        try:
            self.loop.run_until_complete(self._play())
            self._watch()
        except Violation as found:
            violation = found
        except StuckError as error:
            violation = Violation("stuck", str(error))
        if self.worker is not None:
            self.worker.database.drop()
        oracle = self.oracle
        return Result(
            self.plan,
            violation,
            len(oracle.accepted),
            sum(map(len, oracle.copies.values())),
            sum(len(copies) - 1 for copies in oracle.copies.values()),
            oracle.events,
            self.loop.turns,
            self.deaths,
            self.loop.time(),
            self._digest.hexdigest(),
            tuple(self._story),
        )

    def _watch(self) -> None:
        """Between any two turns."""
        if self.oracle.violations:
            raise self.oracle.violations[0]
        if self.loop.defects:
            raise Violation("defect", repr(self.loop.defects[0])) from self.loop.defects[0]
        if self.loop.turns > _TOO_MANY_TURNS:
            raise Violation("stuck", "it turns and turns")
        worker = self.worker
        if worker is None or not worker.is_ready:
            return
        if worker.defects:
            raise Violation("defect", repr(worker.defects[0])) from worker.defects[0]
        if self.loop.time() >= self._look_at:
            self._look_at = self.loop.time() + 1 * MINUTE
            self.oracle.check_waits()
        if flaw := worker.lines.flaw(worker.dispatcher._pools, self.loop.time()):
            raise Violation("connections", flaw)
        in_hand = worker.dispatcher._in_hand
        if in_hand.count != len(self.oracle.claimed):
            raise Violation(
                "in hand", f"{in_hand.count} are counted, {len(self.oracle.claimed)} are claimed"
            )

    async def _play(self) -> None:
        self._start()
        for step in self.plan.steps:
            await self._until(step.at)
            self.tell(step)
            self._acts[type(step)](step)
        await self._until(self.plan.ends)
        await self._mend()
        await self._drain()
        await self._stop()
        await self._check()

    async def _until(self, at: float) -> None:
        if at > self.loop.time():
            await asyncio.sleep(at - self.loop.time())

    def _start(self) -> None:
        # What a process finds at its start it believes.
        self.oracle.ahead = self._found = self.machine.set_by
        self._boot = self.machine.boot
        given = Birth(
            plan=self.plan,
            loop=self.loop,
            machine=self.machine,
            network=self.network,
            resolver=self.dns,
            routes=(parse_route(LMTP, match=("lmtp.test",), tls=TlsDemand.OFF),),
            oracle=self.oracle,
            chance=Random(f"worker {self.plan.seed} {self.deaths}"),
            mail=self._folder / "mail",
        )
        self.worker = Worker(given, self._disk, f"worker {self.deaths}")
        self.worker.database.writer.committed = partial(self._doom, "commit")
        if self._spoil is not None:
            self._spoil(self.worker)
        self._task = self.loop.begin(self.worker.life, self.worker.run())
        self._task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and task.exception() is not None:
            self.loop.defects.append(task.exception())

    def _kept(self, copy: Copy) -> None:
        self.tell(copy.host, "keeps", copy.recipients, sha256(copy.content).hexdigest()[:12])
        self.oracle.kept(copy)
        self._doom("kept")

    def _submit(self, step: Submit) -> None:
        self._ask(lambda worker: worker.submit(step), patience=10 * MINUTE)

    def _ask(self, what: Callable[[Worker], Awaitable[None]], patience: float = 0.0) -> None:
        """Somebody asks something of the worker, as soon as there is one, or not at all."""
        worker = self.worker
        if worker is not None and worker.is_ready and not worker.life.is_over:
            self.loop.begin(worker.life, self._asked(what, worker))
        elif patience > 0:
            self.loop.call_later(7.0, self._ask, what, patience - 7.0)

    async def _asked(self, what: Callable[[Worker], Awaitable[None]], worker: Worker) -> None:
        try:
            await what(worker)
        except MerpatiError:
            return  # Whoever asked is told so.
        except Exception as error:
            self.oracle.blame("defect", repr(error))

    def _behave(self, step: Behave) -> None:
        host = self.hosts[step.host]
        host.mode, host.share = step.mode, step.share

        def relent() -> None:
            if host.mode == step.mode:
                host.mode = "plain"

        self.loop.call_later(step.seconds, relent)

    def _down(self, step: Down) -> None:
        place = self.network.places[self.hosts[step.host].ip]
        self.network.go_down(place, step.answers)
        self.loop.call_later(step.seconds, setattr, place, "answers", "yes")

    def _dns_fails(self, step: DnsFails) -> None:
        self.dns.failing[step.name] = step.how
        self.loop.call_later(step.seconds, self.dns.failing.pop, step.name, None)

    def _disk_fails(self, step: DiskFails) -> None:
        self.sickness.operations = frozenset(step.operations)
        self.sickness.code = errno.ENOSPC if step.full else errno.EIO
        self.sickness.left = step.count
        self.loop.call_later(step.seconds, setattr, self.sickness, "left", 0)

    def _lacking(self, step: Lacking) -> None:
        self.network.lacks_descriptors = True
        self.loop.call_later(step.seconds, setattr, self.network, "lacks_descriptors", False)

    def _crash(self, step: Crash) -> None:
        if step.on:
            self._dooms.append(step)
        else:
            self._die(step)

    def _doom(self, on: str) -> None:
        """Something happened that a death may have waited for."""
        for step in [one for one in self._dooms if one.on == on]:
            self._dooms.remove(step)
            self.loop.call_soon(self._die, step, context=self.network.context)

    def _die(self, step: Crash) -> None:
        worker = self.worker
        if worker is None or self._is_mended:
            return
        self.tell("dies", step.cut)
        self.loop.end(worker.life)
        self.network.worker_died(told=not step.cut)
        self.oracle.worker_died()
        self.worker = None
        self.deaths += 1
        if step.cut:
            self.machine.boot = f"boot {self.deaths + 1}"
            # A leap forth that no process has seen cannot be told from a long rest.
            self.machine.set_by = min(self.machine.set_by, self._found)
            self._disk = worker.disk.after_a_cut(self._next_folder(), self._chance)
        else:
            self._disk = worker.disk.after_a_kill(self._next_folder())
        worker.database.drop()
        self.loop.call_later(step.down, self._start_if_none)

    def _start_if_none(self) -> None:
        if self.worker is None:
            self._start()

    def _restart(self, step: Restart) -> None:
        if self.worker is not None and self.worker.is_ready:
            self.loop.create_task(self._stop_and_start(self.worker, self._task, step.down))

    async def _stop_and_start(
        self, worker: Worker, task: "asyncio.Task[None]", down: float
    ) -> None:
        worker.dispatcher.stop()
        began = self.loop.time()
        while not task.done():
            await asyncio.sleep(0.5)
            if worker.life.is_over:
                return  # It was killed meanwhile.
            if self.loop.time() - began > 30 + 5 * MINUTE:
                self.oracle.blame("stop", "it does not stop within its grace")
        self._check_empty_hands(worker)
        if self.worker is worker:
            self.worker = None
            await asyncio.sleep(down)
            self._start_if_none()

    def _check_empty_hands(self, worker: Worker) -> None:
        """Nothing is counted that is not there."""
        dispatcher, store = worker.dispatcher, worker.store
        counts = {
            "recipients": dispatcher._in_hand.count,
            "octets": dispatcher.octets,
            "permits out": self.plan.permits - dispatcher.permits.all._value,
            "connections": dispatcher._connections,
            "look-ups": len(dispatcher._looking_up),
            "claimed": len(store._in_hand._claimed),
        }
        for name, count in counts.items():
            if count:
                self.oracle.blame("counters", f"{count} {name} behind a stop")

    def _jump(self, step: Jump) -> None:
        is_seen = self.worker is not None or self.machine.boot == self._boot
        if is_seen or step.seconds < 0:
            self.machine.jump(step.seconds)

    def _alter(self, step: Alter) -> None:
        ids = []
        if step.message:
            known = list(self.oracle.entries)
            ids = known[step.message - 1 : step.message]
            if not ids:
                return
        self._ask(lambda worker: worker.alter(step, ids))

    def _suspend(self, step: Suspend) -> None:
        self._ask(lambda worker: worker.suspend(step.site, step.seconds))

    async def _mend(self) -> None:
        """Nothing goes wrong any more, and the operator lets everything go."""
        self.tell("mended")
        self._is_mended = True
        for host in [*self.hosts, self.senders, self.lmtp]:
            host.mode = "plain"
            self.network.places[host.ip].answers = "yes"
        self.dns.failing.clear()
        self.sickness.left = 0
        self.network.lacks_descriptors = False
        while self.worker is None or not self.worker.is_ready or self._task.done():
            await asyncio.sleep(1.0)
        # The writer opens its file again within a second of being asked.
        await asyncio.sleep(5.0)
        worker = self.worker
        for site in sorted(await worker.queue.held()):
            await worker.suspend(site, 0.0)
        await worker.queue.alter(Selection(), "release", "the end")

    async def _drain(self) -> None:
        """Until the queue is empty: what can be delivered within the longest waits, the rest when
        it is too old, and then the notices of that, and what becomes of them."""
        began = self.loop.time()
        latest = 2 * self.plan.max_age + LONGEST_HOLD + LONGEST_WAIT + 30 * MINUTE
        while self.loop.time() - began < latest:
            await asyncio.sleep(20.0)
            worker = self.worker
            if worker is None or not worker.is_ready:
                continue
            if not sum((await worker.queue.count()).values()) and not await worker.queue.owed(1):
                return

    async def _stop(self) -> None:
        await asyncio.sleep(1 * MINUTE)
        assert self.worker is not None
        worker = self.worker
        self._events = [
            structs.replace(event, at=self.oracle.true(seq, event.at))
            for seq, event in await worker.journal.follow(0, 1_000_000)
        ]
        self._left = await worker.queue.search(Selection(), 100)
        in_hand = worker.store._in_hand
        for name, count in (("recipients", in_hand.recipients), ("octets", in_hand.octets)):
            if count and not self._left:
                self.oracle.blame("counters", f"the queue holds {count} {name} of nothing")
        worker.dispatcher.stop()
        await self._task
        self._check_empty_hands(worker)

    async def _check(self) -> None:
        for event in self._events:
            self.tell(event)
        for file in sorted((self._folder / "mail" / HERE).glob("*/new/*")):
            self.oracle.found(f"{file.parent.parent.name}@{HERE}", file.read_bytes())
        self.oracle.check_end(self._events, self._left)
