"""`merpati verify` as an operator and a script see it."""

import json
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest
from click.testing import CliRunner, Result

from merpati.cli.main import merpati
from merpati.storage.lock import Lock
from tests.upgrade import sample

Run = Callable[..., Result]

DAMAGE = "UPDATE chunk SET octets = CAST('X' || substr(octets, 2) AS BLOB)"
SAMPLE = Path(sample.__file__).parent / "0.1.0-schema-1"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    file = tmp_path / "merpati.toml"
    text = (
        'hostname = "mx.a.test"\ndata = "var"\n[[port]]\nrole = "mx"\nlisten = "127.0.0.1:2525"\n'
    )
    file.write_text(text)

    def run(*arguments: str, text: str = "") -> Result:
        return CliRunner().invoke(merpati, ["--config", str(file), *arguments], input=text)

    return run


@pytest.fixture
def message(run: Run) -> str:
    """The ID of a message that waits."""
    done = run("send", "--from", "ann@a.test", "--to", "bob@b.test", "--text", "hello")
    assert done.exit_code == 0, done.output
    (line,) = json.loads(run("queue", "list", "--json").stdout)
    return str(line["id"])


def spoil(folder: Path, statement: str) -> None:
    connection = apsw.Connection(str(folder / "var/queue-0.db"))
    connection.execute(statement).fetchall()
    connection.close()


def test_what_is_sound_ends_with_0(run: Run, message: str) -> None:
    done = run("verify")
    assert (done.exit_code, done.stderr) == (0, "")
    assert (
        done.stdout
        == "All is sound: looked at 1 messages, 1 recipients, 1 events, 0 users, 0 reports.\n"
    )


def test_what_is_damaged_is_named_with_what_is_lost_and_what_to_do(
    run: Run, message: str, tmp_path: Path
) -> None:
    spoil(tmp_path, DAMAGE)
    done = run("verify")
    assert done.exit_code == 1
    named, lost, todo, verdict = done.stdout.splitlines()
    how = f"the content of {message} is damaged: its checksum does not match"
    assert named == f"queue-0.db: message {message}: {how}"
    assert lost.startswith("  lost: The message")
    assert f"merpati queue cancel {message}" in todo
    assert verdict.startswith("1 finding: looked at 1 messages")


def test_programs_are_told_the_same(run: Run, message: str, tmp_path: Path) -> None:
    spoil(tmp_path, DAMAGE)
    done = run("verify", "--json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["sound"], told["total"], told["held"]) == (1, False, 1, None)
    (finding,) = told["findings"]
    assert (finding["damage"], finding["message"]) == ("content", message)
    assert finding["file"].endswith("var/queue-0.db")


@pytest.mark.slow
def test_what_is_damaged_is_held_on_demand_and_still_counts(
    run: Run, message: str, tmp_path: Path
) -> None:
    spoil(tmp_path, DAMAGE)
    done = run("verify", "--hold-damaged")
    assert done.exit_code == 1
    assert "1 recipient held." in done.stdout
    (line,) = json.loads(run("queue", "list", "--json").stdout)
    assert line["state"] == "held"
    assert json.loads(run("verify", "--hold-damaged", "--json").stdout)["held"] == 0


@pytest.mark.slow
def test_counts_are_made_anew_only_while_nobody_else_works_on_them(
    run: Run, message: str, tmp_path: Path
) -> None:
    spoil(tmp_path, "UPDATE lane SET waiting = 0, ready = NULL")
    assert "would be sent late or never" in run("verify").stdout
    with Lock(tmp_path / "var/lock"):
        done = run("verify", "--repair")
    assert (done.exit_code, "another Merpati works on this data" in done.stderr) == (1, True)
    assert run("verify", "--repair").exit_code == 0
    assert run("verify").exit_code == 0


def test_where_nothing_was_stored_nothing_is_called_sound(run: Run) -> None:
    done = run("verify")
    assert done.exit_code == 1
    assert done.stderr.startswith("merpati: there is no queue in ")


def test_data_of_an_earlier_format_are_not_judged_and_left_alone(run: Run, tmp_path: Path) -> None:
    sample.unpack(SAMPLE, tmp_path / "var")
    before = (tmp_path / "var/queue-0.db").read_bytes()
    done = run("verify")
    assert done.exit_code == 1
    assert "has the format of an earlier Merpati (schema 1)" in done.stderr
    assert (tmp_path / "var/queue-0.db").read_bytes() == before


def test_messages_without_a_checksum_are_counted(run: Run, tmp_path: Path) -> None:
    sample.unpack(SAMPLE, tmp_path / "var")
    assert run("queue", "list").exit_code == 0
    done = run("verify")
    assert done.exit_code == 0
    assert "6 messages came before checksums were kept" in done.stdout


@pytest.mark.slow
def test_a_file_that_is_no_database_is_named(run: Run, message: str, tmp_path: Path) -> None:
    (tmp_path / "var/queue-1.db").write_bytes(b"x" * 5000)
    done = run("verify")
    assert done.exit_code == 1
    assert done.stdout.startswith("queue-1.db: ")
    assert "merpati restore" in done.stdout


@pytest.mark.slow
def test_files_of_mailboxes_are_read_on_demand(run: Run, message: str, tmp_path: Path) -> None:
    new = tmp_path / "var/mail/a.test/ann/new"
    new.mkdir(parents=True)
    (new / "1").write_bytes(b"Subject: x\n\n")
    (new / "2").write_bytes(b"")
    assert run("verify").exit_code == 0
    done = run("verify", "--mailboxes")
    assert done.exit_code == 1
    assert done.stdout.startswith("2: is empty\n")
    assert "2 mailbox files" in done.stdout
