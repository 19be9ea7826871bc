"""The node of a run: its workers, the files that they have, what they share, and a supervisor.

The supervisor does as `supervisor.fleet` does: it forgets what a dead worker counted and makes it
again, and a node that is started with fewer workers shares the files of the missing ones out. A
single worker has none: what it knew of sites is gone with it.
"""

import asyncio
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from types import SimpleNamespace

from merpati.config.places import Places
from merpati.node.table import Table, TableSettings
from merpati.supervisor.fleet import Fleet
from merpati.testing.simulation.disk import Sickness, SimulatedDisk
from tests.simulation.lines import Pools
from tests.simulation.oracle import Bounds, Oracle
from tests.simulation.plan import ALL, MINUTE, Crash, Restart
from tests.simulation.shard import File, Ground, Shard
from tests.simulation.worker import Worker

_REAPED = 0.003
"""Seconds until the supervisor knows that a worker is dead."""
_ROWS = 1024


@dataclass(slots=True, eq=False)
class Slot:
    """A place for a worker."""

    number: int
    worker: Worker | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """Who hears of what."""

    tell: Callable[..., None]
    made: Callable[[Shard], None]
    """Of each shard that a worker begins with."""
    forgotten: Callable[[], None]
    """Something that a worker knew may be known to nobody any more."""


