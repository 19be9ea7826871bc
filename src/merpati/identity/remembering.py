"""Passwords that were right a moment ago, so that a program that logs in for each message does not
ask for each.

No password is kept: a key is its HMAC by a secret of this process that is nowhere else. Only what
was right is remembered, for the time the operator allows; a password that was changed meanwhile is
good until then.
"""

import hmac
from collections import OrderedDict
from collections.abc import Callable

from merpati.clock import Clock
from merpati.identity.checker import Asked, PasswordChecker, Proof

_MOST = 10_000


class Remembering:
    """A `PasswordChecker` before another one."""

    def __init__(
        self,
        checker: PasswordChecker,
        clock: Clock,
        seconds: float,
        entropy: Callable[[int], bytes],
    ) -> None:
        self._checker = checker
        self._clock = clock
        self._seconds = seconds
        self._secret = entropy(32)
        self._until: OrderedDict[bytes, float] = OrderedDict()

    @property
    def proof(self) -> Proof:
        """Of the one behind."""
        return self._checker.proof

    async def is_right(self, asked: Asked) -> bool:
        """See `PasswordChecker`."""
        key = self._key(asked)
        if self._until.get(key, 0.0) > self._clock.monotonic():
            return True
        is_right = await self._checker.is_right(asked)
        if is_right:
            self._keep(key)
        else:
            self._until.pop(key, None)
        return is_right

    def _keep(self, key: bytes) -> None:
        self._until[key] = self._clock.monotonic() + self._seconds
        self._until.move_to_end(key)
        if len(self._until) > _MOST:
            self._until.popitem(last=False)

    def _key(self, asked: Asked) -> bytes:
        # Neither an account nor a password holds NUL.
        return hmac.digest(self._secret, f"{asked.account}\0{asked.password}".encode(), "sha256")
