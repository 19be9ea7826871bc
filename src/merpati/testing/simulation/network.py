"""A network without sockets: connections between workers and hosts, over a simulated loop.

Octets take their time and arrive in order. A connection may break behind any octet, or fall silent;
when a process dies, what it had sent still arrives, and then the other end finds the connection
reset. Nothing is encrypted: a handshake is two ends that both begin one.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random

from merpati.delivery.transaction import Host
from merpati.mail.trace import Tls
from merpati.testing.simulation.loop import Life, SimulatedLoop
from merpati.wire.endpoint import Endpoint
from merpati.wire.errors import (
    TlsError,
    WireError,
    WireLocal,
    WireLost,
    WireRefused,
    WireTimeout,
    WireUnreachable,
)

_HIGH_MARK = 256 * 1024
_CLOSED = "the connection is closed"


@dataclass(slots=True)
class Fate:
    """What a connection has before it."""

    latency: Callable[[], float]
    """Seconds that the next octets take, one way."""
    breaks_after: int = 1 << 62
    """Octets, both ways together, behind which it is reset."""
    falls_silent_after: int = 1 << 62
    """Octets behind which nothing arrives any more, and nobody is told."""
    carried: int = 0


class SimulatedStream:
    """One end. A `Stream`."""

    def __init__(self, network: "Network", fate: Fate) -> None:
        self.deadline: float | None = None
        self.peer = Endpoint("192.0.2.25", 25)
        self.local = Endpoint("192.0.2.7", 49152)
        self.sent = 0
        """Octets that were written."""
        self.received = 0
        """Octets that were read."""
        self._network = network
        self._loop = network.loop
        self._fate = fate
        self._other = self
        self._inbox: deque[bytes] = deque()
        self._last_arrival = 0.0
        self._under_way: deque[tuple[Callable[..., None], tuple[object, ...]]] = deque()
        self._hellos = self._hellos_heard = 0
        self._ended = False
        self._error: WireError | None = None
        self._waiter: asyncio.Future[None] | None = None

    def join(self, other: "SimulatedStream") -> None:
        """Become the other end of `other`."""
        self._other, other._other = other, self

    @property
    def other(self) -> "SimulatedStream":
        """The far end."""
        return self._other

    @property
    def is_broken(self) -> bool:
        """Nothing goes or comes any more at this end."""
        return self._error is not None

    @property
    def pending(self) -> int:
        """Octets that have arrived and were not read."""
        return sum(map(len, self._inbox))

    async def read(self) -> bytes:
        """One piece as it arrived; b"" at the other end's close."""
        await self._wait(lambda: bool(self._inbox) or self._ended)
        if not self._inbox:
            return b""
        octets = self._inbox.popleft()
        self.received += len(octets)
        self._other._wake()
        return octets

    async def feed(self, take: Callable[[bytes], bool]) -> None:
        """Piece by piece."""
        while take(octets := await self.read()) and octets:
            pass

    def write(self, octets: bytes) -> None:
        """On their way; for nothing, if the connection is broken."""
        if self._error is not None or not octets:
            return
        self.sent += len(octets)
        fate = self._fate
        room = min(fate.breaks_after, fate.falls_silent_after) - fate.carried
        fate.carried += len(octets)
        if room > 0:
            self._carry(self._other._arrive, bytes(octets[:room]))
        if fate.carried >= fate.breaks_after:
            self._network.reset(self)

    def quickack(self) -> None:
        """Nothing is acknowledged here."""

    async def drain(self) -> None:
        """Return when the other end has fallen less than the high mark behind."""
        await self._wait(lambda: self.sent - self._other.received <= _HIGH_MARK)

    async def secure(self, context: object, server_name: str | None = None) -> Tls:
        """Play a handshake with the other end."""
        try:
            if self._inbox:
                raise TlsError("TLS failed: wrong version number")
            self._hellos += 1
            self._carry(self._other._hear_hello)
            await self._wait(lambda: self._has_met or bool(self._inbox) or self._ended)
            if not self._has_met:
                raise TlsError("the other end did not take part in the TLS handshake")
        except WireError:
            self.abort()
            raise
        return Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384")

    @property
    def _has_met(self) -> bool:
        return self._hellos_heard >= self._hellos

    async def close(self) -> None:
        """End this side; what was written still arrives."""
        if self._error is None:
            self._carry(self._other._end)
        self._break(_CLOSED)

    def abort(self) -> None:
        """End both directions."""
        if self._error is None:
            self._carry(self._other._break, "the connection was reset by the other end")
        self._break(_CLOSED)

    def lose(self) -> None:
        """Break, without a word to the other end."""
        self._break("the connection was reset by the other end")

    def _carry(self, arrive: Callable[..., None], *what: object) -> None:
        """Let something happen at the other end, behind all that is under way to it."""
        if self._fate.carried - self._fate.falls_silent_after > 0:
            return
        at = max(self._loop.time() + self._fate.latency(), self._last_arrival)
        self._last_arrival = at
        # A loop does not promise that timers of the same time ring in the order they were set.
        self._under_way.append((arrive, what))
        self._loop.call_at(at, self._arrive_next, context=self._network.context)

    def _arrive_next(self) -> None:
        arrive, what = self._under_way.popleft()
        arrive(*what)

    def _arrive(self, octets: bytes) -> None:
        if self._error is None:
            self._inbox.append(octets)
            self._wake()

    def _hear_hello(self) -> None:
        self._hellos_heard += 1
        self._wake()

    def _end(self) -> None:
        self._ended = True
        self._wake()

    def _break(self, why: str) -> None:
        self._error = self._error or WireLost(why)
        self._network.forget(self)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self, is_ready: Callable[[], bool]) -> None:
        """Return when `is_ready`; raise when broken or overdue."""
        while not is_ready() and self._error is None:
            if self.deadline is not None and self._loop.time() >= self.deadline:
                raise WireTimeout("the other end did not answer in time")
            await self._wait_for_news()
        if self._error is not None:
            raise self._error

    async def _wait_for_news(self) -> None:
        if self._waiter is not None:
            raise AssertionError("two tasks wait at one end of a connection")
        self._waiter = self._loop.create_future()
        timer = None
        if self.deadline is not None:
            timer = self._loop.call_at(self.deadline, self._wake)
        try:
            await self._waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()


