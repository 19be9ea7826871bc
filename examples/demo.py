"""Two mail servers on this machine, real messages between them, and the story of each.

A DNS of the demo's own has what the first server's domain publishes (SPF, DKIM, DMARC), and a small
proxy stands for the Internet: through it the second server sees a stranger with an address.

`make demo` runs it; `make demo ONCE=1` ends with status 0 only if every message arrived.
"""

import argparse
import contextlib
import json
import shutil
import signal
import smtplib
import socket
import socketserver
import ssl
import sys
import threading
import time
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

from merpati.storage.lock import Lock
from merpati.testing.process import MerpatiProcess, free_port
from merpati.testing.zone import Zone, zone_in_a_thread

FOLDER = Path("demo-data")
PASSWORD = "merpati-demo"

OURS = """\
hostname = "mail.a.test"
data = "var"
[[port]]
role = "mx"
listen = "127.0.0.1:{mx}"
[[port]]
role = "submission"
listen = "127.0.0.1:{submission}"
[http]
listen = "127.0.0.1:{http}"
[dns]
servers = ["127.0.0.1:{dns}"]
[[route]]
match = ["b.test"]
to = "smtp://127.0.0.1:{internet}"
tls = "opportunistic"
"""
THEIRS = """\
hostname = "mail.b.test"
data = "var"
[[port]]
role = "mx"
listen = "127.0.0.1:{theirs}"
proxy = ["127.0.0.1/32"]
[dns]
servers = ["127.0.0.1:{dns}"]
"""
# RFC 5737: addresses for documentation, which nobody has.
ZONE = """
a.test              TXT  "v=spf1 ip4:192.0.2.10 -all"
_dmarc.a.test       TXT  "v=DMARC1; p=reject"
mail.a.test         A    192.0.2.10
10.2.0.192.in-addr.arpa PTR mail.a.test
"""
FROM_THE_INTERNET = b"PROXY TCP4 192.0.2.10 192.0.2.20 40000 25\r\n"


class Internet(socketserver.ThreadingTCPServer):
    """Passes connections on, with the address that they would have out there (PROXY protocol)."""

    daemon_threads = True

    def __init__(self, to: int) -> None:
        super().__init__(("127.0.0.1", 0), _PassingOn)
        self.to = to

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])


class _PassingOn(socketserver.BaseRequestHandler):
    server: Internet

    def handle(self) -> None:
        with socket.create_connection(("127.0.0.1", self.server.to)) as far:
            far.sendall(FROM_THE_INTERNET)
            back = threading.Thread(target=_copy, args=(far, self.request))
            back.start()
            _copy(self.request, far)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):  # Either end may hang up at any moment.
        while octets := source.recv(65536):
            target.sendall(octets)
        target.shutdown(socket.SHUT_WR)


def refuse_if_in_use() -> None:
    """What an earlier demo left is deleted, but not under a demo that runs."""
    for lock in FOLDER.glob("*/var/lock"):
        owner = Lock(lock)
        if not owner.try_take():
            sys.exit(
                f"A demo runs in {FOLDER.absolute()} already: end it with Ctrl-C, or start this "
                "one in another folder."
            )
        owner.release()


def start(ports: dict[str, int]) -> tuple[MerpatiProcess, MerpatiProcess]:
    """Both servers, with their domains and people."""
    theirs = MerpatiProcess(FOLDER / "b.test", THEIRS.format(**ports), [ports["theirs"]])
    ours = MerpatiProcess(
        FOLDER / "a.test", OURS.format(**ports), [ports["mx"], ports["submission"], ports["http"]]
    )
    for server, domain, people in ((ours, "a.test", "ann budi"), (theirs, "b.test", "citra")):
        server.ask("domain", "add", domain)
        for name in people.split():
            server.ask("user", "add", f"{name}@{domain}", "--password-stdin", text=PASSWORD + "\n")
        server.start()
    return ours, theirs


def sign(ours: MerpatiProcess, zone: Zone) -> None:
    """Make keys for a.test, publish them, and let them sign."""
    ours.ask("dkim", "add", "a.test")
    for key in json.loads(ours.ask("dkim", "list", "a.test", "--json")):
        # Strings of a TXT record hold 255 octets; what a receiver reads is all of them joined.
        strings = [key["record"][at : at + 255] for at in range(0, len(key["record"]), 255)]
        zone.add(key["name"], "TXT", " ".join(f'"{string}"' for string in strings))
    ours.ask("dkim", "rotate", "a.test")


