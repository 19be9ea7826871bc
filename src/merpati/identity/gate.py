"""How many may be asked about at once, how many may wait for it, and for how long."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from merpati.identity.errors import IdentityUnavailable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class GateSettings:
    """Of one door to somebody outside, a worker each."""

    seconds: float = 5.0
    """For waiting and answer together: what a login waits at most."""
    at_once: int = 20
    waiting: int = 200


class Gate:
    """One that nobody stands before for ever, however slow it is behind."""

    def __init__(self, settings: GateSettings, who: str) -> None:
        """`who` is behind it, for the journal."""
        self._who = who
        self._settings = settings
        self._free = asyncio.Semaphore(settings.at_once)
        self._inside = 0

    async def through(self, work: Callable[[], Awaitable[T]]) -> T:
        """What the work returns. Raises IdentityUnavailable when it took too long, or too many
        wait."""
        settings = self._settings
        if self._inside >= settings.at_once + settings.waiting:
            raise IdentityUnavailable(f"{self._who}: too many logins wait for it")
        self._inside += 1
        try:
            async with asyncio.timeout(settings.seconds), self._free:
                return await work()
        except TimeoutError:
            late = f"{self._who}: no answer within {settings.seconds:g} s"
            raise IdentityUnavailable(late) from None
        finally:
            self._inside -= 1