@dataclass(slots=True)
class Place:
    """An address where somebody may answer."""

    serve: Callable[[SimulatedStream], Awaitable[None]]
    answers: str = "yes"
    """yes; or no: refused, unreachable, silent."""
    fate: Callable[[], Fate] | None = None
    """What the next connection has before it; None: what the network gives to all."""
    ends: "dict[SimulatedStream, None]" = field(default_factory=dict)
    """Of connections that stand, on the host's side."""


class Network:
    """All places, and what stands between them and the workers."""

    def __init__(self, loop: SimulatedLoop, chance: Random) -> None:
        self.loop = loop
        self.context = contextvars.copy_context()
        """Of nobody's life: what is under way arrives whoever dies."""
        self.places: dict[str, Place] = {}
        self.lacks_descriptors = False
        """Every connection fails here, and the host is not asked."""
        self._chance = chance
        self._standing: dict[SimulatedStream, Life | None] = {}
        """The workers' ends, and whose they are."""

    def latency(self) -> float:
        """Of an ordinary way: a millisecond to a fifth of a second."""
        return self._chance.choice((0.001, 0.001, 0.02, 0.05, 0.2))

    async def dial(self, host: Host, seconds: float) -> SimulatedStream:
        """Connect within so many seconds, or raise WireError."""
        if self.lacks_descriptors:
            raise WireLocal("this process has too many open files")
        place = self.places.get(host.ip)
        answers = place.answers if place is not None else "unreachable"
        if answers == "silent":
            await asyncio.sleep(seconds)
            raise WireTimeout("the other end did not answer in time")
        await asyncio.sleep(self.latency())
        if place is None or answers == "unreachable":
            raise WireUnreachable("no route to the host")
        if answers != "yes":
            raise WireRefused("the connection was refused")
        return self._connect(place)

    def _connect(self, place: Place) -> SimulatedStream:
        fate = place.fate() if place.fate is not None else Fate(self.latency)
        ours, theirs = SimulatedStream(self, fate), SimulatedStream(self, fate)
        ours.join(theirs)
        theirs.peer, theirs.local = ours.local, ours.peer
        self._standing[ours] = self.loop.life
        place.ends[theirs] = None
        self.loop.create_task(self._serve(place, theirs), context=self.context)
        return ours

    async def _serve(self, place: Place, end: SimulatedStream) -> None:
        try:
            await place.serve(end)
        except Exception as error:
            self.loop.defects.append(error)
        finally:
            place.ends.pop(end, None)

    def reset(self, end: SimulatedStream) -> None:
        """Somebody in between breaks the connection, behind what is under way."""
        end._carry(end._other.lose)
        end.lose()

    def go_down(self, place: Place, answers: str) -> None:
        """The host is gone, and with it all its connections."""
        place.answers = answers
        for end in list(place.ends):
            end.abort()

    def worker_died(self, life: Life, *, told: bool) -> None:
        """Each connection of a worker is reset by its machine, behind what it had sent. Not
        `told` when the machine itself is gone: hosts find out in some minutes."""
        for end in [end for end, owner in self._standing.items() if owner is life]:
            if told:
                end.abort()
                continue
            wait = self._chance.uniform(10, 300)
            self.loop.call_later(wait, end.other.lose, context=self.context)
            end.lose()

    def forget(self, end: SimulatedStream) -> None:
        """It does not stand any more."""
        self._standing.pop(end, None)
