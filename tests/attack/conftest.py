"""A whole server that strangers attack: every door open on loopback, a recording host behind it.

Who comes from 127.0.0.2 may relay, from 127.0.0.3 may say XCLIENT, from 127.0.0.4 must say PROXY,
127.0.0.5 may relay and say XCLIENT; everybody else is a stranger.
"""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from merpati.api.operations import QUEUE_LIST, A, Operation, Q
from merpati.api.questions import ListQueue
from merpati.cli.main import merpati
from merpati.testing.operator import move_in, tell
from merpati.testing.process import MerpatiProcess, free_port
from tests.attack.caller import PASSWORD
from tests.attack.sink import Sink

TRUSTED, FRONT, BALANCER, TRUSTED_FRONT = "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"

CONFIG = """\
hostname = "mx.a.test"
data = "var"
[[port]]
role = "mx"
listen = "127.0.0.1:{mx}"
trusted = ["127.0.0.2/32", "127.0.0.5/32"]
xclient = ["127.0.0.3/32", "127.0.0.5/32"]
proxy = ["127.0.0.4/32"]
[[port]]
role = "submission"
listen = "127.0.0.1:{submission}"
[[port]]
role = "submissions"
listen = "127.0.0.1:{submissions}"
[[port]]
role = "lmtp"
listen = "127.0.0.1:{lmtp}"
[http]
listen = "127.0.0.1:{http}"
[queue]
retry = ["1s"]
[[route]]
match = ["*.test"]
to = "smtp://127.0.0.1:{sink}"
tls = "off"
[[route]]
match = ["*"]
to = "smtp://127.0.0.1:9"
{more}
"""


class Fortress(MerpatiProcess):
    """A Merpati for a.test with the users ann and budi."""

    def __init__(self, folder: Path, sink: int = 9, more: str = "", config: str = CONFIG) -> None:
        names = ("mx", "submission", "submissions", "lmtp", "http")
        self.ports = {name: free_port() for name in names}
        self.mx, self.lmtp = self.ports["mx"], self.ports["lmtp"]
        self.submission, self.submissions = self.ports["submission"], self.ports["submissions"]
        self.http = self.ports["http"]
        text = config.format(**self.ports, sink=sink, more=more)
        used = [port for name, port in self.ports.items() if f"{{{name}}}" in config]
        super().__init__(folder, text, used)

    def populate(self) -> None:
        move_in(self.config, PASSWORD, "ann@a.test", "budi@a.test")

    def tell(self, operation: Operation[Q, A], question: Q) -> A:
        """Ask over the control socket, much faster than by a command."""
        return tell(self.folder / "var/control.sock", operation, question)

    def command(self, *arguments: str, octets: bytes = b"") -> Result:
        """Run a command in this process: to start one each time would take most of the time."""
        words = ["--config", str(self.config), *arguments]
        return CliRunner().invoke(merpati, words, input=octets)

    def files(self, user: str = "ann", domain: str = "a.test") -> list[Path]:
        """The messages in a user's Maildir."""
        return sorted((self.folder / "var/mail" / domain / user / "new").glob("*"))

    def mails(self, user: str = "ann") -> list[bytes]:
        return [path.read_bytes() for path in self.files(user)]

    def wait_drained(self, seconds: float = 90) -> None:
        """Return when the queue is empty."""
        wait_for(lambda: not self.tell(QUEUE_LIST, ListQueue()), seconds)

    def wait_whole(self) -> None:
        """Return when every worker serves: the ports answer from the first one on. Who measures,
        or counts what comes, wants them all."""
        wait_for(lambda: '"event":"started"' in self.output())

    def memory(self) -> int:
        """Octets of RSS now, of the supervisor and all workers."""
        pages = [int((each / "statm").read_text().split()[1]) for each in self._processes()]
        return sum(pages) * 4096

    def seconds(self) -> float:
        """Of CPU that they took until now."""
        stats = [
            (each / "stat").read_text().rpartition(")")[2].split() for each in self._processes()
        ]
        return sum(int(one[11]) + int(one[12]) for one in stats) / os.sysconf("SC_CLK_TCK")

    def _processes(self) -> list[Path]:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [Path(f"/proc/{pid}") for pid in (self.pid, *children)]


def wait_for(condition: Callable[[], object], seconds: float = 90, what: str = "") -> None:
    """Return as soon as it is so; AssertionError when it is not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what or "it did not come about in time"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def sink() -> Iterator[Sink]:
    """The host that mail for other domains goes to."""
    recording = Sink()
    yield recording
    recording.close()


@pytest.fixture(scope="session")
def standing(tmp_path_factory: pytest.TempPathFactory, sink: Sink) -> Iterator[Fortress]:
    """One running server for all attacks that leave it as it was."""
    server = Fortress(tmp_path_factory.mktemp("fortress"), sink.port)
    server.populate()
    with server:
        server.wait_whole()
        yield server
    assert "Traceback" not in server.output(), server.output()


@pytest.fixture
def fortress(standing: Fortress) -> Fortress:
    """The same, with no mail of an earlier attack on its way: what comes is counted."""
    standing.wait_drained()
    return standing


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Callable[..., Fortress]]:
    """Make servers of a test's own; they are populated, not started, and stopped at the end."""
    made: list[Fortress] = []

    def make(sink: int = 9, more: str = "", config: str = CONFIG) -> Fortress:
        server = Fortress(tmp_path / f"s{len(made)}", sink, more, config)
        made.append(server)
        server.populate()
        return server

    yield make
    for server in made:
        server.stop()
