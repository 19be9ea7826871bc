"""Mistakes that people make first, and what they are told."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from merpati.cli.main import merpati
from merpati.cli.serve import _settings

Run = Callable[..., Result]
PORT = '[[port]]\nrole = "mx"\nlisten = "127.0.0.1:2525"\n'


@pytest.fixture
def run(tmp_path: Path) -> Run:
    file = tmp_path / "merpati.toml"
    file.write_text(PORT)

    def run(*arguments: str, text: str = "") -> Result:
        return CliRunner().invoke(merpati, ["--config", str(file), *arguments], input=text)

    assert run("domain", "add", "a.test").exit_code == 0
    return run


def add(run: Run, password: str) -> Result:
    return run("user", "add", "ann@a.test", "--password-stdin", text=password + "\n")


def told(result: Result) -> str:
    """What a refusal says, in its one line."""
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    return line


def test_without_a_terminal_a_password_is_not_asked_for(run: Run) -> None:
    line = told(run("user", "add", "ann@a.test"))
    assert line == "merpati: no password given: use --password-stdin"


def test_the_domain_is_looked_at_before_the_password(run: Run) -> None:
    assert "merpati domain add b.test" in told(run("user", "add", "ann@b.test"))


@pytest.mark.slow
@pytest.mark.parametrize(("password", "status"), [("1234567", 1), ("12345678", 0)])
def test_a_password_has_eight_characters(run: Run, password: str, status: int) -> None:
    result = add(run, password)
    assert result.exit_code == status
    assert ("at least 8 characters" in result.stderr) == bool(status)


@pytest.mark.slow
def test_the_password_of_a_program_is_replaced_only_when_that_is_said(run: Run) -> None:
    assert add(run, "secret words").exit_code == 0
    command = ("user", "app-password", "add", "ann@a.test", "phone")
    assert run(*command).exit_code == 0
    assert "--replace" in told(run(*command))
    assert run(*command, "--replace").exit_code == 0


@pytest.mark.slow
@pytest.mark.parametrize("action", ["hold", "release", "retry", "cancel"])
def test_what_changed_nothing_has_not_succeeded(run: Run, action: str) -> None:
    assert "nothing matched" in told(run("queue", action, "--domain", "b.test"))
    assert run("queue", action, "--all").exit_code == 0


@pytest.mark.slow
def test_who_writes_the_file_behind_the_command_is_told_where_it_stands() -> None:
    command = [sys.executable, "-m", "merpati.cli.main", "queue", "list", "--config", "x.toml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "merpati --config FILE COMMAND" in done.stderr


def test_a_key_without_a_default_is_optional_or_required(run: Run) -> None:
    explained = run("config", "explain", "route").stdout
    assert "required)" in explained.partition("route.tls")[0]
    assert "optional)" in explained.partition("route.tls")[2].partition("\n")[0]


def test_a_developers_inbox_can_be_wanted_where_a_file_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "merpati.toml").write_text(PORT)
    command = merpati.get_command(merpati.make_context("merpati", ["serve"]), "serve")
    assert command is not None
    for words, is_inbox in ((["--inbox", "--data", "x"], True), ([], False)):
        with command.make_context("serve", list(words)) as ctx:
            assert _settings(ctx, ctx.params).is_inbox is is_inbox  # type: ignore[arg-type]  # as click makes it


def test_without_a_user_the_developers_inbox_is_meant_where_there_is_one(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MERPATI_DATA", str(tmp_path / "data"))
    assert "whose?" in told(run("inbox", "list"))
    (tmp_path / "data" / "inbox").mkdir(parents=True)
    assert run("inbox", "list").exit_code == 0
