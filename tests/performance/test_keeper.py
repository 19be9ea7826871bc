"""A keeper ends what it started, also what has left its parent."""

import signal
import subprocess
import sys
import time
from pathlib import Path


def test_what_left_its_parent_ends_with_the_keeper(tmp_path: Path) -> None:
    procs, orphan = tmp_path / "procs", tmp_path / "orphan"
    script = f"sleep 600 & echo $! > {orphan}.new; mv {orphan}.new {orphan}"
    keeper = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.keeper", str(procs), "sh", "-c", script]
    )
    try:
        end = time.monotonic() + 20
        while not orphan.exists():
            assert time.monotonic() < end
        pid = int(orphan.read_text())
        assert Path(f"/proc/{pid}").exists()
    finally:
        keeper.send_signal(signal.SIGTERM)
        keeper.wait(20)
    assert not Path(f"/proc/{pid}").exists()


def test_the_command_joins_the_group_before_it_begins(tmp_path: Path) -> None:
    procs = tmp_path / "procs"
    subprocess.run(
        [sys.executable, "-m", "benchmarks.keeper", str(procs), "cat", str(procs)],
        check=True,
        timeout=20,
    )
    assert procs.read_text() == "0"
