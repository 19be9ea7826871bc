"""The table at the end of a run, in Markdown."""

from collections import Counter
from collections.abc import Sequence

from torture.record import Line
from torture.torment import Torment

_HEAD = (
    "| goal | run | count | seconds | acknowledged | lost | unexpected | duplicate "
    "| in flight, worst / allowed | more | version | |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|"
)


def table(rows: Sequence[tuple[Torment, Sequence[Line]]], untested: dict[str, str]) -> str:
    """One row a run; `untested` says why of what could not run at all."""
    return "\n".join([_HEAD, *(_row(torment, lines, untested) for torment, lines in rows)])


def _row(torment: Torment, lines: Sequence[Line], untested: dict[str, str]) -> str:
    start = f"| {torment.guarantee} | {torment.name} |"
    if torment.name in untested:
        return f"{start} 0 {torment.counted} | | | | | | | {untested[torment.name]} | | UNTESTED |"
    verdicts = [one for line in lines for one in line.outcome.verdicts]
    pairs = [(one.worst, one.window) for one in verdicts]
    # The pair that is nearest to its bound: windows differ.
    worst, window = max(pairs, key=lambda pair: pair[0] - pair[1], default=(0, 0))
    cells = [
        f"{sum(line.outcome.count for line in lines)} {torment.counted}",
        f"{sum(line.seconds for line in lines):.0f}",
        str(sum(one.acknowledged for one in verdicts)),
        str(sum(len(one.lost) for one in verdicts)),
        str(sum(len(one.unexpected) for one in verdicts)),
        str(sum(one.duplicates for one in verdicts)),
        f"{worst} / {window}",
        _figures(lines),
        _versions(lines),
        "holds" if all(line.outcome.holds for line in lines) else "BROKEN",
    ]
    return f"{start} {' | '.join(cells)} |"


def _versions(lines: Sequence[Line]) -> str:
    """The one of all, or how many batches each had: then the row is not of one code."""
    counted = Counter(line.version for line in lines)
    if len(counted) < 2 and " to " not in "".join(counted):
        return "".join(counted)
    return "MIXED: " + ", ".join(f"{name} in {n} of {len(lines)}" for name, n in counted.items())


def _figures(lines: Sequence[Line]) -> str:
    largest: dict[str, float] = {}
    for name, value in (one for line in lines for one in line.outcome.figures):
        largest[name] = max(value, largest.get(name, value))
    summed = Counter[str]()
    for line in lines:
        summed.update(dict(line.outcome.tally))
    shown = {**largest, **summed}
    return ", ".join(f"{name} {value:g}" for name, value in sorted(shown.items()))
