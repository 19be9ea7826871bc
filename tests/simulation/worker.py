"""One life of a worker: a process with a shard of its own, and maybe others that it adopted."""

import asyncio
from collections.abc import Sequence
from random import Random

from merpati.node.table import Table
from merpati.testing.simulation.clock import ProcessClock
from merpati.testing.simulation.loop import Life
from tests.simulation.shard import Birth, File, Ground, Shard


class Worker:
    """Begun once; then it is stopped, or it dies."""

    def __init__(
        self, ground: Ground, number: int, sites: Table, files: Sequence[File], chance: Random
    ) -> None:
        self.number = number
        self.life = Life(f"worker {number}")
        self.is_ready = False
        birth = Birth(
            ground=ground,
            worker=number,
            life=self.life,
            clock=ProcessClock(ground.loop, ground.machine),
            sites=sites,
            chance=chance,
        )
        self.shards = [Shard(birth, file) for file in files]
        self.task = ground.loop.begin(self.life, self._run())

    @property
    def own(self) -> Shard:
        """The shard that takes in mail."""
        return self.shards[0]

    async def _run(self) -> None:
        """From the opening of its files to the end of a stop."""
        for shard in self.shards:
            await shard.open()
        self.is_ready = True
        async with asyncio.TaskGroup() as work:
            for shard in self.shards:
                work.create_task(shard.run())
        for shard in self.shards:
            await shard.database.close()

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to stop."""
        return self.own.dispatcher._stopping

    def stop(self) -> None:
        """In good order."""
        for shard in self.shards:
            shard.dispatcher.stop()

    def drop(self) -> None:
        """It was killed: nothing is written any more."""
        for shard in self.shards:
            shard.database.drop()
