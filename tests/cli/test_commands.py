"""Commands as people and scripts call them, while no server runs."""

import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from merpati.cli.main import COMMANDS, merpati
from merpati.clock import SystemClock
from merpati.wire.certificates import make_self_signed

Run = Callable[..., Result]


def commands_in(folder: Path) -> Run:
    """Commands with a configuration of their own in a folder."""
    file = folder / "merpati.toml"
    file.write_text('hostname = "mx.a.test"\n[[port]]\nrole = "mx"\nlisten = "127.0.0.1:2525"\n')

    def run(*arguments: str, text: str | bytes = "") -> Result:
        return CliRunner().invoke(merpati, ["--config", str(file), *arguments], input=text)

    return run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return commands_in(tmp_path)


def ok(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def with_ann(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data of a server with one user, made once: each command opens and syncs databases."""
    folder = tmp_path_factory.mktemp("ann")
    run = commands_in(folder)
    ok(run("domain", "add", "a.test"))
    ok(run("user", "add", "ann@a.test", "--password-stdin", text="secret words\n"))
    return folder / "var"


@pytest.fixture
def populated(run: Run, with_ann: Path, tmp_path: Path) -> Run:
    shutil.copytree(with_ann, tmp_path / "var")
    return run


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(run: Run, command: str) -> None:
    told = ok(run(command, "--help"))
    assert "Example" in told
    assert f"merpati {command}" in told


@pytest.mark.slow
def test_help_loads_no_command() -> None:
    code = (
        "import sys; from merpati.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'asyncio', 'aiohttp', 'rich', 'apsw', 'msgspec', 'cryptography', 'uvloop'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    before = _of_children()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert _of_children() - before < 5


def _of_children() -> float:
    """Seconds of CPU of those that have ended: on a busy machine others have the time."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_a_misspelt_command_is_suggested(run: Run) -> None:
    result = run("queu", "list")
    assert result.exit_code == 2
    assert "Did you mean queue?" in result.output


def test_an_empty_queue_is_an_empty_array(run: Run) -> None:
    assert json.loads(ok(run("queue", "list", "--json"))) == []


@pytest.mark.slow
def test_lists_are_arrays_for_programs(populated: Run) -> None:
    ok(populated("alias", "add", "sales@a.test", "ann@a.test"))
    assert json.loads(ok(populated("domain", "list", "--json"))) == ["a.test"]
    (user,) = json.loads(ok(populated("user", "list", "--json")))
    assert (user["address"], user["suspended"], user["may_send"]) == ("ann@a.test", False, True)
    (alias,) = json.loads(ok(populated("alias", "list", "--json")))
    assert alias == {"alias": "sales@a.test", "targets": ["ann@a.test"]}


@pytest.mark.slow
def test_adding_a_user_says_what_comes_next(run: Run) -> None:
    ok(run("domain", "add", "a.test"))
    told = ok(run("user", "add", "ann@a.test", "--password-stdin", text="secret words\n"))
    assert "Next: merpati inbox list ann@a.test" in told


@pytest.mark.slow
def test_a_user_whose_password_others_know_is_asked_for_none(run: Run) -> None:
    ok(run("domain", "add", "a.test"))
    assert "logs in as [login] says" in ok(run("user", "add", "ann@a.test", "--no-password"))
    (user,) = json.loads(ok(run("user", "list", "--json")))
    assert user["address"] == "ann@a.test"


def test_a_password_must_come(populated: Run) -> None:
    result = populated("user", "passwd", "ann@a.test", "--password-stdin", text="")
    assert (result.exit_code, result.stderr) == (1, "merpati: no password came on standard input\n")


def test_a_user_of_an_unknown_domain_is_refused_in_one_line(run: Run) -> None:
    result = run("user", "add", "ann@b.test", "--password-stdin", text="x\n")
    assert result.exit_code == 1
    assert result.stderr.startswith("merpati: ")
    assert "b.test" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.slow
def test_app_passwords_are_printed_once_and_revoked(populated: Run) -> None:
    password = ok(populated("user", "app-password", "add", "ann@a.test", "phone")).strip()
    assert len(password) == 19
    (line,) = json.loads(ok(populated("user", "app-password", "list", "ann@a.test", "--json")))
    assert line == {"program": "phone", "last_used": None}
    ok(populated("user", "app-password", "revoke", "ann@a.test", "phone"))
    assert json.loads(ok(populated("user", "app-password", "list", "ann@a.test", "--json"))) == []


@pytest.mark.slow
def test_a_sent_message_is_queued_traced_and_cancelled(populated: Run) -> None:
    sent = ok(
        populated(
            "send", "--from", "ann@a.test", "--to", "budi@b.test", "--subject", "Halo ✓",
            "--text", "Apa kabar?",
        )
    )  # fmt: skip
    message = sent.split()[2]
    (line,) = json.loads(ok(populated("queue", "list", "--json")))
    assert (line["id"], line["recipient"], line["attempts"]) == (message, "budi@b.test", 0)
    story = json.loads(ok(populated("trace", message, "--json")))
    assert story["message"] == message
    assert [event["kind"] for event in story["events"]] == ["accepted"]
    assert "Halo ✓" in ok(populated("trace", message))
    assert "Halo" in ok(populated("queue", "show", message)) or "=?utf-8?" in ok(
        populated("queue", "show", message)
    )
    ok(populated("queue", "cancel", message))
    assert json.loads(ok(populated("queue", "list", "--json"))) == []


@pytest.mark.slow
def test_a_trace_by_address_is_a_list_of_stories(populated: Run) -> None:
    for _ in range(2):
        ok(populated("send", "--from", "ann@a.test", "--to", "budi@b.test", "--text", "x"))
    stories = json.loads(ok(populated("trace", "budi@b.test", "--json")))
    assert [len(story["events"]) for story in stories] == [1, 1]
    assert json.loads(ok(populated("trace", "nobody@b.test", "--json"))) == []


@pytest.mark.slow
def test_what_is_not_known_ends_with_status_1(run: Run) -> None:
    for command in (("trace", "nope"), ("trace", "no@body.test"), ("queue", "show", "nope")):
        result = run(*command)
        assert result.exit_code == 1, command
        assert result.stderr.startswith("merpati: ")


@pytest.mark.slow
def test_nobody_cancels_the_whole_queue_by_a_slip(populated: Run) -> None:
    ok(populated("send", "--from", "ann@a.test", "--to", "budi@b.test", "--text", "x"))
    assert "--all" in populated("queue", "cancel").stderr
    assert "1 recipient cancelled" in ok(populated("queue", "cancel", "--all"))


@pytest.mark.parametrize("age", ["5 days", "x", "-1"])
def test_an_age_is_written_as_in_the_configuration(run: Run, age: str) -> None:
    result = run("queue", "list", "--older", age)
    assert result.exit_code == 2
    assert "4h" in result.output


@pytest.mark.slow
def test_the_older_filter_looks_at_the_time_of_receipt(populated: Run) -> None:
    ok(populated("send", "--from", "ann@a.test", "--to", "budi@b.test", "--text", "x"))
    assert json.loads(ok(populated("queue", "list", "--older", "1h", "--json"))) == []
    assert len(json.loads(ok(populated("queue", "list", "--older", "0", "--json")))) == 1


@pytest.mark.slow
def test_sites_are_suspended_and_resumed(run: Run) -> None:
    ok(run("queue", "suspend", "mx.b.test", "--for", "2h", "--why", "moving"))
    (held,) = json.loads(ok(run("queue", "sites", "--json")))
    assert (held["site"], held["why"]) == ("mx.b.test", "moving")
    ok(run("queue", "resume", "mx.b.test"))
    assert json.loads(ok(run("queue", "sites", "--json"))) == []


ROUTED = """\
[[port]]
role = "mx"
listen = "127.0.0.1:2525"
[[route]]
match = ["b.test", "c.test"]
to = "smtp://relay.test"
tls = "required"
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["smtp://relay.test", "smtp://relay.test:25?tls=required"])
def test_a_route_is_suspended_as_it_is_written(populated: Run, tmp_path: Path, name: str) -> None:
    fill(tmp_path, {"merpati.toml": ROUTED})
    ok(populated("send", "--from", "ann@a.test", "--to", "budi@b.test", "--text", "x"))
    told = ok(populated("queue", "suspend", name, "--for", "2h"))
    assert "smtp://relay.test:25?tls=required gets nothing for 2h" in told
    assert "mail for b.test" in told
    (line,) = json.loads(ok(populated("queue", "list", "--json")))
    assert line["site_held_until"] is not None
    assert "1 recipient due now" in ok(populated("queue", "resume", "b.test"))
    (line,) = json.loads(ok(populated("queue", "list", "--json")))
    assert line["site_held_until"] is None


@pytest.mark.slow
def test_a_domain_can_be_suspended_before_its_first_mail(populated: Run) -> None:
    ok(populated("queue", "suspend", "b.test"))
    ok(populated("send", "--from", "ann@a.test", "--to", "budi@b.test", "--text", "x"))
    (line,) = json.loads(ok(populated("queue", "list", "--json")))
    assert line["site_held_until"] is not None


@pytest.mark.slow
def test_a_new_user_is_told_names_to_connect_to(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "merpati.toml"
    ports = (
        ("submission", "0.0.0.0:587"),
        ("submission", "[::]:587"),
        ("submissions", "[::1]:465"),
    )
    file.write_text(
        'hostname = "mx.a.test"\n'
        + "".join(f'[[port]]\nrole = "{role}"\nlisten = "{listen}"\n' for role, listen in ports)
    )
    ok(run("domain", "add", "a.test"))
    told = ok(run("user", "add", "ann@a.test", "--password-stdin", text="secret words\n"))
    assert [line for line in told.splitlines() if "send through" in line] == [
        "Mail programs send through mx.a.test:587 (STARTTLS).",
        "Mail programs send through [::1]:465 (TLS).",
    ]


@pytest.mark.parametrize("command", ["suspend", "resume"])
@pytest.mark.parametrize("name", ["nonsense", "smtp://nowhere.test", "http://x", ""])
def test_what_leads_nowhere_is_neither_suspended_nor_resumed(
    populated: Run, command: str, name: str
) -> None:
    ok(populated("queue", "suspend", "b.test"))
    result = populated("queue", command, name)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"no mail goes to {name!r} so far" in result.stderr
    assert "known sites: b.test" in result.stderr


@pytest.mark.slow
def test_resuming_makes_due_what_had_been_tried(populated: Run) -> None:
    ok(populated("send", "--from", "ann@a.test", "--to", "budi@b.test", "--text", "x"))
    ok(populated("queue", "suspend", "b.test"))
    told = ok(populated("queue", "retry", "--domain", "b.test"))
    assert "1 recipient due now." in told
    assert "is on hold until" in told
    assert ok(populated("queue", "resume", "b.test")).endswith("1 recipient due now.\n")


@pytest.mark.slow
def test_a_retry_lifts_the_hold_in_the_same_step(populated: Run) -> None:
    ok(populated("send", "--from", "ann@a.test", "--to", "budi@b.test", "--text", "x"))
    ok(populated("queue", "suspend", "b.test"))
    told = ok(populated("queue", "retry", "--domain", "b.test", "--resume"))
    assert told == "1 recipient due now.\nb.test gets mail again.\n"
    (line,) = json.loads(ok(populated("queue", "list", "--json")))
    assert line["site_held_until"] is None


def test_the_host_of_a_route_is_suspended_before_its_first_mail(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "merpati.toml"
    file.write_text(file.read_text() + '[[route]]\nmatch = ["*"]\nto = "smtp://relay.test"\n')
    told = ok(run("queue", "suspend", "smtp://relay.test"))
    assert told.startswith("smtp://relay.test:25 gets nothing for 1h")
    assert "smtp://relay.test:25" in ok(run("queue", "sites"))


@pytest.mark.slow
def test_a_hold_and_its_reason_stand_below_the_list_and_after_a_retry(populated: Run) -> None:
    ok(populated("send", "--from", "ann@a.test", "--to", "budi@b.test", "--text", "x"))
    assert "on hold" not in populated("queue", "list").output
    ok(populated("queue", "suspend", "b.test", "--why", "moving"))
    for command in ("list", "retry"):
        told = populated("queue", command, "--domain", "b.test").output
        assert "b.test is on hold until" in told
        assert "moving (merpati queue resume b.test)" in told


@pytest.mark.slow
def test_in_a_pipe_each_line_of_the_list_is_a_recipient(populated: Run) -> None:
    ok(populated("send", "--from", "ann@a.test", "--to", "budi@b.test", "--text", "x"))
    ok(populated("queue", "suspend", "b.test"))
    (line,) = ok(populated("queue", "list")).splitlines()
    assert line.split("\t")[1:3] == ["budi@b.test", "waiting"]


def test_status_and_reload_without_a_server(run: Run) -> None:
    assert json.loads(ok(run("status", "--json")))["running"] is False
    result = run("reload")
    assert (result.exit_code, "no server runs" in result.stderr) == (1, True)


def test_a_bad_file_ends_every_command_with_78(run: Run, tmp_path: Path) -> None:
    (tmp_path / "merpati.toml").write_text("workers = 0\nnonsense = 1\n")
    result = run("queue", "list")
    assert result.exit_code == 78
    assert "merpati.toml:1: workers" in result.stderr
    assert "merpati.toml:2: nonsense" in result.stderr


def test_config_check_looks_at_the_files_that_are_named(run: Run, tmp_path: Path) -> None:
    ok(run("config", "check"))
    (tmp_path / "merpati.toml").write_text('[tls]\ncertificate = "c.pem"\nkey = "k.pem"\n')
    (tmp_path / "k.pem").write_text("x")
    (tmp_path / "k.pem").chmod(0o644)
    result = run("config", "check")
    assert result.exit_code == 78
    assert "c.pem does not exist" in result.stderr
    assert "chmod" in result.stderr


PORT = '[[port]]\nrole = "mx"\nlisten = "127.0.0.1:2525"\n'
ROUTE = '[[route]]\nmatch = ["*"]\nto = "smtp://h.test"\nusername = "u"\npassword_file = "p"\n'
TLS = '[tls]\ncertificate = "c.pem"\nkey = "k.pem"\n'


def fill(folder: Path, contents: dict[str, str]) -> None:
    for name, content in contents.items():
        (folder / name).write_text(content)
        (folder / name).chmod(0o600)


@pytest.mark.parametrize(
    ("text", "contents", "line", "told"),
    [
        ("", {}, "", "[[port]]"),
        (f'user = "no-such-user"\n{PORT}', {}, ":1", "no-such-user"),
        (PORT + ROUTE, {}, ":8", "p does not exist"),
        (PORT + ROUTE, {"p": "\n"}, ":8", "is empty"),
        (PORT + TLS, {"c.pem": "x", "k.pem": "x"}, ":5", "PEM"),
    ],
)
def test_what_serve_would_refuse_config_check_refuses(
    run: Run, tmp_path: Path, text: str, contents: dict[str, str], line: str, told: str
) -> None:
    fill(tmp_path, {"merpati.toml": text} | contents)
    for command in (("config", "check"), ("serve",)):
        result = run(*command)
        assert result.exit_code == 78, result.output
        assert f"merpati.toml{line}: " in result.stderr
        assert told in result.stderr


def test_a_key_of_another_certificate_is_refused(run: Run, tmp_path: Path) -> None:
    for name in ("c", "k"):
        pair = tmp_path / f"{name}.pem", tmp_path / f"{name}.key"
        make_self_signed(*pair, SystemClock(), ["a.test"], [])
    (tmp_path / "c.key").rename(tmp_path / "k.pem")
    (tmp_path / "merpati.toml").write_text(PORT + TLS)
    ok(run("config", "check"))
    (tmp_path / "k.key").rename(tmp_path / "k.pem")
    result = run("config", "check")
    assert (result.exit_code, "mismatch" in result.stderr) == (78, True)


@pytest.mark.slow
def test_the_process_ends_with_the_status_of_its_command(tmp_path: Path) -> None:
    fill(tmp_path, {"merpati.toml": PORT + ROUTE, "p": "secret"})
    (tmp_path / "p").chmod(0o644)
    command = [sys.executable, "-m", "merpati.cli.main", "--config", str(tmp_path / "merpati.toml")]
    done = subprocess.run([*command, "config", "check"], capture_output=True, check=False)
    assert done.returncode == 78, done.stderr


def test_config_show_says_where_each_value_came_from(run: Run) -> None:
    shown = {one["key"]: one for one in json.loads(ok(run("config", "show", "--json")))}
    assert shown["hostname"]["source"].endswith("merpati.toml:1")
    assert shown["workers"]["source"] == "default"


def test_config_explain_tells_of_one_key(run: Run) -> None:
    told = ok(run("config", "explain", "trusted"))
    assert "relay" in told
    assert run("config", "explain", "nonsense").exit_code == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_for_the_shell(run: Run, shell: str) -> None:
    assert "_MERPATI_COMPLETE" in ok(run("completion", shell))


def leaves(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The paths of all commands that do something themselves."""
    if not isinstance(command, click.Group):
        yield path
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from leaves(found, (*path, name))


@pytest.mark.slow
def test_every_command_shows_an_example_of_itself() -> None:
    for path in leaves(merpati, ()):
        if path in {("reload",), ("restart",)}:
            continue  # Their name alone is the whole command.
        told = ok(CliRunner().invoke(merpati, [*path, "--help"]))
        assert " ".join(path) in told.partition("Example")[2], path
