"""The table of the field in Markdown: a row for each server in each case, missing ones too."""

from collections.abc import Iterable

from benchmarks.cases import CASES
from benchmarks.result import Result, Row, rows

HEAD = (
    "| scenario | server | msgs/s (min-max) | CPU us a message | ratio | x Postfix "
    "| dot to 250, ms: p50 / p99 |"
)


def table(results: Iterable[Result]) -> str:
    """Cases in their order, servers as they were measured."""
    found = rows(results)
    lines = [HEAD, "|---|---|---|---|---|---|---|"]
    for case in CASES:
        mine = [row for row in found.values() if row.case == case.name]
        postfix = next((row.rate for row in mine if row.server == "postfix"), 0.0)
        name = case.name if case.name.startswith("P") else ""
        lines += [line(f"{name} {case.title}".strip(), row, postfix) for row in mine]
    return "\n".join(lines)


def line(title: str, row: Row, postfix: float) -> str:
    """One row."""
    if not row.runs:
        return f"| {title} | {row.server} | not measured: {row.unable} | | | | |"
    times = f"{row.rate / postfix:.1f}" if postfix else ""
    ratio = wait = ""
    if row.runs[0].p50 is None:
        ratio = f"{row.median('ratio'):.1f}"
    else:
        wait = f"{row.median('p50'):.1f} / {row.median('p99'):.1f}"
        if (late := row.median("late")) > 100:
            wait += f", {late / 1000:.1f} s behind"
    if row.unable:
        wait += f" (failed once: {row.unable})"
    return (
        f"| {title} | {row.server} | {row.rate:.0f} ({row.low:.0f}-{row.high:.0f}) "
        f"| {row.median('cost'):.0f} | {ratio} | {times} | {wait} |"
    )
