"""`merpati backup` and `merpati restore` as an operator sees them."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from merpati.cli.main import merpati
from merpati.storage.lock import Lock

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    file = tmp_path / "merpati.toml"
    text = (
        'hostname = "mx.a.test"\ndata = "var"\n[[port]]\nrole = "mx"\nlisten = "127.0.0.1:2525"\n'
    )
    file.write_text(text)
    return lambda *arguments: CliRunner().invoke(merpati, ["--config", str(file), *arguments])


def fill(run: Run) -> None:
    done = run("send", "--from", "ann@a.test", "--to", "bob@b.test", "--text", "hello")
    assert done.exit_code == 0, done.output


@pytest.mark.slow
def test_a_backup_is_made_and_put_back(run: Run, tmp_path: Path) -> None:
    fill(run)
    before = run("queue", "list", "--json").stdout
    done = run("backup", str(tmp_path / "backup"))
    assert (done.exit_code, done.stdout) == (
        0,
        f"4 files and 0 messages of mailboxes are in {tmp_path / 'backup'}.\n",
    )
    (tmp_path / "var").rename(tmp_path / "lost")
    done = run("restore", str(tmp_path / "backup"))
    assert done.exit_code == 0, done.output
    assert "will be delivered again. Next: merpati verify" in done.stdout
    assert run("verify").exit_code == 0
    assert json.loads(run("queue", "list", "--json").stdout) == json.loads(before)
    assert (tmp_path / "backup/merpati.toml").read_bytes() == (
        tmp_path / "merpati.toml"
    ).read_bytes()


@pytest.mark.slow
def test_a_backup_belongs_to_its_owner_alone(run: Run, tmp_path: Path) -> None:
    fill(run)
    assert run("backup", str(tmp_path / "backup")).exit_code == 0
    for one in (tmp_path / "backup", *(tmp_path / "backup").iterdir()):
        assert one.stat().st_mode & 0o077 == 0, one


def test_where_there_is_nothing_there_is_no_backup(run: Run, tmp_path: Path) -> None:
    done = run("backup", str(tmp_path / "backup"))
    assert (done.exit_code, "there is nothing to back up" in done.stderr) == (1, True)


@pytest.mark.slow
def test_a_backup_that_fails_leaves_nothing_behind(run: Run, tmp_path: Path) -> None:
    fill(run)
    with (tmp_path / "var/queue-0.db").open("r+b") as queue:
        queue.write(b"no database")
    done = run("backup", str(tmp_path / "new/backup"))
    assert (done.exit_code, "queue-0.db" in done.stderr) == (1, True)
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_backup_that_the_servers_user_cannot_reach_leaves_nothing_behind() -> None:
    # Not in tmp_path, whose folders above are of root alone.
    with tempfile.TemporaryDirectory(prefix="merpati-backup-") as name:
        tmp_path = Path(name)
        tmp_path.chmod(0o755)
        file = tmp_path / "merpati.toml"
        file.write_text('data = "var"\n')
        filled = _merpati(file, "domain", "add", "a.test")
        assert filled.returncode == 0, filled.stderr
        for one in (tmp_path / "var", *(tmp_path / "var").iterdir()):
            shutil.chown(one, "nobody")
        file.write_text('data = "var"\nuser = "nobody"\n')
        (tmp_path / "closed").mkdir(mode=0o700)
        done = _merpati(file, "backup", str(tmp_path / "closed/new/backup"))
        assert done.returncode == 1
        assert f"cannot look into {tmp_path}/closed/new/backup: Permission denied" in done.stderr
        assert list((tmp_path / "closed").iterdir()) == []


def _merpati(file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, since becoming another user cannot be undone."""
    return subprocess.run(
        [sys.executable, "-m", "merpati.cli.main", "--config", str(file), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.slow
def test_nothing_is_restored_where_something_is(run: Run, tmp_path: Path) -> None:
    fill(run)
    assert run("backup", str(tmp_path / "backup")).exit_code == 0
    done = run("restore", str(tmp_path / "backup"))
    assert done.exit_code == 1
    assert "var is not empty: nothing there is ever overwritten" in done.stderr
    assert run("backup", str(tmp_path / "backup")).exit_code == 1


@pytest.mark.slow
def test_nothing_is_restored_under_a_server_that_starts(run: Run, tmp_path: Path) -> None:
    fill(run)
    assert run("backup", str(tmp_path / "backup")).exit_code == 0
    (tmp_path / "var").rename(tmp_path / "lost")
    (tmp_path / "var").mkdir()
    with Lock(tmp_path / "var/lock"):
        done = run("restore", str(tmp_path / "backup"))
    assert done.exit_code == 1
    assert "another Merpati works on this data" in done.stderr
