"""`python -m benchmarks.footprint`: octets of an idle connection, a known site, a queued message.

Memory is what a running server's resident set grows by, over many of a kind; disk is what its files
grow by. A known site is one that mail was delivered to and whose connection has gone: its pace, its
lessons, its addresses.
"""

import asyncio
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import Load, drive
from benchmarks.million import Side, fill, put_off
from benchmarks.servers import Certificate, Merpati, OwnSink, Setup, end_in_order

CONNECTIONS = 1_000
WAITING = 20_000
DOMAINS = 1_000
PAGE = os.sysconf("SC_PAGE_SIZE")
REST = 8.0
"""Seconds until what is idle has been let go of."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """Octets of one of a kind."""

    what: str
    octets: float


def resident(pid: int) -> int:
    """Octets in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def connections(folder: Path, certificate: Certificate) -> Iterator[Footprint]:
    """Plain ones that have said EHLO."""
    server = Merpati(folder, Setup(hold=True), certificate, 1)
    server.start()
    try:
        greet(server.port, 50)
        before = resident(server.pid)
        open_ones = greet(server.port, CONNECTIONS)
        yield Footprint("an idle connection", (resident(server.pid) - before) / CONNECTIONS)
        for one in open_ones:
            one.close()
    finally:
        server.stop()


def greet(port: int, count: int) -> list[socket.socket]:
    """Connections that wait for their client's next command."""
    clients = []
    for _ in range(count):
        client = socket.create_connection(("127.0.0.1", port), 10)
        client.recv(1024)
        client.sendall(b"EHLO idle.test\r\n")
        client.recv(1024)
        clients.append(client)
    return clients


def sites(folder: Path, certificate: Certificate) -> Iterator[Footprint]:
    """Sites by the hundred, each with a host of its own."""
    sink = OwnSink(folder / "sink", None, many=True)
    server = Merpati(folder / "server", Setup(out=sink.port, many=True), certificate, 1)
    try:
        server.start()
        deliver(server, sink, DOMAINS // 4)
        before = resident(server.pid)
        deliver(server, sink, DOMAINS)
        grown = resident(server.pid) - before
        yield Footprint("a known site", grown / (DOMAINS - DOMAINS // 4))
    finally:
        server.stop()
        sink.stop()


def deliver(server: Merpati, sink: OwnSink, domains: int) -> None:
    """A message to each, and wait until its connection is gone."""
    target = sink.count() + domains
    load = Load(style="pipelined", size=1_000, domains=domains)
    drive(load, domains, server, lambda: sink.count() >= target)
    time.sleep(REST)


def queued(folder: Path) -> Iterator[Footprint]:
    """Messages of 0.5 KB that wait, each for another one's domain."""
    side = Side(folder, folder / "queued", zone=1)
    side.places.data.mkdir(parents=True, mode=0o700)
    side.start()
    before = resident(side.server.pid)
    side.server.stop()
    held = disk(side)
    side.places.queue().unlink()
    asyncio.run(fill(side.places.queue(), 0, WAITING, WAITING // 10))
    put_off(side.places.queue())
    yield Footprint("a queued message of 0.5 KB, on disk", (disk(side) - held) / WAITING)
    side.start()
    try:
        grown = resident(side.server.pid) - before
        yield Footprint("a queued message, in memory", max(grown, 0) / WAITING)
    finally:
        side.stop()


def disk(side: Side) -> int:
    """Octets of the queue's files."""
    return sum(one.stat().st_size for one in side.places.data.glob("queue-0.db*"))


def main() -> None:
    """Print them."""
    end_in_order()
    base = Path(os.environ.get("MERPATI_BENCH_DIR", "/var/tmp"))
    with tempfile.TemporaryDirectory(prefix="merpati-footprint-", dir=base) as name:
        folder = Path(name)
        certificate = Certificate(folder)
        print("| one | octets |\n|---|---|")
        for found in (
            *connections(folder / "connections", certificate),
            *sites(folder / "sites", certificate),
            *queued(folder),
        ):
            print(f"| {found.what} | {found.octets:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
