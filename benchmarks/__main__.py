"""`python -m benchmarks [--rounds N] [--scale F]`: P1, P2 and P4 with Postfix beside Merpati.

Rounds are interleaved, figures are medians. `ratio` is server CPU over generator CPU of the same
runs: it holds still when a shared machine's speed does not.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import PATH, Load, Run, drive
from benchmarks.servers import Discard, Merpati, Postfix, Server, Sink
from merpati.testing.process import free_port


@dataclass(frozen=True, slots=True)
class Case:
    """One row: a scenario with one server."""

    scenario: str
    server: str
    count: int
    build: Callable[[Path, int], Server]
    to_sink: bool = False


def cases() -> list[Case]:
    """Peers next to one another, so that they share the machine's mood."""
    dead = free_port()
    return [
        Case("P1 receive, durable", "merpati", 20_000, lambda f, _: Merpati(f, dead)),
        Case("P1 receive, durable", "postfix", 4_000, lambda f, _: Postfix(f, dead, hold=True)),
        Case("P2 relay, durable", "merpati", 12_000, Merpati, to_sink=True),
        Case("P2 relay, durable", "postfix", 3_000, Postfix, to_sink=True),
        Case("P4 receive, discard", "merpati", 30_000, lambda f, _: Discard(f)),
    ]


def measure(case: Case, folder: Path, scale: float) -> Run:
    """One run on a fresh server, its warm-up not counted."""
    sink = Sink(folder / "sink") if case.to_sink else None
    server = case.build(folder / case.server, sink.port if sink else 0)
    server.start()
    try:
        for count in (200, int(case.count * scale)):
            before = sink.count() if sink else 0
            target = before + count
            run = drive(
                Load(count),
                server.port,
                server.pid,
                lambda target=target: sink is None or sink.count() >= target,  # type: ignore[misc]
            )
        return run
    finally:
        server.stop()
        if sink:
            sink.stop()


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="times the number of messages")
    parser.add_argument("--only", default="", help="scenarios that begin with this, as P2")
    options = parser.parse_args()
    if not shutil.which("smtp-source", path=PATH):
        sys.exit("smtp-source is not installed: it comes with Postfix (Debian: postfix)")
    wanted = [case for case in cases() if case.scenario.startswith(options.only)]
    runs: dict[Case, list[Run]] = {case: [] for case in wanted}
    base = Path(os.environ.get("MERPATI_BENCH_DIR", "/var/tmp"))
    for round_ in range(options.rounds):
        for case in wanted:
            with tempfile.TemporaryDirectory(prefix="merpati-bench-", dir=base) as folder:
                runs[case].append(measure(case, Path(folder), options.scale))
            latest = runs[case][-1]
            print(
                f"round {round_ + 1} {case.scenario} {case.server}: {latest.rate:.0f}/s",
                file=sys.stderr,
            )
    print_table(runs)


def print_table(runs: dict[Case, list[Run]]) -> None:
    """Markdown, one row a case, with the speed against Postfix where it has a row."""
    print("| scenario | server | msgs/s (min-max) | CPU us a message | ratio | x Postfix |")
    print("|---|---|---|---|---|---|")
    rates = {case: statistics.median(run.rate for run in done) for case, done in runs.items()}
    postfix = {case.scenario: rate for case, rate in rates.items() if case.server == "postfix"}
    for case, done in runs.items():
        low, high = min(run.rate for run in done), max(run.rate for run in done)
        cost = statistics.median(run.cost for run in done)
        ratio = statistics.median(run.ratio for run in done)
        times = f"{rates[case] / postfix[case.scenario]:.1f}" if case.scenario in postfix else ""
        print(
            f"| {case.scenario} | {case.server} | {rates[case]:.0f} ({low:.0f}-{high:.0f}) "
            f"| {cost:.0f} | {ratio:.1f} | {times} |"
        )


if __name__ == "__main__":
    main()
