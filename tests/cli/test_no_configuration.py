"""Commands where there is no merpati.toml: nothing may vanish into data that nobody serves."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from merpati.cli.main import merpati
from merpati.config import settings

COMMANDS = [
    ("sendmail", "ann@a.test"),
    ("sendmail", "-bs"),
    ("sendmail", "-bp"),
    ("send", "--from", "ann@a.test", "--to", "budi@b.test", "--text", "x"),
    ("domain", "add", "a.test"),
    ("user", "list"),
    ("alias", "list"),
    ("queue", "list"),
]


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MERPATI_CONFIG", raising=False)
    monkeypatch.setenv("MERPATI_DATA", str(tmp_path / "inbox"))
    monkeypatch.setattr(settings, "SYSTEM_FILE", tmp_path / "etc" / "merpati.toml")
    return tmp_path


def run(*command: str) -> Result:
    return CliRunner().invoke(merpati, [*command], input="Subject: x\n\nhello\n")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_says_where_it_looked_and_leaves_nothing(
    nowhere: Path, command: tuple[str, ...]
) -> None:
    result = run(*command)
    assert result.exit_code == 78
    assert "there is no merpati.toml" in result.stderr
    for place in ("--config", "$MERPATI_CONFIG", "./merpati.toml", "/etc/merpati/merpati.toml"):
        assert place in result.stderr
    assert not (nowhere / "inbox").exists()


def test_status_says_that_nothing_runs(nowhere: Path) -> None:
    result = run("status")
    assert (result.exit_code, "does not run" in result.output) == (0, True)