def messages() -> list[EmailMessage]:
    """One for a mailbox here and one for the other server."""
    here = EmailMessage()
    here["From"], here["To"] = "Ann <ann@a.test>", "Budi <budi@a.test>"
    here["Subject"] = "Rapat besok pagi ☕"
    here.set_content("Halo Budi,\n\nbesok kita rapat pukul sembilan, ya.\n\nSalam,\nAnn\n")
    there = EmailMessage()
    there["From"], there["To"] = "Ann <ann@a.test>", "Citra <citra@b.test>"
    there["Subject"] = "Laporan perjalanan sudah selesai ✓"
    there.set_content("Halo Citra,\n\nlaporannya terlampir. Terima kasih atas bantuannya!\n\nAnn\n")
    there.add_attachment("tempat;hari\nYogyakarta;3\nMalang;2\n", "csv", filename="laporan.csv")
    return [here, there]


def submit(port: int, message: EmailMessage) -> str:
    """Send as Ann's mail program would: STARTTLS, AUTH. The id behind `queued as`."""
    context = ssl.create_default_context()
    # The certificate was made a moment ago by the server itself; nobody has signed it.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.starttls(context=context)
        client.login("ann@a.test", PASSWORD)
        client.mail("ann@a.test")
        client.rcpt(message["To"].addresses[0].addr_spec)
        code, reply = client.data(message.as_bytes(policy=SMTP))
    if code != 250:
        sys.exit(f"the server refused the message: {code} {reply.decode()}")
    return reply.decode().rsplit("queued as ", 1)[1].split()[0]


def arrived(server: MerpatiProcess, domain: str, user: str, seconds: float = 20.0) -> bool:
    """Whether a message lies in the user's mailbox before the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if any((server.folder / "var/mail" / domain / user / "new").glob("*")):
            return True
        time.sleep(0.05)
    return False


def tell(ours: MerpatiProcess, theirs: MerpatiProcess, ports: dict[str, int]) -> bool:
    """Send, wait, and print what happened."""
    print(f"Two mail servers are running: mail.a.test (yours) and mail.b.test. Data: {FOLDER}/\n")
    ids = [submit(ports["submission"], message) for message in messages()]
    ok = True
    for server, domain, user, name in (
        (ours, "a.test", "budi", ids[0]),
        (theirs, "b.test", "citra", ids[1]),
    ):
        here = arrived(server, domain, user)
        ok = ok and here
        print(f"== Ann to {user}@{domain}: {'arrived' if here else 'NOT arrived'} ==")
        ours.wait_empty()
        print(ours.ask("trace", name))
    print("== What mail.b.test says of the same message, and how it judged who sent it ==")
    story = theirs.ask("trace", "citra@b.test")
    print(story)
    return ok and all(f"{check}: pass a.test" in story for check in ("SPF", "DKIM", "DMARC"))


def wait_for_the_end(ports: dict[str, int]) -> None:
    """Say how to look around, and serve until Ctrl-C."""
    command = f".venv/bin/merpati --config {FOLDER}/a.test/merpati.toml"
    print(
        "Connect a mail program (sending): server 127.0.0.1, port "
        f"{ports['submission']}, STARTTLS,\n  user ann@a.test, password {PASSWORD} "
        "(accept the self-signed certificate).\n"
        f"Look around in another terminal:\n  {command} queue list\n"
        f"  {command} trace budi@a.test\n  {command} inbox list --user budi@a.test\n"
        f"Health and metrics: http://127.0.0.1:{ports['http']}/healthz and /metrics\n"
        "Ctrl-C stops both servers.",
        flush=True,
    )
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()


def main() -> int:
    """Run the demo; 0 only if every message arrived."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--once", action="store_true", help="end when the messages have arrived")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a polite kill is a Ctrl-C
    refuse_if_in_use()
    shutil.rmtree(FOLDER, ignore_errors=True)
    ports = {name: free_port() for name in ("mx", "submission", "http", "theirs")}
    with contextlib.ExitStack() as stack:
        dns = stack.enter_context(zone_in_a_thread(ZONE))
        between = stack.enter_context(Internet(ports["theirs"]))
        threading.Thread(target=between.serve_forever, daemon=True).start()
        stack.callback(between.shutdown)
        ours, theirs = start(ports | {"dns": dns.address[1], "internet": between.port})
        stack.callback(theirs.stop)
        stack.callback(ours.stop)
        sign(ours, dns.zone)
        ok = tell(ours, theirs, ports)
        if not options.once:
            wait_for_the_end(ports)
    print("Every message arrived, and its sender was believed." if ok else "Something went wrong.")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
