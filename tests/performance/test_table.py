"""The table of the field says what was measured and what was not; the chart is a picture of it."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from benchmarks.cases import CASES, FIELD
from benchmarks.chart import chart
from benchmarks.load import Run
from benchmarks.result import Result, read
from benchmarks.table import table


def a_run(seconds: float, **more: float) -> Run:
    return Run(1000, seconds, 0.5, 0.1, **more)


RESULTS = [
    Result("P1", "merpati", a_run(0.5)),
    Result("P1", "postfix", a_run(2.0)),
    Result("P1", "exim", unable="not installed: run benchmarks/peers.sh"),
    Result("P1", "merpati", a_run(0.25)),
    Result("P1", "merpati", a_run(1.0)),
]


def test_a_row_has_medians_and_the_speed_beside_postfix() -> None:
    assert (
        "| P1 receive, durable | merpati | 2000 (1000-4000) | 500 | 5.0 | 4.0 |  |"
        in table(RESULTS).splitlines()
    )


def test_a_server_that_was_not_measured_is_a_row_that_says_why() -> None:
    assert "| exim | not measured: not installed: run benchmarks/peers.sh |" in table(RESULTS)


def test_the_wait_for_250_and_a_load_that_fell_behind_are_told() -> None:
    told = table([Result("P8", "postfix", a_run(2.0, p50=3.0, p99=250.0, late=1500.0))])
    assert "3.0 / 250.0, 1.5 s behind" in told


def test_kept_results_are_read_back(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    file.write_text("".join(result.line() + "\n" for result in RESULTS))
    assert read([file]) == RESULTS


def test_the_chart_is_an_image_with_a_bar_for_each_server_that_was_measured() -> None:
    picture = ElementTree.fromstring(chart(RESULTS))
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    texts = [part.text for part in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["P1 receive, durable: messages a second", "merpati", "2,000", "postfix", "500"]


def test_every_server_of_a_case_can_be_built() -> None:
    assert {server for case in CASES for server in case.servers} <= set(FIELD)
