"""One run: a plan is carried out, then all that went wrong is mended, and the queue runs empty.

The oracle is asked between any two turns of the loop, and about everything at the end.
"""

import asyncio
import errno
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

from msgspec import structs

from merpati.api import questions as ask
from merpati.api.operations import QUEUE_ALTER, SITES_HOLD, Operation
from merpati.delivery.route import parse_route
from merpati.delivery.transaction import TlsDemand
from merpati.dns.resolver import Mx
from merpati.errors import MerpatiError
from merpati.journal.events import Event
from merpati.queue.entry import Listed, Selection
from merpati.testing.simulation.clock import MachineClock
from merpati.testing.simulation.disk import Sickness
from merpati.testing.simulation.loop import SimulatedLoop, StuckError, simulated
from merpati.testing.simulation.network import Network
from tests.simulation import signatures
from tests.simulation.hosts import Copy, SimulatedHost
from tests.simulation.hunger import Hunger
from tests.simulation.lines import Lines
from tests.simulation.node import Node, Told
from tests.simulation.operators import Operators
from tests.simulation.oracle import BY_OPERATOR, Bounds, Oracle, Violation, name_in
from tests.simulation.pauses import Pauses
from tests.simulation.plan import (
    HERE,
    LMTP,
    MINUTE,
    NARROW,
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
from tests.simulation.rates import Rates
from tests.simulation.resolver import SimulatedDns
from tests.simulation.shard import (
    LONGEST_GAP,
    LONGEST_HOLD,
    LONGEST_WAIT,
    Ground,
    Shard,
)
from tests.simulation.worker import Worker

START = 1_800_000_000.0
_TOO_MANY_TURNS = 300_000
_Troubles = Behave | Down | DnsFails | DiskFails | Lacking
_LONGEST_SILENCE = 11 * MINUTE
"""RFC 5321 §4.5.3.2.6: for ten minutes a host may keep its verdict to itself, and our permit."""


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
    plan: Plan, *, verbose: bool = False, spoil: Callable[[Shard], None] | None = None
) -> Result:
    """Carry out a plan. `spoil` breaks each shard on purpose, to see that it is found."""
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
        spoil: Callable[[Shard], None] | None,
    ) -> None:
        self.plan = plan
        self.loop = loop
        self.machine = MachineClock(loop, START)
        self._folder = folder
        self._digest = sha256()
        self._verbose = verbose
        self._story: list[str] = []
        self.network = Network(loop, Random(f"network {plan.seed}"))
        self.sickness = Sickness()
        self._look_at = 0.0
        """When the waits are looked at again."""
        self.hosts = [self._host(n, f"mx{n}.test") for n in range(plan.hosts)]
        self.senders = self._host(200, "mx.senders.test")
        self.lmtp = self._host(256 + 1, "lmtp", lmtp=True)
        self.dns = self._make_dns()
        self.lines = Lines(self.network, plan.cap)
        self.pauses = Pauses(plan.sweep)
        self.rates = Rates(plan.sweep)
        self.hunger = Hunger()
        self._hungry_at = 0.0
        """When it is looked for again."""
        bounds = Bounds(plan.permits, LONGEST_WAIT, LONGEST_HOLD, LONGEST_GAP, plan.max_age)
        told = Told(self.tell, spoil or (lambda shard: None), self._forgotten)
        self.node = Node(self._ground(), folder, self.sickness, bounds, told)
        chance = Random(f"operators {plan.seed}")
        self.operators = Operators(self.node, loop, self.pauses, chance)
        self._acts: Mapping[type[AnyStep], Callable[..., None]] = {
            Submit: self._submit,
            Behave: self._behave,
            Down: self._down,
            DnsFails: self._dns_fails,
            DiskFails: self._disk_fails,
            Lacking: self._lacking,
            Crash: self.node.crash,
            Restart: self.node.restart,
            Jump: lambda step: self.node.jump(step.seconds),
            Alter: self._alter,
            Suspend: self._suspend,
        }

    def _ground(self) -> Ground:
        return Ground(
            plan=self.plan,
            loop=self.loop,
            machine=self.machine,
            network=self.network,
            resolver=self.dns,
            routes=(parse_route(LMTP, match=("lmtp.test",), tls=TlsDemand.OFF),),
            lines=self.lines,
            rates=self.rates,
            lifting=self._lifting,
            mail=self._folder / "mail",
        )

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

    def _oracle_of(self, name: str) -> Oracle:
        """Who knows a message; or any, who will say that nobody does."""
        return next((one for one in self.node.oracles if name in one.entries), self.node.oracles[0])

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
        for slot in self.node.slots:
            if slot.worker is not None:
                slot.worker.drop()
        copies = [copies for one in self.node.oracles for copies in one.copies.values()]
        return Result(
            self.plan,
            violation,
            sum(len(one.accepted) for one in self.node.oracles),
            sum(map(len, copies)),
            sum(len(one) - 1 for one in copies),
            sum(one.events for one in self.node.oracles),
            self.loop.turns,
            self.node.deaths,
            self.loop.time(),
            self._digest.hexdigest(),
            tuple(self._story),
        )

    def _watch(self) -> None:
        """Between any two turns."""
        for oracle in self.node.oracles:
            if oracle.violations:
                raise oracle.violations[0]
        if self.loop.defects:
            raise Violation("defect", repr(self.loop.defects[0])) from self.loop.defects[0]
        if self.loop.turns > _TOO_MANY_TURNS:
            raise Violation("stuck", "it turns and turns")
        if shards := self.node.shards:
            for shard in shards:
                self._watch_shard(shard)
            self._watch_sites()

    def _watch_shard(self, shard: Shard) -> None:
        if shard.defects:
            raise Violation("defect", repr(shard.defects[0])) from shard.defects[0]
        oracle, in_hand = shard.file.oracle, shard.dispatcher._in_hand
        if in_hand.count != len(oracle.claimed):
            raise Violation(
                "in hand", f"{in_hand.count} are counted, {len(oracle.claimed)} are claimed"
            )

    def _watch_sites(self) -> None:
        """What the workers share."""
        now, pools = self.loop.time(), self.node.pools()
        if now >= self._look_at:
            self._look_at = now + 1 * MINUTE
            for shard in self.node.shards:
                shard.file.oracle.check_waits()
        flaws = {
            "connections": self.lines.flaw(pools, now),
            "pause": self.pauses.flaw(pools, self.lines.grown, now),
            "rate": self.rates.flaw,
        }
        if now >= self._hungry_at:
            self._hungry_at = now + 1.0
            flaws["starved"] = self.hunger.flaw(pools, now)
        for promise, flaw in flaws.items():
            if flaw:
                raise Violation(promise, flaw)

    async def _play(self) -> None:
        self.node.start(self.plan.workers)
        for step in self.plan.steps:
            await self._until(step.at)
            self.tell(step)
            self._acts[type(step)](step)
            if isinstance(step, _Troubles) and getattr(step, "mode", "") != NARROW:
                self._trouble(step.seconds + _LONGEST_SILENCE)
        await self._until(self.plan.ends)
        await self._mend()
        await self._drain()
        await self._stop()
        await self._check()

    def _trouble(self, seconds: float) -> None:
        """For so long some wait for what nobody else waits for."""
        self.hunger.calm_from = max(self.hunger.calm_from, self.loop.time() + seconds)

    async def _until(self, at: float) -> None:
        if at > self.loop.time():
            await asyncio.sleep(at - self.loop.time())

    def _forgotten(self) -> None:
        if self.loop.time():
            self._trouble(1 * MINUTE)
        self.pauses.forget()

    def _lifting(self, site: str) -> None:
        paces = [shard.paces._known.get(site) for shard in self.node.shards]
        self.pauses.lifting(site, [pace for pace in paces if pace is not None])

    def _kept(self, copy: Copy) -> None:
        self.tell(copy.host, "keeps", copy.recipients, sha256(copy.content).hexdigest()[:12])
        oracle = self._oracle_of(name_in(signatures.split(copy.content)[1][:600]))
        oracle.kept(copy)
        for shard in self.node.shards:
            if shard.file.oracle is oracle:
                self.node.doom("kept", shard.worker)

    def _submit(self, step: Submit) -> None:
        self._ask(lambda worker: worker.own.submit(step), step.n, patience=10 * MINUTE)

    def _ask(
        self, what: Callable[[Worker], Awaitable[None]], which: int = 0, patience: float = 0.0
    ) -> None:
        """Somebody asks something of a worker, as soon as there is one, or not at all."""
        if workers := self.node.workers:
            worker = workers[which % len(workers)]
            self.loop.begin(worker.life, self._asked(what, worker))
        elif patience > 0:
            self.loop.call_later(7.0, self._ask, what, which, patience - 7.0)

    async def _asked(self, what: Callable[[Worker], Awaitable[None]], worker: Worker) -> None:
        try:
            await what(worker)
        except MerpatiError:
            return  # Whoever asked is told so.
        except Exception as error:
            worker.own.file.oracle.blame("defect", repr(error))

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

    def _alter(self, step: Alter) -> None:
        ids: tuple[str, ...] = ()
        if step.message:
            known = [name for oracle in self.node.oracles for name in oracle.entries]
            ids = tuple(known[step.message - 1 : step.message])
            if not ids:
                return
        chosen = ask.Filter(ids=ids, domain=step.domain)
        self._command(
            QUEUE_ALTER, ask.AlterQueue(filter=chosen, action=step.action, route=step.route)
        )

    def _suspend(self, step: Suspend) -> None:
        self._command(
            SITES_HOLD, ask.HoldSite(site=step.site, seconds=step.seconds, why=BY_OPERATOR)
        )

    def _command(self, operation: Operation[Any, Any], question: ask.Question) -> None:
        self._ask(lambda worker: self.operators.ask(worker, operation, question))

    async def _mend(self) -> None:
        """Nothing goes wrong any more, and the operator lets everything go."""
        self.tell("mended")
        self.node.is_mended = True
        for host in [*self.hosts, self.senders, self.lmtp]:
            host.mode = "plain"
            self.network.places[host.ip].answers = "yes"
        self.dns.failing.clear()
        self.sickness.left = 0
        self.network.lacks_descriptors = False
        while not self.node.is_whole:
            await asyncio.sleep(1.0)
        # The writer opens its file again within a second of being asked.
        await asyncio.sleep(5.0)
        for shard in self.node.shards:
            for site in sorted(await shard.queue.held()):
                await shard.obey(SITES_HOLD, ask.HoldSite(site=site, seconds=0.0))
            await shard.queue.alter(Selection(), "release", "the end")

    async def _drain(self) -> None:
        """Until the queue is empty: what can be delivered within the longest waits, the rest when
        it is too old, and then the notices of that, and what becomes of them."""
        began = self.loop.time()
        latest = 2 * self.plan.max_age + LONGEST_HOLD + LONGEST_WAIT + 30 * MINUTE
        while self.loop.time() - began < latest:
            await asyncio.sleep(20.0)
            if self.node.is_whole and await self._is_empty():
                return

    async def _is_empty(self) -> bool:
        for shard in self.node.shards:
            if sum((await shard.queue.count()).values()) or await shard.queue.owed(1):
                return False
        return True

    async def _stop(self) -> None:
        await asyncio.sleep(1 * MINUTE)
        self._ends = [await self._end_of(shard) for shard in self.node.shards]
        workers = self.node.workers
        for file in self.node.files.values():
            if all(shard.file is not file for shard in self.node.shards):
                file.oracle.blame("left over", f"nobody has shard {file.number}")
        for worker in workers:
            worker.stop()
        for worker in workers:
            await worker.task
            self.node.check_empty_hands(worker)
        if any(self.node.sites._counts.tolist()):
            self.node.oracles[0].blame("counters", "the node counts something behind a stop")

    async def _end_of(self, shard: Shard) -> tuple[Oracle, list[Event], list[Listed]]:
        """What a shard says became of its mail, and what is left of it."""
        oracle = shard.file.oracle
        events = [
            structs.replace(event, at=oracle.true(seq, event.at))
            for seq, event in await shard.journal.follow(0, 1_000_000)
        ]
        left = await shard.queue.search(Selection(), 100)
        in_hand = shard.store._in_hand
        for name, count in (("recipients", in_hand.recipients), ("octets", in_hand.octets)):
            if count and not left:
                oracle.blame("counters", f"the queue holds {count} {name} of nothing")
        return oracle, events, left

    async def _check(self) -> None:
        for _, events, _ in self._ends:
            for event in events:
                self.tell(event)
        for file in sorted((self._folder / "mail" / HERE).glob("*/new/*")):
            octets = file.read_bytes()
            oracle = self._oracle_of(name_in(octets[:800]))
            oracle.found(f"{file.parent.parent.name}@{HERE}", octets)
        for oracle, events, left in self._ends:
            oracle.check_end(events, left)
