"""A whole server whose user is refused elsewhere: its further mail waits, that of others goes."""

import smtplib
from pathlib import Path

import pytest

from merpati.cli import names
from merpati.testing.broken import Suspicious
from tests.cli.test_names import offered
from tests.system.far import Far
from tests.system.test_server import Server, wait_for

pytestmark = pytest.mark.slow


def send(server: Server, sender: str) -> str:
    with smtplib.SMTP("127.0.0.1", server.mx, timeout=60) as client:
        client.ehlo()
        client.mail(sender)
        client.rcpt("zoe@far.test")
        code, reply = client.data(b"Subject: x\r\n\r\nhello\r\n")
        assert code == 250, reply
        return reply.decode().rsplit("queued as ", 1)[1]


def kinds(server: Server, message: str) -> list[str]:
    return [event["kind"] for event in server.ask_json("trace", message)["events"]]


def test_after_three_refusals_a_senders_mail_waits_and_status_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "_PATIENCE", 60.0)  # Of a shell at each Tab.
    server = Server(tmp_path)
    server.populate()
    with Far(Suspicious) as far:
        to = f"smtp://127.0.0.1:{far.port}"
        site = f"{to}?tls=off"
        route = f'[[route]]\nmatch = ["*"]\nto = "{to}"\ntls = "off"\n'
        server.config.write_text(server.config.read_text() + route)
        with server:
            refused = [send(server, "bob@b.test") for _ in range(3)]
            wait_for(lambda: all("failed" in kinds(server, one) for one in refused))
            held = send(server, "bob@b.test")
            wait_for(lambda: "deferred" in kinds(server, held))
            other = send(server, "eve@c.test")
            wait_for(lambda: "delivered" in kinds(server, other))
            assert [one.sender for one in far.ledger.received][-1:] == ["eve@c.test"]
            assert sum("FROM:<bob@b.test>" in one for one in far.ledger.commands) == 3

            (told,) = server.ask_json("status")["held_senders"]
            assert (told["sender"], told["site"]) == ("b.test", site)
            status, story = server.ask("status"), server.ask("trace", held)
            resume = f"merpati queue resume '{site}'"
            assert f"mail of b.test to {site} waits until" in status
            assert "550 5.7.23 SPF validation failed" in status
            assert resume in status
            assert "not tried, after three refusals of this sender in an hour: 550 5.7.23" in story
            assert "merpati queue resume" in story
            wait_for(lambda: server.output().count('"kind":"sender-held"') == 1)

            assert offered(server.config, "queue", "resume", "") == [site]
            assert "due now" in server.ask("queue", "resume", site)
            wait_for(lambda: "failed" in kinds(server, held))
            assert server.ask_json("status")["held_senders"] == []
            wait_for(lambda: server.output().count('"kind":"sender-held"') == 2)
