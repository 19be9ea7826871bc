"""What has been run, one line of JSON a batch, so that a run that was stopped can be resumed."""

import hashlib
import subprocess
from pathlib import Path

import msgspec

from torture.torment import Batch, Outcome


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One batch that is over."""

    torment: str
    batch: int
    seed: int
    count: int
    seconds: float
    outcome: Outcome
    version: str = "not written down"
    """Of the code that was run, as of `version`."""


def version() -> str:
    """Which code this is: `git describe`, and what is not committed by its hash."""
    described = _git("describe", "--always", "--dirty")
    if not described.endswith("-dirty"):
        return described or "no git"
    return f"{described}-{hashlib.sha256(_git('diff', 'HEAD').encode()).hexdigest()[:8]}"


def _git(*arguments: str) -> str:
    """Its answer; empty where there is no git, or no repository."""
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    except FileNotFoundError:
        return ""
    return "" if done.returncode else done.stdout.decode("utf-8", "replace").strip()


class Record:
    """`results.jsonl` in the folder of a run."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "results.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        text = self._file.read_bytes() if self._file.exists() else b""
        self.lines = [msgspec.json.decode(line, type=Line) for line in text.splitlines()]

    def begin(self, asked: str) -> str:
        """Write down what makes the batches; what the folder was begun with, where that is other
        than `asked`, since the table would add up both."""
        file = self._file.with_name("asked")
        if self.lines and file.exists():
            before = file.read_text("utf-8")
            return "" if before == asked else before
        file.write_text(asked, "utf-8")
        return ""

    def has(self, torment: str, batch: Batch) -> bool:
        """Whether just this batch was run before."""
        wanted = (torment, batch.number, batch.seed, batch.count)
        return any((one.torment, one.batch, one.seed, one.count) == wanted for one in self.lines)

    def add(self, torment: str, batch: Batch, seconds: float, outcome: Outcome, begun: str) -> Line:
        """Write down that a batch is over, which began with the code of version `begun`."""
        ended = version()
        line = Line(
            torment=torment,
            batch=batch.number,
            seed=batch.seed,
            count=batch.count,
            seconds=round(seconds, 1),
            outcome=outcome,
            version=begun if begun == ended else f"{begun} to {ended}",
        )
        with self._file.open("ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")
        self.lines.append(line)
        return line
