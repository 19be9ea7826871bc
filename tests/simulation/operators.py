"""Operators: what they ask reaches every worker, by the code of `api.node`."""

import asyncio
from random import Random
from typing import Any

from merpati.api.errors import Unreachable
from merpati.api.node import Node as Asked
from merpati.api.operations import SITES_HOLD, Operation
from merpati.errors import MerpatiError
from merpati.testing.simulation.loop import SimulatedLoop
from tests.simulation.node import Node
from tests.simulation.pauses import Pauses
from tests.simulation.worker import Worker


class Operators:
    """They ask one worker, which asks the others. Who is alone answers for itself."""

    def __init__(self, node: Node, loop: SimulatedLoop, pauses: Pauses, chance: Random) -> None:
        self._node = node
        self._loop = loop
        self._pauses = pauses
        self._chance = chance

    async def ask(self, worker: Worker, operation: Operation[Any, Any], question: Any) -> None:
        """In the worker's life; MerpatiError when it could not be done everywhere."""
        if len(self._node.files) == 1:
            await worker.own.obey(operation, question)
            return
        ways = {number: _Way(self, worker, number) for number in sorted(self._node.files)}
        node = Asked(ways, worker.number, worker.own.clock)
        try:
            answer = await node.ask(operation, question)
        except MerpatiError:
            self._pauses.not_lifted()
            raise
        if operation is SITES_HOLD and not question.seconds:
            self._pauses.lifted(answer.sites)

    async def carry(
        self, number: int, asker: Worker, operation: Operation[Any, Any], question: Any
    ) -> Any:
        """To a shard, and its answer back."""
        shard = next((one for one in self._node.shards if one.file.number == number), None)
        if shard is not None and shard.life is asker.life:
            return await shard.obey(operation, question)
        await asyncio.sleep(self._chance.choice((0.001, 0.005, 0.05, 0.5)))
        if shard is None or shard.life.is_over:
            raise Unreachable(f"nobody answers for shard {number}")
        obeying = self._loop.begin(shard.life, shard.obey(operation, question))
        while not obeying.done():
            await asyncio.sleep(0.01)
            if shard.life.is_over:
                raise Unreachable(f"nobody answers for shard {number} any more")
        return obeying.result()


class _Way:
    """To one shard. A `Counter`."""

    def __init__(self, operators: Operators, asker: Worker, number: int) -> None:
        self._operators = operators
        self._asker = asker
        self._number = number

    async def ask(self, operation: Operation[Any, Any], question: Any) -> Any:
        """See `Counter`."""
        return await self._operators.carry(self._number, self._asker, operation, question)
