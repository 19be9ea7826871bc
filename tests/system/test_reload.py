"""A reload under load drops nothing, changes all or nothing, and says what needs a restart."""

import os
import signal
import smtplib
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from merpati.clock import SystemClock
from merpati.testing.plain_server import PlainServer
from merpati.testing.process import free_port
from merpati.wire.certificates import make_self_signed
from tests.system.far import Far
from tests.system.test_server import Server, wait_for

pytestmark = pytest.mark.slow

CLIENTS = 20
MESSAGES = 5
RELOADS = 5


class Configured(Server):
    """A server whose file is written anew before each reload."""

    def __init__(self, folder: Path, more: str = "", head: str = "") -> None:
        super().__init__(folder)
        self._plain = self.config.read_text()
        self.write(more, head)

    def write(self, more: str = "", head: str = "") -> None:
        self.config.write_text(head + self._plain + more)

    def client(self) -> smtplib.SMTP:
        client = smtplib.SMTP("127.0.0.1", self.mx, timeout=60)
        client.ehlo()
        return client

    def reloaded(self) -> int:
        return sum('"event":"reloaded"' in line for line in self.lines())


def begin(client: smtplib.SMTP) -> None:
    assert client.mail("bob@b.test")[0] == 250
    assert client.rcpt("ann@a.test")[0] == 250


def finish(client: smtplib.SMTP) -> None:
    code, reply = client.data(b"Subject: x\r\n\r\nhello\r\n")
    assert code == 250, reply


def send_many(server: Configured) -> int:
    with server.client() as client:
        for _ in range(MESSAGES):
            begin(client)
            finish(client)
    return MESSAGES


def test_reloads_under_load_drop_no_connection_and_no_transaction(tmp_path: Path) -> None:
    server = Configured(tmp_path)
    server.populate()
    with server, server.client() as standing, ThreadPoolExecutor(CLIENTS) as threads:
        begin(standing)
        running = [threads.submit(send_many, server) for _ in range(CLIENTS)]
        for count in range(1, RELOADS + 1):
            server.write(f"[limits]\nmessage_size = {count * 1_000_000}\n")
            os.kill(server.pid, signal.SIGHUP)
            wait_for(lambda count=count: server.reloaded() == count)  # type: ignore[misc]
        sent = sum(one.result(120) for one in running)
        finish(standing)
        assert sent == CLIENTS * MESSAGES
        wait_for(lambda: len(server.mails()) == sent + 1)


def test_the_limits_of_connections_are_those_of_the_new_file(tmp_path: Path) -> None:
    server = Configured(tmp_path)
    with server:
        server.write("[limits]\nconnections_per_address = 1\n")
        server.ask("reload")
        with server.client(), pytest.raises(smtplib.SMTPConnectError) as refused:
            server.client()
        assert refused.value.smtp_code == 421


def test_the_language_of_notices_is_that_of_the_new_file(tmp_path: Path) -> None:
    with Far(PlainServer) as far:
        route = f'[[route]]\nmatch = ["*"]\nto = "smtp://127.0.0.1:{far.port}"\ntls = "off"\n'
        server = Configured(tmp_path, route)
        server.populate()
        with server:
            server.write(route, 'language = "id"\n')
            server.ask("reload")
            with server.client() as client:
                client.mail("ann@a.test")
                client.rcpt("nobody@b.test")
                finish(client)
            wait_for(lambda: len(server.mails()) == 1)
            assert b"Subject: Pesan Anda tidak dapat diantarkan" in server.mails()[0].read_bytes()


@pytest.mark.parametrize(
    ("more", "workers", "named"),
    [
        ('[dns]\nservers = ["127.0.0.1:53"]\n', 1, "dns"),
        ("[log]\nevents = false\n", 1, "log"),
        ("[delivery]\nmx_port = 26\n", 1, "delivery"),
        ("", 2, "workers"),
    ],
)
def test_what_needs_a_restart_is_said(tmp_path: Path, more: str, workers: int, named: str) -> None:
    with Configured(tmp_path) as server:
        server.write(more)
        text = server.config.read_text()
        server.config.write_text(text.replace("workers = 1", f"workers = {workers}"))
        done = server.run("reload")
        assert done.returncode == 1
        assert f"{named}: cannot change while the server runs. Restart it" in done.stderr


def test_a_certificate_that_does_not_fit_changes_nothing(tmp_path: Path) -> None:
    table = '[tls]\ncertificate = "c.pem"\nkey = "k.pem"\n'
    pair = tmp_path / "c.pem", tmp_path / "k.pem"
    make_self_signed(*pair, SystemClock(), ["mx.a.test"], [])
    server = Configured(tmp_path, table)
    server.populate()
    with server:
        shown = certificate(server)
        pair[1].unlink()
        make_self_signed(tmp_path / "other.pem", pair[1], SystemClock(), ["mx.a.test"], [])
        to_nobody = f'[[route]]\nmatch = ["*"]\nto = "smtp://127.0.0.1:{free_port()}"\n'
        server.write(f"{table}{to_nobody}[limits]\nmessage_size = 1000000\n")
        done = server.run("reload")
        assert done.returncode == 1
        assert "c.pem" in done.stderr
        with server.client() as client:
            assert client.esmtp_features["size"] == str(50 * 1024 * 1024)
        assert certificate(server) == shown
        (tmp_path / "other.pem").rename(pair[0])
        server.ask("reload")
        assert certificate(server) != shown


def certificate(server: Configured) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with server.client() as client:
        client.starttls(context=context)
        assert isinstance(client.sock, ssl.SSLSocket)
        return client.sock.getpeercert(binary_form=True) or b""
