"""The examples of the protocol core: they talk to one another and to others over real sockets."""

import re
import runpy
import smtplib
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from merpati.testing.inbox import Inbox
from merpati.testing.inbox_process import InboxProcess

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CLIENT = runpy.run_path(str(ROOT / "examples/smtp_client.py"))
SERVER = runpy.run_path(str(ROOT / "examples/smtp_server.py"))
CONTENT = b"Subject: x\r\n\r\n.dots\r\n..and more\r\n"
Serve = Callable[[socket.socket], None]


def page_server(received: list[bytes]) -> Serve:
    """The loop as docs/protocol-core.md has it."""
    text = (ROOT / "docs/protocol-core.md").read_text("utf-8")
    program = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)[0]
    names: dict[str, Callable[[socket.socket], bytes]] = {}
    exec(program, names)
    return lambda peer: received.append(names["serve"](peer))


def example_server(received: list[bytes]) -> Serve:
    return lambda peer: SERVER["serve"](peer, received.append)


@pytest.mark.parametrize("server", [page_server, example_server])
def test_the_client_example_sends_to_the_server_examples(
    server: Callable[[list[bytes]], Serve],
) -> None:
    received: list[bytes] = []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        session = threading.Thread(target=server(received), args=(theirs,))
        session.start()
        refused = CLIENT["send"](ours, "bob@a.test", ["ann@b.test"], CONTENT)
        session.join(10)
    assert received == [CONTENT]
    assert refused == {}


@pytest.mark.parametrize("server", [page_server, example_server])
def test_pythons_own_client_sends_to_the_server_examples(
    server: Callable[[list[bytes]], Serve],
) -> None:
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serve = server(received)

        def once() -> None:
            peer, _ = listener.accept()
            with peer:
                serve(peer)

        session = threading.Thread(target=once)
        session.start()
        with smtplib.SMTP("127.0.0.1", listener.getsockname()[1], timeout=60) as client:
            client.sendmail("bob@a.test", ["ann@b.test"], CONTENT)
        session.join(10)
    assert received == [CONTENT]


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    process = InboxProcess(tmp_path)
    yield process.start()
    process.stop()


def test_the_client_example_sends_to_a_real_server(inbox: Inbox) -> None:
    with socket.create_connection((inbox.host, inbox.port), 10) as peer:
        assert CLIENT["send"](peer, "bob@a.test", ["ann@b.test"], CONTENT) == {}
    (message,) = inbox.messages()
    assert (message.sender, message.recipients) == ("bob@a.test", ("ann@b.test",))
    assert message.source.endswith(b"\n\n.dots\n..and more\n")


def test_a_refusal_is_what_the_client_example_returns(inbox: Inbox) -> None:
    with socket.create_connection((inbox.host, inbox.port), 10) as peer:
        refused = CLIENT["send"](peer, "bob@a.test", ["reject-550@b.test", "ann@b.test"], CONTENT)
    assert list(refused) == ["reject-550@b.test"]
    assert "550" in refused["reject-550@b.test"]


def test_the_documented_test_file_passes(tmp_path: Path) -> None:
    text = (ROOT / "docs/testing-your-application.md").read_text("utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    program = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)[0]
    (tmp_path / "test_page.py").write_text(program, "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr
