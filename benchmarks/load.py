"""Load from Postfix's smtp-source, and the CPU that server and generator spent on it."""

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
RUN_LIMIT = 180.0


@dataclass(frozen=True, slots=True)
class Load:
    """What smtp-source sends."""

    count: int
    size: int = 10_240
    sessions: int = 20
    reuse: bool = True


@dataclass(frozen=True, slots=True)
class Run:
    """One run measured. CPU is user and system seconds."""

    count: int
    seconds: float
    server_cpu: float
    generator_cpu: float

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


def cpu_of_tree(root: int) -> float:
    """User and system seconds of a process, its living descendants, and the dead it waited for."""
    stats = dict(_stats())
    family, grown = {root}, True
    while grown:
        children = {pid for pid, fields in stats.items() if int(fields[1]) in family} - family
        family |= children
        grown = bool(children)
    return sum(sum(map(int, stats[pid][11:15])) for pid in family if pid in stats) / TICK


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


def drive(load: Load, port: int, server: int, finished: Callable[[], bool]) -> Run:
    """Send it all to 127.0.0.1:port; the run ends when `finished` says so after the last 250."""
    before = cpu_of_tree(server)
    start = time.monotonic()
    command = [
        *("smtp-source", "-C", "20", "-s", str(load.sessions), "-l", str(load.size)),
        *("-m", str(load.count), "-f", "load@a.test", "-t", "sink@b.test"),
        *(["-d"] if load.reuse else []),
        f"inet:127.0.0.1:{port}",
    ]
    source = subprocess.Popen(command, env={**os.environ, "PATH": PATH})
    _, status, usage = os.wait4(source.pid, 0)
    source.returncode = os.waitstatus_to_exitcode(status)
    if source.returncode != 0:
        raise RuntimeError(f"smtp-source ended with {source.returncode}")
    while not finished():
        if time.monotonic() - start > RUN_LIMIT:
            raise TimeoutError(f"not finished after {RUN_LIMIT} s")
        time.sleep(0.01)
    seconds = time.monotonic() - start
    return Run(load.count, seconds, cpu_of_tree(server) - before, usage.ru_utime + usage.ru_stime)
