"""Streams in memory: two ends of a connection without a socket, on any clock.

Octets arrive as they were written, or split as the test wants them. `secure` is a play of TLS:
both ends have to take part, and octets that came in plain text where a handshake is due fail it,
as they would fail a real one. Nothing is encrypted.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from merpati.clock import Clock
from merpati.mail.trace import Tls
from merpati.wire.endpoint import Endpoint
from merpati.wire.errors import TlsError, WireError, WireLost, WireTimeout

HIGH_MARK = 256 * 1024

Split = Callable[[bytes], Iterable[bytes]]


def whole(octets: bytes) -> Iterable[bytes]:
    """As written."""
    return (octets,)


def octet_by_octet(octets: bytes) -> Iterable[bytes]:
    """One octet a read."""
    return every(1)(octets)


def every(size: int) -> Split:
    """At most `size` octets a read."""
    return lambda octets: (octets[n : n + size] for n in range(0, len(octets), size))


class PipeStream:
    """One end of a pair; a Stream. What it sends is split by `split`."""

    def __init__(self, clock: Clock, split: Split = whole) -> None:
        self._changed = asyncio.Event()
        self.deadline = None
        self.peer = Endpoint("127.0.0.1", 49152)
        self.local = Endpoint("127.0.0.1", 25)
        self.tls = Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384")
        """What `secure` says was agreed; a test may set its own."""
        self.tls_error: TlsError | None = None
        """Set by a test: what `secure` raises on this end."""
        self.quickacks = 0
        """How often `quickack` was called."""
        self.server_name: str | None = None
        """The name that `secure` was asked to verify."""
        self._clock = clock
        self._split = split
        self._other = self
        self._inbox: deque[bytes] = deque()
        self._handshakes = 0
        self._ended = False
        self._error: WireError | None = None

    def join(self, other: "PipeStream") -> None:
        """Become the other end of `other`."""
        self._other, other._other = other, self

    @property
    def is_congested(self) -> bool:
        """Whether the other end has fallen more than the high mark behind."""
        return self._other.pending > HIGH_MARK

    @property
    def deadline(self) -> float | None:
        """As Stream.deadline: whoever waits already is held to it, too."""
        return self._deadline

    @deadline.setter
    def deadline(self, at: float | None) -> None:
        self._deadline = at
        self._changed.set()

    @property
    def pending(self) -> int:
        """Octets that have arrived and were not read."""
        return sum(map(len, self._inbox))

    async def read(self) -> bytes:
        """One piece, as it was split; b"" at the other end's close."""
        await self._wait(lambda: bool(self._inbox) or self._ended)
        if not self._inbox:
            return b""
        octets = self._inbox.popleft()
        self._other._changed.set()
        return octets

    async def feed(self, take: Callable[[bytes], bool]) -> None:
        """Piece by piece."""
        while take(octets := await self.read()) and octets:
            pass

    def unread(self, octets: bytes) -> None:
        """Give octets back: the next `read` yields them first."""
        self._inbox.appendleft(octets)

    def write(self, octets: bytes) -> None:
        """Put octets before the other end."""
        if self._error is not None or self._other._ended:
            return
        self._other._inbox.extend(piece for piece in self._split(octets) if piece)
        self._other._changed.set()

    async def drain(self) -> None:
        """Return when the other end has fallen less than the high mark behind."""
        await self._wait(lambda: self._other.pending <= HIGH_MARK)

    async def secure(self, context: object, server_name: str | None = None) -> Tls:
        """Play a handshake with the other end."""
        self.server_name = server_name
        self._handshakes += 1
        self._other._changed.set()
        try:
            await self._shake_hands()
        except WireError:
            self.abort()
            raise
        return self.tls

    async def _shake_hands(self) -> None:
        if self.tls_error is not None:
            raise self.tls_error
        if self._inbox:
            raise TlsError("TLS failed: wrong version number")
        await self._wait(lambda: self._met or bool(self._inbox) or self._ended)
        if not self._met:
            raise TlsError("the other end did not take part in the TLS handshake")

    @property
    def _met(self) -> bool:
        return self._other._handshakes >= self._handshakes

    async def close(self) -> None:
        """End this side; what was written is still read by the other end."""
        self._error = self._error or WireLost("the connection is closed")
        self._other._ended = True
        self._changed.set()
        self._other._changed.set()

    def abort(self) -> None:
        """End both directions; the other end finds its connection reset."""
        self._error = self._error or WireLost("the connection is closed")
        other = self._other
        if not other._ended:
            other._error = other._error or WireLost("the connection was reset by the other end")
        self._changed.set()
        other._changed.set()

    def quickack(self) -> None:
        """Nothing is acknowledged here; only counted."""
        self.quickacks += 1

    async def _wait(self, ready: Callable[[], bool]) -> None:
        """Return when `ready`; raise when broken or overdue. Looks again whenever an end acts."""
        if ready() and self._error is None:
            return
        async with asyncio.TaskGroup() as group:
            alarm, at = group.create_task(self._ring(self.deadline)), self.deadline
            while not (ready() or self._error or alarm.done()):
                self._changed.clear()
                await self._changed.wait()
                if at != self.deadline:
                    alarm.cancel()
                    alarm, at = group.create_task(self._ring(self.deadline)), self.deadline
            alarm.cancel()
        if self._error is not None:
            raise self._error
        if not ready():
            raise WireTimeout("the other end did not answer in time")

    async def _ring(self, at: float | None) -> None:
        if at is None:
            await asyncio.Event().wait()
            return
        await self._clock.sleep(at - self._clock.monotonic())
        # Only after this task is done, so that who wakes sees it done.
        asyncio.get_running_loop().call_soon(self._changed.set)


def stream_pair(clock: Clock, split: Split = whole) -> tuple[PipeStream, PipeStream]:
    """Two ends of one connection."""
    ours, theirs = PipeStream(clock, split), PipeStream(clock, split)
    ours.join(theirs)
    ours.peer, ours.local = theirs.local, theirs.peer
    return ours, theirs
