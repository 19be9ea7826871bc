"""`merpati serve` in an empty directory, as a newcomer starts it."""

import json
import os
import signal
import smtplib
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from merpati.testing.process import free_port, wait_port

pytestmark = pytest.mark.slow

MERPATI = [sys.executable, "-P", "-m", "merpati.cli.main"]


class Newcomer:
    """A person with an empty directory, who has never configured anything."""

    def __init__(self, folder: Path) -> None:
        self.port, self.http = free_port(), free_port()
        self.here = folder / "project"
        self.here.mkdir()
        self._log = folder / "log"
        known = {name: os.environ[name] for name in ("PATH",) if name in os.environ}
        self._environment = known | {"HOME": str(folder), "XDG_DATA_HOME": str(folder / "kept")}
        ports = ["--smtp", f"127.0.0.1:{self.port}", "--http", f"127.0.0.1:{self.http}"]
        with self._log.open("wb") as log:
            self.server = subprocess.Popen(
                [*MERPATI, "serve", *ports],
                cwd=self.here, env=self._environment, stdout=log, stderr=log,
            )  # fmt: skip

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*MERPATI, *arguments],
            cwd=self.here, env=self._environment,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def ask(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def said(self) -> str:
        return self._log.read_text("utf-8")

    def client(self) -> smtplib.SMTP:
        return smtplib.SMTP("127.0.0.1", self.port, timeout=60)

    def wait_for(self, count: int) -> list[dict[str, object]]:
        """Until the inbox has so many messages: they get there a moment after the 250."""
        end = time.monotonic() + 90
        while len(listed := json.loads(self.ask("inbox", "list", "--json"))) < count:
            assert time.monotonic() < end, f"{listed}\n{self.said()}"
        assert len(listed) == count
        return listed


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Newcomer]:
    """With one message in the inbox, to two people, with an attachment."""
    newcomer = Newcomer(tmp_path_factory.mktemp("newcomer"))
    try:
        wait_port(newcomer.port)
        message = EmailMessage()
        message["From"], message["To"] = "Toko <shop@a.test>", "ann@b.test"
        message["Subject"] = "Pesanan Anda ☕"
        message.set_content("Terima kasih!\n")
        message.add_attachment(b"%PDF-", "application", "pdf", filename="nota.pdf")
        with newcomer.client() as client:
            client.login("anybody", "whatever")
            client.send_message(message, to_addrs=["ann@b.test", "budi@c.test"])
        newcomer.wait_for(1)
        yield newcomer
    finally:
        newcomer.server.send_signal(signal.SIGTERM)
        assert newcomer.server.wait(60) == 0, newcomer.said()


def test_it_says_where_it_listens_what_it_is_and_what_to_do(newcomer: Newcomer) -> None:
    said = newcomer.said()
    assert f"a developer's inbox on 127.0.0.1:{newcomer.port}" in said
    assert "merpati inbox list" in said
    assert f"http 127.0.0.1:{newcomer.http}" in said
    assert '"warning"' not in said


def test_nothing_is_written_into_the_directory_where_it_was_started(newcomer: Newcomer) -> None:
    assert list(newcomer.here.iterdir()) == []


def test_the_inbox_is_listed(newcomer: Newcomer) -> None:
    (line,) = newcomer.wait_for(1)
    assert line["subject"] == "Pesanan Anda ☕"
    assert line["to"] == "ann@b.test, budi@c.test"
    table = newcomer.ask("inbox", "list").rstrip("\n").split("\t")
    assert table[2:] == ["Toko <shop@a.test>", "ann@b.test, budi@c.test", "Pesanan Anda ☕"]


def test_a_message_is_known_by_the_id_that_trace_knows(newcomer: Newcomer) -> None:
    (line,) = newcomer.wait_for(1)
    name = str(line["name"])
    assert "Terima kasih!" in newcomer.ask("inbox", "show", name)
    assert "at the developer's inbox" in newcomer.ask("trace", name)
    story = json.loads(newcomer.ask("trace", name, "--json"))
    assert [event["kind"] for event in story["events"]] == ["accepted", "delivered", "delivered"]


def test_text_headers_parts_and_source_are_shown(newcomer: Newcomer) -> None:
    assert "Subject: Pesanan Anda ☕\n\nTerima kasih!\n" in newcomer.ask("inbox", "show", "last")
    assert "1.2\tapplication/pdf\tnota.pdf\t5" in newcomer.ask("inbox", "show", "1", "--parts")
    headers = newcomer.ask("inbox", "show", "1", "--headers")
    assert "X-Envelope-To: budi@c.test" in headers
    assert "\\x" not in headers
    assert "\nTo: ann@b.test\n" in newcomer.ask("inbox", "show", "1", "--source")


def test_a_message_is_saved_once(newcomer: Newcomer, tmp_path: Path) -> None:
    file = tmp_path / "message.eml"
    newcomer.ask("inbox", "save", "1", str(file))
    assert file.read_text("utf-8") == newcomer.ask("inbox", "show", "1", "--source")
    again = newcomer.run("inbox", "save", "1", str(file))
    assert (again.returncode, "File exists" in again.stderr) == (1, True)


def test_magic_recipients_leave_nothing_behind(newcomer: Newcomer) -> None:
    with newcomer.client() as client:
        client.ehlo()
        client.mail("shop@a.test")
        assert client.rcpt("tempfail@b.test")[0] == 451
        assert client.rcpt("reject-552@b.test")[0] == 552
    newcomer.wait_for(1)


def test_no_way_leads_outward(newcomer: Newcomer) -> None:
    """Every recipient was kept: no host was looked for and no connection made."""
    page = urllib.request.urlopen(f"http://127.0.0.1:{newcomer.http}/metrics", timeout=60)
    lines = page.read().decode().splitlines()
    delivered = [line for line in lines if line.startswith("merpati_delivered_total{")]
    assert delivered == ['merpati_delivered_total{route="keep:"} 2']
    assert not [line for line in lines if line.startswith("merpati_connections_out_total{")]
    assert newcomer.ask("queue", "list") == ""


def test_it_listens_on_loopback_only(newcomer: Newcomer) -> None:
    told = json.loads(newcomer.ask("status", "--json"))
    assert told["ports"] == [
        f"submission 127.0.0.1:{newcomer.port}",
        f"http 127.0.0.1:{newcomer.http}",
    ]


def test_times_on_the_command_line_reach_the_running_server(newcomer: Newcomer) -> None:
    newcomer.ask("queue", "suspend", "mx.b.test", "--for", "2h")
    (site,) = json.loads(newcomer.ask("queue", "sites", "--json"))
    assert site["site"] == "mx.b.test"
    newcomer.ask("queue", "resume", "mx.b.test")
    assert newcomer.ask("queue", "list", "--older", "1h") == ""
