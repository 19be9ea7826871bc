"""The half of a stream that servers made of strings have in common."""

from collections.abc import Callable
from typing import Never

from merpati.wire.endpoint import Endpoint


class AlwaysReady:
    """What of a Stream is the same wherever the far end is no farther than the next line."""

    deadline: float | None = None
    local = Endpoint()
    pending = 0
    is_congested = False

    async def feed(self, take: Callable[[bytes], bool]) -> None:
        """Nobody who is measured here reads in this way."""
        raise NotImplementedError

    def quickack(self) -> None:
        """Nothing is held back."""

    async def drain(self) -> None:
        """Nothing waits."""

    async def secure(self, context: object, server_name: str | None = None) -> Never:
        """What is measured is in clear."""
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing is open."""

    def abort(self) -> None:
        """Nothing is open."""
