"""What receiving costs without kernel and loop: session, core, judge and intake, 10 KB by DATA.

python -m benchmarks.session [seconds] [profile]

The stream is a list, the queue keeps nothing, and the coroutine is stepped by hand, so that the
least of many rounds is steady to a microsecond also on a busy machine. `profile` prints where it
goes, call by call.
"""

import cProfile
import ipaddress
import secrets
import sys
import time
from collections.abc import Callable, Generator
from typing import cast

from benchmarks.discard import NowhereQueue
from merpati.clock import SystemClock
from merpati.directory.expansion import Expander
from merpati.intake import Intake, IntakeSettings
from merpati.policy.rules.table import RuleSettings, judge_of
from merpati.queue.ids import IdMaker
from merpati.queue.queue import Queue
from merpati.reception.port import Port, PortSettings, Role
from merpati.testing.memory import MemoryJournal
from merpati.testing.residents import Residents
from merpati.wire.connection import Connection
from merpati.wire.endpoint import Endpoint
from merpati.wire.listen import Arrival

# As smtp-source writes it: one command a segment, and a body of 10 KB in lines of 80 octets.
HEADERS = (
    b"From: <load@a.test>\r\nTo: <sink@b.test>\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n"
    b"Message-Id: <1.2.3@a.test>\r\n\r\n"
)
BODY = HEADERS + (b"X" * 78 + b"\r\n") * 128
MESSAGE = (b"MAIL FROM:<load@a.test>\r\n", b"RCPT TO:<sink@b.test>\r\n", b"DATA\r\n", BODY)


class _More:
    """Suspends until more was put into the stream."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class ListStream:
    """Octets in by `arrive`; what is written is counted and dropped."""

    def __init__(self) -> None:
        self.deadline: float | None = None
        self.writes = 0
        self.pending = 0
        self.is_congested = False
        self._take: Callable[[bytes], bool] | None = None

    async def feed(self, take: Callable[[bytes], bool]) -> None:
        """As a connection does it."""
        self._take = take
        while self._take is not None:
            await _More()

    def arrive(self, octets: bytes) -> bool:
        """Whether that was all that it takes; else the session has to go on."""
        assert self._take is not None
        if not self._take(octets):
            self._take = None
        return self._take is not None

    def write(self, octets: bytes) -> None:
        """Dropped."""
        self.writes += 1

    async def drain(self) -> None:
        """Nothing waits."""

    async def close(self) -> None:
        """Nothing is open."""


def port() -> Port:
    """As P4 has it."""
    clock = SystemClock()
    expander = Expander(Residents(), "mx.example.org")
    intake = Intake(
        settings=IntakeSettings("mx.example.org"),
        queue=cast("Queue", NowhereQueue()),  # only `put` is called for mail this small
        journal=MemoryJournal(),
        expander=expander,
        judge=judge_of(RuleSettings(), expander, clock),
        clock=clock,
        new_id=IdMaker(clock.now, secrets.token_bytes).make,
    )
    trusted = (ipaddress.ip_network("127.0.0.1/32"),)
    return Port(PortSettings(Role.MX, "mx.example.org", trusted), intake, clock)


def main(seconds: float, profile: bool) -> None:
    """Print the best of many rounds."""
    stream = ListStream()
    peer = Endpoint("127.0.0.1", 40000)
    arrival = Arrival(cast("Connection", stream), peer, Endpoint("127.0.0.1", 25))
    session = port().serve(arrival)
    session.send(None)

    def say(*segments: bytes) -> None:
        for segment in segments:
            if not stream.arrive(segment):
                session.send(None)

    say(b"EHLO load.a.test\r\n")
    best, until = float("inf"), time.perf_counter() + seconds
    before = stream.writes
    say(*MESSAGE, BODY[:0] + b".\r\n")
    assert stream.writes - before == 4, "each command is answered once"
    segments = (*MESSAGE[:-1], BODY + b".\r\n")
    if profile:
        profiler = cProfile.Profile()
        with profiler:
            for _ in range(2000):
                say(*segments)
        profiler.print_stats("tottime")
        return
    names = ("MAIL", "RCPT", "DATA", "content")
    least = dict.fromkeys(names, float("inf"))
    while time.perf_counter() < until:
        took = dict.fromkeys(names, 0.0)
        for _ in range(20):
            for name, segment in zip(names, segments, strict=True):
                began = time.perf_counter()
                say(segment)
                took[name] += time.perf_counter() - began
        best = min(best, sum(took.values()) / 20)
        least = {name: min(least[name], took[name] / 20) for name in names}
    parts = ", ".join(f"{name} {seconds * 1e6:.1f}" for name, seconds in least.items())
    print(f"{best * 1e6:6.1f} us a message of 10 KB ({parts})")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 3.0, "profile" in sys.argv)
