"""`python -m torture [RUN...] [--count N] [--size N] [--seed N] [--resume FOLDER] [--short]`

Runs each torment in batches, writes every result down, and prints the table. Exit status: 0 when
every promise was kept, 1 when one was broken, 2 when one could not be tested on this machine.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
import traceback
from dataclasses import replace
from pathlib import Path

from torture.backup import BACKUP
from torture.clock import CLOCK
from torture.dns import DNS
from torture.dnssec import DNSSEC
from torture.faults import FAULTS
from torture.full import FULL
from torture.hostile import HOSTILE
from torture.kill import KILL
from torture.memory import MEMORY
from torture.power import POWER
from torture.record import Line, Record, version
from torture.stop import STOP
from torture.table import table
from torture.torment import Batch, Outcome, Torment

TORMENTS = {
    torment.name: torment
    for torment in (KILL, POWER, FAULTS, FULL, MEMORY, CLOCK, DNS, DNSSEC, HOSTILE, STOP, BACKUP)
}


def perform(torment: Torment, batch: Batch, record: Record) -> Line:
    """Run one batch; an exception is a broken promise, too."""
    shutil.rmtree(batch.folder, ignore_errors=True)
    batch.folder.mkdir(parents=True)
    begun, code = time.monotonic(), version()
    try:
        outcome = asyncio.run(torment.run(batch))
    except Exception as error:
        traceback.print_exc()
        outcome = Outcome(0, (), (f"{type(error).__name__}: {error}"[:2000],))
    line = record.add(torment.name, batch, time.monotonic() - begun, outcome, code)
    if outcome.holds:
        shutil.rmtree(batch.folder)
    return line


def tell(torment: Torment, line: Line) -> None:
    """One batch, in words."""
    holds = "holds" if line.outcome.holds else "BROKEN"
    print(f"{torment.name} {line.batch}: {line.outcome.count} {torment.counted}, ", end="")
    print(f"seed {line.seed}, {line.seconds} s, {line.version}, {holds}")
    for verdict in line.outcome.verdicts:
        print(f"    {verdict}")
        for lost in verdict.lost[:10]:
            print(f"    lost: {lost}")
        for unexpected in verdict.unexpected[:10]:
            print(f"    unexpected: {unexpected}")
    if line.outcome.missed:
        print(f"    never came to it: {', '.join(line.outcome.missed)}")
    for flaw in line.outcome.flaws[:10]:
        print(f"    flaw: {flaw}")
    sys.stdout.flush()


def main() -> int:
    """Run what was asked for; the exit status."""
    arguments = parse()
    given = arguments.resume or Path(tempfile.mkdtemp(prefix="merpati-torture-", dir="/var/tmp"))
    record = Record(given)
    options = {name: getattr(arguments, name) for name in ("count", "size", "seed", "short")}
    asked = " ".join(f"--{name} {value}" for name, value in options.items())
    if before := record.begin(asked):
        print(f"{given} was begun with {before}, not with {asked}")
        return 2
    print(f"results in {given}; to go on with a run that was stopped: --resume {given}")
    chosen = [TORMENTS[name] for name in arguments.runs or TORMENTS]
    untested: dict[str, str] = {}
    for torment in chosen:
        if missing := torment.missing():
            untested[torment.name] = missing
            print(f"{torment.guarantee} WENT UNTESTED ({torment.name}): {missing}")
            continue
        count = arguments.count or (torment.short if arguments.short else torment.full)
        sized = replace(torment, size=arguments.size or torment.size)
        for batch in sized.batches(count, arguments.seed, given):
            if not record.has(torment.name, batch):
                tell(torment, perform(torment, batch, record))
    rows = [(one, [line for line in record.lines if line.torment == one.name]) for one in chosen]
    print(table(rows, untested))
    if any(not line.outcome.holds for _, lines in rows for line in lines):
        return 1
    return 2 if untested else 0


def parse() -> argparse.Namespace:
    """What stands on the command line."""
    parser = argparse.ArgumentParser(prog="python -m torture", description=__doc__)
    parser.add_argument("runs", nargs="*", choices=[*TORMENTS, []], metavar="RUN")
    parser.add_argument("--count", type=int, help="instead of each run's own")
    parser.add_argument("--size", type=int, help="of a batch, instead of each run's own")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--resume", type=Path, metavar="FOLDER")
    parser.add_argument("--short", action="store_true", help="the counts that CI runs")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
