"""What is measured: servers, each started fresh in its own folder, and the sinks behind them."""

import os
import shutil
import signal
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.load import PATH, cpu_of_tree
from merpati.authenticity.dkim.keypair import KeyKind, KeyPair
from merpati.clock import SystemClock
from merpati.testing.process import MerpatiProcess, free_port, wait_port
from merpati.wire.certificates import make_self_signed

LOGIN = "load@a.test:terbang tinggi"
SIGNED = "a.test"
HERE = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Setup:
    """What a scenario needs of a server."""

    out: int = 0
    """The port of the sink that mail is relayed to."""
    hold: bool = False
    """Keep everything: only receiving is measured."""
    discard: bool = False
    """Forget everything: only the protocol is measured."""
    tls: bool = False
    """Offer STARTTLS, and use it towards the sink."""
    login: bool = False
    """Take mail from LOGIN alone."""
    chunking: bool = False
    """Take BDAT."""
    dkim: bool = False
    """Sign with RSA, 2,048 bits."""
    many: bool = False
    """dA-B.test goes to 127.1.A.B, by a rule that the server is given."""
    asks: bool = False
    """The same, but the server has to ask the DNS for it."""


class Server(Protocol):
    """Listens on `port`; `pid` is the root of its processes."""

    port: int

    @property
    def pid(self) -> int: ...

    def cpu(self) -> float:
        """User and system seconds of all its processes, also of those that have ended."""
        ...

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Unable(Exception):
    """This server cannot be measured here, or cannot do that; the text says why."""


def end_in_order() -> None:
    """SIGTERM ends this process as Ctrl-C does, so that it stops what it started."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


class Certificate:
    """One key for every server and sink, so that all pay the same for their handshakes, and one
    to sign with."""

    def __init__(self, folder: Path) -> None:
        self.file, self.key = folder / "certificate.pem", folder / "key.pem"
        self.dkim = folder / "dkim.pem"
        if not self.file.exists():
            folder.mkdir(parents=True, exist_ok=True)
            make_self_signed(self.file, self.key, SystemClock(), ["mx.example.org"])
            self.file.chmod(0o644)
            self.dkim.write_bytes(KeyPair.generate(KeyKind.RSA_2048).pem)


class Background:
    """A process of ours that is ended by us, with its output in a file."""

    def __init__(self, command: list[str], log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                command, stdout=out, stderr=out, env={**os.environ, "PATH": PATH}, cwd=HERE
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_up(self, port: int) -> None:
        """Return when it listens; Unable with its last words otherwise."""
        try:
            wait_port(port)
        except TimeoutError as error:
            self.stop()
            raise Unable(f"{error}: {self._log.read_text()[-300:]}") from None

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)


class Sink:
    """smtp-sink with its running counter."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._counter = folder / "count"
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        command = ["smtp-sink", "-c", "-m", "2000", *user, f"inet:127.0.0.1:{self.port}", "1024"]
        self._process = Background(command, self._counter)
        self._process.wait_up(self.port)

    def count(self) -> int:
        """Messages received so far."""
        tail = self._counter.read_bytes()[-200:].split(b"\r")[:-1]
        counts = [part.split(b"mesg=")[1].split()[0] for part in tail if b"mesg=" in part]
        return int(counts[-1]) if counts else 0

    def stop(self) -> None:
        self._process.stop()


class OwnSink:
    """Ours, for TLS and for many hosts."""

    def __init__(self, folder: Path, certificate: Certificate | None, many: bool) -> None:
        self.port = free_port()
        folder.mkdir(parents=True)
        self._counter = folder / "count"
        self._counter.write_bytes(bytes(8))
        self._waits = folder / "waits"
        pair = ["--waits", str(self._waits)]
        if certificate:
            pair += ["--certificate", str(certificate.file), "--key", str(certificate.key)]
        command = [sys.executable, "-m", "benchmarks.sink", str(self.port), str(self._counter)]
        command += [*pair, *(["--many"] if many else [])]
        self._process = Background(command, folder / "log")
        self._process.wait_up(self.port)

    def count(self) -> int:
        """Messages received so far."""
        return int(struct.unpack("Q", self._counter.read_bytes())[0])

    def waits(self) -> list[float]:
        """Seconds that each message was under way, in the order of their arrival."""
        return [one for (one,) in struct.iter_unpack("d", self._waits.read_bytes())]

    def stop(self) -> None:
        self._process.stop()


