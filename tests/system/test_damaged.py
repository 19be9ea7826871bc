"""A disk that gives back other octets than it was given: nobody is sent them, and it is told."""

import json
import time
from pathlib import Path

import apsw
import pytest

from merpati.testing.operator import Attended
from merpati.testing.process import free_port

pytestmark = pytest.mark.slow

CONFIG = """\
hostname = "mx.a.test"
data = "var"
[[port]]
role = "mx"
listen = "127.0.0.1:{mx}"
[http]
listen = "127.0.0.1:{http}"
"""


def test_a_damaged_message_is_held_and_the_others_are_delivered(tmp_path: Path) -> None:
    ports = {"mx": free_port(), "http": free_port()}
    server = Attended(tmp_path, CONFIG.format(**ports), list(ports.values()))
    server.ask("domain", "add", "a.test")
    server.ask("user", "add", "ann@a.test", "--password-stdin", text="secret words\n")
    for subject in ("bad", "good"):
        done = server.run("sendmail", "ann@a.test", text=f"Subject: {subject}\n\nhello\n")
        assert done.returncode == 0, done.stderr
    bad = min(line["id"] for line in server.ask_json("queue", "list"))
    connection = apsw.Connection(str(tmp_path / "var/queue-0.db"))
    connection.execute(
        "UPDATE chunk SET octets = CAST(replace(octets, CAST('hello' AS BLOB), 'h3llo') AS BLOB) "
        "WHERE id >> 16 = (SELECT id FROM message WHERE public = ?)",
        (bad,),
    ).fetchall()
    connection.close()
    with server:
        assert held(server) == [(bad, "held")]
        (mail,) = (tmp_path / "var/mail/a.test/ann/new").iterdir()
        assert b"Subject: good" in mail.read_bytes()
        events = server.ask_json("trace", bad)["events"]
        assert [(event["kind"], event.get("by")) for event in events][1:] == [("held", "merpati")]
        assert "is damaged: its checksum does not match" in server.ask("trace", bad)
        done = server.run("verify", "--json")
        assert done.returncode == 1
        assert [one["message"] for one in json.loads(done.stdout)["findings"]] == [bad]
        # A release tries it once more, and it is held once more.
        server.ask("queue", "release", bad)
        assert held(server) == [(bad, "held")]
        assert "1 recipient cancelled" in server.ask("queue", "cancel", bad)
        assert server.run("verify").returncode == 0
    assert '"kind":"held"' in server.output()


def held(server: Attended) -> list[tuple[str, str]]:
    """The queue, once nothing in it is on its way any more."""
    end = time.monotonic() + 90
    while True:
        lines = server.ask_json("queue", "list")
        if all(line["state"] == "held" for line in lines):
            return [(line["id"], line["state"]) for line in lines]
        assert time.monotonic() < end, lines
        time.sleep(0.02)
