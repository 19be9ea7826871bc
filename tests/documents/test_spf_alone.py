"""The example of SPF as a library does what it says."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def test_senders_are_checked_by_records_in_a_dictionary() -> None:
    command = [sys.executable, str(ROOT / "examples/spf.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    told = done.stdout.splitlines()
    assert [line.split(": ")[0] for line in told] == ["pass", "pass", "fail", "none"]
    assert told[1].endswith("[include:b.test in a.test]")
