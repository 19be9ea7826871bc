"""How much work a message is: calls of our own functions, and system calls. Counted, not timed.

    python -m benchmarks.work [calls | system]    # print the figures
    python -m benchmarks.work --write             # and keep them in benchmarks/work.toml

A server with one worker takes 10 KB messages one after the other, each followed to its end, so that
every run does the same whatever else the machine does. `received` goes to a host that is down,
`relayed` to a sink. The figure is the difference between many messages and few: what starting and
idling cost falls out. Calls that wait or wake (epoll, futex) depend on the moment and are left out.
tests/performance/test_work.py fails when a figure grows by more than a tenth.
"""

import argparse
import re
import socket
import socketserver
import struct
import sys
import tempfile
import threading
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from merpati.testing.process import MerpatiProcess, free_port

SCENARIOS = ("received", "relayed")
KINDS = ("calls", "system")
KEPT = Path(__file__).with_name("work.toml")
TOLERANCE = 1.1
WARM_UP, FEW, MANY = 20, 20, 100
# Woken by time, by other threads or by the interpreter: not the same twice.
UNSTEADY = frozenset(
    (
        *("epoll_wait", "epoll_pwait", "futex", "sched_yield", "clock_nanosleep", "select", "poll"),
        *("restart_syscall", "wait4", "madvise", "mmap", "munmap", "mprotect", "brk"),
        "rt_sigreturn",
    )
)
CONTENT = b"From: a@a.test\r\nTo: b@b.test\r\nSubject: work\r\n\r\n" + (b"x" * 76 + b"\r\n") * 131
CONFIG = """\
hostname = "mx.example.org"
workers = 1
[[port]]
role = "mx"
listen = "127.0.0.1:{port}"
trusted = ["127.0.0.1/32"]
[[route]]
match = ["*"]
to = "smtp://127.0.0.1:{out}"
tls = "off"
"""


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of work.toml."""

    scenario: str
    kind: str
    value: float


class Session:
    """One SMTP session from outside, a command at a time."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 120)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._replies = self._socket.makefile("rb")
        self._answer()
        self._say(b"EHLO work.test\r\n")

    def send(self) -> None:
        """One message, each step answered before the next."""
        for octets in (
            b"MAIL FROM:<a@a.test>\r\n",
            b"RCPT TO:<b@b.test>\r\n",
            b"DATA\r\n",
            CONTENT + b".\r\n",
        ):
            self._say(octets)

    def close(self) -> None:
        """With QUIT."""
        self._say(b"QUIT\r\n")
        self._replies.close()
        self._socket.close()

    def _say(self, octets: bytes) -> None:
        self._socket.sendall(octets)
        self._answer()

    def _answer(self) -> None:
        while line := self._replies.readline():
            if line[3:4] != b"-":
                if line[:1] not in b"23":
                    raise RuntimeError(f"refused: {line!r}")
                return
        raise RuntimeError("the server hung up")


