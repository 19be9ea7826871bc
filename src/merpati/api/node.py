"""All shards of a node as one counter: commands need not know how many workers there are."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from merpati.api.errors import Unreachable
from merpati.api.operations import A, Counter, Operation, Q
from merpati.api.spreading import Shards
from merpati.clock import Clock
from merpati.errors import MerpatiError

_PATIENCE = 10.0
"""Seconds that a worker has to come back after a restart."""
_PAUSE = 0.1


@dataclass(frozen=True, slots=True)
class Node:
    """Puts each question to the shards that its operation names."""

    shards: Mapping[int, Counter]
    """By number, in order."""
    own: int
    """The one that is asked first where one is enough."""
    clock: Clock
    patience: float = _PATIENCE

    async def ask(self, operation: Operation[Q, A], question: Q) -> A:
        """The node's answer, or the error that it told."""
        answer: A = await operation.spread(_Asked(self, operation), question)
        return answer

    async def ask_shard(self, shard: int, operation: Operation[Q, A], question: Q) -> A:
        """One shard's answer; waits for one that is just being restarted."""
        end = self.clock.monotonic() + self.patience
        while True:
            try:
                return await self.shards[shard].ask(operation, question)
            except Unreachable as error:
                if self.clock.monotonic() >= end:
                    raise Unreachable(f"worker {shard} does not answer: {error}") from error
            await self.clock.sleep(_PAUSE)


@dataclass(frozen=True, slots=True)
class _Asked:
    """See `Shards`."""

    node: Node
    operation: Operation[Any, Any]

    async def any(self, question: Any) -> Any:
        order = sorted(self.node.shards, key=lambda shard: shard != self.node.own)
        for shard in order[:-1]:
            try:
                return await self.node.shards[shard].ask(self.operation, question)
            except Unreachable:
                continue  # The next can do it as well.
        return await self.node.ask_shard(order[-1], self.operation, question)

    async def each(self, question: Any) -> list[Any]:
        async with asyncio.TaskGroup() as group:
            asked = [
                group.create_task(self._try(shard, question)) for shard in sorted(self.node.shards)
            ]
        return [task.result() for task in asked]

    async def _try(self, shard: int, question: Any) -> Any:
        try:
            return await self.node.ask_shard(shard, self.operation, question)
        except MerpatiError as error:
            return error
        except TimeoutError:
            return Unreachable(f"worker {shard} gave no answer in time")

    def of(self, operation: Any) -> Shards[Any, Any]:
        return _Asked(self.node, operation)
