"""What others reported is in a file of its own: when that is damaged, mail goes on without it."""

import json
from io import StringIO
from pathlib import Path

import apsw
import pytest

from merpati.config.places import Places
from merpati.storage.connection import Kind, StorageSettings, abandon, connect
from merpati.storage.errors import StorageError
from merpati.system.aside import notices, set_aside
from merpati.system.log import Log
from merpati.testing.clock import VirtualClock
from tests.system.test_server import Server, wait_for

NOISE = b"no database at all\n" * 500
AT = 1_790_000_000.0


def tried(folder: Path) -> str:
    """What the log says of a start."""
    lines, clock = StringIO(), VirtualClock(AT)
    set_aside(Places(folder), clock, Log(clock, lines))
    return lines.getvalue()


def test_a_damaged_file_is_moved_and_nothing_is_overwritten(tmp_path: Path) -> None:
    for _ in range(2):
        (tmp_path / "feedback.db").write_bytes(NOISE)
        assert '"event":"reports-set-aside"' in tried(tmp_path)
    names = sorted(one.name for one in tmp_path.iterdir())
    assert names == [
        "feedback.db.damaged-20260921T141320Z",
        "feedback.db.damaged-20260921T141320Z-2",
    ]
    assert (tmp_path / names[0]).read_bytes() == NOISE
    assert len(notices(Places(tmp_path))) == 2


def test_what_is_sound_new_or_not_there_stays(tmp_path: Path) -> None:
    assert tried(tmp_path) == ""
    settings = StorageSettings(tmp_path / "feedback.db", Kind.FEEDBACK)
    abandon(connect(settings))
    assert tried(tmp_path) == ""
    assert notices(Places(tmp_path)) == ()


@pytest.mark.parametrize("change", ["PRAGMA user_version=99", "PRAGMA application_id=7"])
def test_what_another_program_wrote_is_refused_and_stays(tmp_path: Path, change: str) -> None:
    settings = StorageSettings(tmp_path / "feedback.db", Kind.FEEDBACK)
    connection = connect(settings)
    connection.execute(change)
    connection.close()
    assert tried(tmp_path) == ""
    with pytest.raises(StorageError, match=r"newer Merpati|another program"):
        connect(settings)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_starts_beside_damaged_reports_and_says_so(tmp_path: Path, workers: int) -> None:
    server = Server(tmp_path, workers=workers)
    server.populate()
    (tmp_path / "var/feedback.db").write_bytes(NOISE)
    done = server.run("verify", "--json")
    assert [one["damage"] for one in json.loads(done.stdout)["findings"]] == ["reports"]
    with server:
        server.send("ann@a.test")
        wait_for(lambda: len(server.mails()) == 1)
        assert server.ask_json("reports", "list") == []
        (notice,) = server.ask_json("status")["notices"]
        assert "feedback.db was damaged and is now feedback.db.damaged-" in notice
        assert notice in server.ask("status")
        assert server.page("/healthz") == (200, f"ok\n{notice}\n")
        assert server.run("verify").returncode == 0
    assert server.output().count('"event":"reports-set-aside"') == 1
    (aside,) = Places(tmp_path / "var").damaged_feedback()
    assert aside.read_bytes() == NOISE
    journal = apsw.Connection(str(tmp_path / "var/queue-0.db"))
    bodies = [bytes(body) for (body,) in journal.execute("SELECT body FROM event").fetchall()]
    assert sum(b"reports-set-aside" in body for body in bodies) == 1
    aside.unlink()
    assert server.ask_json("status")["notices"] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["queue-0.db", "directory.db"])
def test_a_server_does_not_start_beside_damaged_mail_or_people(tmp_path: Path, name: str) -> None:
    server = Server(tmp_path)
    server.populate()
    (tmp_path / "var" / name).write_bytes(NOISE)
    done = server.run("serve")
    assert done.returncode != 0
    assert "it is left as it is" in done.stderr
    assert (tmp_path / "var" / name).read_bytes() == NOISE
