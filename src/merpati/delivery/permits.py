"""Who may send the last octets of a message: the permits of a worker, and how they are shared out.

A permit is held from the last octets until the verdict is on disk, and a host may keep its verdict
to itself for ten minutes (RFC 5321 §4.5.3.2.6). So no site has more than its share, and sites that
did not show yet how soon they answer, or showed that it takes them long, have a part of all:
however many of them there are, those that answer soon go on.
"""

import asyncio
from enum import Enum
from typing import Protocol


class Permits(Protocol):
    """Places to send from, each taken and given back."""

    async def acquire(self) -> object:
        """Wait for one."""
        ...

    def release(self) -> None:
        """Give one back."""
        ...


class Promptness(Enum):
    """How soon a site says what became of a message."""

    PROMPT = "soon"
    UNPROVEN = "nobody knows yet"
    SLOW = "late, the last time"


class Share:
    """Of some permits at most as many as `own` has."""

    def __init__(self, permits: Permits, own: asyncio.Semaphore) -> None:
        self._permits = permits
        self._own = own

    async def acquire(self) -> None:
        """First of the share: who waits there keeps nobody else waiting."""
        await self._own.acquire()
        try:
            await self._permits.acquire()
        except BaseException:
            self._own.release()
            raise

    def release(self) -> None:
        """Give one back to both."""
        self._permits.release()
        self._own.release()


class WorkerPermits:
    """One for each transaction between its final octets and the commit of its verdict."""

    def __init__(self, count: int) -> None:
        self.all = asyncio.Semaphore(count)
        unproven = Share(self.all, asyncio.Semaphore(max(1, count // 2)))
        slow = Share(unproven, asyncio.Semaphore(max(1, count // 4)))
        self._of: dict[Promptness, Permits] = {
            Promptness.PROMPT: self.all,
            Promptness.UNPROVEN: unproven,
            Promptness.SLOW: slow,
        }

    def of(self, promptness: Promptness) -> Permits:
        """Those that a site may have: all, half, or a quarter of them.

        Half of them let a single site go as fast as all do (docs/performance.md).
        """
        return self._of[promptness]
