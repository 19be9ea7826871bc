"""The shell offers names of the running server, and nothing at all without one."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from merpati.api import http
from merpati.api import operations as op
from merpati.api import questions as ask
from merpati.cli import names
from merpati.cli.main import merpati
from merpati.config.places import Places
from merpati.config.settings import load
from merpati.system.office import own_counter
from merpati.system.web import serving
from merpati.wire.endpoint import Endpoint
from merpati.wire.sockets import bind


def offered(file: Path, *words: str) -> list[str]:
    """What Tab gives behind the last of these words."""
    shell = ShellComplete(merpati, {}, "merpati", "_MERPATI_COMPLETE")
    *before, begun = words
    return [one.value for one in shell.get_completions(["--config", str(file), *before], begun)]


@pytest.fixture
async def served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Path, str]]:
    """A server's configuration and the id of the one message in its queue."""
    monkeypatch.setattr(names, "_PATIENCE", 60.0)  # Half a second may pass on a busy machine.
    file = tmp_path / "merpati.toml"
    file.write_text('hostname = "mx.a.test"\n')
    settings = load(file)
    async with own_counter(settings) as own:
        await own.ask(op.DOMAINS_ADD, ask.Named(name="a.test"))
        await own.ask(op.USERS_ADD, ask.NewUser(address="ann@a.test", password="secret words"))
        await own.ask(op.ALIASES_ADD, ask.NewAlias(alias="sales@a.test", targets=("ann@a.test",)))
        message = ask.Submission(
            sender="ann@a.test", recipients=("budi@b.test",), content=b"Subject: x\r\n\r\nx\r\n"
        )
        queued = await own.ask(op.SUBMIT, message)
        await own.ask(op.SITES_HOLD, ask.HoldSite(site="b.test", seconds=60))
        async with serving(
            http.control(own), bind(Endpoint(path=str(Places(settings.data).control))), 1.0
        ):
            yield file, queued.id


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("queue show ", "ID"),
        ("queue list ", "ID"),
        ("queue retry --domain b", "b.test"),
        ("queue cancel --sender ", "ann@a.test"),
        ("queue hold --recipient b", "budi@b.test"),
        ("queue suspend ", "b.test"),
        ("queue resume ", "b.test"),
        ("trace bud", "budi@b.test"),
        ("trace x", None),
        ("user remove ", "ann@a.test"),
        ("user list ", "a.test"),
        ("alias remove ", "sales@a.test"),
        ("alias add all@a.test ", "ann@a.test"),
        ("domain remove ", "a.test"),
        ("inbox list ", "ann@a.test"),
    ],
)
async def test_names_of_the_running_server_are_offered(
    served: tuple[Path, str], words: str, expected: str | None
) -> None:
    file, queued = served
    wanted = [queued if expected == "ID" else expected] if expected else []
    assert await asyncio.to_thread(offered, file, *words.split(" ")) == wanted


def test_without_a_server_nothing_is_offered_and_nothing_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "merpati.toml"
    file.write_text('hostname = "mx.a.test"\n')
    assert offered(file, "queue", "show", "") == []
    assert offered(tmp_path / "none.toml", "queue", "show", "") == []
    file.write_text("nonsense")
    assert offered(file, "user", "remove", "") == []
    assert capsys.readouterr() == ("", "")
    assert not (tmp_path / "var").exists()
