"""DANE with real parts: zones that BIND serves, signed well and badly, an unbound that validates
them, and a Postfix whose certificate the TLSA records are of."""

import hashlib
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from merpati.testing.process import free_port
from tests.interop.conftest import Install, Installation, needs, submit, wait_for
from tests.interop.peers import Named, Postfix, Unbound, wait_mails

pytestmark = pytest.mark.interop

MESSAGE = b"From: ann@a.test\r\nSubject: by DANE\r\n\r\nhello\r\n"
WRONG = "00" * 32


@dataclass(frozen=True, slots=True)
class World:
    """Everybody who takes part."""

    server: Installation
    peer: Postfix

    def send(self, domain: str, field: bytes = b"") -> str:
        """A message for bob there, whose certificate is asked for on the way."""
        return submit(self.server, [f"bob@{domain}"], field + MESSAGE)

    def story(self, message: str, kind: str) -> list[dict[str, Any]]:
        """What the journal has of one kind."""
        events = self.server.ask_json("trace", message)["events"]
        return [one for one in events if one["kind"] == kind]

    def deferred(self, domain: str) -> dict[str, Any]:
        """The first word of a message that was not delivered."""
        message = self.send(domain)
        wait_for(lambda: bool(self.story(message, "deferred")))
        return self.story(message, "deferred")[0]


def digest(peer: Postfix) -> str:
    """Of the key that Postfix shows: what `3 1 1` says."""
    pem = (peer.folder / "postfix.crt").read_text()
    certificate = x509.load_der_x509_certificate(ssl.PEM_cert_to_DER_cert(pem))
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(key).hexdigest()


def zones(authority: Named, port: int, right: str) -> None:
    """One domain for each thing that can be true."""

    def records(tlsa: str) -> str:
        return f"@ MX 10 mx\nmx A 127.0.0.1\n_{port}._tcp.mx TLSA {tlsa}"

    authority.add("postfix.test", records(f"3 1 1 {right}"))
    authority.add("mismatch.test", records(f"3 1 1 {WRONG}"))
    authority.add("unusable.test", records(f"1 1 1 {WRONG}"))
    authority.add("insecure.test", records(f"3 1 1 {WRONG}"), signed=False)
    authority.add(
        "expired.test", records(f"3 1 1 {right}"), options="-P -s 20200101000000 -e 20200201000000"
    )
    bogus = authority.add("bogus.test", records(f"3 1 1 {right}"))
    last, forged = right[56:].upper(), bogus.read_text()
    assert last in forged
    # The record of another key under the signature of the true one.
    bogus.write_text(forged.replace(last, "0" * 8))


@pytest.fixture
def world(install: Install, postfix: Callable[..., Postfix], short_path: Path) -> Iterator[World]:
    needs("named", "bind9")
    needs("unbound", "unbound")
    peer = postfix()
    authority = Named(short_path / "named", free_port())
    zones(authority, peer.port, digest(peer))
    resolver = Unbound(short_path / "unbound", free_port())
    authority.start()
    try:
        resolver.start(authority)
        try:
            yield World(install(configuration(resolver.port, peer.port)), peer)
        finally:
            resolver.stop()
    finally:
        authority.stop()


def configuration(resolver: int, mx: int) -> str:
    return (
        f'[dns]\nservers = ["127.0.0.1:{resolver}"]\ntrusted = true\n[delivery]\nmx_port = {mx}\n'
    )


def test_what_each_zone_promises_is_held_against_the_host(world: World) -> None:
    """One test, since the parts take seconds to start."""
    good = world.send("postfix.test")
    wait_mails(world.peer, "bob", 1)
    wait_for(lambda: bool(world.story(good, "delivered")))
    (delivered,) = world.story(good, "delivered")
    assert (delivered["attempt"]["policy"], delivered["attempt"]["proof"]) == ("dane", "dane-ee")
    (opened,) = world.story(good, "opened")
    assert opened["verified"]
    assert opened["name"] == "mx.postfix.test"
    assert "TLSA" in world.server.ask("trace", good)

    insecure = world.send("insecure.test")
    wait_mails(world.peer, "bob", 2)
    wait_for(lambda: bool(world.story(insecure, "delivered")))
    (delivered,) = world.story(insecure, "delivered")
    assert delivered["attempt"]["policy"] == "opportunistic"
    assert delivered["attempt"]["tls"]

    unusable = world.send("unusable.test")
    wait_mails(world.peer, "bob", 3)
    wait_for(lambda: bool(world.story(unusable, "delivered")))
    (delivered,) = world.story(unusable, "delivered")
    assert delivered["attempt"]["policy"] == "dane"
    assert "proof" not in delivered["attempt"]

    waiving = world.send("mismatch.test", b"TLS-Required: No\r\n")
    wait_for(lambda: bool(world.story(waiving, "delivered")))
    (delivered,) = world.story(waiving, "delivered")
    assert delivered["attempt"]["policy"] == "waived"
    assert delivered["attempt"]["tls"]
    assert "TLS-Required: No" in world.server.ask("trace", waiving)

    assert world.deferred("mismatch.test")["cause"] == "tlsa-mismatch"
    assert world.deferred("bogus.test")["cause"] == "dnssec-bogus"
    assert world.deferred("expired.test")["cause"] == "dnssec-bogus"
    assert len(world.peer.mails("bob")) == 3
