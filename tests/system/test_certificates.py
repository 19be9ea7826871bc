"""Certificates that change under a running server: nobody is cut off, nobody has to be told."""

import smtplib
import ssl
from pathlib import Path

import pytest

from merpati.clock import SystemClock
from merpati.wire.certificates import make_self_signed
from tests.system.test_reload import Configured
from tests.system.test_server import wait_for

pytestmark = pytest.mark.slow
CLIENTS = 8
"""Connections of which no worker gets none."""


def a_pair(folder: Path, name: str, host: str) -> tuple[Path, Path]:
    folder.mkdir(exist_ok=True)
    pair = folder / f"{name}.pem", folder / f"{name}.key"
    make_self_signed(*pair, SystemClock(), [host])
    return pair


def secured(server: Configured, host: str) -> smtplib.SMTP:
    """A connection with TLS that asks for this name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    client = server.client()
    client._host = host  # type: ignore[attr-defined]  # the name that smtplib asks for
    client.starttls(context=context)
    client.ehlo()
    return client


def shown(client: smtplib.SMTP) -> bytes:
    assert isinstance(client.sock, ssl.SSLSocket)
    return client.sock.getpeercert(binary_form=True) or b""


def der(pair: tuple[Path, Path]) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pair[0].read_text())


def test_new_files_are_shown_by_every_worker_while_connections_stand(tmp_path: Path) -> None:
    table = '[tls]\ncertificate = "tls/a.pem"\nkey = "tls/a.key"\ndirectory = "hosts"\n'
    (tmp_path / "hosts").mkdir()
    first = a_pair(tmp_path / "tls", "a", "mx.a.test")
    server = Configured(tmp_path, table)
    server.config.write_text(server.config.read_text().replace("workers = 1", "workers = 2"))
    server.populate()
    with server:
        standing = [secured(server, "mx.a.test") for _ in range(CLIENTS)]
        assert {shown(client) for client in standing} == {der(first)}
        later = a_pair(tmp_path / "tls", "later", "mx.a.test")
        host = a_pair(tmp_path / "hosts", "b", "mx.b.test")
        later_der = der(later)
        for old, new in zip(first, later, strict=True):
            new.replace(old)

        def everywhere(name: str, expected: bytes) -> bool:
            clients = [secured(server, name) for _ in range(CLIENTS)]
            found = {shown(client) for client in clients}
            for client in clients:
                client.quit()
            return found == {expected}

        wait_for(lambda: everywhere("mx.a.test", later_der))
        wait_for(lambda: everywhere("mx.b.test", der(host)))
        wait_for(lambda: everywhere("mx.c.test", later_der))
        for client in standing:
            client.sendmail("bob@b.test", ["ann@a.test"], b"Subject: x\r\n\r\nstill here\r\n")
            client.quit()
        # The one that nobody happened to ask may be a little later.
        wait_for(lambda: server.output().count('"event":"certificate"') >= 4)
    wait_for(lambda: len(server.mails()) == CLIENTS)


def test_a_ca_that_cannot_be_reached_stops_nothing_and_is_told(tmp_path: Path) -> None:
    acme = '[acme]\nterms_agreed = true\ndirectory = "https://127.0.0.1:1/dir"\n'
    with Configured(tmp_path, acme) as server:
        with secured(server, "mx.a.test") as client:
            assert shown(client)
        wait_for(lambda: "not renewed (there is none yet)" in server.output())
        assert "of our own making" in server.output()
        assert "mx.a.test: the CA cannot be reached: [Errno 111] Connection refused" in server.ask(
            "status"
        )
        (line, own) = server.ask_json("certificate", "list")
        assert (line["origin"], line["failures"], line["ends"]) == ("ca", 1, None)
        assert own["origin"] == "self-signed"
        _, page = server.page("/metrics")
        assert 'merpati_certificate_failures{name="mx.a.test"} 1' in page
        assert "merpati_certificate_days_left" in page
        refused = server.run("certificate", "roll", "mx.a.test")
        assert "no certificate for mx.a.test yet" in refused.stderr
