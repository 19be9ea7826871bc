"""Mail that requires TLS (RFC 8689) between two whole servers: kept over a hop that proves who it
is, told of to its sender where there is no proof (§4.2.1), or no promise to keep it.
"""

import contextlib
import json
import smtplib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from merpati.testing.operator import move_in
from merpati.testing.plain_server import PlainServer
from merpati.testing.zone import zone_in_a_thread
from merpati.wire.tls import load_identity, server_context
from tests.system.far import Far
from tests.system.test_server import Server, wait_for

pytestmark = pytest.mark.slow

ROUTE = '[[route]]\nmatch = ["{domain}"]\nto = "smtp://127.0.0.1:{port}"\ntls = "{tls}"\n'
CA = trustme.CA()
OWN = CA.issue_cert("127.0.0.1", "mx.signed.test")
ZONE = """
signed.test    MX 10 mx.signed.test.
mx.signed.test A  127.0.0.1
misnamed.test  MX 10 mx.misnamed.test.
mx.misnamed.test A 127.0.0.1
"""
"""Signed, and nobody in it demands anything: neither TLSA records nor a policy."""
SHOWN = server_context()
_IDENTITY = load_identity(OWN.cert_chain_pems[0].bytes(), OWN.private_key_pem.bytes(), "own")
SHOWN.offer(lambda _: _IDENTITY)


class Unpromising(PlainServer):
    """Has TLS that can be trusted, and does not know of REQUIRETLS."""

    offers = (*PlainServer.offers, "STARTTLS")

    async def starttls(self, line: str) -> None:
        self.say("220 2.0.0 go ahead")
        self.flush()
        await self.stream.secure(SHOWN)


@dataclass(frozen=True, slots=True)
class World:
    """Our server with ann, the next one with zoe, and a host of others."""

    ours: Server
    theirs: Server
    far: Far

    def send(self, to: str) -> str:
        """From ann, over TLS, with REQUIRETLS; the id behind `queued as`."""
        with smtplib.SMTP("127.0.0.1", self.ours.mx, timeout=60) as client:
            client.ehlo()
            assert not client.has_extn("requiretls")
            # Her program need not check who we are: it is the way from here on that matters.
            client.starttls(context=ssl._create_unverified_context())
            client.ehlo()
            assert client.has_extn("requiretls")
            assert client.mail("ann@a.test", ["REQUIRETLS"])[0] == 250
            assert client.rcpt(to)[0] == 250
            code, reply = client.data(b"Subject: x\r\n\r\nsecret\r\n")
            assert code == 250, reply
            return reply.decode().rsplit("queued as ", 1)[1]

    def delivered(self, message: str) -> list[dict[str, Any]]:
        """What our log has of that."""
        events = [json.loads(line) for line in self.ours.lines()]
        return [
            one for one in events if one.get("kind") == "delivered" and one["message"] == message
        ]

    def notice(self) -> str:
        """What ann is told."""
        wait_for(lambda: len(self.ours.mails()) == 1)
        return self.ours.mails()[0].read_text()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("requiretls")
    theirs, ours = Server(folder / "theirs"), Server(folder / "ours")
    CA.cert_pem.write_to_path(folder / "ca.pem")
    OWN.private_key_and_cert_chain_pem.write_to_path(theirs.folder / "own.pem")
    (theirs.folder / "own.pem").chmod(0o600)
    shown = '[tls]\ncertificate = "own.pem"\nkey = "own.pem"\n'
    theirs.config.write_text(theirs.config.read_text() + shown)
    domains = ("proven.test", "unproven.test", "signed.test", "misnamed.test")
    move_in(theirs.config, "secret words", *(f"zoe@{domain}" for domain in domains))
    ours.populate()
    ours.environment["SSL_CERT_FILE"] = str(folder / "ca.pem")
    with contextlib.ExitStack() as ended:
        far = ended.enter_context(Far(Unpromising))
        zone = ended.enter_context(zone_in_a_thread(ZONE))
        zone.authentic = True
        host, number = zone.address
        routes = (
            ROUTE.format(domain="proven.test", port=theirs.mx, tls="required"),
            ROUTE.format(domain="unproven.test", port=theirs.mx, tls="opportunistic"),
            ROUTE.format(domain="unpromising.test", port=far.port, tls="required"),
        )
        dns = f'[dns]\nservers = ["{host}:{number}"]\ntrusted = true\n'
        delivery = f"[delivery]\nmx_port = {theirs.mx}\n"
        ours.config.write_text("".join((ours.config.read_text(), dns, delivery, *routes)))
        ended.enter_context(theirs)
        ended.enter_context(ours)
        yield World(ours, theirs, far)


def mails_of_zoe(server: Server, domain: str) -> list[Path]:
    return list((server.folder / f"var/mail/{domain}/zoe/new").glob("*"))


def test_it_is_kept_over_a_hop_that_proves_who_it_is(world: World) -> None:
    message = world.send("zoe@proven.test")
    wait_for(lambda: len(mails_of_zoe(world.theirs, "proven.test")) == 1)
    wait_for(lambda: len(world.delivered(message)) == 1)
    (delivered,) = world.delivered(message)
    assert (delivered["attempt"]["policy"], delivered["attempt"]["proof"]) == ("required", "pkix")
    (mail,) = [
        one for one in delivered["attempt"]["dialogue"] if one["sent"].startswith("MAIL FROM:")
    ]
    assert "REQUIRETLS" in mail["sent"].split()


def test_a_good_certificate_is_enough_where_signed_records_name_the_host(world: World) -> None:
    message = world.send("zoe@signed.test")
    wait_for(lambda: len(world.delivered(message)) == 1)
    (delivered,) = world.delivered(message)
    wait_for(lambda: len(mails_of_zoe(world.theirs, "signed.test")) == 1)
    assert (delivered["attempt"]["policy"], delivered["attempt"]["proof"]) == ("requiretls", "pkix")
    assert "decided by: the sender (REQUIRETLS)" in world.ours.ask("trace", message)


def test_its_sender_is_told_where_it_cannot_be_kept(world: World) -> None:
    cases = (
        ("unproven.test", "5.7.10"),
        ("misnamed.test", "5.7.10"),
        ("unpromising.test", "5.7.30"),
    )
    for domain, status in cases:
        world.send(f"zoe@{domain}")
        notice = world.notice()
        assert f"Final-Recipient: rfc822; zoe@{domain}\nAction: failed\nStatus: {status}" in notice
        # §5: as if RET=HDRS had been asked.
        assert "secret" not in notice
        world.ours.mails()[0].unlink()
    for domain, _ in cases:
        assert mails_of_zoe(world.theirs, domain) == []
    assert world.far.ledger.received == []
    assert "MAIL" not in world.far.ledger.verbs()
