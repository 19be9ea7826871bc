"""`python -m benchmarks.large [MiB]`: one signed message of 100 MiB through a whole server.

It comes from a stranger to an `mx` port, is verified as it arrives, stored, and put into a mailbox;
the findings are read there. Memory is the most that the server ever took (VmHWM), above what a
signed message of 1 MiB needed before.
"""

import contextlib
import re
import socket
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.dkim import HEAD, text
from benchmarks.load import cpu_of_tree
from merpati.authenticity.dkim.keypair import KeyKind, KeyPair
from merpati.authenticity.dkim.signer import SigningKey, sign
from merpati.testing.process import MerpatiProcess, free_port
from merpati.testing.zone import zone_in_a_thread

CONFIG = """\
hostname = "mx.b.test"
data = "var"
workers = 1
[[port]]
role = "mx"
listen = "127.0.0.1:{port}"
xclient = ["127.0.0.1/32"]
[limits]
message_size = "{size}MiB"
[dns]
servers = ["{dns[0]}:{dns[1]}"]
"""
SECONDS = 120.0
"""For a message to reach its mailbox."""
PART = text(256 * 1024)


@dataclass(frozen=True, slots=True)
class Passage:
    """What a message of so many octets took."""

    octets: int
    seconds: float
    cpu: float
    """Seconds of the server's."""
    memory: int
    """Octets that the server took at most, ever."""
    dkim: str
    """What Authentication-Results of the message in its mailbox says of it."""

    def __str__(self) -> str:
        size, memory = self.octets / 1024**2, self.memory / 1024**2
        return (
            f"{size:.0f} MiB: {self.seconds:.1f} s to its mailbox, CPU {self.cpu:.2f} s, "
            f"at most {memory:.1f} MiB of memory, {self.dkim or 'not examined'}"
        )


class Receiver(MerpatiProcess):
    """A Merpati with ann@b.test."""

    def __init__(self, folder: Path, dns: tuple[str, int], mebibytes: int) -> None:
        self.port = free_port()
        config = CONFIG.format(port=self.port, size=mebibytes + 10, dns=dns)
        super().__init__(folder, config, [self.port])

    def populate(self) -> None:
        """Before its first start."""
        self.ask("domain", "add", "b.test")
        self.ask("user", "add", "ann@b.test", "--password-stdin", text="secret words\n")

    def take(self, parts: list[bytes]) -> Passage:
        """Send a message, and wait until it lies in the mailbox."""
        before, began, cpu = set(self._mails()), time.monotonic(), cpu_of_tree(self.pid)
        hand_in(self.port, parts)
        while not (new := set(self._mails()) - before):
            if time.monotonic() > began + SECONDS:
                raise TimeoutError("it did not arrive in time")
            time.sleep(0.02)
        seconds, spent = time.monotonic() - began, cpu_of_tree(self.pid) - cpu
        return Passage(sum(map(len, parts)), seconds, spent, self._peak(), _dkim(new.pop()))

    def _mails(self) -> list[Path]:
        return list((self.folder / "var/mail/b.test/ann/new").glob("*"))

    def _peak(self) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def hand_in(port: int, parts: list[bytes]) -> None:
    """By DATA; no line of it begins with a dot."""
    with socket.create_connection(("127.0.0.1", port), SECONDS) as client:
        replies = client.makefile("rb")

        def say(line: bytes, code: bytes) -> None:
            client.sendall(line)
            while (reply := replies.readline())[3:4] == b"-":
                pass
            if not reply.startswith(code):
                raise ValueError(f"{line[:40]!r} was answered {reply!r}")

        say(b"", b"220")
        say(b"EHLO mx.a.test\r\n", b"250")
        # Who comes from loopback is no stranger, and is not examined.
        say(b"XCLIENT ADDR=192.0.2.7 NAME=mx.a.test\r\n", b"220")
        say(b"EHLO mx.a.test\r\n", b"250")
        say(b"MAIL FROM:<ann@a.test>\r\n", b"250")
        say(b"RCPT TO:<ann@b.test>\r\n", b"250")
        say(b"DATA\r\n", b"354")
        for part in parts:
            client.sendall(part)
        say(b".\r\n", b"250")


def _dkim(mail: Path) -> str:
    with mail.open("rb") as file:
        found = re.search(rb"\bdkim=\w+", file.read(8192))
    return found[0].decode() if found else ""


def passages(folder: Path, mebibytes: int) -> list[Passage]:
    """A message of one MiB, the large one, and it with another octet at its end."""
    key = SigningKey("a.test", "s", KeyPair.generate(KeyKind.RSA_2048))
    record = key.pair.record.decode()
    zone = f's._domainkey.a.test TXT "{record[:200]}" "{record[200:]}"'
    now = int(time.time())

    def signed(size: int) -> list[bytes]:
        parts = [HEAD, *[PART] * (size * 4)]
        return [sign(parts, [key], now), *parts]

    with zone_in_a_thread(zone) as dns:
        server = Receiver(folder, dns.address, mebibytes)
        server.populate()
        with server:
            large = signed(mebibytes)
            spoiled = [*large[:-1], PART.removesuffix(b"\r\n") + b"!\r\n"]
            return [server.take(one) for one in (signed(1), large, spoiled)]


def main() -> None:
    """Print each passage and the growth."""
    mebibytes = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with contextlib.ExitStack() as ended:
        folder = ended.enter_context(tempfile.TemporaryDirectory(prefix="large", dir="/var/tmp"))
        small, *large = passages(Path(folder), mebibytes)
    for one in (small, *large):
        print(one)
    print(f"growth: {(max(one.memory for one in large) - small.memory) / 1024**2:.1f} MiB")


if __name__ == "__main__":
    main()
