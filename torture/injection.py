"""strace, attached to the server or around it: lets calls fail, and sees what became of it."""

import re
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from torture.fault import KINDS, Case
from torture.torment import lacking

_SYNCS = ("fdatasync", "fsync")
_INJECTED = "(INJECTED)"
_DONE = re.compile(r"\d+ +(\w+)\((\d+)<")
_OFFSET = re.compile(r", (\d+)\) += ")
_HALF = re.compile(r"(\d+) +(.*?) *<unfinished \.\.\.>$")
_REST = re.compile(r"(\d+) +<\.\.\. \w+ resumed>(.*)")


class Tracer:
    """One run of strace, and its log."""

    def __init__(self, log: Path, *options: str) -> None:
        self._log = log
        self.command = ["strace", "-f", "-qq", "-y", "-o", str(log), *options]

    @contextmanager
    def attached(self, pids: list[int]) -> Iterator[None]:
        """Trace within the block."""
        targets = [word for pid in pids for word in ("-p", str(pid))]
        tracer = subprocess.Popen([*self.command, *targets], stderr=subprocess.DEVNULL)
        try:
            _wait_traced(pids)
            yield
        finally:
            tracer.terminate()
            tracer.wait(60)

    def lines(self) -> list[str]:
        """What it wrote by now."""
        return self._log.read_text("utf-8", "replace").splitlines() if self._log.exists() else []


def counting(log: Path) -> Tracer:
    """Writes down the calls of all kinds."""
    return Tracer(log, "-e", f"trace={','.join(kind.calls for kind in KINDS)}")


class Injection(Tracer):
    """Lets the calls of one case fail."""

    def __init__(self, case: Case, log: Path, database: Path) -> None:
        traced = ",".join({*case.kind.names, *_SYNCS, "openat", "close", *_written(case)})
        when = f"{case.nth}{'+' * case.stays}"
        options = ["-e", f"trace={traced}"]
        options += ["-e", f"inject={case.calls}:error={case.error}:when={when}"]
        # Nothing but what is done to this very file is seen then, and counted.
        options += ["-P", str(database)] if case.folding else []
        super().__init__(log, *options)
        self._within = case.kind.within

    def strikes(self) -> int:
        """How many calls failed by it, of those that were meant."""
        return sum(
            _INJECTED in one.line and self._within in one.line for one in whole(self.lines())
        )

    def retried(self) -> list[str]:
        """What `syncs_repeated` finds in its log."""
        return syncs_repeated(self.lines())


def _written(case: Case) -> tuple[str, ...]:
    """What tells whether all is written anew before the database's own file is synced again.

    SQLite keeps its descriptor while other connections hold locks on the file.
    """
    return ("pwrite64",) if case.folding else ()


@dataclass(frozen=True, slots=True)
class Seen:
    """One call, in one line, wherever strace had to write of another thread meanwhile."""

    line: str
    begun: int
    """The number of the line that its beginning stands in,"""
    ended: int
    """and of the one with its end."""


def whole(log: Iterable[str]) -> Iterator[Seen]:
    """Calls as they end, their halves joined by thread; what never ended is not among them."""
    halves: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(log):
        if half := _HALF.match(line):
            halves[half[1]] = (f"{half[1]} {half[2]}", number)
        elif (rest := _REST.match(line)) is None:
            yield Seen(line, number, number)
        elif rest[1] in halves:
            begun, since = halves.pop(rest[1])
            yield Seen(begun + rest[2], since, number)


def syncs_repeated(log: Iterable[str]) -> list[str]:
    """Files that were synced again, through the same descriptor, after a sync had failed.

    The kernel may have dropped what was not synced, and say yes the second time. So it is no flaw
    where all of it was seen to be written, and written once more before the second sync. What had
    begun before the failure was known counts for neither.
    """
    written: dict[str, set[str]] = defaultdict(set)
    failed: dict[str, Seen] = {}
    owed: dict[str, set[str]] = {}
    found: list[str] = []
    for one in whole(log):
        if (match := _DONE.match(one.line)) is None:
            continue
        call, descriptor = match.groups()
        before = failed.get(descriptor)
        is_later = before is not None and one.begun > before.ended
        if call == "close":
            failed.pop(descriptor, None)
        elif call == "pwrite64" and (place := _OFFSET.search(one.line)):
            written[descriptor].add(place[1])
            if is_later:
                owed[descriptor].discard(place[1])
        elif call in _SYNCS and _INJECTED in one.line:
            failed[descriptor] = one
            owed[descriptor] = written.pop(descriptor, {"what is not known"})
        elif call in _SYNCS and before is not None and is_later:
            if owed[descriptor]:
                found.append(f"{one.line} after {before.line}")
            del failed[descriptor]
        elif call in _SYNCS and before is None:
            written.pop(descriptor, None)
    return found


def untraceable() -> str:
    """Why strace cannot attach to a process here; empty if it can."""
    if missing := lacking("strace"):
        return missing
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        command = ["strace", "-qq", "-o", "/dev/null", "-p", str(sleeper.pid)]
        tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            while _tracer(sleeper.pid) == "0":
                if tracer.poll() is not None:
                    return f"strace cannot attach: {tracer.communicate()[1].strip()}"
                time.sleep(0.01)
        finally:
            tracer.kill()
            tracer.communicate()
            sleeper.kill()
    return ""


def _wait_traced(pids: list[int]) -> None:
    end = time.monotonic() + 60
    while any(_tracer(pid) == "0" for pid in pids):
        assert time.monotonic() < end, "strace does not attach"
        time.sleep(0.01)


def _tracer(pid: int) -> str:
    status = Path(f"/proc/{pid}/status").read_text()
    return status.partition("TracerPid:")[2].split()[0]
