"""Passwords of the directory, hashed in threads so that the loop goes on."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor

from merpati.directory.directory import Secret
from merpati.directory.password import find_secret
from merpati.errors import MerpatiError


class LoginBusy(MerpatiError):
    """More passwords wait to be hashed than may."""


class Hasher:
    """Checks passwords in threads; the queue before them is bounded."""

    def __init__(self, executor: Executor, max_waiting: int = 64) -> None:
        self._executor = executor
        self._max_waiting = max_waiting
        self._waiting = 0

    async def find(self, secrets: Sequence[Secret], password: str) -> Secret | None:
        """The secret that this password is. Raises LoginBusy."""
        if self._waiting >= self._max_waiting:
            raise LoginBusy("too many passwords wait to be checked")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._executor, find_secret, secrets, password)
        finally:
            self._waiting -= 1
