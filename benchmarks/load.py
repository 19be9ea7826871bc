"""Load on a server, by smtp-source or by our own generator, and the CPU that it cost."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

TICK = os.sysconf("SC_CLK_TCK")
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
RUN_LIMIT = 60.0


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent. Without a `style` smtp-source sends it: cheap, and knows no extension."""

    size: int = 10_240
    sessions: int = 20
    fresh: bool = False
    """A connection for each message."""
    style: str = ""
    """How our own generator groups: steps, pipelined, bdat."""
    recipients: int = 1
    tls: str = "none"
    login: str = ""
    rate: float = 0.0
    domains: int = 1
    most: int = 40_000
    """Messages in one run."""

    def command(self, port: int, count: int) -> list[str]:
        """The process that sends so many messages to 127.0.0.1:port."""
        return self._own(port, count) if self.style else self._source(port, count)

    def _source(self, port: int, count: int) -> list[str]:
        sessions = min(self.sessions, count)
        return [
            *("smtp-source", "-C", "20", "-s", str(sessions), "-l", str(self.size)),
            *("-m", str(count), "-f", "load@a.test", "-t", "sink@b.test"),
            *([] if self.fresh else ["-d"]),
            f"inet:127.0.0.1:{port}",
        ]

    def _own(self, port: int, count: int) -> list[str]:
        return [
            *(sys.executable, "-m", "benchmarks.generator", str(port), "--count", str(count)),
            *("--size", str(self.size), "--sessions", str(self.sessions), "--style", self.style),
            *("--recipients", str(self.recipients), "--tls", self.tls, "--login", self.login),
            *("--rate", str(self.rate), "--domains", str(self.domains)),
            *(["--fresh"] if self.fresh else []),
        ]


@dataclass(frozen=True, slots=True)
class Run:
    """One run measured. CPU is user and system seconds, the rest of times milliseconds."""

    count: int
    seconds: float
    server_cpu: float
    generator_cpu: float
    p50: float | None = None
    """From the last octet of a message to its 250; smtp-source does not say."""
    p99: float | None = None
    late: float | None = None
    """With a rate: how far the server made messages begin behind their time (p99)."""

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.count / self.seconds

    @property
    def ratio(self) -> float:
        """Server CPU over generator CPU: what stays when the machine's speed drifts."""
        return self.server_cpu / self.generator_cpu

    @property
    def cost(self) -> float:
        """Server CPU a message in microseconds."""
        return self.server_cpu / self.count * 1e6


def family(root: int) -> dict[int, list[str]]:
    """A process and its living descendants: the fields of /proc/PID/stat behind the name."""
    stats = dict(_stats())
    members, grown = {root}, True
    while grown:
        children = {pid for pid, fields in stats.items() if int(fields[1]) in members} - members
        members |= children
        grown = bool(children)
    return {pid: stats[pid] for pid in members if pid in stats}


def cpu_of_tree(root: int) -> float:
    """User and system seconds of a process, its living descendants, and the dead it waited for."""
    return sum(sum(map(int, fields[11:15])) for fields in family(root).values()) / TICK


def _stats() -> list[tuple[int, list[str]]]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text()
            except OSError:
                continue  # it ended meanwhile
            found.append((int(entry.name), text.rsplit(")", 1)[1].split()))
    return found


class Target(Protocol):
    """What load is sent to."""

    port: int

    def cpu(self) -> float: ...


def drive(load: Load, count: int, server: Target, finished: Callable[[], bool]) -> Run:
    """Send so many messages; the run ends when `finished` says so after the last 250."""
    before = server.cpu()
    start = time.monotonic()
    source = subprocess.Popen(
        load.command(server.port, count), env={**os.environ, "PATH": PATH}, stdout=subprocess.PIPE
    )
    timer = threading.Timer(RUN_LIMIT, source.kill)
    timer.start()
    assert source.stdout is not None
    with source.stdout as stdout:
        said = stdout.read()
    _, status, usage = os.wait4(source.pid, 0)
    timer.cancel()
    source.returncode = os.waitstatus_to_exitcode(status)
    if source.returncode != 0:
        raise RuntimeError(f"the generator ended with {source.returncode}")
    # Python's own start and end are not load: our generator says when it began and was done.
    told = json.loads(said) if load.style else None
    ended = told["ended"] if told else time.monotonic()
    while not finished():
        if time.monotonic() - start > RUN_LIMIT:
            raise TimeoutError(f"not finished after {RUN_LIMIT} s")
        time.sleep(0.01)
        ended = time.monotonic()
    spent = server.cpu() - before
    if told is None:
        return Run(count, ended - start, spent, usage.ru_utime + usage.ru_stime)
    seconds = ended - told["began"]
    return Run(count, seconds, spent, told["cpu"], told["p50"], told["p99"], told["late"])
