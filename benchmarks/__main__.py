"""`python -m benchmarks`: Merpati beside Postfix, Exim, Haraka and aiosmtpd in one run.

    python -m benchmarks                        # P1 to P5, P8, TLS and P10: about ten minutes
    python -m benchmarks --full                 # every case: about an hour
    python -m benchmarks --only P2,bdat --servers merpati,postfix --rounds 1
    python -m benchmarks --show FILE...         # the table and the chart of kept results

Rounds are interleaved, figures are medians. `ratio` is server CPU over generator CPU of the same
runs: it holds still when a shared machine's speed does not. Only runs of smtp-source have it; our
generator says instead how long the server took from the final dot to its 250. A server that is
not installed (benchmarks/peers.sh does it), or cannot do what a case needs, has a row that says so.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks import chart, idle, result, table, wan
from benchmarks.cases import CASES, FIELD, RELAYS, Case
from benchmarks.load import Run, drive
from benchmarks.result import Result
from benchmarks.servers import Certificate, OwnSink, Server, Setup, Sink, Unable, end_in_order, tool

WARM_UP = 100
PARTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "P5": lambda _: wan.show(),
    "P10": lambda options: print(idle.table(wanted(RELAYS, options.servers))),
}
"""What measures and prints by itself."""
NAMES = (*(case.name for case in CASES), *PARTS)


def measure(case: Case, server: str, folder: Path, seconds: float) -> Run:
    """One run on a fresh server of about so many seconds; its warm-up is not counted."""
    certificate = Certificate(folder.parent / "certificate")
    sink = sink_for(case.setup, folder / "sink", certificate) if case.relays else None
    try:
        setup = replace(case.setup, out=sink.port if sink else 0)
        running = FIELD[server](folder / "server", setup, certificate)
        running.start()
        try:
            return warm_and_run(case, running, sink, seconds)
        finally:
            running.stop()
    finally:
        if sink:
            sink.stop()


def warm_and_run(case: Case, server: Server, sink: Sink | OwnSink | None, seconds: float) -> Run:
    """A short run first says how many messages take so many seconds."""
    total = 0
    warm = count = min(case.load.most, max(WARM_UP, 2 * case.load.sessions))
    for is_warm_up in (True, False):
        total += count
        until = (sink, total)
        run = drive(case.load, count, server, lambda until=until: arrived(*until))  # type: ignore[misc]
        if is_warm_up:
            count = min(case.load.most, max(warm, int(run.rate * seconds)))
    return run


def arrived(sink: Sink | OwnSink | None, total: int) -> bool:
    """Whether the sink has them all."""
    return sink is None or sink.count() >= total


def sink_for(setup: Setup, folder: Path, certificate: Certificate) -> Sink | OwnSink:
    """smtp-sink where it will do."""
    if setup.tls or setup.many:
        return OwnSink(folder, certificate if setup.tls else None, setup.many)
    return Sink(folder)


def attempt(case: Case, server: str, base: Path, seconds: float) -> Result:
    """One run in a folder of its own; what went wrong is a result, too."""
    with tempfile.TemporaryDirectory(dir=base, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        try:
            return Result(case.name, server, measure(case, server, folder, seconds))
        except (Unable, AssertionError, OSError, RuntimeError) as why:
            return Result(case.name, server, unable=" ".join(str(why).split())[:200])


def compare(options: argparse.Namespace, cases: list[Case]) -> list[Result]:
    """All rounds. A server that could not be measured in a case is not asked again."""
    results: list[Result] = []
    base = Path(os.environ.get("MERPATI_BENCH_DIR", "/var/tmp"))
    with tempfile.TemporaryDirectory(prefix="merpati-bench-", dir=base) as name:
        Path(name).chmod(0o755)
        for number in range(options.rounds):
            for case in cases:
                for server in wanted(case.servers, options.servers):
                    if any((r.case, r.server) == (case.name, server) and r.unable for r in results):
                        continue
                    results.append(attempt(case, server, Path(name), options.seconds))
                    tell(number, results[-1], options.keep)
    return results


def wanted(servers: Sequence[str], asked: str) -> list[str]:
    """Those of the servers that were asked for; Merpati means with any number of workers."""
    names = [name.strip() for name in asked.split(",") if name]
    return [server for server in servers if not names or server.split(",")[0] in names]


def tell(number: int, latest: Result, keep: Path | None) -> None:
    """Progress on standard error, and a line in the file."""
    what = f"{latest.run.rate:.0f}/s" if latest.run else f"not measured: {latest.unable}"
    print(f"round {number + 1} {latest.case} {latest.server}: {what}", file=sys.stderr)
    if keep:
        with keep.open("a") as file:
            file.write(latest.line() + "\n")


def arguments() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.5, help="about the length of a run")
    parser.add_argument("--full", action="store_true", help="every case")
    parser.add_argument("--only", default="", help="cases by name, with commas between")
    parser.add_argument("--servers", default="", help="servers by name, with commas between")
    parser.add_argument("--keep", type=Path, help="append each run to this file")
    parser.add_argument("--show", type=Path, nargs="+", help="show kept runs, measure nothing")
    parser.add_argument("--chart", type=Path, help="write the chart to this file")
    return parser.parse_args()


def main() -> None:
    """Measure and print, or print what was kept."""
    options = arguments()
    end_in_order()
    only = options.only.split(",") if options.only else []
    if unknown := set(only) - set(NAMES):
        sys.exit(f"no case {', '.join(unknown)}; there are {', '.join(NAMES)}")
    if options.show:
        show(result.read(options.show), options.chart, {})
        return
    try:
        tool("smtp-source")
    except Unable as why:
        sys.exit(str(why))
    cases = [c for c in CASES if (c.name in only if only else options.full or c.is_usual)]
    parts = {name: partial(part, options) for name, part in PARTS.items()}
    wished = {name: part for name, part in parts.items() if not only or name in only}
    show(compare(options, cases), options.chart, wished)


def show(results: list[Result], file: Path | None, parts: Mapping[str, Callable[[], None]]) -> None:
    """Table and chart, and then what measures and prints by itself: it may fail."""
    if results:
        print(table.table(results))
    if results and file:
        file.write_text(chart.chart(results), "utf-8")
    for name, part in parts.items():
        print(flush=True)
        try:
            part()
        except Unable as why:
            print(f"{name}: not measured: {why}")


if __name__ == "__main__":
    main()
