"""`python -m benchmarks.flood [CASE...]`: floods of a server of our own, a healthy client beside.

Loopback only, bounded in number and time. Peers come from many addresses of 127.0.0.0/8, so that
the limits of one address do not hide what a crowd does. The healthy client is a process of its own:
it measures the server, not the flood. Each case prints one row; `idle` and `tls` are P7.
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import ssl
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

import uvloop

from benchmarks.load import cpu_of_tree
from merpati.testing.process import MerpatiProcess, free_port

T = TypeVar("T")

HEALTHY = "127.0.0.2"
"""Where the healthy client comes from."""
SPARE = 200
"""Descriptors that are left for everything but the connections of a flood."""
ALL_SLOTS = 12_000
CONFIG = """\
hostname = "mx.example.org"
data = "var"
[[port]]
role = "mx"
listen = "127.0.0.1:{port}"
trusted = ["{healthy}/32", "127.2.0.0/16"]
connections = {slots}
[limits]
connections_per_address = 100
connections_per_minute = 100000
[[route]]
match = ["*"]
to = "smtp://127.0.0.1:{dead}"
"""
MESSAGE = b"Subject: healthy\r\n\r\n" + b"x" * 76 + b"\r\n.\r\n"
# A bare LF at its end: all of it is received and put away, and none of it is kept.
MEGABYTE = (b"x" * 76 + b"\r\n") * (1024 * 1024 // 78) + b"\n\r\n"


@dataclass(frozen=True, slots=True)
class Waits:
    """How long a healthy client waited for its greeting and for its whole message, in seconds."""

    greetings: list[float] = field(default_factory=list)
    messages: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        refused = f", {len(self.refused)} refused" if self.refused else ""
        if not self.messages:
            return f"no message went through{refused}"
        return (
            f"220 in {_ms(self.greetings, 50)} / {_ms(self.greetings, 99)} ms, a message in "
            f"{_ms(self.messages, 50)} / {_ms(self.messages, 99)} ms "
            f"({len(self.messages)}{refused})"
        )


def _ms(seconds: Sequence[float], percent: int) -> str:
    ordered = sorted(seconds)
    return f"{ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] * 1000:.0f}"


class Peer:
    """One connection of a flood."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def dial(cls, port: int, number: int, net: int = 1) -> "Peer":
        """From an address that it shares with a few dozen others; those of net 2 may relay."""
        source = f"127.{net}.{number // 50 // 250 % 250}.{number // 50 % 250 + 1}"
        return cls(
            *await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0), limit=65536)
        )

    async def reply(self) -> bytes:
        """A whole reply; empty at the end."""
        while (line := await self.reader.readline())[3:4] == b"-":
            pass
        return line

    async def say(self, octets: bytes) -> bytes:
        """The reply to a command."""
        self.write(octets + b"\r\n")
        return await self.reply()

    def write(self, octets: bytes) -> None:
        """Without waiting; nothing to who has hung up."""
        if not self.writer.is_closing():
            self.writer.write(octets)

    def drop(self) -> None:
        """Hang up without a word."""
        self.writer.transport.abort()


async def healthy(port: int, seconds: float) -> Waits:
    """A client that behaves, in a process of its own, for so long."""
    command = [sys.executable, "-m", "benchmarks.flood", "--healthy", str(port)]
    process = await asyncio.create_subprocess_exec(
        *command, "--seconds", str(seconds), stdout=asyncio.subprocess.PIPE
    )
    told, _ = await process.communicate()
    return Waits(**json.loads(told))


async def behave(port: int, seconds: float) -> Waits:
    """One message after the other, on new connections."""
    waits, end = Waits(), time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        try:
            streams = await asyncio.open_connection("127.0.0.1", port, local_addr=(HEALTHY, 0))
            await _one_message(Peer(*streams), waits, began)
        except OSError as error:
            waits.refused.append(str(error))
        await asyncio.sleep(0.02)
    return waits


async def _one_message(peer: Peer, waits: Waits, began: float) -> None:
    if not (greeting := await peer.reply()).startswith(b"220"):
        waits.refused.append(greeting.decode())
        return
    waits.greetings.append(time.monotonic() - began)
    for line in (b"EHLO h", b"MAIL FROM:<a@b.test>", b"RCPT TO:<c@d.test>", b"DATA"):
        await peer.say(line)
    if (await peer.say(MESSAGE.removesuffix(b"\r\n"))).startswith(b"250"):
        waits.messages.append(time.monotonic() - began)
    peer.drop()


