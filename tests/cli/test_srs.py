"""`merpati srs`: keys of rewritten senders."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from merpati.authenticity.srs import Rewriter
from merpati.cli.main import merpati
from merpati.clock import SystemClock
from merpati.directory.stamps import StampRows
from merpati.mail.address import Address
from merpati.storage.connection import Kind, StorageSettings, abandon, connect

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    file = tmp_path / "merpati.toml"
    file.write_text('hostname = "mx.a.test"\n')

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(merpati, ["-c", str(file), "srs", *arguments])

    return run


def secrets(folder: Path) -> list[bytes]:
    connection = connect(StorageSettings(folder / "var/directory.db", Kind.DIRECTORY))
    try:
        return [key.secret for key in StampRows(connection).known()]
    finally:
        abandon(connection)


def test_there_is_no_key_before_the_first_mail_was_sent_on(run: Run) -> None:
    assert run("list").output == ""


@pytest.mark.slow
def test_a_key_is_turned_and_the_one_before_is_known(run: Run, tmp_path: Path) -> None:
    assert run("rotate").output == "Key 1 stamps from now on; 0 before it are known.\n"
    assert run("rotate").output == "Key 2 stamps from now on; 1 before it are known.\n"
    listed = json.loads(run("list", "--json").stdout)
    assert [(line["number"], line["stamps"]) for line in listed] == [(2, True), (1, False)]
    assert listed[1]["until"] == listed[0]["since"]
    for secret in secrets(tmp_path):
        assert secret.hex() not in run("list", "--json").stdout
    assert run("rotate", "--forget").output.endswith("; 0 before it are known.\n")


@pytest.mark.slow
def test_an_address_leads_to_whose_it_is(run: Run, tmp_path: Path) -> None:
    assert "no sender was rewritten here yet" in run("whose", "SRS0=x@a.test").stderr
    run("rotate")
    rewriter = Rewriter("a.test", secrets(tmp_path))
    address = rewriter.forward(Address.parse("bob@b.test"), SystemClock().now())
    assert run("whose", str(address)).output == "bob@b.test\n"
    wrong = run("whose", str(address).replace("bob", "eve"))
    assert wrong.exit_code == 1
    assert "the hash of the rewritten sender is wrong" in wrong.stderr


def test_the_file_of_the_keys_is_its_owners_alone(run: Run, tmp_path: Path) -> None:
    run("rotate")
    assert (tmp_path / "var/directory.db").stat().st_mode & 0o777 == 0o600
