"""Mistakes that people make first, and what they are told."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from merpati.cli.main import merpati
from merpati.cli.serve import _settings, _way_out
from merpati.config.document import Document
from merpati.config.settings import INBOX_HTTP, Settings, developer_inbox, load
from merpati.wire.endpoint import Endpoint
from merpati.wire.errors import WireTaken
from tests.cases import each

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


def test_who_wants_a_port_that_is_taken_is_told_a_way_out(tmp_path: Path) -> None:
    def told_of(settings: Settings, end: Endpoint, why: int) -> str:
        error = WireTaken(f"cannot listen on {end}: x")
        error.__cause__ = OSError(why, "x")
        return _way_out(settings, error)

    (tmp_path / "merpati.toml").write_text(PORT)
    server = load(tmp_path / "merpati.toml")
    inbox = developer_inbox({"MERPATI_DATA": str(tmp_path)}, None, None)
    here = Endpoint("127.0.0.1", 2525)
    assert "ss -ltnp" in told_of(server, here, errno.EADDRINUSE)
    assert "A developer's inbox takes this port" in told_of(server, INBOX_HTTP, errno.EADDRINUSE)
    assert "--smtp 127.0.0.1:1026" in told_of(inbox, INBOX_HTTP, errno.EADDRINUSE)
    assert told_of(server, here, errno.EACCES) == ""


def test_the_sample_configuration_and_a_developers_inbox_stand_beside_one_another() -> None:
    sample = load(Path(__file__).parents[2] / "packaging/merpati.toml").document
    inbox = developer_inbox({"MERPATI_DATA": "/nowhere"}, None, None).document
    assert not {end.port for end in _listening(sample)} & {end.port for end in _listening(inbox)}


def _listening(document: Document) -> list[Endpoint]:
    http = [end for _, end in document.http.doors()] if document.http else []
    return [*(port.listen for port in document.port), *http]


@each(("data", "why"), [("file", "file is not a directory"), ("x" * 300, "File name too long")])
def test_a_data_directory_that_cannot_be_one_is_said(tmp_path: Path, data: str, why: str) -> None:
    (tmp_path / "file").write_text("")
    file = tmp_path / "merpati.toml"
    file.write_text(f'data = "{data}"\n')
    for command in (("queue", "list"), ("backup", str(tmp_path / "new")), ("verify",)):
        result = CliRunner().invoke(merpati, ["--config", str(file), *command])
        assert (result.exit_code, why in result.stderr) == (78, True), result.output
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to somebody else")
def test_who_may_not_enter_is_not_told_that_there_is_nothing(run: Run, tmp_path: Path) -> None:
    box = tmp_path / "var/mail/a.test/ann/new"
    box.mkdir(parents=True)
    (box / "01M0.host").write_text("Subject: x\n\n")

    def refused(*command: str) -> str:
        # Root without the right to pass over the rights of others.
        as_anybody = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
        merpati = [sys.executable, "-m", "merpati.cli.main", "-c", str(tmp_path / "merpati.toml")]
        done = subprocess.run(
            [*as_anybody, *merpati, *command],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (1, ""), done.stderr
        return done.stderr

    (box / "01M0.host").chmod(0)
    shutil.chown(box / "01M0.host", "nobody")
    assert refused("inbox", "show", "1", "--user", "ann@a.test").endswith(": Permission denied\n")
    (tmp_path / "var").chmod(0o700)
    shutil.chown(tmp_path / "var", "nobody")
    told = refused("backup", str(tmp_path / "backup"))
    assert "only root and the user of the server may work on" in told
    told = refused("inbox", "list", "ann@a.test")
    assert told.startswith("merpati: cannot read /")


@pytest.mark.slow
def test_a_name_that_is_not_here_is_said_before_anything_is_asked(run: Run) -> None:
    assert told(run("user", "passwd", "nobody@a.test")) == "merpati: there is no user nobody@a.test"
    assert "no certificate is called a.test" in told(run("certificate", "revoke", "a.test"))
    for command in ("user", "alias"):
        assert run(command, "list", "a.test").exit_code == 0
        line = told(run(command, "list", "b.test"))
        assert line == "merpati: b.test is no domain here: merpati domain list"
    line = told(run("domain", "remove", "b.test"))
    assert line == "merpati: the domain b.test does not exist here: merpati domain list"


@each(
    ("command", "why"),
    [
        (("queue", "suspend", "b.test", "--for", "99w"), "'99w' is longer than 365d"),
        (("queue", "cancel", "--older", "9" * 400 + "w"), "is longer than 365000d"),
        (("user", "quotas", "ann@a.test", "--messages", "9" * 30), "range 0<=x<=1000000000"),
    ],
)
def test_a_figure_that_nobody_can_mean_is_refused(command: tuple[str, ...], why: str) -> None:
    result = CliRunner().invoke(merpati, command)
    assert (result.exit_code, why in result.stderr) == (2, True), result.output


@pytest.mark.slow
def test_what_the_machine_lacks_is_told_in_words(run: Run, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    command = [sys.executable, "-m", "merpati.cli.main"]

    def words(*arguments: str, script: str, status: int) -> str:
        done = subprocess.run(
            ["sh", "-c", script, "sh", *command, *arguments],
            capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        return done.stderr

    told = words("config", "explain", script='"$@" >/dev/full', status=1)
    assert told == "merpati: No space left on device\n"
    # Not by MERPATI_CONFIG, since the file in front of it would be looked for where nothing is.
    lost = 'cd gone; rmdir ../gone; env -u MERPATI_CONFIG "$@"'
    assert words("status", script=lost, status=1).endswith("was started in is no more\n")


def test_what_is_no_address_is_named(run: Run) -> None:
    assert "'nonsense': not an address" in told(run("srs", "whose", "nonsense"))
