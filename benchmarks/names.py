"""`python -m benchmarks.names [DEAD]`: mail for 10,000 domains that no name server answers for, and
for healthy ones beside it.

One server asks a name server of ours that never answers for the dead. Healthy domains are each new
to it (their names are asked for the first time), or were written to before. How long their mail
takes from acceptance to delivery is said for an idle server, while the dead are asked for the first
time, and while all of them are tried again.
"""

import json
import smtplib
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import cpu_of_tree
from benchmarks.servers import Background, Certificate, OwnSink
from merpati.testing.process import MerpatiProcess, free_port

EACH = 100
"""Healthy domains of either kind in each row."""
PAUSE = 0.05
AGAIN = 30
"""Seconds until the dead are tried again."""
CONFIG = """\
hostname = "mx.a.test"
data = "var"
workers = 1
[[port]]
role = "mx"
listen = "127.0.0.1:{port}"
trusted = ["127.0.0.1/32"]
[limits]
connections_per_minute = 0
[delivery]
mx_port = {sink}
[dns]
servers = ["127.0.0.1:{dns}"]
[queue]
retry = ["{again}s"]
"""


@dataclass(frozen=True, slots=True)
class Row:
    """Healthy mail at one time of the day: seconds from acceptance to delivery, in order."""

    what: str
    new: tuple[float, ...]
    known: tuple[float, ...]

    def __str__(self) -> str:
        return f"{self.what:<28} new: {_told(self.new)}   known: {_told(self.known)}"


def _told(delays: Sequence[float]) -> str:
    if not delays:
        return "-"
    at = [delays[min(len(delays) - 1, len(delays) * p // 100)] * 1000 for p in (50, 99, 100)]
    return f"{at[0]:6.0f} / {at[1]:6.0f} / {at[2]:6.0f} ms"


class Sender(MerpatiProcess):
    """Relays for this machine."""

    def __init__(self, folder: Path, sink: int, dns: int) -> None:
        self.port = free_port()
        text = CONFIG.format(port=self.port, sink=sink, dns=dns, again=AGAIN)
        super().__init__(folder, text, [self.port])
        self._fresh = self._domains()

    def _domains(self) -> Iterator[str]:
        yield from (f"d{a}-{b}.test" for a in range(4) for b in range(1, 251))

    def fresh(self, count: int) -> list[str]:
        """Healthy domains that nobody has written to."""
        return [next(self._fresh) for _ in range(count)]

    def burst(self, count: int) -> None:
        """One recipient at each of so many dead domains, as fast as they are taken."""
        with smtplib.SMTP("127.0.0.1", self.port, timeout=60) as client:
            for start in range(0, count, 1000):
                to = [f"x@d{n}.dead.test" for n in range(start, min(count, start + 1000))]
                client.sendmail("ann@a.test", to, "Subject: x\r\n\r\nx\r\n")

    def healthy(self, what: str, known: Sequence[str]) -> Row:
        """A message each to new domains and to these, in turn."""
        new = self.fresh(EACH)
        with smtplib.SMTP("127.0.0.1", self.port, timeout=60) as client:
            for pair in zip(new, known, strict=True):
                for domain in pair:
                    client.sendmail("ann@a.test", [f"x@{domain}"], f"Subject: {what}\r\n\r\nx\r\n")
                time.sleep(PAUSE)
        return Row(what, self._delays(what, new), self._delays(what, known))

    def _delays(self, what: str, domains: Sequence[str]) -> tuple[float, ...]:
        end, wanted = time.monotonic() + 60, {f"x@{domain}" for domain in domains}
        while len(found := self._delivered(what, wanted)) < len(wanted):
            if time.monotonic() > end:
                raise TimeoutError(f"{len(found)} of {len(wanted)} were delivered")
            time.sleep(0.2)
        return tuple(sorted(found))

    def _delivered(self, what: str, wanted: set[str]) -> list[float]:
        messages, delays = set[str](), list[float]()
        for line in self.log.read_text("utf-8").splitlines():
            if f'"subject":"{what}"' in line:
                messages.add(json.loads(line)["message"])
            elif line.startswith('{"kind":"delivered"'):
                event = json.loads(line)
                if event["message"] in messages and event["address"] in wanted:
                    delays.append(event["delay"])
        return delays

    def deferred(self) -> int:
        """How often a recipient was put off."""
        return self.log.read_text("utf-8").count('{"kind":"deferred"')


def rows(folder: Path, dead: int) -> Iterator[Row]:
    """Idle, then beside a burst, then beside all that is tried again."""
    sink = OwnSink(folder / "sink", Certificate(folder / "certificate"), many=True)
    port = free_port()
    zone = Background(
        [sys.executable, "-m", "benchmarks.zone", str(port), "--silent"], folder / "zone.log"
    )
    server = Sender(folder / "server", sink.port, port)
    try:
        with server:
            known = server.fresh(EACH)
            server.healthy("warm", known)
            yield server.healthy("idle", known)
            cpu = cpu_of_tree(server.pid)
            server.burst(dead)
            yield server.healthy(f"{dead} dead names", known)
            yield from again(server, dead, known)
            print(f"CPU of the server since the burst: {cpu_of_tree(server.pid) - cpu:.1f} s")
    finally:
        zone.stop()
        sink.stop()


def again(server: Sender, dead: int, known: Sequence[str]) -> Iterator[Row]:
    """When all of them have failed once, and half of them come again."""
    end = time.monotonic() + 120
    while server.deferred() < dead + dead // 10:
        if time.monotonic() > end:
            raise TimeoutError(f"{server.deferred()} were put off")
        time.sleep(0.5)
    yield server.healthy(f"{dead} tried again", known)


def main() -> None:
    """Print each row: median, 99th of a hundred, and the longest."""
    dead = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory(prefix="names", dir="/var/tmp") as folder:
        for row in rows(Path(folder), dead):
            print(row, flush=True)


if __name__ == "__main__":
    main()
