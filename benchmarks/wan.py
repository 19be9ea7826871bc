"""`python -m benchmarks.wan [--messages N]`: messages a round trip over one connection of 50 ms.

A proxy of our own lies between sender and receiver and passes everything on 25 ms later, in order
and bounded. It counts MAIL commands and takes the time from the first of them to the last reply
before QUIT, so that every sender is measured alike. A round trip is what the proxy really took
there and back, printed beside: on a machine that is busy its timers come late. So is how long the
far side thinks from the end of what it is sent to its first answer, which no sender can save.
Senders: Merpati's dispatcher with its store, and Postfix's own client. Far sides: our receiving
half, and Postfix's smtpd; each with CHUNKING and without.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from benchmarks.load import PATH
from benchmarks.outward import Destination, opened
from benchmarks.peers import Postfix
from benchmarks.servers import Certificate, Discard, Server, Setup, Unable, tool
from merpati.clock import SystemClock
from merpati.delivery.link import ConversationSettings
from merpati.delivery.pacing import PacingSettings
from merpati.delivery.transaction import Host
from merpati.testing.process import free_port
from merpati.wire.dial import SocketDialer
from merpati.wire.endpoint import Endpoint
from merpati.wire.loop import Wire
from merpati.wire.stream import Stream

ONE_WAY = 0.025
ROUND_TRIP = 2 * ONE_WAY
LIMIT = 120.0
_PIECES = 64
"""Reads of at most 64 KiB that are under way in one direction: 4 MiB."""
_MAIL = b"MAIL FROM:"


@dataclass(slots=True)
class Distance:
    """A proxy to a port of this machine, with what it saw."""

    to: int
    port: int = field(default_factory=free_port)
    connections: int = 0
    mails: int = 0
    began: float = 0.0
    ended: float = 0.0
    there: list[float] = field(default_factory=list)
    back: list[float] = field(default_factory=list)
    """How long each piece was really under way."""
    thoughts: list[float] = field(default_factory=list)

    @property
    def round_trip(self) -> float:
        """Seconds, on the average."""
        return statistics.fmean(self.there) + statistics.fmean(self.back)

    async def serve(self) -> asyncio.Server:
        """Listen; close what this returns to end."""
        return await asyncio.start_server(self._carry, "127.0.0.1", self.port)

    @property
    def thinking(self) -> float:
        """Seconds that the far side took for itself, on the average."""
        return statistics.fmean(self.thoughts)

    @property
    def a_round_trip(self) -> float:
        """Messages, the first envelope's own round trip included."""
        return self.mails * self.round_trip / (self.ended - self.began)

    async def _carry(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        self.connections += 1
        server, commands = await asyncio.open_connection("127.0.0.1", self.to)
        watched = _Watched(self)
        async with asyncio.TaskGroup() as group:
            group.create_task(_delay(client, commands, watched.sent, watched.asked))
            group.create_task(_delay(server, answers, watched.thought, watched.answered))


@dataclass(slots=True)
class _Watched:
    """One connection as the proxy sees it."""

    distance: Distance
    waits_since: float = 0.0
    tail: bytes = b""
    has_quit: bool = False

    def sent(self, octets: bytes) -> None:
        mails = (self.tail + octets).count(_MAIL)
        self.tail = octets[-len(_MAIL) + 1 :]
        if mails and not self.distance.mails:
            self.distance.began = _now()
        self.distance.mails += mails
        self.has_quit = self.has_quit or octets.endswith(b"QUIT\r\n")

    def asked(self, took: float) -> None:
        self.distance.there.append(took)
        self.waits_since = _now()

    def thought(self, octets: bytes) -> None:
        if self.waits_since:
            self.distance.thoughts.append(_now() - self.waits_since)
            self.waits_since = 0.0

    def answered(self, took: float) -> None:
        self.distance.back.append(took)
        if self.distance.mails and not self.has_quit:
            self.distance.ended = _now()


async def _delay(
    source: asyncio.StreamReader,
    to: asyncio.StreamWriter,
    arrived: Callable[[bytes], None],
    left: Callable[[float], None],
) -> None:
    """Everything `ONE_WAY` seconds later. An end of either side ends both."""
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_PIECES)

    async def pass_on() -> None:
        while True:
            due, octets = await pieces.get()
            await _sleep_until(due)
            if not octets:
                to.close()
                return
            to.write(octets)
            left(_now() - due + ONE_WAY)
            await to.drain()

    async with asyncio.TaskGroup() as group:
        group.create_task(_until_lost(pass_on()))
        while octets := await _read(source):
            arrived(octets)
            await pieces.put((_now() + ONE_WAY, octets))
        await pieces.put((_now() + ONE_WAY, b""))


