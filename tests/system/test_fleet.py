"""Several workers: one node for whoever sends, and for whoever operates it."""

import os
import signal
import smtplib
import socketserver
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from merpati.testing.operator import Attended
from merpati.testing.process import free_port

pytestmark = pytest.mark.slow

CONFIG = """\
hostname = "mx.a.test"
workers = {workers}
[[port]]
role = "mx"
listen = "127.0.0.1:{port}"
trusted = ["127.0.0.1/32"]
[http]
listen = "127.0.0.1:{http}"
[[route]]
match = ["*"]
to = "smtp://127.0.0.1:{out}"
tls = "off"
[queue]
retry = ["1s"]
"""


class Node(Attended):
    """A Merpati with some workers that relays to one host."""

    def __init__(self, folder: Path, workers: int, out: int) -> None:
        self.port, self.http, self.out = free_port(), free_port(), out
        super().__init__(folder, self.text(workers), [self.port, self.http])

    def spawn(self) -> None:
        self._before = self._starts()
        super().spawn()

    def wait_up(self) -> None:
        """Return when every worker serves: the ports answer from the first one on."""
        super().wait_up()
        wait_for(self.has_started)

    def has_started(self) -> bool:
        """Whether every worker has, this time."""
        return self._starts() > self._before

    def _starts(self) -> int:
        return sum('"event":"started"' in line for line in self.lines())

    def text(self, workers: int) -> str:
        return CONFIG.format(workers=workers, port=self.port, http=self.http, out=self.out)

    def send(self, count: int, to: str = "ann@b.test") -> None:
        """A connection each, all at once, so that they are spread over the workers."""
        clients = [smtplib.SMTP("127.0.0.1", self.port, timeout=60) for _ in range(count)]
        for n, client in enumerate(clients):
            with client:
                client.sendmail("bob@a.test", [to], f"Subject: {n}\r\n\r\nhello\r\n")

    def workers(self) -> list[dict[str, object]]:
        lines: list[dict[str, object]] = self.ask_json("status")["workers"]
        return lines

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/metrics", timeout=60) as page:
            text: str = page.read().decode()
        return text

    def pid_of(self, worker: int) -> int:
        return int(str(self.workers()[worker]["pid"]))

    def wait_another(self, worker: int, before: int) -> None:
        """Return when a process serves in the place of one that was killed."""

        def is_there() -> bool:
            line = self.workers()[worker]
            return line["running"] is True and line["pid"] != before

        wait_for(is_there)