MERPATI = """\
hostname = "mx.example.org"
data = "var"
workers = {workers}
[[port]]
role = "{role}"
listen = "127.0.0.1:{port}"
trusted = [{trusted}]
[tls]
certificate = "{certificate.file}"
key = "{certificate.key}"
[limits]
connections_per_address = 2000
"""
ROUTE = """\
[[route]]
match = ["*"]
to = "smtp://127.0.0.1:{out}"
tls = "{tls}"
"""
MANY = "".join(
    f"""\
[[route]]
match = ["d{a}-{b}.test"]
to = "smtp://127.1.{a}.{b}:{{out}}"
tls = "{{tls}}"
"""
    for a in range(4)
    for b in range(1, 251)
)
BY_DNS = """\
[dns]
servers = ["127.0.0.1:{zone}"]
[delivery]
mx_port = {out}
"""


class Merpati:
    """The defaults with so many workers; a route to where nobody listens makes it keep all mail."""

    def __init__(self, folder: Path, setup: Setup, certificate: Certificate, workers: int) -> None:
        self.port = free_port()
        self._setup, self._workers = setup, workers
        self._certificate = certificate
        self._zone: Background | None = None
        zone = free_port()
        if setup.asks:
            command = [sys.executable, "-m", "benchmarks.zone", str(zone)]
            self._zone = Background(command, folder / "zone.log")
        out = free_port() if setup.hold else setup.out
        way = BY_DNS if setup.asks else MANY if setup.many else ROUTE
        text = (MERPATI + way).format(
            workers=workers,
            role="submission" if setup.login else "mx",
            port=self.port,
            trusted="" if setup.login else '"127.0.0.1/32"',
            certificate=certificate,
            out=out,
            zone=zone,
            tls="opportunistic" if setup.tls else "off",
        )
        self.process = MerpatiProcess(folder, text, [self.port])

    @property
    def pid(self) -> int:
        return self.process.pid

    def cpu(self) -> float:
        return cpu_of_tree(self.pid)

    def start(self) -> None:
        if self._setup.login:
            name, _, password = LOGIN.partition(":")
            self.process.ask("domain", "add", "a.test")
            self.process.ask("user", "add", name, "--password-stdin", text=password + "\n")
        if self._setup.dkim:
            pem = self._certificate.dkim.read_text()
            self.process.ask("dkim", "import", SIGNED, "bench", "-", text=pem)
            self.process.ask("dkim", "rotate", SIGNED, "--unchecked")
        self.process.start()
        if self._workers > 1 and "uses one worker" in self.process.output():
            self.stop()
            raise Unable("this version uses one worker")

    def stop(self) -> None:
        self.process.stop()
        if self._zone:
            self._zone.stop()


class Discard:
    """Merpati's own receiving half with nothing behind it."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: Background | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def cpu(self) -> float:
        return cpu_of_tree(self.pid)

    def start(self) -> None:
        command = [sys.executable, "-m", "benchmarks.discard", str(self.port)]
        self._process = Background(command, self._folder / "log")
        self._process.wait_up(self.port)

    def stop(self) -> None:
        assert self._process is not None
        self._process.stop()


def tool(name: str) -> str:
    """Where a program is; Unable when it is not."""
    found = shutil.which(name, path=PATH)
    if not found:
        raise Unable(f"{name} is not installed (Debian: postfix)")
    return found