async def _sleep_until(due: float) -> None:
    # The loop's timers are late by up to a millisecond, which would count twice a round trip.
    if (left := due - _now() - 0.002) > 0:
        await asyncio.sleep(left)
    while _now() < due:  # noqa: ASYNC110 - the time itself
        await asyncio.sleep(0)


async def _read(source: asyncio.StreamReader) -> bytes:
    try:
        return await source.read(65_536)
    except ConnectionError:
        return b""


async def _until_lost(work: Awaitable[None]) -> None:
    try:
        await work
    except ConnectionError:
        return


def _now() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def far(server: Server) -> AsyncIterator[Distance]:
    """A far side behind its distance."""
    await asyncio.to_thread(server.start)
    try:
        distance = Distance(server.port)
        async with await distance.serve():
            yield distance
    finally:
        await asyncio.to_thread(server.stop)


async def by_merpati(distance: Distance, folder: Path, count: int, chunking: bool) -> None:
    """Our dispatcher with one connection."""
    clock = SystemClock()
    dialer = SocketDialer(Wire(clock))

    async def dial(host: Host, seconds: float) -> Stream:
        return await dialer.dial(Endpoint(host.ip, host.port), seconds)

    ignored = frozenset() if chunking else frozenset({"CHUNKING"})
    destination = Destination(
        f"smtp://127.0.0.1:{distance.port}",
        dial,
        PacingSettings(window=1.0, cap=1),
        ConversationSettings("bench.test", ignored=ignored),
    )
    async with opened(folder) as outward:
        await outward.put(count)
        async with outward.sending(destination):
            await outward.wait_empty()


async def by_postfix(distance: Distance, folder: Path, count: int, chunking: bool) -> None:
    """Postfix's client with one connection; it sends by DATA, since it knows no CHUNKING."""
    more = "smtp_destination_concurrency_limit = 1\ninitial_destination_concurrency = 1\n"
    postfix = Postfix(folder / "sender", Setup(distance.port), Certificate(folder / "tls"), more)
    await asyncio.to_thread(postfix.start)
    try:
        await asyncio.to_thread(_fill, postfix.port, count)
        while distance.mails < count:  # noqa: ASYNC110 - what another program sends
            await asyncio.sleep(0.1)
        await asyncio.sleep(4 * ROUND_TRIP)
    finally:
        await asyncio.to_thread(postfix.stop)


def _fill(port: int, count: int) -> None:
    command = ["smtp-source", "-s", "5", "-l", "10240", "-m", str(count), "-f", "load@a.test"]
    command += ["-t", "sink@b.test", "-d", f"inet:127.0.0.1:{port}"]
    subprocess.run(command, env={**os.environ, "PATH": PATH}, check=True, timeout=60)


async def measure(messages: int) -> None:
    print("| P5 sender | far side | messages a round trip | round trip | thinking | connections |")
    print("|---|---|---|---|---|---|")
    rows = [
        ("merpati", by_merpati, "our sink", True),
        ("merpati", by_merpati, "our sink", False),
        ("merpati", by_merpati, "postfix", True),
        ("merpati", by_merpati, "postfix", False),
        ("postfix", by_postfix, "our sink", False),
    ]
    for name, send, side, chunking in rows:
        with tempfile.TemporaryDirectory(prefix="merpati-wan-", dir="/var/tmp") as text:
            folder = Path(text)
            async with asyncio.timeout(LIMIT), AsyncExitStack() as stack:
                distance = await stack.enter_async_context(far(_server(side, folder, chunking)))
                await send(distance, folder, messages, chunking)
            words = "with CHUNKING" if chunking else "without CHUNKING"
            figures = f"{distance.a_round_trip:.2f} | {distance.round_trip * 1000:.1f} ms"
            figures += f" | {distance.thinking * 1000:.1f} ms"
            print(f"| {name} | {side}, {words} | {figures} | {distance.connections} |", flush=True)


def _server(side: str, folder: Path, chunking: bool) -> Server:
    if side == "our sink":
        return Discard(folder)
    more = "" if chunking else "smtpd_discard_ehlo_keywords = chunking\n"
    return Postfix(folder / "far", Setup(hold=True), Certificate(folder / "tls"), more)


def show(messages: int = 150) -> None:
    """Measure and print the table. Unable without Postfix."""
    tool("postfix")
    uvloop.run(measure(messages))


def main() -> None:
    """The table by itself."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=150)
    options = parser.parse_args()
    try:
        show(options.messages)
    except Unable as why:
        sys.exit(str(why))


if __name__ == "__main__":
    main()
