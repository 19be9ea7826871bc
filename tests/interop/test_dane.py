"""DANE with real parts: zones that BIND serves, signed well and badly, an unbound that validates
them, and a Postfix whose certificate the TLSA records are of (RFC 6698, 7671 and 7672)."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from merpati.testing.process import free_port
from tests.interop.conftest import Install, Installation, needs, submit, wait_for
from tests.interop.peers import Named, Postfix, Unbound, wait_mails

pytestmark = pytest.mark.interop

MESSAGE = b"From: ann@a.test\r\nSubject: by DANE\r\n\r\nhello\r\n"
WRONG = "00" * 32


TAKEN = {
    "virtual_mailbox_domains": " ".join(
        f"{name}.test"
        for name in (
            *("postfix", "insecure", "unusable", "anchor", "whole", "bare"),
            *("named", "alias.named", "leading"),
        )
    ),
    "virtual_mailbox_maps": "static:bob/",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """What Postfix shows: a certificate of an authority of its own, which it sends as well, and
    not who stands over that one."""

    key: bytes
    own: bytes
    above: bytes
    root: bytes

    @classmethod
    def issued(cls) -> "Shown":
        """For the hosts of some domains, whose TLSA records are of the authority or its root; and
        for one domain whose host has another name."""
        root = trustme.CA()
        authority = root.create_child_ca()
        names = ("mx.anchor.test", "mx.whole.test", "mx.bare.test", "named.test")
        made = authority.issue_cert(*names)
        own, above = (blob.bytes() for blob in made.cert_chain_pems)
        return cls(made.private_key_pem.bytes(), own, above, root.cert_pem.bytes())


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

    def delivered(self, message: str) -> dict[str, Any]:
        """The word of its delivery."""
        wait_for(lambda: bool(self.story(message, "delivered")))
        (delivered,) = self.story(message, "delivered")
        return delivered

    def deferred(self, domain: str) -> dict[str, Any]:
        """The first word of a message that was not delivered."""
        message = self.send(domain)
        wait_for(lambda: bool(self.story(message, "deferred")))
        return self.story(message, "deferred")[0]


def key_of(pem: bytes) -> bytes:
    """The key in a certificate: what `2 1 0` says."""
    certificate = x509.load_pem_x509_certificate(pem)
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def key_digest(pem: bytes) -> str:
    """Of that: what `3 1 1` and `2 1 1` say."""
    return hashlib.sha256(key_of(pem)).hexdigest()


def zones(authority: Named, port: int, shown: Shown) -> None:
    """One domain for each thing that can be true."""
    right, above = key_digest(shown.own), key_digest(shown.above)
    whole = hashlib.sha256(x509.load_pem_x509_certificate(shown.above).public_bytes(Encoding.DER))

    def records(tlsa: str) -> str:
        return f"@ MX 10 mx\nmx A 127.0.0.1\n_{port}._tcp.mx TLSA {tlsa}"

    authority.add("postfix.test", records(f"3 1 1 {right}"))
    authority.add("anchor.test", records(f"2 1 1 {above}"))
    authority.add("whole.test", records(f"2 0 1 {whole.hexdigest()}"))
    authority.add("bare.test", records(f"2 1 0 {key_of(shown.root).hex()}"))
    authority.add("named.test", records(f"2 1 1 {above}") + "\nalias CNAME named.test.")
    # RFC 7672 §2.2.2: the alias is signed, and what it leads to is not.
    tlsa = f"_{port}._tcp.mx TLSA 3 1 1 {right}"
    authority.add("leading.test", f"@ MX 10 mx\nmx CNAME mx.insecure.test.\n{tlsa}")
    tlsa = f"_{port}._tcp.mx TLSA 3 1 1 {WRONG}"
    authority.add("misleading.test", f"@ MX 10 mx\nmx CNAME mx.insecure.test.\n{tlsa}")
    authority.add("unnamed.test", records(f"2 1 1 {above}"))
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
    shown = Shown.issued()
    peer = postfix(more=TAKEN, pem=shown.key + shown.own + shown.above)
    authority = Named(short_path / "named", free_port())
    zones(authority, peer.port, shown)
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
    delivered = world.delivered(good)
    assert (delivered["attempt"]["policy"], delivered["attempt"]["proof"]) == ("dane", "dane-ee")
    (opened,) = world.story(good, "opened")
    assert opened["verified"]
    assert opened["name"] == "mx.postfix.test"
    assert "TLSA" in world.server.ask("trace", good)

    anchored = ("anchor.test", "whole.test", "bare.test", "named.test", "alias.named.test")
    for number, domain in enumerate(anchored, 2):
        message = world.send(domain)
        wait_mails(world.peer, "bob", number)
        attempt = world.delivered(message)["attempt"]
        assert (attempt["policy"], attempt["proof"]) == ("dane", "dane-ta")
        assert attempt["site"].startswith(f"mx.{domain.removeprefix('alias.')}?dnssec=yes&names=")

    insecure = world.send("insecure.test")
    wait_mails(world.peer, "bob", 7)
    delivered = world.delivered(insecure)
    assert delivered["attempt"]["policy"] == "opportunistic"
    (opened,) = world.story(insecure, "opened")
    # Nobody checks it, and it is told of all the same.
    assert opened["certificate_name"] == "mx.anchor.test"
    assert opened["certificate_check"] == "certificate-host-mismatch,certificate-not-trusted"
    refused = "had it been demanded: refused: its certificate is for other names"
    assert refused in world.server.ask("trace", insecure)
    assert f"mx.anchor.test, SHA-256 {opened['certificate']}" in world.server.ask("trace", insecure)
    assert delivered["attempt"]["tls"]

    unusable = world.send("unusable.test")
    wait_mails(world.peer, "bob", 8)
    delivered = world.delivered(unusable)
    assert delivered["attempt"]["policy"] == "dane"
    assert "proof" not in delivered["attempt"]
    (opened,) = world.story(unusable, "opened")
    assert opened["certificate_check"] == "certificate-host-mismatch,certificate-not-trusted"

    waiving = world.send("mismatch.test", b"TLS-Required: No\r\n")
    delivered = world.delivered(waiving)
    assert delivered["attempt"]["policy"] == "waived"
    assert delivered["attempt"]["tls"]
    assert "TLS-Required: No" in world.server.ask("trace", waiving)

    assert world.deferred("mismatch.test")["cause"] == "tlsa-mismatch"
    # Usage 2 is also of a name (RFC 7672 §3.2.2): the host's or the domain's.
    assert world.deferred("unnamed.test")["cause"] == "tlsa-mismatch"
    assert world.deferred("bogus.test")["cause"] == "dnssec-bogus"
    assert world.deferred("expired.test")["cause"] == "dnssec-bogus"
    leading = world.send("leading.test")
    wait_mails(world.peer, "bob", 9)
    assert world.delivered(leading)["attempt"]["proof"] == "dane-ee"
    assert world.deferred("misleading.test")["cause"] == "tlsa-mismatch"
    assert len(world.peer.mails("bob")) == 9
