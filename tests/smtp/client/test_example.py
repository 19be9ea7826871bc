"""The example client sends a message to the example server."""

import importlib.util
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parents[3] / "examples"
Serving = Callable[..., AbstractContextManager[socket.socket]]


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{name}_example", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(name="client", scope="module")
def _client() -> ModuleType:
    return load("smtp_client")


@contextmanager
def serving(session: Callable[[socket.socket], None]) -> Iterator[socket.socket]:
    """A socket whose other end is served."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with theirs:
            session(theirs)

    server = threading.Thread(target=serve)
    server.start()
    with ours:
        ours.settimeout(10)
        yield ours
    server.join(10)
    assert not server.is_alive()


def reciting(*replies: bytes) -> Callable[[socket.socket], None]:
    """Says its replies, one at each segment that it is sent."""

    def session(peer: socket.socket) -> None:
        peer.settimeout(10)
        for reply in replies:
            peer.sendall(reply)
            if not peer.recv(65536):
                return

    return session


def test_a_message_arrives_at_the_example_server(client: ModuleType) -> None:
    server = load("smtp_server")
    delivered: list[bytes] = []
    content = "Subject: Halo\r\n\r\n.Satu\r\n.\r\nselamat siang ü\r\n".encode()
    with serving(lambda peer: server.serve(peer, delivered.append)) as peer:
        refused = client.send(peer, "ann@a.test", ["bob@b.test", "eve@b.test"], content)
    assert refused == {}
    assert delivered == [content]


GREETING = b"220 mx\r\n"
HELLO = b"250-mx\r\n250 PIPELINING\r\n"


def test_who_was_refused_is_told(client: ModuleType) -> None:
    envelope = b"250 ok\r\n250 ok\r\n550 5.1.1 no such user\r\n354 go\r\n"
    replies = [GREETING, HELLO, envelope, b"250 ok\r\n", b"221 bye\r\n"]
    with serving(reciting(*replies)) as peer:
        refused = client.send(peer, "ann@a.test", ["bob@b.test", "eve@b.test"], b"Hi\r\n")
    assert refused == {"eve@b.test": "550 5.1.1 no such user"}


@pytest.mark.parametrize(
    ("replies", "why"),
    [
        ([b"554 go away\r\n"], "554 go away"),
        ([b"421 busy\r\n"], "421 busy"),
        ([b"HTTP/1.1 400\r\n"], "not an SMTP reply"),
        ([GREETING, b"550 no\r\n", b"550 never\r\n"], "550 never"),
        ([GREETING, b"250-mx\r\n250 SIZE 3\r\n"], "their limit is 3 octets"),
        ([GREETING, HELLO, b"550 no\r\n503 no\r\n503 no\r\n"], "550 no"),
        ([GREETING, HELLO, b"250 ok\r\n250 ok\r\n354 go\r\n", b"554 spam\r\n"], "554 spam"),
        ([GREETING, HELLO], "closed the connection"),
    ],
)
def test_why_it_was_not_sent(client: ModuleType, replies: list[bytes], why: str) -> None:
    with serving(reciting(*replies)) as peer, pytest.raises(client.NotSent, match=why):
        client.send(peer, "ann@a.test", ["bob@b.test"], b"Hello\r\n")


def test_it_runs_as_its_first_lines_say(client: ModuleType) -> None:
    server = load("smtp_server")
    delivered: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def session() -> None:
            peer, _ = listener.accept()
            with peer:
                server.serve(peer, delivered.append)

        thread = threading.Thread(target=session)
        thread.start()
        host, port = listener.getsockname()
        client.main(host, str(port), "ann@b.test")
        thread.join(10)
    assert delivered == [client.CONTENT]
