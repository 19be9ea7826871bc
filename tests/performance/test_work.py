"""A message costs no more work than benchmarks/work.toml says: counted, so no machine is too slow.

What got dearer for a reason is written down with `python -m benchmarks.work --write`; so is what
got cheaper, or the guard would let it go again.
"""

import shutil

import pytest

from benchmarks.work import TOLERANCE, Figure, kept, measure


def grown(figures: list[Figure]) -> list[str]:
    """What costs more than is kept, in words."""
    allowed = kept()
    return [
        f"{one.scenario}, {one.kind}: {one.value} a message, {allowed[one.scenario, one.kind]} kept"
        for one in figures
        if one.value > TOLERANCE * allowed[one.scenario, one.kind]
    ]


def check(scenario: str, kind: str) -> None:
    """Whatever else the machine does makes a count larger at times, and none smaller."""
    told: list[str] = []
    for _ in range(3):
        if not (told := grown(measure([scenario], [kind]))):
            return
    pytest.fail(
        "\n".join(told) + "\nIf it is worth it: python -m benchmarks.work --write, and say why."
    )


# What is relayed was received before, so `make check` asks about that alone.
@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["received", "relayed"])
def test_a_message_costs_no_more_calls_than_written_down(scenario: str) -> None:
    check(scenario, "calls")


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["received", "relayed"])
def test_a_message_costs_no_more_system_calls_than_written_down(scenario: str) -> None:
    if not shutil.which("strace"):
        pytest.skip("strace is not installed: system calls went uncounted")
    check(scenario, "system")


def test_a_figure_that_grew_by_more_than_a_tenth_is_named() -> None:
    ((scenario, kind), value), *_ = kept().items()
    assert grown([Figure(scenario, kind, value * 1.09)]) == []
    (told,) = grown([Figure(scenario, kind, value * 1.11)])
    assert scenario in told
