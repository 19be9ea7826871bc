"""A message costs no more work than benchmarks/work.toml says: counted, so no machine is too slow.

What got dearer for a reason is written down with `python -m benchmarks.work --write`; so is what
got cheaper, or the guard would let it go again.
"""

import shutil

import pytest

from benchmarks.work import TOLERANCE, Figure, kept, measure


def check(figures: list[Figure]) -> None:
    allowed = kept()
    grown = [
        f"{one.scenario}, {one.kind}: {one.value} a message, {allowed[one.scenario, one.kind]} kept"
        for one in figures
        if one.value > TOLERANCE * allowed[one.scenario, one.kind]
    ]
    assert not grown, (
        "\n".join(grown) + "\nIf it is worth it: python -m benchmarks.work --write, and say why."
    )


# What is relayed was received before, so `make check` asks about that alone.
@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["received", "relayed"])
def test_a_message_costs_no_more_calls_than_written_down(scenario: str) -> None:
    check(measure([scenario], ["calls"]))


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["received", "relayed"])
def test_a_message_costs_no_more_system_calls_than_written_down(scenario: str) -> None:
    if not shutil.which("strace"):
        pytest.skip("strace is not installed: system calls went uncounted")
    check(measure([scenario], ["system"]))


def test_a_figure_that_grew_by_more_than_a_tenth_is_named() -> None:
    ((scenario, kind), value), *_ = kept().items()
    check([Figure(scenario, kind, value * 1.09)])
    with pytest.raises(AssertionError, match="--write"):
        check([Figure(scenario, kind, value * 1.11)])