class Sink(socketserver.ThreadingTCPServer):
    """Takes everything; each group of commands is answered with one write."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.taken = threading.Semaphore(0)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])


class _Taking(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.wfile.write(b"220 sink\r\n")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"EHLO":
                self.wfile.write(b"250-sink\r\n250-8BITMIME\r\n250-CHUNKING\r\n250 PIPELINING\r\n")
            elif verb == b"BDAT":
                self.rfile.read(int(line.split()[1]))
                self.wfile.write(b"250 taken\r\n")
                self.server.taken.release()  # type: ignore[attr-defined]
            else:
                self.wfile.write(b"250 ok\r\n")


@contextmanager
def waiting_sink(relays: bool) -> Iterator[tuple[int, threading.Semaphore | None]]:
    """Where the server sends to: a sink, or a port that nobody listens on."""
    if not relays:
        yield free_port(), None
        return
    with Sink() as sink:
        try:
            yield sink.port, sink.taken
        finally:
            sink.shutdown()


class Counting(MerpatiProcess):
    """A server whose `serve` runs behind another command."""

    def __init__(self, folder: Path, port: int, out: int, prefix: list[str]) -> None:
        super().__init__(folder, CONFIG.format(port=port, out=out), [port])
        self._prefix = prefix

    def _command(self, *arguments: str) -> list[str]:
        plain = super()._command(*arguments)
        if arguments != ("serve",):
            return plain
        at = plain.index("-m")
        return [*self._prefix, *plain[at + 2 :]]


class Scenario:
    """A running server, and messages that are followed to their end."""

    def __init__(self, folder: Path, relays: bool, prefix: list[str]) -> None:
        self._folder, self._relays, self._prefix = folder, relays, prefix

    @contextmanager
    def running(self) -> Iterator["Scenario"]:
        port = free_port()
        with waiting_sink(self._relays) as (out, self._taken):
            self.server = Counting(self._folder, port, out, self._prefix)
            self.server.start()
            self._session = Session(port)
            try:
                yield self
            finally:
                self._session.close()
                self.server.stop()

    def send(self, count: int) -> None:
        """So many messages, one after the other."""
        for _ in range(count):
            self._session.send()
            if self._taken and not self._taken.acquire(timeout=120):
                raise TimeoutError("the sink did not get the message")
            # The verdict is written within milliseconds; then the next one meets an idle server.
            time.sleep(0.012)


def calls(relays: bool) -> float:
    """Calls of our functions a message."""
    with tempfile.TemporaryDirectory(prefix="merpati-work-") as name:
        file = Path(name, "calls")
        file.write_bytes(bytes(8))
        prefix = [sys.executable, "-m", "benchmarks.counted", str(file)]
        with Scenario(Path(name, "server"), relays, prefix).running() as scenario:
            scenario.send(WARM_UP)
            before = struct.unpack("Q", file.read_bytes())[0]
            scenario.send(MANY)
            after = struct.unpack("Q", file.read_bytes())[0]
    return float(after - before) / MANY


def system_calls(relays: bool) -> Counter[str]:
    """System calls, by name, of MANY messages."""
    few, many = traced(relays, FEW), traced(relays, FEW + MANY)
    return Counter({name: many[name] - few[name] for name in many if name not in UNSTEADY})


def traced(relays: bool, count: int) -> Counter[str]:
    """System calls of a server's whole life with so many messages (strace -f -c)."""
    with tempfile.TemporaryDirectory(prefix="merpati-work-") as name:
        summary = Path(name, "summary")
        # -D: the server is our child and gets our signals, the tracer stands aside.
        strace = ["strace", "-D", "-f", "-qq", "-c", "-U", "name,calls", "-o", str(summary)]
        prefix = [*strace, sys.executable, "-m", "merpati.cli.main"]
        with Scenario(Path(name, "server"), relays, prefix).running() as scenario:
            scenario.send(count)
        found = re.findall(r"^(\w+) +(\d+)$", written(summary), re.MULTILINE)
    return Counter({name: int(number) for name, number in found if name != "total"})


def written(summary: Path) -> str:
    """What the tracer writes when the server has ended."""
    end = time.monotonic() + 120
    while "total" not in (text := summary.read_text() if summary.exists() else ""):
        if time.monotonic() > end:
            raise TimeoutError("strace wrote no summary")
        time.sleep(0.02)
    return text


def measure(scenarios: Sequence[str], kinds: Sequence[str]) -> list[Figure]:
    """The figures that were asked for."""
    figures = []
    for scenario in scenarios:
        relays = scenario == "relayed"
        if "calls" in kinds:
            figures.append(Figure(scenario, "calls", round(calls(relays), 1)))
        if "system" in kinds:
            by_name = system_calls(relays)
            print(f"# {scenario}: {shown(by_name)}", file=sys.stderr)
            figures.append(Figure(scenario, "system", round(by_name.total() / MANY, 1)))
    return figures


def shown(by_name: Counter[str]) -> str:
    """The frequent ones, a message."""
    return ", ".join(f"{name} {n / MANY:.1f}" for name, n in by_name.most_common(8))


def kept() -> dict[tuple[str, str], float]:
    """The figures of the repository."""
    tables = tomllib.loads(KEPT.read_text("utf-8"))
    return {(scenario, kind): n for scenario, row in tables.items() for kind, n in row.items()}


def write(figures: Sequence[Figure]) -> None:
    """Keep them; what was not measured now stays."""
    table = (kept() if KEPT.exists() else {}) | {(f.scenario, f.kind): f.value for f in figures}
    lines = [
        "# Work a message: written by `python -m benchmarks.work --write`, which says what it is."
    ]
    for scenario in SCENARIOS:
        lines += [f"[{scenario}]", *(f"{k} = {n}" for (s, k), n in table.items() if s == scenario)]
    KEPT.write_text("\n".join(lines) + "\n", "utf-8")


def main() -> None:
    """Print the figures, and keep them if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kinds", nargs="*", help="calls, system; both without")
    parser.add_argument("--write", action="store_true", help="keep them in benchmarks/work.toml")
    options = parser.parse_args()
    figures = measure(SCENARIOS, options.kinds or KINDS)
    for figure in figures:
        print(f"{figure.scenario} {figure.kind} {figure.value}")
    if options.write:
        write(figures)


if __name__ == "__main__":
    main()
