"""`python -m benchmarks.idle`: P10, what each server takes while nothing happens.

Memory is the proportional set size of all its processes: shared pages count once. Beside it how
long a start takes until the port answers, and for Merpati how long `merpati --help` takes.
"""

import contextlib
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection
from pathlib import Path

from benchmarks.cases import FIELD, RELAYS
from benchmarks.load import family
from benchmarks.peers import Peer
from benchmarks.servers import Certificate, Setup, Unable

SETTLE = 2.0


def memory(root: int, keeper: bool) -> tuple[float, int]:
    """MiB (PSS) and processes of a tree; a keeper is ours, not the server's."""
    shares = []
    for pid in family(root):
        with contextlib.suppress(OSError):  # it ended meanwhile
            text = "" if keeper and pid == root else Path(f"/proc/{pid}/smaps_rollup").read_text()
            shares += [int(kib) for kib in re.findall(r"^Pss: +(\d+)", text, re.MULTILINE)]
    return sum(shares) / 1024, len(shares)


def idle(name: str, folder: Path, certificate: Certificate) -> str:
    """One row."""
    server = FIELD[name](folder / name, Setup(hold=True), certificate)
    began = time.monotonic()
    try:
        server.start()
    except Unable as why:
        return f"| {name} | not measured: {why} | | |"
    try:
        seconds = time.monotonic() - began
        time.sleep(SETTLE)
        mib, processes = memory(server.pid, isinstance(server, Peer))
    finally:
        server.stop()
    return f"| {name} | {mib:.0f} | {processes} | {seconds:.2f} |"


def help_milliseconds(times: int = 7) -> float:
    """The median of starts of `merpati --help`."""
    spent = []
    for _ in range(times):
        began = time.monotonic()
        command = [sys.executable, "-m", "merpati.cli.main", "--help"]
        subprocess.run(command, check=True, capture_output=True)
        spent.append((time.monotonic() - began) * 1e3)
    return statistics.median(spent)


def table(servers: Collection[str] = RELAYS) -> str:
    """Servers of the field that relay."""
    lines = ["| P10 idle | PSS MiB | processes | answers after s |", "|---|---|---|---|"]
    base = Path(os.environ.get("MERPATI_BENCH_DIR", "/var/tmp"))
    with tempfile.TemporaryDirectory(prefix="merpati-bench-", dir=base) as name:
        folder = Path(name)
        folder.chmod(0o755)
        certificate = Certificate(folder)
        lines += [idle(one, folder, certificate) for one in RELAYS if one in servers]
    return "\n".join([*lines, "", f"`merpati --help`: {help_milliseconds():.0f} ms"])


if __name__ == "__main__":
    print(table())
