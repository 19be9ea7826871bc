"""Keys for root's eyes alone, in a server that is root no more."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from merpati.clock import SystemClock
from merpati.config.settings import load
from merpati.supervisor import keeper
from merpati.wire.certificates import make_self_signed
from merpati.wire.errors import TlsError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user"),
]

SERVER = """\
import os, pwd, sys
from pathlib import Path
from merpati.certificates.source import Source
from merpati.certificates.watch import Watch
from merpati.clock import SystemClock
from merpati.config.certificates import sources
from merpati.config.settings import load
from merpati.supervisor.keeper import Keeper, is_needed
from merpati.supervisor.privileges import drop, find_user
from merpati.wire.errors import TlsError

folder = Path(sys.argv[1])
settings = load(folder / "merpati.toml")
print("needed", is_needed(settings, find_user("nobody")))
keeper = Keeper(settings)
watch = Watch(SystemClock(), reader=keeper)
drop("nobody")

def look():
    try:
        watch.look(sources(settings, keeper))
    except TlsError as error:
        print(error)
    names = sorted(pair.shown.names[0] for pair in watch.shown)
    print(*names, flush=True)
    sys.stdin.readline()

look()
look()
for chain in map(Path, sys.argv[2:]):
    try:
        watch.check([Source(chain, chain)])
    except TlsError as error:
        print(error)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that other users can pass through, as /etc is."""
    with tempfile.TemporaryDirectory(prefix="mp") as made:
        Path(made).chmod(0o755)
        yield Path(made)


def a_pair(folder: Path, name: str) -> None:
    make_self_signed(folder / f"{name}.pem", folder / f"{name}.key", SystemClock(), [name])


def started(folder: Path, *others: Path) -> subprocess.Popen[str]:
    (folder / "merpati.toml").write_text(
        '[tls]\ncertificate = "own/a.test.pem"\nkey = "own/a.test.key"\ndirectory = "live"\n'
    )
    return subprocess.Popen(
        [sys.executable, "-c", SERVER, folder, *others],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_certificates_that_root_alone_can_read_are_taken_up_when_they_change(folder: Path) -> None:
    for name in ("own", "live"):
        (folder / name).mkdir(mode=0o700)
    a_pair(folder / "own", "a.test")
    other = folder / "other.pem"
    other.write_text("for root alone")
    other.chmod(0o600)
    with started(folder, other) as server:
        assert server.stdin
        assert server.stdout
        assert server.stdout.readline() == "needed True\n"
        assert server.stdout.readline() == "a.test\n"
        a_pair(folder / "live", "b.test")
        server.stdin.write("\n")
        server.stdin.flush()
        assert server.stdout.readline() == "a.test b.test\n"
        server.stdin.write("\n")
        server.stdin.flush()
        # What is no certificate of the configuration is not given out.
        assert "has to be restarted for it" in server.stdout.readline()
        assert server.wait(60) == 0


@pytest.mark.parametrize("spoil", ["folder", "file"])
def test_where_another_user_could_choose_the_file_nothing_is_read(folder: Path, spoil: str) -> None:
    (folder / "own").mkdir(mode=0o755)
    (folder / "live").mkdir()
    a_pair(folder / "own", "a.test")
    theirs = folder / "own" if spoil == "folder" else folder / "own/a.test.pem"
    os.chown(theirs, 65534, 65534)
    with started(folder) as server:
        assert server.stdin
        assert server.stdout
        assert server.stdout.readline() == "needed True\n"
        assert server.stdout.readline() == "\n"
        server.kill()


def test_a_link_that_leads_to_itself_ends_nobody(folder: Path) -> None:
    for name in ("own", "live"):
        (folder / name).mkdir(mode=0o700)
    a_pair(folder / "own", "a.test")
    (folder / "live" / "loop.pem").symlink_to("loop.pem")
    (folder / "live" / "loop.key").symlink_to("loop.pem")
    with started(folder) as server:
        assert server.stdin
        assert server.stdout
        assert server.stdout.readline() == "needed True\n"
        assert server.stdout.readline() == "a.test\n"
        a_pair(folder / "live", "b.test")
        server.stdin.write("\n")
        server.stdin.flush()
        assert server.stdout.readline() == "a.test b.test\n"
        server.kill()


def test_what_is_shown_stays_when_whoever_reads_the_keys_is_gone(folder: Path) -> None:
    for name in ("own", "live"):
        (folder / name).mkdir(mode=0o700)
    a_pair(folder / "own", "a.test")
    a_pair(folder / "live", "b.test")
    with started(folder) as server:
        assert server.stdin
        assert server.stdout
        assert server.stdout.readline() == "needed True\n"
        assert server.stdout.readline() == "a.test b.test\n"
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text()
        os.kill(int(children), signal.SIGKILL)
        server.stdin.write("\n")
        server.stdin.flush()
        assert "cannot be looked into" in server.stdout.readline()
        assert server.stdout.readline() == "a.test b.test\n"
        server.kill()


def test_a_system_in_need_ends_nobody(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def starved(*_: object) -> None:
        raise TlsError("live cannot be looked into: Too many open files")

    monkeypatch.setattr(keeper, "operators", starved)
    (folder / "merpati.toml").write_text("")
    line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    mine, asker = socket.socketpair()
    with mine, theirs:
        with line, asker:
            socket.send_fds(line, [msgspec.msgpack.encode(keeper._Wish())], [asker.fileno()])
        keeper._serve(load(folder / "merpati.toml"), theirs)
        assert b"Too many open files" in mine.recv(1000)
