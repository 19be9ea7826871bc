"""A server that starts on the data of an earlier format delivers all of it, and all is sound."""

import time
from pathlib import Path

import pytest

from merpati.testing.process import MerpatiProcess, free_port
from tests.upgrade import sample
from tests.upgrade.test_upgrade import SAMPLES

pytestmark = pytest.mark.slow

CONFIG = """\
hostname = "mx.a.test"
data = "var"
[[port]]
role = "mx"
listen = "127.0.0.1:{port}"
"""


@pytest.mark.parametrize("folder", SAMPLES, ids=lambda folder: folder.name)
def test_everything_that_waited_is_delivered(folder: Path, tmp_path: Path) -> None:
    sample.unpack(folder, tmp_path / "var")
    port = free_port()
    server = MerpatiProcess(tmp_path, CONFIG.format(port=port), [port])
    recipients = {subject: to for subject, to in sample.MESSAGES.items() if subject != "refused"}
    server.ask("domain", "add", "b.test")
    for address in sorted({one for to in recipients.values() for one in to} - {"ann@a.test"}):
        server.ask("user", "add", address, "--password-stdin", text="secret words\n")
    with server:
        server.ask("queue", "release", "--all")
        server.ask("queue", "retry", "--all")
        wait_empty(server)
        done = server.run("verify", "--mailboxes")
        assert (done.returncode, done.stdout.startswith("All is sound")) == (0, True), done.stdout
    for subject, to in recipients.items():
        body = sample.octets(subject).replace(b"\r\n", b"\n")
        for address in to:
            assert any(mail.endswith(body) for mail in mails(tmp_path, address)), address
    assert any(b"550 5.1.1 no such user" in mail for mail in mails(tmp_path, "ann@a.test"))


def wait_empty(server: MerpatiProcess) -> None:
    end = time.monotonic() + 60
    while server.ask_json("queue", "list"):
        assert time.monotonic() < end, server.output()


def mails(folder: Path, address: str) -> list[bytes]:
    local, domain = address.split("@")
    return [file.read_bytes() for file in (folder / f"var/mail/{domain}/{local}/new").iterdir()]
