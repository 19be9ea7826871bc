"""What every run has in common: what it proves, how often, and what came of it."""

import os
import shutil
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path

from torture.oracle import Verdict


@dataclass(frozen=True, slots=True)
class Batch:
    """One independent part of a run: a server of its own, and a seed."""

    number: int
    count: int
    """How often the server is tormented in it."""
    seed: int
    folder: Path
    """Empty, and gone afterwards if all is well."""
    before: int = 0
    """The counts of all batches before it, together."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a batch."""

    count: int
    """How often the server really was tormented."""
    verdicts: tuple[Verdict, ...]
    flaws: tuple[str, ...] = ()
    """What broke a promise that the verdicts do not know."""
    figures: tuple[tuple[str, float], ...] = ()
    """What else is worth a line; the largest of all batches is shown."""
    tally: tuple[tuple[str, int], ...] = ()
    """What happened how often; the sum of all batches is shown."""
    missed: tuple[str, ...] = ()
    """What was to be done and never came about; the count is without it."""

    @property
    def holds(self) -> bool:
        """Whether every promise was kept."""
        return not self.flaws and all(verdict.holds for verdict in self.verdicts)


@dataclass(frozen=True, slots=True)
class Torment:
    """One kind of run."""

    name: str
    guarantee: str
    """The goal that it proves, as "G1"."""
    counted: str
    """What the count counts, as "kills"."""
    full: int
    short: int
    size: int
    """Of a batch at most."""
    run: Callable[[Batch], Coroutine[None, None, Outcome]]
    missing: Callable[[], str]
    """Why it cannot run on this machine; empty if it can."""

    def batches(self, count: int, seed: int, folder: Path) -> list[Batch]:
        """`count` in parts, each with a seed that follows from `seed`."""
        return [
            Batch(
                number=number,
                count=min(self.size, count - before),
                seed=seed * 1000 + number,
                folder=folder / f"{self.name}-{number}",
                before=before,
            )
            for number, before in enumerate(range(0, count, self.size))
        ]


def nothing() -> str:
    """Is missing."""
    return ""


def lacking(*programs: str, root: bool = False) -> str:
    """Which of the programs are not there, or that we are not root where one has to be."""
    absent = [name for name in programs if shutil.which(name) is None]
    if absent:
        return f"{', '.join(absent)} not installed"
    return "needs root" if root and os.geteuid() != 0 else ""
