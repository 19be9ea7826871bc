"""Whether this server can take mail at this moment, for balancers and monitoring."""

import asyncio
from collections.abc import Awaitable, Callable

from merpati.clock import Clock
from merpati.storage.errors import StorageError

_BELIEVED = 5.0
_PATIENCE = 5.0


class Health:
    """Asks the store by a real write, at most every few seconds whoever asks how often."""

    def __init__(self, probe: Callable[[], Awaitable[None]], clock: Clock) -> None:
        self._probe = probe
        self._clock = clock
        self._asking = asyncio.Lock()
        self._trouble = ""
        self._until = 0.0

    async def trouble(self) -> str:
        """What keeps mail from being stored; empty for nothing."""
        async with self._asking:
            if self._clock.monotonic() >= self._until:
                self._trouble = await self._ask()
                self._until = self._clock.monotonic() + _BELIEVED
        return self._trouble

    async def _ask(self) -> str:
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._probe()
        except StorageError as error:
            return f"the disk is full: {error}" if error.is_full else f"the store fails: {error}"
        except TimeoutError:
            return f"the store gave no answer for {_PATIENCE:g} s"
        return ""