class Sink(socketserver.ThreadingTCPServer):
    """The next host. It takes one message after the other, of so many connections at a time."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, limit: int = 100) -> None:
        super().__init__(("127.0.0.1", port), Session)
        self.slots = threading.Semaphore(limit)
        self.received: list[str] = []
        self.refused = 0

    def __enter__(self) -> "Sink":
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class Session(socketserver.StreamRequestHandler):
    server: Sink

    def handle(self) -> None:
        if not self.server.slots.acquire(blocking=False):
            self.server.refused += 1
            self.wfile.write(b"421 4.7.0 too many connections\r\n")
            return
        try:
            has_quit = self.talk()
        finally:
            self.server.slots.release()
        if has_quit:  # Not answered before: whoever hears it may come again at once.
            self.wfile.write(b"221 bye\r\n")

    def talk(self) -> bool:
        """Until QUIT, or the end of the connection without it."""
        self.wfile.write(b"220 sink\r\n")
        for line in self.rfile:
            verb = line[:4].upper()
            if verb == b"QUIT":
                return True
            if verb == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                while (text := self.rfile.readline()) != b".\r\n":
                    if text.startswith(b"Subject"):
                        self.server.received.append(text.decode())
            self.wfile.write(b"250 ok\r\n")
        return False


def wait_for(condition: Callable[[], bool], seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path, 2, free_port())
    with node:
        yield node


def test_every_worker_is_shown(node: Node) -> None:
    assert [line["running"] for line in node.workers()] == [True, True]
    assert len({line["pid"] for line in node.workers()} | {node.pid}) == 3
    assert "worker 1: process" in node.ask("status")


def test_operators_see_one_queue(node: Node) -> None:
    node.send(12)
    listed = node.ask_json("queue", "list")
    assert len(listed) == 12
    assert [line["id"] for line in listed] == sorted(line["id"] for line in listed)
    queued = [line["queue"]["waiting"] + line["queue"]["in_hand"] for line in node.workers()]
    assert all(queued), "some lie with each worker"
    assert sum(queued) == sum(node.ask_json("status")["queue"].values()) == 12
    for line in listed:
        assert node.ask_json("trace", line["id"])
    assert len(node.ask_json("trace", "ann@b.test", "--limit", "20")) == 12
    assert "12" in node.ask("queue", "cancel", "--domain", "b.test")
    assert node.ask_json("queue", "list") == []


def test_connections_are_spread_evenly(node: Node) -> None:
    clients = [smtplib.SMTP("127.0.0.1", node.port, timeout=60) for _ in range(40)]
    counts = [sum(dict(line["connections"]).values()) for line in node.workers()]  # type: ignore[call-overload]
    for client in clients:
        client.close()
    assert sum(counts) == 40
    assert max(counts) - min(counts) <= 12, counts


def test_a_domain_is_known_to_all_workers_at_once(node: Node) -> None:
    for n in range(6):
        node.ask("domain", "add", f"d{n}.test")
        node.ask("user", "add", f"ann@d{n}.test", "--password-stdin", text="secret words\n")
        node.send(3, f"ann@d{n}.test")
        mails = node.folder / "var" / "mail" / f"d{n}.test" / "ann" / "new"
        wait_for(lambda mails=mails: mails.is_dir() and len(list(mails.iterdir())) == 3)  # type: ignore[misc]


def test_a_worker_that_dies_is_made_again_while_the_other_serves(node: Node) -> None:
    node.send(8)
    before = node.pid_of(1)
    os.kill(before, signal.SIGKILL)
    node.send(4)
    node.wait_another(1, before)
    assert len(node.ask_json("queue", "list")) == 12
    assert '"worker 1: ended by signal 9"' in node.output()


def test_all_end_with_their_supervisor_and_nothing_is_lost(node: Node) -> None:
    node.send(6)
    workers = [node.pid_of(0), node.pid_of(1)]
    os.kill(node.pid, signal.SIGKILL)
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    node.kill()
    node.start()
    assert len(node.ask_json("queue", "list")) == 6


def test_shards_of_workers_that_are_not_there_any_more_are_adopted(tmp_path: Path) -> None:
    out = free_port()
    node = Node(tmp_path, 4, out)
    with node:
        node.send(16)
    assert len(list((tmp_path / "var").glob("queue-*.db"))) == 4
    assert len(node.ask_json("queue", "list")) == 16, "also while no server runs"
    node.config.write_text(node.text(1))
    with Sink(out) as sink, node:
        node.ask("queue", "resume", f"smtp://127.0.0.1:{out}")
        node.wait_empty()
        assert len(sink.received) == 16
        assert len(node.ask_json("trace", "ann@b.test", "--limit", "20")) == 16


def test_a_site_has_one_limit_of_connections_for_all_workers(tmp_path: Path) -> None:
    out = free_port()
    node = Node(tmp_path, 2, out)
    with Sink(out, limit=2) as sink, node:
        node.send(40)
        node.wait_empty()
        assert len(sink.received) == 40
        assert sink.refused == 0, "a window begins with two connections, not with two a worker"


def test_a_reload_reaches_every_worker(node: Node) -> None:
    text = node.config.read_text()
    node.config.write_text(text.replace("[queue]", "[limits]\nmessage_size = 1000\n[queue]"))
    node.ask("reload")
    for _ in range(6):
        with smtplib.SMTP("127.0.0.1", node.port, timeout=60) as client:
            client.ehlo()
            assert client.esmtp_features["size"] == "1000"
    before = node.pid_of(0)
    os.kill(before, signal.SIGKILL)
    node.wait_another(0, before)
    for _ in range(6):
        with smtplib.SMTP("127.0.0.1", node.port, timeout=60) as client:
            client.ehlo()
            assert client.esmtp_features["size"] == "1000"


def test_a_configuration_with_a_mistake_changes_no_worker(node: Node) -> None:
    node.config.write_text(node.config.read_text() + "[[route]]\nmatch = 7\n")
    assert node.run("reload").returncode != 0
    os.kill(node.pid, signal.SIGHUP)
    wait_for(lambda: "reload refused" in node.output())
    node.config.write_text(node.text(2))
    node.send(2)


def test_workers_are_replaced_and_every_new_client_is_greeted(node: Node) -> None:
    before = [line["pid"] for line in node.workers()]
    stop = threading.Event()
    taken_at: list[float] = []
    failures: list[Exception] = []
    ill: list[str] = []

    def clients() -> None:
        while not stop.is_set():
            try:
                _bring(node.port)
                taken_at.append(time.monotonic())
            except (OSError, smtplib.SMTPException) as error:
                failures.append(error)

    def balancer() -> None:
        while not stop.is_set():
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{node.http}/healthz", timeout=60).close()
            except urllib.error.HTTPError as error:
                ill.append(error.read().decode())
            except OSError as error:
                ill.append(repr(error))

    threads = [threading.Thread(target=work) for work in (clients, clients, clients, balancer)]
    for thread in threads:
        thread.start()
    try:
        node.ask("restart")
        wait_for(lambda: not {line["pid"] for line in node.workers()} & {*before})
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert all(_is_a_farewell(error) for error in failures), failures
    assert len(failures) <= 2 * 3, "each worker has said farewell to who was there, and to no more"
    assert len(taken_at) >= 20
    assert sum(node.ask_json("status")["queue"].values()) >= len(taken_at)
    assert ill == []


class _Listening(smtplib.SMTP):
    """Hears what was said to it before it could say no more."""

    def send(self, s: Any) -> None:
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("closed behind a 421")
        try:
            self.sock.sendall(s.encode() if isinstance(s, str) else s)
        except OSError:
            raise smtplib.SMTPResponseException(*self.getreply()) from None


def _bring(port: int) -> None:
    """A message, over a connection of its own."""
    with _Listening("127.0.0.1", port, timeout=60) as client:
        if (reply := client.ehlo())[0] != 250:  # Else smtplib would say HELO behind a 421.
            raise smtplib.SMTPResponseException(*reply)
        client.sendmail("list@a.test", ["ann@b.test"], "Subject: x\r\n\r\nx\r\n")


def _is_a_farewell(error: Exception) -> bool:
    """421: between two commands of a session that was told to end (RFC 5321 §3.8). Who is not
    greeted at all was turned away, and not told farewell."""
    if isinstance(error, smtplib.SMTPConnectError):
        return False
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code == 421 for code, _ in error.recipients.values())
    return getattr(error, "smtp_code", None) == 421


def test_one_worker_cannot_be_replaced_by_itself(tmp_path: Path) -> None:
    with Node(tmp_path, 1, free_port()) as node:
        done = node.run("restart")
        assert done.returncode == 1
        assert "set workers in merpati.toml to 2 or more" in done.stderr


def test_a_worker_that_cannot_start_at_first_is_told(tmp_path: Path) -> None:
    node = Node(tmp_path, 2, free_port())
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "queue-1.db").write_bytes(b"this is no database" * 1000)
    done = node.run("serve")
    assert done.returncode == 1
    assert "queue-1.db" in done.stderr


def test_counters_are_told_apart_by_worker(node: Node) -> None:
    node.send(8)
    text = node.metrics()
    assert 'merpati_connections_in_total{role="mx",worker="0"}' in text
    assert 'merpati_connections_in_total{role="mx",worker="1"}' in text