class Node:
    """Started once."""

    def __init__(
        self, ground: Ground, folder: Path, sickness: Sickness, bounds: Bounds, told: Told
    ) -> None:
        self.slots: list[Slot] = []
        """None while the node is down."""
        self.files: dict[int, File] = {}
        """The shards that were ever there."""
        self.oracles: list[Oracle] = []
        """Theirs."""
        self.deaths = 0
        self.is_mended = False
        """Nobody dies any more."""
        self._ground = ground
        self._folder = folder
        self._data = folder / "data"
        """Where the supervisor finds the names of the shards."""
        self._data.mkdir()
        self._sickness = sickness
        self._bounds = bounds
        self._told = told
        self._chance = Random(f"world {ground.plan.seed}")
        self._dooms: list[Crash] = []
        self._is_stopping = False
        self._disks = 0
        for number in range(ground.plan.workers):
            self._file(number)

    def start(self, workers: int) -> None:
        """The supervisor begins, with memory of which nobody knows anything."""
        self.sites = Table(TableSettings(_ROWS, workers))
        self.slots = [Slot(number) for number in range(workers)]
        self._is_stopping = False
        self._told.forgotten()
        for slot in self.slots:
            self._make(slot)

    def _make(self, slot: Slot) -> None:
        """A worker where there is none, in the node that the slot is of."""
        if slot.worker is not None or slot not in self.slots or self._is_stopping:
            return
        ground, machine = self._ground, self._ground.machine
        files = [self._file(number) for number in self._numbers(slot)]
        if any(self.sites._counts[slot.number :: len(self.slots)].tolist()):
            files[0].oracle.blame("the dead", f"worker {slot.number} begins with counts")
        for file in files:
            # What a process finds at its start it believes.
            file.oracle.ahead = machine.set_by
        sites = copy(self.sites)  # As a fork does: the same memory, another process.
        sites.become(slot.number)
        name = f"worker {ground.plan.seed} {self.deaths}"
        chance = Random(f"{name} {slot.number}" if slot.number else name)
        slot.worker = Worker(ground, slot.number, sites, files, chance)
        for shard in slot.worker.shards:
            shard.database.writer.committed = partial(self.doom, "commit", slot.number)
            self._told.made(shard)
        slot.worker.task.add_done_callback(self._ended)

    def _numbers(self, slot: Slot) -> tuple[int, ...]:
        """Of the shards that a worker has: its own first."""
        fleet = Fleet(SimpleNamespace(data=self._data), None, set(), None)
        fleet._workers = list(self.slots)
        assigned = fleet._assignment(slot.number)
        return (assigned.own, *assigned.adopted)

    def _file(self, number: int) -> File:
        if number not in self.files:
            folder = self._next_folder()
            folder.mkdir()
            Places(self._data).queue(number).touch()
            oracle = Oracle(self._bounds, self._ground.machine.true)
            self.oracles.append(oracle)
            self.files[number] = File(number, SimulatedDisk(folder, self._sickness), oracle)
        return self.files[number]

    def _next_folder(self) -> Path:
        self._disks += 1
        return self._folder / str(self._disks)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and task.exception() is not None:
            self._ground.loop.defects.append(task.exception())

    @property
    def workers(self) -> list[Worker]:
        """Those that live and serve."""
        workers = [slot.worker for slot in self.slots if slot.worker is not None]
        return [worker for worker in workers if worker.is_ready and not worker.life.is_over]

    @property
    def shards(self) -> list[Shard]:
        """Those that somebody works on, by number."""
        shards = [shard for worker in self.workers for shard in worker.shards]
        return sorted(shards, key=lambda shard: shard.file.number)

    @property
    def is_whole(self) -> bool:
        """Whether all serve that should, and nobody stops."""
        serving = [one for one in self.workers if not one.task.done() and not one.is_stopping]
        return 0 < len(self.slots) == len(serving)

    def pools(self) -> Pools:
        """Of all that serve."""
        return [
            (worker.number, shard.file.number, pool)
            for worker in self.workers
            for shard in worker.shards
            for pool in shard.dispatcher._pools.values()
        ]

    def crash(self, step: Crash) -> None:
        """At once, or when it is due."""
        if step.on:
            self._dooms.append(step)
        else:
            self._die(step)

    def doom(self, on: str, worker: int) -> None:
        """Something happened to a worker that a death may have waited for."""
        for step in [one for one in self._dooms if one.on == on]:
            if step.worker in (ALL, worker):
                self._dooms.remove(step)
                loop, context = self._ground.loop, self._ground.network.context
                loop.call_soon(self._die, step, context=context)

    def _die(self, step: Crash) -> None:
        is_whole = step.worker == ALL or step.cut or len(self.slots) == 1
        struck = [slot for slot in self.slots if is_whole or slot.number == step.worker]
        dead = [slot.worker for slot in struck if slot.worker is not None]
        if not dead or self.is_mended:
            return
        self._told.tell("dies", step.cut)
        self.deaths += 1
        for worker in dead:
            self._kill(worker, step)
        if step.cut:
            self._cut()
        for worker in dead:
            worker.drop()
        if is_whole:
            count, self.slots = len(self.slots), []
            self._ground.loop.call_later(step.down, self.start, count)
        else:
            struck[0].worker = None
            self._reap(struck[0].number)
            self._ground.loop.call_later(step.down, self._make, struck[0])
        self._told.forgotten()

    def _kill(self, worker: Worker, step: Crash) -> None:
        self._ground.loop.end(worker.life)
        self._ground.network.worker_died(worker.life, told=not step.cut)
        for shard in worker.shards:
            shard.file.oracle.worker_died()
            if not step.cut:
                shard.file.disk = shard.file.disk.after_a_kill(self._next_folder())

    def _cut(self) -> None:
        machine, known = self._ground.machine, list(self.files.values())
        machine.boot = f"boot {self.deaths + 1}"
        # A leap forth that no process has seen cannot be told from a long rest.
        machine.set_by = min(machine.set_by, *(file.found for file in known if file.boot), 1e12)
        for file in known:
            file.disk = file.disk.after_a_cut(self._next_folder(), self._chance)

    def _reap(self, number: int) -> None:
        self._ground.loop.call_later(_REAPED, self.sites.forget, number)

    def jump(self, seconds: float) -> None:
        """The time of day is set; forth only if somebody is there who can tell."""
        machine = self._ground.machine
        lacking = {file.number for file in self.files.values() if file.boot != machine.boot}
        if seconds < 0 or lacking <= {shard.file.number for shard in self._all_shards()}:
            machine.jump(seconds)

    def _all_shards(self) -> list[Shard]:
        return [one for slot in self.slots if slot.worker for one in slot.worker.shards]

    def restart(self, step: Restart) -> None:
        """In good order: one worker, or the node."""
        living = [slot.worker for slot in self.slots if slot.worker is not None]
        if not living or not all(worker.is_ready for worker in living) or self._is_stopping:
            return
        loop = self._ground.loop
        if step.worker == ALL or len(self.slots) == 1:
            loop.create_task(self._stop_all(step.down, step.workers or len(self.slots)))
        elif step.worker < len(self.slots) and self.slots[step.worker].worker is not None:
            loop.create_task(self._replace(self.slots[step.worker], step.down))

    async def _stop_all(self, down: float, workers: int) -> None:
        self._is_stopping = True
        slots = self.slots
        stopping = [slot.worker for slot in slots if slot.worker is not None]
        for worker in stopping:
            worker.stop()
        for worker in stopping:
            await self._wait_for(worker)
        if self.slots is slots:
            self.slots = []
            await asyncio.sleep(down)
            self.start(workers)

    async def _replace(self, slot: Slot, down: float) -> None:
        worker = slot.worker
        assert worker is not None
        worker.stop()
        await self._wait_for(worker)
        if slot.worker is worker and slot in self.slots:
            slot.worker = None
            self._reap(slot.number)
            await asyncio.sleep(down)
            self._make(slot)

    async def _wait_for(self, worker: Worker) -> None:
        """Until it has stopped, or was killed meanwhile."""
        began = self._ground.loop.time()
        while not worker.task.done():
            await asyncio.sleep(0.5)
            if worker.life.is_over:
                return
            if self._ground.loop.time() - began > 30 + 5 * MINUTE:
                worker.own.file.oracle.blame("stop", "it does not stop within its grace")
        self.check_empty_hands(worker)

    def check_empty_hands(self, worker: Worker) -> None:
        """Nothing is counted that is not there."""
        for shard in worker.shards:
            for name, count in shard.counts().items():
                if count:
                    shard.file.oracle.blame("counters", f"{count} {name} behind a stop")
