"""`make demo` leaves a demo that runs alone."""

import subprocess
import sys
from pathlib import Path

import pytest

from merpati.storage.lock import Lock

pytestmark = pytest.mark.slow

DEMO = Path(__file__).parents[2] / "examples" / "demo.py"


def demo(folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, DEMO, "--once"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


def test_the_demo_ends_well_when_all_arrived_and_was_believed(tmp_path: Path) -> None:
    done = demo(tmp_path)
    assert done.returncode == 0, done.stderr
    judged = done.stdout.split("how it judged who sent it")[1]
    for check in ("SPF", "DKIM", "DMARC"):
        assert f"{check}: pass a.test" in judged


def test_a_second_demo_does_not_delete_the_data_of_the_first(tmp_path: Path) -> None:
    data = tmp_path / "demo-data" / "a.test" / "var"
    data.mkdir(parents=True)
    with Lock(data / "lock"):
        done = demo(tmp_path)
    assert done.returncode == 1
    assert "A demo runs in" in done.stderr
    assert data.is_dir()
