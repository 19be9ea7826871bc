"""The command that measures the field keeps what it has, and the manual calls it rightly."""

import re
from pathlib import Path

import pytest

from benchmarks.__main__ import NAMES, show
from benchmarks.load import Run
from benchmarks.result import Result
from benchmarks.servers import Unable

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
RESULTS = [Result("P1", "merpati", Run(1000, 0.5, 0.5, 0.1))]


def test_the_chart_is_there_whatever_becomes_of_the_parts_behind_it(tmp_path: Path) -> None:
    def fails() -> None:
        raise OSError("no room")

    chart = tmp_path / "chart.svg"
    with pytest.raises(OSError, match="no room"):
        show(RESULTS, chart, {"P5": fails})
    assert chart.read_text().startswith("<svg")


def test_a_part_that_cannot_be_measured_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> None:
        raise Unable("postfix is not installed")

    show(RESULTS, None, {"P5": fails, "P10": lambda: print("P10 idle")})
    told = capsys.readouterr().out.splitlines()
    assert told[-3:] == ["P5: not measured: postfix is not installed", "", "P10 idle"]


def test_the_manual_names_cases_that_there_are() -> None:
    asked = re.findall(r"--only (\S+?)[\s`]", PAGE.read_text("utf-8"))
    assert asked
    assert {case for cases in asked for case in cases.split(",")} <= set(NAMES)
