"""Runs many seeds and says what they found: `python -m tests.simulation --seeds 1000`.

A seed that fails is shrunk, and its plan written to where `--keep` says, to be kept as a test.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import msgspec

from tests.simulation.plan import Plan, draw
from tests.simulation.run import Result, run
from tests.simulation.shrink import shrink


def main() -> int:
    """0 when every promise was kept in every run."""
    arguments = _arguments()
    if arguments.plan:
        plan = msgspec.json.decode(Path(arguments.plan).read_bytes(), type=Plan)
        return _show(run(plan, verbose=arguments.verbose))
    if arguments.seed is not None:
        return _show(run(draw(arguments.seed, arguments.workers), verbose=arguments.verbose))
    return _run_many(arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many")
    parser.add_argument("--start", type=int, default=0, help="the first of them")
    parser.add_argument("--workers", type=int, default=0, help="of each node; else as drawn")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--seed", type=int, help="this one only")
    parser.add_argument("--plan", help="a plan that was kept, as a file")
    parser.add_argument("--verbose", action="store_true", help="tell all that happens in it")
    parser.add_argument("--keep", type=Path, help="a folder for shrunk plans of failures")
    return parser.parse_args()


def _show(result: Result) -> int:
    for line in result.story:
        print(line)
    print(_line(result))
    return int(result.violation is not None)


def _line(result: Result) -> str:
    return (
        f"seed {result.plan.seed}, workers {result.plan.workers}: "
        f"{result.violation or 'every promise kept'}; "
        f"{result.accepted} messages accepted, {result.copies} copies at hosts, "
        f"{result.deaths} deaths, {result.virtual / 3600:.1f} h, trace {result.trace[:16]}"
    )


def _run_many(arguments: argparse.Namespace) -> int:
    began = time.perf_counter()
    seeds = range(arguments.start, arguments.start + arguments.seeds)
    results: list[Result] = []
    failed: list[Result] = []
    for result in _results(seeds, arguments.workers, arguments.jobs):
        results.append(result)
        if result.violation is not None:
            failed.append(result)
            print(_line(result), flush=True)
        elif len(results) % 100 == 0:
            print(f"{len(results)} seeds, {len(failed)} failed", flush=True)
    _summarize(results, failed, time.perf_counter() - began)
    for result in failed[:3]:
        _shrink(result, arguments.keep)
    return int(bool(failed))


def _results(seeds: Iterable[int], workers: int, jobs: int) -> Iterator[Result]:
    one = partial(_one, workers)
    if jobs == 1:
        yield from map(one, seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(one, seeds, chunksize=5)


def _one(workers: int, seed: int) -> Result:
    return run(draw(seed, workers))


def _summarize(results: list[Result], failed: list[Result], seconds: float) -> None:
    print(
        f"{len(results)} seeds in {seconds:.0f} s: {len(failed)} failed; "
        f"{sum(one.accepted for one in results)} messages accepted, "
        f"{sum(one.copies for one in results)} copies at hosts, "
        f"{sum(one.duplicates for one in results)} of them duplicates that were in flight, "
        f"{sum(one.events for one in results)} events, "
        f"{sum(one.deaths for one in results)} deaths, "
        f"{sum(one.turns for one in results)} turns, each looked at, "
        f"{sum(one.virtual for one in results) / 86400:.0f} days"
    )
    for result in failed:
        print(
            f"replay: python -m tests.simulation --seed {result.plan.seed} "
            f"--workers {result.plan.workers} --verbose"
        )


def _shrink(result: Result, keep: Path | None) -> None:
    assert result.violation is not None
    promise = result.violation.promise

    def fails(plan: Plan) -> bool:
        found = run(plan).violation
        return found is not None and found.promise == promise

    plan = shrink(result.plan, fails)
    print(f"shrunk to {len(plan.steps)} steps: {run(plan).violation}")
    for step in plan.steps:
        print(f"  {step}")
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        file = keep / f"{promise.replace(' ', '-')}-{plan.seed}.json"
        file.write_bytes(msgspec.json.format(msgspec.json.encode(plan), indent=1))
        print(f"kept as {file}")


if __name__ == "__main__":
    sys.exit(main())
