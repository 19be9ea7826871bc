"""Installations and peers for the interoperation tests; a missing peer is a skip that says so."""

import os
import smtplib
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from merpati.api.operations import QUEUE_LIST
from merpati.api.questions import ListQueue
from merpati.testing.operator import Attended, move_in, tell
from merpati.testing.process import free_port
from tests.interop import peers

PASSWORD = "merpati terbang tinggi"

CONFIG = """\
hostname = "mx.a.test"
data = "var"
[[port]]
role = "mx"
listen = "127.0.0.1:{mx}"
trusted = ["127.0.0.2/32"]
[[port]]
role = "submission"
listen = "127.0.0.1:{submission}"
[[port]]
role = "submissions"
listen = "127.0.0.1:{submissions}"
[queue]
retry = ["1s", "1s", "2s"]
{more}
"""


class Installation(Attended):
    """A Merpati for a.test with the users ann and budi."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.mx, self.submission, self.submissions = free_port(), free_port(), free_port()
        text = CONFIG.format(
            mx=self.mx, submission=self.submission, submissions=self.submissions, more=more
        )
        super().__init__(folder, text, [self.mx, self.submission, self.submissions])

    def populate(self) -> None:
        """Before the server's first start."""
        move_in(self.config, PASSWORD, "ann@a.test", "budi@a.test")

    def wait_empty(self, seconds: float = 90.0) -> None:
        """The same without a new process for each look."""
        socket = self.folder / "var/control.sock"
        wait_for(lambda: not tell(socket, QUEUE_LIST, ListQueue()), seconds)

    def mails(self, user: str) -> list[bytes]:
        """What lies in a user's Maildir."""
        return [path.read_bytes() for path in sorted(self.box(user).glob("*"))]

    def box(self, user: str) -> Path:
        """Where that is."""
        return self.folder / "var/mail/a.test" / user / "new"


Install = Callable[..., Installation]


def submit(
    server: Installation, to: list[str], content: bytes, options: list[str] | None = None
) -> str:
    """Send as ann by STARTTLS and AUTH; the id behind `queued as`."""
    with smtplib.SMTP("127.0.0.1", server.submission, timeout=60) as client:
        client.starttls()
        client.login("ann@a.test", PASSWORD)
        client.ehlo_or_helo_if_needed()
        client.mail("ann@a.test", options or [])
        for recipient in to:
            code, reply = client.rcpt(recipient)
            assert code == 250, reply
        code, reply = client.data(content)
        assert code == 250, reply
        return reply.decode().rsplit("queued as ", 1)[1].split()[0]


def wait_for(condition: Callable[[], bool], seconds: float = 90) -> None:
    """Return as soon as the condition holds; AssertionError when it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.1)


def change_certificate(server: Installation, *arguments: str) -> str:
    """`merpati certificate …`, once the server is not just looking after certificates itself."""
    end = time.monotonic() + 90
    while "looked after: try again" in (done := server.run("certificate", *arguments)).stderr:
        assert time.monotonic() < end, "the server does not come to an end with its certificates"
        time.sleep(0.2)
    assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def needs(program: str | Path, package: str) -> None:
    """Skip where a real program is missing."""
    missing = not (program.exists() if isinstance(program, Path) else peers.find(program))
    if missing:
        pytest.skip(f"{program} is not installed (Debian: {package})")
    if os.geteuid() != 0 and package in {"postfix", "exim4-daemon-light", "dovecot-lmtpd"}:
        pytest.skip(f"{package} needs root to be started in a folder of its own")


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder with a short name: the path of a Unix socket has room for 107 octets."""
    with tempfile.TemporaryDirectory(prefix="mp") as folder:
        yield Path(folder)


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Install]:
    """Start a Merpati with more configuration; all are stopped at the end."""
    running: list[Installation] = []

    def start(more: str = "") -> Installation:
        server = Installation(tmp_path / f"merpati{len(running)}", more)
        server.populate()
        server.start()
        running.append(server)
        return server

    yield start
    for server in running:
        assert server.stop() == 0, server.output()


@pytest.fixture
def postfix(short_path: Path) -> Iterator[Callable[..., peers.Postfix]]:
    """Start a Postfix that relays to the given port, or as `peers.Postfix` is told more."""
    needs("postfix", "postfix")
    running: list[peers.Postfix] = []

    def start(relay_to: int = 9, smtp_tls: str = "may", **more: Any) -> peers.Postfix:
        peer = peers.Postfix(
            short_path / "postfix", free_port(), relay_to=relay_to, smtp_tls=smtp_tls, **more
        )
        peer.start()
        running.append(peer)
        return peer

    yield start
    for peer in running:
        peer.stop()


@pytest.fixture
def exim(short_path: Path) -> Iterator[peers.Exim]:
    """A running Exim."""
    needs(peers.EXIM, "exim4-daemon-light")
    (short_path / "exim").mkdir()
    peer = peers.Exim(short_path / "exim", free_port())
    peer.start()
    yield peer
    peer.stop()


@pytest.fixture
def dovecot(short_path: Path) -> Iterator[peers.Dovecot]:
    """A running Dovecot."""
    needs("dovecot", "dovecot-lmtpd")
    (short_path / "dovecot").mkdir()
    peer = peers.Dovecot(short_path / "dovecot", free_port(), free_port())
    peer.start()
    yield peer
    peer.stop()
