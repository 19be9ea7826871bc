"""A whole server in a process of its own: it takes mail, keeps it, answers commands and stops."""

import json
import os
import signal
import smtplib
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from merpati.api.questions import Submission
from merpati.cli.dialogue import hand_over
from merpati.testing.operator import move_in
from merpati.testing.process import MerpatiProcess, free_port
from merpati.wire.endpoint import Endpoint

pytestmark = pytest.mark.slow

CONFIG = """\
hostname = "mx.a.test"
data = "{data}"
workers = {workers}
[[port]]
role = "mx"
listen = "127.0.0.1:{mx}"
trusted = ["127.0.0.1/32"]
[http]
listen = "127.0.0.1:{http}"
"""


class Server(MerpatiProcess):
    """A Merpati for a.test with the user ann."""

    def __init__(self, folder: Path, data: str = "var", workers: int = 1) -> None:
        self.mx, self.http = free_port(), free_port()
        text = CONFIG.format(mx=self.mx, http=self.http, data=data, workers=workers)
        super().__init__(folder, text, [self.mx, self.http])

    def populate(self) -> None:
        move_in(self.config, "secret words", "ann@a.test")

    def send(self, *to: str) -> str:
        """From a trusted network; the id behind `queued as`."""
        with smtplib.SMTP("127.0.0.1", self.mx, timeout=60) as client:
            client.ehlo()
            client.mail("bob@b.test")
            for recipient in to:
                code, reply = client.rcpt(recipient)
                assert code == 250, reply
            code, reply = client.data(b"Subject: x\r\n\r\nhello\r\n")
            assert code == 250, reply
            return reply.decode().rsplit("queued as ", 1)[1]

    def mails(self) -> list[Path]:
        return sorted((self.folder / "var/mail/a.test/ann/new").glob("*"))

    def page(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.http}{path}", timeout=60
            ) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.populate()
    with server:
        yield server


def wait_for(condition: Callable[[], bool], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come in time"
        time.sleep(0.02)


def test_mail_for_a_user_here_ends_in_the_maildir_and_its_story_is_told(server: Server) -> None:
    message = server.send("ann@a.test")
    wait_for(lambda: len(server.mails()) == 1)
    assert server.mails()[0].read_bytes().endswith(b"\nSubject: x\n\nhello\n")
    wait_for(lambda: server.ask_json("queue", "list") == [])
    kinds = [event["kind"] for event in server.ask_json("trace", message)["events"]]
    assert kinds == ["accepted", "delivered"]
    assert server.ask_json("inbox", "list", "ann@a.test")[0]["subject"] == "x"
    assert "hello" in server.ask("inbox", "show", "last", "--user", "ann@a.test")


def test_commands_ask_the_server_that_runs(server: Server) -> None:
    status = server.ask_json("status")
    assert (status["running"], status["pid"]) == (True, server.pid)
    server.ask("user", "suspend", "ann@a.test")
    (user,) = server.ask_json("user", "list")
    assert (user["address"], user["suspended"]) == ("ann@a.test", True)


def test_mail_handed_in_while_the_server_is_down_is_delivered_when_it_runs(
    tmp_path: Path,
) -> None:
    server = Server(tmp_path)
    server.populate()
    done = server.run("sendmail", "ann@a.test", text="Subject: early\n\nx\n")
    assert done.returncode == 0, done.stderr
    assert len(server.ask_json("queue", "list")) == 1
    with server:
        wait_for(lambda: len(server.mails()) == 1)


def test_smtp_on_standard_input_is_spoken_with_the_server(server: Server) -> None:
    dialogue = (
        "EHLO me\nMAIL FROM:<ann@a.test>\nRCPT TO:<ann@a.test>\n"
        "DATA\nSubject: bs\n\nQUIT\n.\nQUIT\n"
    )
    done = server.run("sendmail", "-bs", text=dialogue)
    assert done.returncode == 0, done.stderr
    assert "queued as" in done.stdout
    wait_for(lambda: len(server.mails()) == 1)
    assert server.mails()[0].read_bytes().endswith(b"\nSubject: bs\n\nQUIT\n")


def test_sigterm_ends_it_with_status_0_and_frees_the_data(server: Server) -> None:
    assert server.stop() == 0
    assert server.ask_json("status")["running"] is False
    assert '"event":"stopped"' in server.output()


def test_sigterm_before_it_is_ready_ends_it_in_order_too(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.start()
    assert server.stop() == 0


def test_a_second_server_on_the_same_data_is_refused(server: Server) -> None:
    second = server.run("serve")
    assert second.returncode == 1
    assert "another Merpati works on this data" in second.stderr


def test_a_port_that_is_taken_is_named(server: Server, tmp_path: Path) -> None:
    other = Server(tmp_path / "other")
    text = other.config.read_text().replace(str(other.mx), str(server.mx))
    other.config.write_text(text)
    done = other.run("serve")
    assert done.returncode == 1
    assert f"127.0.0.1:{server.mx}" in done.stderr


def test_health_and_metrics_are_served_and_nothing_else(server: Server) -> None:
    assert server.page("/healthz") == (200, "ok\n")
    assert 'merpati_queue_recipients{state="waiting"} 0' in server.page("/metrics")[1]
    assert server.page("/v1/status")[0] == 404


def test_a_reload_changes_limits_without_dropping_a_connection(server: Server) -> None:
    with smtplib.SMTP("127.0.0.1", server.mx, timeout=60) as old:
        old.ehlo()
        assert old.esmtp_features["size"] == str(50 * 1024 * 1024)
        with server.config.open("a") as file:
            file.write('[limits]\nmessage_size = "1MiB"\n')
        server.ask("reload")
        assert old.noop()[0] == 250
        with smtplib.SMTP("127.0.0.1", server.mx, timeout=60) as new:
            new.ehlo()
            assert new.esmtp_features["size"] == str(1024 * 1024)


def test_a_bad_new_configuration_is_refused_and_the_old_one_kept(server: Server) -> None:
    good = server.config.read_text()
    server.config.write_text(good + "nonsense = 1\n")
    os.kill(server.pid, signal.SIGHUP)
    wait_for(lambda: "reload refused" in server.output())
    assert "nonsense" in server.output()
    server.config.write_text(good)
    assert server.send("ann@a.test")


def test_a_socket_of_lmtp_lies_beside_the_file_and_delivers(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.populate()
    with server.config.open("a") as file:
        file.write('[[port]]\nrole = "lmtp"\nlisten = "unix:run/lmtp"\n')
    with server, smtplib.LMTP(str(tmp_path / "run" / "lmtp")) as client:
        assert client.sendmail("bob@b.test", ["ann@a.test"], "Subject: x\r\n\r\nhi\r\n") == {}
        wait_for(lambda: len(server.mails()) == 1)


def test_ports_are_not_changed_by_a_reload(server: Server) -> None:
    text = server.config.read_text().replace(str(server.mx), str(free_port()))
    server.config.write_text(text)
    done = server.run("reload")
    assert done.returncode == 1
    assert "Restart it" in done.stderr


def test_data_may_lie_deeper_than_a_socket_address_reaches(tmp_path: Path) -> None:
    with Server(tmp_path, data="deep/" * 40 + "var") as server:
        assert server.ask_json("status")["running"] is True


def test_what_is_kept_is_for_nobody_else(server: Server) -> None:
    server.send("ann@a.test")
    wait_for(lambda: len(server.mails()) == 1)
    for path in (server.folder / "var").rglob("*"):
        # Where the log stands is written now and then, beside and then in its place.
        if path.name != "self-signed.pem" and path.suffix != ".new":
            assert path.stat().st_mode & 0o077 == 0, path


def test_every_event_is_a_line_of_json(server: Server) -> None:
    message = server.send("ann@a.test")
    wait_for(lambda: '"kind":"delivered"' in server.output())
    lines = [json.loads(line) for line in server.lines()]
    assert [line["kind"] for line in lines if line.get("message") == message] == [
        "accepted",
        "delivered",
    ]


async def test_a_program_without_rights_hands_in_by_a_port_that_trusts_this_machine(
    server: Server,
) -> None:
    port = Endpoint("127.0.0.1", server.mx)
    content = b"Subject: x\r\n\r\n.one\r\n..two\r\n"
    question = Submission(sender="bob@b.test", recipients=("ann@a.test",), content=content)
    receipt = await hand_over(port, "mx.a.test", question)
    assert (receipt.code, len(receipt.id)) == (250, 26)
    wait_for(lambda: len(server.mails()) == 1)
    assert server.mails()[0].read_bytes().endswith(b"\n\n.one\n..two\n")
    nobody = Submission(sender="", recipients=("nobody@a.test",), content=content)
    refused = await hand_over(port, "mx.a.test", nobody)
    assert (refused.id, refused.code) == ("", 550)


def test_connections_and_sizes_are_measured(server: Server) -> None:
    server.send("ann@a.test")
    wait_for(lambda: "merpati_in_hand_octets 0\n" in server.page("/metrics")[1])
    with smtplib.SMTP("127.0.0.1", server.mx, timeout=60) as client:
        client.ehlo()
        # The end of the one before may be noticed later than the beginning of this one.
        wait_for(lambda: 'merpati_connections_open{role="mx"} 1\n' in server.page("/metrics")[1])
        page = server.page("/metrics")[1]
    assert 'merpati_connections_in_total{role="mx"}' in page
    wal = float(page.partition("\nmerpati_wal_octets ")[2].partition("\n")[0])
    assert wal > 0


def test_without_a_cursor_history_is_not_told_again(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.populate()
    with server:
        first = server.send("ann@a.test")
        wait_for(lambda: first in server.output())
    (tmp_path / "var/log.cursor").unlink()
    server.log.unlink()
    with server:
        second = server.send("ann@a.test")
        wait_for(lambda: second in server.output())
        assert first not in server.output()
        assert 'merpati_messages_accepted_total{role="mx"} 1' in server.page("/metrics")[1]


def test_whoever_asks_for_success_is_told_that_an_alias_was_expanded(server: Server) -> None:
    server.ask("user", "add", "bob@a.test", "--password-stdin", text="secret words\n")
    server.ask("user", "add", "eve@a.test", "--password-stdin", text="secret words\n")
    server.ask("alias", "add", "all@a.test", "bob@a.test", "eve@a.test")
    with smtplib.SMTP("127.0.0.1", server.mx, timeout=60) as client:
        client.ehlo()
        client.mail("ann@a.test")
        assert client.rcpt("all@a.test", ["NOTIFY=SUCCESS,FAILURE"])[0] == 250
        assert client.data(b"Subject: x\r\n\r\nhi\r\n")[0] == 250
    wait_for(lambda: len(server.mails()) == 1)
    notice = server.mails()[0].read_bytes()
    assert b"Final-Recipient: rfc822; all@a.test\nAction: expanded\nStatus: 2.0.0\n" in notice
    wait_for(lambda: server.ask_json("queue", "list") == [])
    assert len(server.mails()) == 1


class PlainServer(Server):
    """On Python's own event loop."""

    def _command(self, *arguments: str) -> list[str]:
        command = super()._command(*arguments)
        return [*command, "--no-uvloop"] if arguments == ("serve",) else command


def test_pythons_own_event_loop_serves_as_well(tmp_path: Path) -> None:
    server = PlainServer(tmp_path)
    server.populate()
    with server:
        message = server.send("ann@a.test")
        wait_for(lambda: len(server.mails()) == 1)
        wait_for(lambda: server.ask_json("queue", "list") == [])
        kinds = [event["kind"] for event in server.ask_json("trace", message)["events"]]
        assert kinds == ["accepted", "delivered"]
        assert server.page("/healthz") == (200, "ok\n")
        assert server.stop() == 0