@dataclass(slots=True)
class Told:
    """What the peers of a flood were told, by the first words of it."""

    replies: Counter[str] = field(default_factory=Counter)

    def take(self, reply: bytes) -> None:
        """Count; nothing means that it was closed without a word."""
        words = reply.decode("ascii", "replace").split(" ")
        self.replies[words[0] if words[0] else "closed"] += 1

    def __str__(self) -> str:
        return ", ".join(f"{count} x {word}" for word, count in self.replies.most_common(6)) or "-"


async def dial_all(port: int, count: int, told: Told, net: int = 1) -> list[Peer]:
    """Connect, a hundred at a time, and take the greetings; those that were let in."""
    peers: list[Peer] = []
    at_a_time = asyncio.Semaphore(100)

    async def one(number: int) -> None:
        async with at_a_time:
            try:
                peer = await Peer.dial(port, number, net)
                greeting = await peer.reply()
            except OSError:
                greeting = b""
            told.take(greeting)
            if greeting.startswith(b"220"):
                peers.append(peer)

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(one(number))
    return peers


def memory(root: int) -> int:
    """Resident octets of a process and its descendants, what is shared counted once."""
    return sum(_pss(pid) for pid in _family(root)) * 1024


def _pss(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def _family(root: int) -> list[int]:
    found = [root]
    for pid in found:
        with contextlib.suppress(OSError):
            found += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return found


async def warmed_up(server: "Flooded") -> int:
    """What the server takes when it has served before: the flood alone is counted on top."""
    _drop(await dial_all(server.port, 200, Told()))
    await healthy(server.port, 1)
    return memory(server.pid)


async def slowloris(server: "Flooded", count: int, seconds: float) -> str:
    """Peers that drip an octet of a command, or of content, a second."""
    told = Told()
    peers = await dial_all(server.port, count, told)

    async def drip(number: int, peer: Peer) -> None:
        with contextlib.suppress(OSError):
            if number % 2:
                for line in (b"EHLO x", b"MAIL FROM:<a@b.test>", b"RCPT TO:<c@d.test>", b"DATA"):
                    await peer.say(line)
            while True:
                peer.write(b"x")
                await asyncio.sleep(1)

    async with asyncio.TaskGroup() as group:
        dripping = [group.create_task(drip(n, peer)) for n, peer in enumerate(peers)]
        waits = await healthy(server.port, seconds)
        for task in dripping:
            task.cancel()
    cut = sum(peer.reader.at_eof() or peer.writer.is_closing() for peer in peers)
    _drop(peers)
    return f"{count} drippers ({told}), {cut} cut off; healthy: {waits}"


async def connects(server: "Flooded", count: int, seconds: float) -> str:
    """Peers that connect and hang up, as fast as they can."""
    told, number = Told(), 0

    async def hammer() -> None:
        nonlocal number
        while time.monotonic() < end:
            number += 1
            try:
                peer = await Peer.dial(server.port, number % 20_000)
                told.take(await peer.reply())
                peer.drop()
            except OSError:
                told.take(b"")

    end = time.monotonic() + seconds
    async with asyncio.TaskGroup() as group:
        for _ in range(min(count, 200)):
            group.create_task(hammer())
        waits = await healthy(server.port, seconds)
    return f"{number / seconds:.0f} connects a second ({told}); healthy: {waits}"


async def junk(server: "Flooded", count: int, seconds: float) -> str:
    """Peers that say what is no command, without waiting for what is said to it."""
    told = Told()

    async def babble(number: int) -> None:
        while time.monotonic() < end:
            number += 1
            with contextlib.suppress(OSError):
                peer = await Peer.dial(server.port, number)
                last = await peer.reply()
                peer.write(b"EHLO x\r\n")
                await peer.reply()
                peer.write(b"BLAH blah\r\n" * 50)
                while line := await peer.reply():
                    last = line
                told.take(last)
                peer.drop()

    end = time.monotonic() + seconds
    async with asyncio.TaskGroup() as group:
        for number in range(min(count, 100)):
            group.create_task(babble(number * 100))
        waits = await healthy(server.port, seconds)
    return (
        f"{told.replies.total() / seconds:.0f} babblers a second (last: {told}); healthy: {waits}"
    )


async def idle(server: "Flooded", count: int, seconds: float) -> str:
    """Peers that say hello and nothing more."""
    told = Told()
    async with asyncio.timeout(120):
        before = await warmed_up(server)
        peers = await dial_all(server.port, count, told)
        for peer in peers:
            await peer.say(b"EHLO x")
        each = (memory(server.pid) - before) / max(1, len(peers))
        waits = await healthy(server.port, seconds)
    _drop(peers)
    return f"{len(peers)} idle: {each / 1024:.1f} KiB each ({told}); healthy: {waits}"


async def tls(server: "Flooded", count: int, seconds: float) -> str:
    """The same under TLS, behind a message of one megabyte each."""
    told = Told()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    async def crowd(number: int, told: Told) -> list[Peer]:
        peers, at_a_time = await dial_all(server.port, number, told, net=2), asyncio.Semaphore(20)
        async with asyncio.TaskGroup() as group:
            for peer in peers:
                group.create_task(_megabyte(peer, context, at_a_time, told))
        return peers

    _drop(await crowd(100, Told()))
    before = await warmed_up(server)
    peers = await crowd(count, told)
    each = (memory(server.pid) - before) / max(1, len(peers))
    waits = await healthy(server.port, seconds)
    _drop(peers)
    return f"{len(peers)} under TLS: {each / 1024:.1f} KiB each ({told}); healthy: {waits}"


async def _megabyte(
    peer: Peer, context: ssl.SSLContext, at_a_time: asyncio.Semaphore, told: Told
) -> None:
    async with at_a_time:
        await peer.say(b"EHLO x")
        await peer.say(b"STARTTLS")
        await peer.writer.start_tls(context)
        for line in (b"EHLO x", b"MAIL FROM:<a@b.test>", b"RCPT TO:<c@d.test>", b"DATA"):
            await peer.say(line)
        peer.write(MEGABYTE)
        await peer.writer.drain()
        told.take(await peer.say(b"."))


def _drop(peers: Sequence[Peer]) -> None:
    for peer in peers:
        peer.drop()


Flood = Callable[["Flooded", int, float], Coroutine[None, None, str]]


@dataclass(frozen=True, slots=True)
class Case:
    """One row: a flood, how many take part in it, and how many connections the port takes."""

    run: Flood
    count: int
    slots: int = ALL_SLOTS


CASES = {
    "slowloris": Case(slowloris, 500),
    "crowded": Case(slowloris, 500, slots=600),
    "connects": Case(connects, 200),
    "junk": Case(junk, 100),
    "idle": Case(idle, 10_000),
    "tls": Case(tls, 1000),
}


class Flooded:
    """A server of ours with so many slots."""

    def __init__(self, folder: Path, slots: int) -> None:
        self.port = free_port()
        text = CONFIG.format(port=self.port, healthy=HEALTHY, slots=slots, dead=free_port())
        self._process = MerpatiProcess(folder, text, [self.port])
        self._folder = folder

    @property
    def pid(self) -> int:
        """Of the process that was started."""
        return self._process.pid

    def __enter__(self) -> "Flooded":
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()

    def limits(self) -> str:
        """What `merpati status` says of the limits that were hit."""
        limits = self._process.ask_json("status").get("limits", {})
        return ", ".join(f"{count} x {name}" for name, count in limits.items()) or "-"

    def journal(self) -> float:
        """MiB of the files of queue and journal."""
        files = (self._folder / "var").glob("*.db*")
        return sum(file.stat().st_size for file in files) / 1024**2


def run(work: Coroutine[None, None, T]) -> T:
    """On the fast loop: the flood must not be what is slow."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def measure(name: str, count: int | None, seconds: float, folder: Path) -> str:
    """One case on a fresh server."""
    case = CASES[name]
    number = case.count if count is None else count
    with Flooded(folder / name, case.slots) as server:
        before, cpu = server.journal(), cpu_of_tree(server.pid)
        told = run(case.run(server, number, seconds))
        cpu = cpu_of_tree(server.pid) - cpu
        return (
            f"| {name} | {told} | {server.limits()} | {cpu:.1f} s "
            f"| {server.journal() - before:.1f} MiB |"
        )


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--count", type=int, help="how many take part")
    parser.add_argument("--seconds", type=float, default=5.0, help="of the healthy client, a case")
    parser.add_argument("--healthy", type=int, metavar="PORT", help="only behave, print JSON")
    options = parser.parse_args()
    if options.healthy:
        print(json.dumps(asdict(run(behave(options.healthy, options.seconds)))))
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(options.count or CASES[name].count for name in options.cases or CASES) + SPARE
    if hard < wanted:
        sys.exit(f"this needs {wanted} open files; ulimit -Hn says {hard}: use a smaller --count")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    print(
        "| flood | what the peers and the healthy client saw | limits hit | server CPU | journal |"
    )
    print("|---|---|---|---|---|")
    base = Path(os.environ.get("MERPATI_BENCH_DIR", "/var/tmp"))
    with tempfile.TemporaryDirectory(prefix="merpati-flood-", dir=base) as folder:
        for name in options.cases or CASES:
            print(measure(name, options.count, options.seconds, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
