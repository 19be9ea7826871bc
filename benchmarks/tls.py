"""What TLS costs: our filter beside uvloop's own, CPU a message and memory a connection.

    python benchmarks/tls.py [rounds]

The server runs in a process of its own and only counts octets; the client sends messages by
blocking sockets and reads the server's CPU and memory from the system (Linux). Rounds alternate
between the servers; the smallest figure counts, since a busy machine only ever adds.
"""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import ssl
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

from merpati.clock import SystemClock
from merpati.testing.shown import showing
from merpati.wire.certificates import make_self_signed
from merpati.wire.endpoint import Endpoint
from merpati.wire.listen import Arrival, Listener, ListenSettings
from merpati.wire.loop import Wire
from merpati.wire.sockets import bind

PAGE = os.sysconf("SC_PAGE_SIZE")
CONNECTIONS = 100
MESSAGES = {10_000: 1000, 1_000_000: 60}
MANY = ListenSettings(connections=5000, connections_per_ip=5000)


def report(error: Exception) -> None:
    sys.excepthook(type(error), error, error.__traceback__)


class Counting(asyncio.BufferedProtocol):
    """uvloop's own TLS beneath the cheapest protocol that answers each message."""

    buffer = memoryview(bytearray(64 * 1024))

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.missing = 0

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        octets = bytes(self.buffer[:nbytes])
        self.missing, answer = count(self.missing, octets)
        if answer:
            self.transport.write(answer)


def count(missing: int, octets: bytes) -> tuple[int, bytes]:
    """A message says its length in its first 8 octets."""
    if not missing:
        missing = int(octets[:8])
    missing -= len(octets)
    return missing, b"" if missing else b"250 ok\r\n"


async def serve_own(listener: socket.socket, certificate: Path, key: Path) -> None:
    """The stream as Merpati uses it: one coroutine a connection."""
    context = showing(certificate, key)

    async def session(arrival: Arrival) -> None:
        stream, missing = arrival.stream, 0
        await stream.secure(context)
        while octets := await stream.read():
            missing, answer = count(missing, octets)
            if answer:
                stream.write(answer)

    await Listener(Wire(SystemClock()), session, report, MANY).run([listener])


async def serve_uvloop(listener: socket.socket, certificate: Path, key: Path) -> None:
    """What uvloop has."""
    context = showing(certificate, key).context
    loop = asyncio.get_running_loop()
    await loop.create_server(Counting, sock=listener, ssl=context, backlog=1024)
    await asyncio.Event().wait()


class Server:
    """A server process, seen from outside."""

    def __init__(self, serve: Callable[..., Any], pair: tuple[Path, Path]) -> None:
        listener = bind(Endpoint("127.0.0.1"))
        self.address = listener.getsockname()
        self.pid = os.fork()
        if self.pid == 0:
            gc.freeze()
            with contextlib.suppress(KeyboardInterrupt):
                uvloop.run(serve(listener, *pair))
            os._exit(0)
        listener.close()

    def cpu(self) -> float:
        """Microseconds on a processor so far."""
        return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[0]) / 1000

    def memory(self) -> int:
        """Octets resident."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * PAGE

    def stop(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def connect(server: Server, context: ssl.SSLContext) -> ssl.SSLSocket:
    return context.wrap_socket(socket.create_connection(server.address))


def send(client: ssl.SSLSocket, size: int) -> None:
    client.sendall(b"%08d" % size + b"x" * (size - 8))
    if client.recv(100) != b"250 ok\r\n":
        raise SystemExit("the server did not answer")


def cpu_figures(server: Server, context: ssl.SSLContext) -> dict[str, float]:
    figures = {}
    before = server.cpu()
    for _ in range(100):
        connect(server, context).close()
    figures["us a session"] = (server.cpu() - before) / 100
    client = connect(server, context)
    for size, messages in MESSAGES.items():
        send(client, size)
        before = server.cpu()
        for _ in range(messages):
            send(client, size)
        figures[f"us a {size // 1000} KB message"] = (server.cpu() - before) / messages
    return figures


def memory_figures(server: Server, context: ssl.SSLContext) -> dict[str, float]:
    warm = connect(server, context)
    send(warm, 1_000_000)
    before = server.memory()
    clients = [connect(server, context) for _ in range(CONNECTIONS)]
    for client in clients:
        client.settimeout(10)
    figures = {"KiB idle": (server.memory() - before) / 1024 / CONNECTIONS}
    for size in MESSAGES:
        for client in clients:
            send(client, size)
        used = (server.memory() - before) / 1024 / CONNECTIONS
        figures[f"KiB after {size // 1000} KB"] = used
    return figures


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    best: dict[str, dict[str, float]] = {"uvloop's own": {}, "our filter": {}}
    with tempfile.TemporaryDirectory() as folder:
        pair = Path(folder, "cert.pem"), Path(folder, "key.pem")
        make_self_signed(*pair, SystemClock(), ["mx.a.test"])
        for _ in range(rounds):
            for (_, kept), serve in zip(best.items(), (serve_uvloop, serve_own), strict=True):
                for measure in (cpu_figures, memory_figures):
                    server = Server(serve, pair)
                    try:
                        for what, value in measure(server, context).items():
                            kept[what] = min(value, kept.get(what, value))
                    finally:
                        server.stop()
    print(f"{'':<24}" + "".join(f"{name:>14}" for name in best))
    for what in best["our filter"]:
        print(f"{what:<24}" + "".join(f"{figures[what]:>14.1f}" for figures in best.values()))


if __name__ == "__main__":
    main()
