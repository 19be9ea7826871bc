"""What a run came to, and its place in a file of such lines."""

import json
import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.load import Run


@dataclass(frozen=True, slots=True)
class Result:
    """A run of one server in one case, or why there is none."""

    case: str
    server: str
    run: Run | None = None
    unable: str = ""

    def line(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))


def read(files: Iterable[Path]) -> list[Result]:
    """All lines of the files."""
    results = []
    for file in files:
        for line in file.read_text("utf-8").splitlines():
            told = json.loads(line)
            run = Run(**told.pop("run")) if told["run"] else told.pop("run")
            results.append(Result(**told, run=run))
    return results


@dataclass(frozen=True, slots=True)
class Row:
    """The medians of a server's runs in a case."""

    case: str
    server: str
    runs: tuple[Run, ...]
    unable: str

    @property
    def rate(self) -> float:
        """Messages a second; 0 without a run."""
        return statistics.median(run.rate for run in self.runs) if self.runs else 0.0

    @property
    def low(self) -> float:
        """The slowest run."""
        return min(run.rate for run in self.runs)

    @property
    def high(self) -> float:
        """The fastest run."""
        return max(run.rate for run in self.runs)

    def median(self, name: str) -> float:
        """Of a field or property of the runs."""
        values: Iterable[float] = (getattr(run, name) for run in self.runs)
        return statistics.median(values)


def rows(results: Iterable[Result]) -> dict[tuple[str, str], Row]:
    """By (case, server), in the order in which they were measured."""
    found: dict[tuple[str, str], Row] = {}
    for one in results:
        key = one.case, one.server
        before = found.get(key, Row(*key, (), ""))
        runs = (*before.runs, one.run) if one.run else before.runs
        found[key] = Row(*key, runs, one.unable or before.unable)
    return found
