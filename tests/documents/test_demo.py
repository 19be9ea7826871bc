"""`make demo` leaves a demo that runs alone."""

import subprocess
import sys
from pathlib import Path

from merpati.storage.lock import Lock

DEMO = Path(__file__).parents[2] / "examples" / "demo.py"


def test_a_second_demo_does_not_delete_the_data_of_the_first(tmp_path: Path) -> None:
    data = tmp_path / "demo-data" / "a.test" / "var"
    data.mkdir(parents=True)
    with Lock(data / "lock"):
        done = subprocess.run(
            [sys.executable, DEMO, "--once"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 1
    assert "A demo runs in" in done.stderr
    assert data.is_dir()
