"""All shards of a node as one counter: commands need not know how many workers there are."""

import asyncio
import math
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from merpati.api.errors import Late, Unreachable
from merpati.api.operations import A, Counter, Operation, Q
from merpati.api.spreading import Shards
from merpati.clock import Clock
from merpati.errors import MerpatiError

_PATIENCE = 10.0
"""Seconds that a worker has to come back after a restart."""
_PAUSE = 0.1
_GLANCE = 8.0
"""Seconds for an answer about this moment; a store that hangs is told of after five."""


@dataclass(frozen=True, slots=True)
class Node:
    """Puts each question to the shards that its operation names."""

    shards: Mapping[int, Counter]
    """By number, in order."""
    own: int
    """The one that is asked first where one is enough."""
    clock: Clock
    patience: float = _PATIENCE
    glance: float = _GLANCE

    async def ask(self, operation: Operation[Q, A], question: Q) -> A:
        """The node's answer, or the error that it told."""
        answer: A = await operation.spread(_Asked(self, operation), question)
        return answer

    async def ask_shard(self, shard: int, operation: Operation[Q, A], question: Q) -> A:
        """One shard's answer; waits for one that is just being restarted."""
        end = math.inf
        while True:
            try:
                return await self.shards[shard].ask(operation, question)
            except Unreachable as error:
                # From here on: one that hung was asked long ago, and is only now made again.
                now = self.clock.monotonic()
                end = min(end, now + self.patience)
                if now >= end:
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

    @property
    def numbers(self) -> Sequence[int]:
        return sorted(self.node.shards)

    async def each(self, question: Any) -> list[Any]:
        return await _together(
            self.node.ask_shard(shard, self.operation, question) for shard in self.numbers
        )

    async def now(self, question: Any, *, waits: bool = False) -> list[Any]:
        ask = self.node.ask_shard if waits else self._ask
        return await _together(
            self._glance(shard, ask(shard, self.operation, question)) for shard in self.numbers
        )

    async def _ask(self, shard: int, operation: Operation[Any, Any], question: Any) -> Any:
        return await self.node.shards[shard].ask(operation, question)

    async def _glance(self, shard: int, asked: Awaitable[Any]) -> Any:
        try:
            async with asyncio.timeout(self.node.glance):
                return await asked
        except TimeoutError as error:
            text = f"worker {shard} gave no answer for {self.node.glance:g} s"
            raise Late(text) from error

    def of(self, operation: Any) -> Shards[Any, Any]:
        return _Asked(self.node, operation)


async def _together(asked: Iterable[Awaitable[Any]]) -> list[Any]:
    """All answers, in their order; an error in the place of an answer."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_or_error(one)) for one in asked]
    return [task.result() for task in tasks]


async def _or_error(asked: Awaitable[Any]) -> Any:
    try:
        return await asked
    except MerpatiError as error:
        return error
