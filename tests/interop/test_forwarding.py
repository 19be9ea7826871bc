"""A stranger's mail goes on to a Postfix by an alias here; what Postfix returns comes back by us.

Judges: dkimpy of the author's signature and of our seal, after everybody has had the message.
"""

import asyncio
import smtplib
import socket
from collections.abc import Awaitable, Callable
from email import message_from_bytes
from pathlib import Path

import dkim
import pytest

from merpati.authenticity.dkim.keypair import KeyKind, KeyPair
from merpati.clock import SystemClock
from merpati.config.places import Places
from merpati.directory.keys import DkimKey, KeyState
from merpati.mail.address import Address
from merpati.system.stores import Stores, open_stores
from merpati.testing.process import MerpatiProcess, free_port
from merpati.testing.zone import ZoneServer, zone_in_a_thread
from tests.interop.conftest import wait_for
from tests.interop.peers import Postfix, wait_mails

pytestmark = pytest.mark.interop

STRANGER = "192.0.2.66"
EVE = Address("eve", "c.test")
CONFIG = """\
hostname = "{hostname}"
data = "var"
workers = 1
[[port]]
role = "mx"
listen = "127.0.0.1:{port}"
proxy = ["127.0.0.4/32"]
[dns]
servers = ["127.0.0.1:{dns}"]
[queue]
retry = ["1s"]
[forwarding]
seal = ["arc"]
"""
ROUTE = '[[route]]\nmatch = ["{0}"]\nto = "smtp://127.0.0.1:{1}"\ntls = "off"\n'
ZONE = """
c.test         TXT "v=spf1 ip4:192.0.2.66 -all"
_dmarc.c.test  TXT "v=DMARC1; p=reject"
"""
MESSAGE = (
    b"From: Eve <eve@c.test>\r\nTo: sales@a.test\r\nSubject: an  offer\r\n\t of mine\r\n"
    b"Date: Fri, 15 Jan 2027 08:00:00 +0000\r\nMessage-ID: <1@c.test>\r\n\r\n"
    b"Hello, \t trailing blanks  \r\n.one dot\r\n\r\nFrom here\r\n"
)
THEIRS, OURS = KeyPair.generate(KeyKind.RSA_2048), KeyPair.generate(KeyKind.RSA_2048)
KEYS = {b"s._domainkey.c.test.": THEIRS.record, b"seal._domainkey.a.test.": OURS.record}


class Host(MerpatiProcess):
    """A Merpati that takes mail for one domain, from a balancer at 127.0.0.4 too."""

    def __init__(self, folder: Path, hostname: str, dns: ZoneServer) -> None:
        self.port = free_port()
        text = CONFIG.format(hostname=hostname, port=self.port, dns=dns.address[1])
        super().__init__(folder, text, [self.port])

    def route(self, routes: str) -> None:
        """Where mail for others goes."""
        self.config.write_text(self.config.read_text() + routes)

    def populate(self, fill: Callable[[Stores], Awaitable[None]]) -> None:
        (self.folder / "var").mkdir(mode=0o700)

        async def run() -> None:
            async with open_stores(Places(self.folder / "var"), SystemClock()) as stores:
                await fill(stores)

        asyncio.run(run())

    def bring(self, message: bytes, to: str) -> str:
        """From a stranger, whose address a balancer tells; the id."""
        with Balanced("127.0.0.1", self.port, "mx.c.test", 60) as client:
            client.ehlo()
            assert client.mail(str(EVE))[0] == 250
            assert client.rcpt(to)[0] == 250
            code, reply = client.data(message)
            assert code == 250, reply
            return reply.decode().rsplit("queued as ", 1)[1].split()[0]


class Balanced(smtplib.SMTP):
    """Comes from the balancer."""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        made = socket.create_connection((host, port), timeout, source_address=("127.0.0.4", 0))
        made.sendall(f"PROXY TCP4 {STRANGER} 192.0.2.1 40000 25\r\n".encode())
        return made


async def origin_of(stores: Stores) -> None:
    await stores.directory.add_domain("c.test")
    await stores.directory.add_user(EVE, None)


async def forwarder_of(stores: Stores) -> None:
    await stores.directory.add_domain("a.test")
    targets = [Address("bob", "postfix.test"), Address("gone", "postfix.test")]
    await stores.directory.add_alias(Address("sales", "a.test"), targets)
    key = DkimKey("a.test", "seal", "rsa-2048", KeyState.NEXT, 0.0, "", OURS.pem)
    await stores.keys.add_key(key)
    await stores.keys.rotate_keys("a.test", 1.0)


def mails(host: Host, user: Address) -> list[bytes]:
    folder = host.folder / "var/mail" / user.domain / user.local / "new"
    return [path.read_bytes() for path in sorted(folder.glob("*"))]


def their_dns(name: bytes, timeout: int = 5) -> bytes:
    return KEYS[name]


def test_it_goes_on_under_our_name_and_what_cannot_be_delivered_comes_back(
    tmp_path: Path, postfix: Callable[..., Postfix]
) -> None:
    signature = dkim.sign(MESSAGE, b"s", b"c.test", THEIRS.pem, canonicalize=(b"simple", b"simple"))
    with zone_in_a_thread(ZONE) as dns:
        record = THEIRS.record.decode()
        dns.zone.add("s._domainkey.c.test", "TXT", f'"{record[:200]}" "{record[200:]}"')
        origin = Host(tmp_path / "origin", "mx.c.test", dns)
        origin.populate(origin_of)
        forwarder = Host(tmp_path / "forwarder", "mx.a.test", dns)
        peer = postfix(forwarder.port)
        routes = ROUTE.format("postfix.test", peer.port) + ROUTE.format("c.test", origin.port)
        forwarder.route(routes)
        forwarder.populate(forwarder_of)
        with origin, forwarder:
            message = forwarder.bring(signature + MESSAGE, "sales@a.test")
            (arrived,) = wait_mails(peer, "bob", 1)
            wait_for(lambda: bool(mails(origin, EVE)))
            story = forwarder.ask("trace", message)
    check_copy(arrived.replace(b"\n", b"\r\n"))
    (returned,) = mails(origin, EVE)
    notice = message_from_bytes(returned)
    assert notice["Subject"] == "Undelivered Mail Returned to Sender"
    assert b"Final-Recipient: rfc822; gone@postfix.test\n" in returned
    assert b"Original-Recipient: rfc822;sales@a.test\n" in returned
    assert "sent on to: bob@postfix.test, as SRS0=" in story
    assert "DMARC will fail" not in story


def check_copy(copy: bytes) -> None:
    """As Postfix has it."""
    assert b"=c.test=eve@a.test>\r\n" in copy.partition(b"\r\n")[0] + b"\r\n"
    assert dkim.verify(copy, dnsfunc=their_dns)
    result, sets, why = dkim.arc_verify(copy, dnsfunc=their_dns)
    assert (result, len(sets), why) == (b"pass", 1, "success")
    (results,) = message_from_bytes(copy).get_all("ARC-Authentication-Results")
    assert "dmarc=pass" in results
    assert copy.endswith(MESSAGE)
