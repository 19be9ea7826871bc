"""One connection as the rest of Merpati sees it."""

from collections.abc import Callable
from typing import Protocol

from merpati.mail.trace import Tls
from merpati.wire.endpoint import Endpoint


class Stream(Protocol):
    """Octets both ways. All failures are WireError; every wait ends at `deadline`.

    One task reads and one task writes; they may be the same.
    """

    deadline: float | None
    """Monotonic seconds. A wait that reaches it raises WireTimeout. Swept once a second."""

    local: Endpoint
    """Our own end."""

    @property
    def is_congested(self) -> bool:
        """More than the high mark (256 KiB) waits to be written: `drain` before writing more."""
        ...

    @property
    def pending(self) -> int:
        """Octets that have arrived and were not read: what stands behind a STARTTLS."""
        ...

    async def read(self) -> bytes:
        """The octets that have arrived, at least one; b"" at the peer's orderly end."""
        ...

    async def feed(self, take: Callable[[bytes], bool]) -> None:
        """Give `take` what arrives, piece by piece, until it says False: as if it were read, but
        without a turn of the loop for each piece. b"" is the peer's orderly end, and the last."""
        ...

    def write(self, octets: bytes) -> None:
        """Hand octets to the kernel or to a bounded buffer. Never blocks."""
        ...

    def quickack(self) -> None:
        """Acknowledge at once what has arrived: the peer may hold its next reply back until then.

        It holds for a moment only and is asked for anew.
        """
        ...

    async def drain(self) -> None:
        """Return when the write buffer is below its high mark (256 KiB)."""
        ...

    async def secure(self, context: object, server_name: str | None = None) -> Tls:
        """Begin TLS on this connection (both sides), handshake under the deadline."""
        ...

    async def close(self) -> None:
        """Flush what can be flushed within the deadline, then close. Idempotent."""
        ...

    def abort(self) -> None:
        """Close at once and drop what is buffered."""
        ...
