"""The scenarios, and which servers stand side by side in each."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.load import Load
from benchmarks.peers import Aiosmtpd, Exim, Haraka, Postfix, SmtpSink
from benchmarks.servers import LOGIN, Certificate, Discard, Merpati, Server, Setup

Build = Callable[[Path, Setup, Certificate], Server]


def merpati(workers: int, folder: Path, setup: Setup, certificate: Certificate) -> Server:
    """As it is installed, or its receiving half alone."""
    if setup.discard:
        return Discard(folder)
    return Merpati(folder, setup, certificate, workers)


FIELD: dict[str, Build] = {
    "merpati": partial(merpati, 1),
    "merpati, 2 workers": partial(merpati, 2),
    "postfix": Postfix,
    "exim": Exim,
    "haraka": Haraka,
    "aiosmtpd": Aiosmtpd,
    "smtp-sink": SmtpSink,
}
RELAYS = ("merpati", "merpati, 2 workers", "postfix", "exim", "haraka")
PIPELINED, PLAIN = Load(style="pipelined"), Setup()
FORGETFUL = ("merpati", "aiosmtpd", "haraka", "smtp-sink")


@dataclass(frozen=True, slots=True)
class Case:
    """One scenario. 10 KB, 20 sessions and reused connections where its load says nothing else."""

    name: str
    title: str
    load: Load = PIPELINED
    setup: Setup = PLAIN
    servers: tuple[str, ...] = RELAYS
    is_usual: bool = False
    """Part of a run without --full."""

    @property
    def relays(self) -> bool:
        """Measured until the sink has everything, not until the last 250."""
        return not (self.setup.hold or self.setup.discard)


def size(name: str, octets: int, most: int, sessions: int = 20) -> Case:
    """A relay of messages of one size."""
    load = Load(style="pipelined", size=octets, most=most, sessions=sessions)
    return Case(name, f"relay, {name.removeprefix('size-')}", load)


CASES = (
    Case("P1", "receive, durable", Load(), Setup(hold=True), is_usual=True),
    Case("P2", "relay, durable", Load(), is_usual=True),
    Case(
        "P3",
        "relay, durable, signed with RSA-2048",
        Load(),
        Setup(dkim=True),
        is_usual=True,
    ),
    Case("P4", "receive, discard", Load(), Setup(discard=True), FORGETFUL, is_usual=True),
    Case(
        "P8",
        "relay, 500 messages/s offered",
        Load(style="steps", rate=500.0),
        is_usual=True,
    ),
    Case(
        "tls",
        "relay, STARTTLS on both sides",
        Load(style="pipelined", tls="starttls"),
        Setup(tls=True),
        is_usual=True,
    ),
    Case(
        "tls-fresh",
        "relay, STARTTLS, a connection each",
        Load(style="pipelined", tls="starttls", fresh=True),
        Setup(tls=True),
    ),
    Case(
        "login",
        "relay, STARTTLS and AUTH PLAIN, a connection each",
        Load(style="pipelined", tls="starttls", login=LOGIN, fresh=True, most=2_000),
        Setup(tls=True, login=True),
    ),
    Case("fresh", "relay, a connection each", Load(fresh=True)),
    Case("steps", "relay, each command awaited", Load(style="steps")),
    Case("pipelined", "relay, pipelined"),
    Case("bdat", "relay, BDAT", Load(style="bdat"), Setup(chunking=True)),
    Case("rcpt-10", "relay, 10 recipients", Load(style="pipelined", recipients=10)),
    Case("rcpt-50", "relay, 50 recipients", Load(style="pipelined", recipients=50)),
    size("size-1KB", 1_024, 40_000),
    size("size-100KB", 102_400, 4_000),
    size("size-10MB", 10_485_760, 40, 4),
    Case("sessions-1", "relay, 1 session", Load(style="pipelined", sessions=1)),
    Case("sessions-100", "relay, 100 sessions", Load(style="pipelined", sessions=100)),
    Case("sessions-1000", "relay, 1,000 sessions", Load(style="pipelined", sessions=1_000)),
    Case(
        "domains-1000",
        "relay to 1,000 domains, a host each",
        Load(style="pipelined", domains=1_000),
        Setup(many=True),
    ),
    Case(
        "domains-1000-dns",
        "the same, the hosts asked for in the DNS",
        Load(style="pipelined", domains=1_000),
        Setup(many=True, asks=True),
        RELAYS[:2],
    ),
)
