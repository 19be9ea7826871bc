"""A server that starts on the data of an earlier format delivers all of it, and all is sound."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from merpati.testing.operator import Attended
from merpati.testing.process import free_port
from tests.upgrade import sample
from tests.upgrade.test_upgrade import SAMPLES

pytestmark = pytest.mark.slow

NOTICE = b"550 5.1.1 no such user"
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
    server = Attended(tmp_path, CONFIG.format(port=port), [port])
    recipients = {subject: to for subject, to in sample.MESSAGES.items() if subject != "refused"}
    server.ask("domain", "add", "b.test")
    for address in sorted({one for to in recipients.values() for one in to} - {"ann@a.test"}):
        server.ask("user", "add", address, "--password-stdin", text="secret words\n")
    with server:
        server.ask("queue", "release", "--all")
        server.ask("queue", "retry", "--all")
        wait_empty(server)
        # What is owed from before is told when it is looked for.
        wait_for(lambda: any(NOTICE in mail for mail in mails(tmp_path, "ann@a.test")), server)
        done = server.run("verify", "--mailboxes")
        assert (done.returncode, done.stdout.startswith("All is sound")) == (0, True), done.stdout
    for subject, to in recipients.items():
        body = sample.octets(subject).replace(b"\r\n", b"\n")
        for address in to:
            assert any(mail.endswith(body) for mail in mails(tmp_path, address)), address


def wait_empty(server: Attended) -> None:
    wait_for(lambda: server.ask_json("queue", "list") == [], server)


def wait_for(condition: Callable[[], bool], server: Attended) -> None:
    end = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < end, server.output()
        time.sleep(0.02)


def mails(folder: Path, address: str) -> list[bytes]:
    local, domain = address.split("@")
    return [file.read_bytes() for file in (folder / f"var/mail/{domain}/{local}/new").glob("*")]
