"""A keeper ends what it started, also what has left its parent."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def wait_for(condition: Callable[[], int]) -> int:
    """What it gives as soon as that is true."""
    end = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return found


def parent(pid: int) -> int:
    """Field 4 of proc_pid_stat(5), behind a name in parentheses."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_what_left_its_parent_ends_with_the_keeper(tmp_path: Path) -> None:
    procs, orphan = tmp_path / "procs", tmp_path / "orphan"
    script = f"sleep 600 & echo $! > {orphan}.new; mv {orphan}.new {orphan}"
    keeper = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.keeper", str(procs), "sh", "-c", script]
    )
    try:
        pid = wait_for(lambda: orphan.exists() and int(orphan.read_text()))
        # What our signal finds still with its parent must wait until the keeper uses force.
        wait_for(lambda: parent(pid) == keeper.pid)
    finally:
        keeper.send_signal(signal.SIGTERM)
        keeper.wait(60)
    assert not Path(f"/proc/{pid}").exists()


def test_the_command_joins_the_group_before_it_begins(tmp_path: Path) -> None:
    procs = tmp_path / "procs"
    subprocess.run(
        [sys.executable, "-m", "benchmarks.keeper", str(procs), "cat", str(procs)],
        check=True,
        timeout=60,
    )
    assert procs.read_text() == "0"
