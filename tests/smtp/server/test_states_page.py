"""docs/states.md shows the table as it is."""

import runpy
from pathlib import Path

from merpati.smtp.states import TABLE

PAGE = runpy.run_path(str(Path(__file__).parents[3] / "docs/states.py"))


def test_the_page_of_states_is_up_to_date() -> None:
    assert PAGE["PAGE"].read_text("utf-8") == PAGE["page"](), "run: python docs/states.py"


def test_the_page_has_a_row_for_every_row_of_the_table() -> None:
    rows = [line for line in PAGE["page"]().splitlines() if line.startswith("| ")]
    assert len(rows) - 1 == sum(map(len, TABLE.values()))
