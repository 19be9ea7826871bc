"""The example of DMARC as a library does what it says."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EXAMPLE = [sys.executable, str(ROOT / "examples/dmarc.py")]


def test_messages_are_judged_by_records_in_a_dictionary() -> None:
    done = subprocess.run(EXAMPLE, capture_output=True, text=True, timeout=60, check=True)
    told = [line for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert [line.split(": ")[0] for line in told] == [
        "pass none",
        "fail reject",
        "fail quarantine",
        "fail none",
        "none",
        "permerror",
    ]
    assert told[2].endswith("what passed is of other domains [_dmarc.a.test]")


def test_a_file_without_an_author_has_none(tmp_path: Path) -> None:
    file = tmp_path / "message.eml"
    file.write_text("Subject: x\n\nHi\n")
    done = subprocess.run(
        [*EXAMPLE, str(file)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "permerror: ?: there is no From field\n"
