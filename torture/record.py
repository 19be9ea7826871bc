"""What has been run, one line of JSON a batch, so that a run that was stopped can be resumed."""

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


class Record:
    """`results.jsonl` in the folder of a run."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "results.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        text = self._file.read_bytes() if self._file.exists() else b""
        self.lines = [msgspec.json.decode(line, type=Line) for line in text.splitlines()]

    def has(self, torment: str, batch: Batch) -> bool:
        """Whether just this batch was run before."""
        wanted = (torment, batch.number, batch.seed, batch.count)
        return any((one.torment, one.batch, one.seed, one.count) == wanted for one in self.lines)

    def add(self, torment: str, batch: Batch, seconds: float, outcome: Outcome) -> Line:
        """Write down that a batch is over."""
        line = Line(
            torment=torment,
            batch=batch.number,
            seed=batch.seed,
            count=batch.count,
            seconds=round(seconds, 1),
            outcome=outcome,
        )
        with self._file.open("ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")
        self.lines.append(line)
        return line
