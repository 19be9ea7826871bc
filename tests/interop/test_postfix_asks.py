"""Postfix as the one who sends to us, and who holds our host against what our zone promises.

It asks the system's resolver, so all of it happens apart: an unbound that validates on port 53, the
zones of a BIND behind it, and our server at port 25 of an address that Postfix does not take for
its own.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from merpati.clock import SystemClock
from merpati.dns.client import DnsClient, DnsSettings
from merpati.dns.key import key_of
from merpati.dns.update import Change, RecordSet, Updater, UpdateSettings
from merpati.testing.process import free_port
from tests.interop.apart import Apart, apart
from tests.interop.ca import Pebble, shown
from tests.interop.conftest import Installation, change_certificate, needs, wait_for
from tests.interop.peers import Named, Postfix, Unbound

pytestmark = pytest.mark.interop

OURS = "192.0.2.25"
MESSAGE = b"From: bob@postfix.test\nSubject: by DANE\n\nhello\n"
MANY = 100
VERIFIED = "Verified TLS connection established to mx.a.test"
OWNER = "_25._tcp.mx.a.test"
# Nothing is remembered for longer than a record of a second.
FORGETFUL = "cache-max-ttl: 1\ncache-max-negative-ttl: 0"
ASKING = {
    "relayhost": "",
    "smtp_host_lookup": "dns",
    "smtp_dns_support_level": "dnssec",
    "smtp_tls_security_level": "dane",
    "smtp_tls_loglevel": "1",
    "smtp_connection_cache_on_demand": "no",
}
CONFIG = """\
[[port]]
role = "mx"
listen = "{ours}:25"
[acme]
terms_agreed = true
directory = "{ca.directory}"
authorities = "{ca.authorities}"
names = ["mx.a.test"]
listen = "{ours}:{ca.http}"
[limits]
connections_per_minute = 0
[dns]
servers = ["127.0.0.1:{authority.port}"]
[[dns.update]]
key = "{authority.folder}/certs.key"
server = "127.0.0.1:{authority.port}"
"""


@pytest.fixture
def alone(short_path: Path) -> Iterator[Apart]:
    for program, package in (
        ("postfix", "postfix"),
        ("named", "bind9"),
        ("unbound", "unbound"),
        ("pebble", "pebble"),
        ("ip", "iproute2"),
    ):
        needs(program, package)
    with apart(short_path, (OURS,)) as thread:
        yield thread


@dataclass(frozen=True, slots=True)
class World:
    """Everybody who takes part."""

    authority: Named
    postfix: Postfix
    server: Installation
    seen: list[set[str]] = field(default_factory=list)
    """What was published as a message went, again and again."""

    @property
    def resolver(self) -> DnsClient:
        server = ("127.0.0.1", self.authority.port)
        return DnsClient(SystemClock(), DnsSettings((server,), min_ttl=0.0))

    def publish(self, text: str) -> None:
        """This TLSA record of our host and no other."""
        key = key_of(self.authority.folder / "certs.key")
        settings = UpdateSettings(key, "a.test", ("127.0.0.1", self.authority.port))
        record = RecordSet(OWNER, "TLSA", (text,), 2)
        updater = Updater(self.resolver, settings)
        asyncio.run(updater.apply(Change("a.test", replaced=(record,))))

    def published(self) -> set[str]:
        """The digests in our host's TLSA records."""
        found = asyncio.run(self.resolver.tlsa(25, "mx.a.test")).records
        return {octets.hex() for _, _, _, octets in found}

    def send(self) -> str:
        """A message for ann from Postfix; what that logs of its connection, once it has ended."""
        before = len(self.postfix.log())
        self.postfix.send("bob@postfix.test", "ann@a.test", MESSAGE)

        def is_done() -> bool:
            self.seen.append(self.published())
            return "status=" in self.postfix.log()[before:]

        wait_for(is_done)
        return self.postfix.log()[before:]

    def send_until(self, text: str) -> None:
        """Until it is logged: what the DNS said before is remembered for a second or two."""
        logs = [self.send()]
        while text not in logs[-1]:
            assert len(logs) < MANY, logs[-1]
            logs.append(self.send())

    def own(self) -> str:
        """Of the key in use: what `3 1 1` says."""
        line = self.server.ask_json("certificate", "show", "mx.a.test")
        digest: str = line["records"][0].split()[-1]
        return digest

    def rolls(self) -> bool:
        """Whether the change of a key goes on: the server may still add the record it wants."""
        line = self.server.ask_json("certificate", "show", "mx.a.test")
        return line["rolling"] is not None


@pytest.fixture
def world(alone: Apart, short_path: Path, tmp_path: Path) -> Iterator[World]:
    with contextlib.ExitStack() as ended:
        yield alone.run(lambda: everybody(short_path, tmp_path, ended))
        alone.run(ended.close)


def everybody(short_path: Path, tmp_path: Path, ended: contextlib.ExitStack) -> World:
    authority = Named(short_path / "named", free_port())
    authority.key("certs")
    hosts = f"@ MX 10 mx\nmx A {OURS}"
    authority.add_dynamic("a.test", hosts, "grant certs zonesub TLSA;")
    authority.start()
    ended.callback(authority.stop)
    ca = Pebble(tmp_path / "pebble", authority.port)
    ca.start()
    ended.callback(ca.stop)
    config = CONFIG.format(ours=OURS, ca=ca, authority=authority)
    server = Installation(tmp_path / "merpati", config)
    server.populate()
    server.start()
    ended.callback(server.stop)
    authority.anchor("a.test")
    resolver = Unbound(short_path / "unbound", 53, FORGETFUL)
    resolver.start(authority)
    ended.callback(resolver.stop)
    postfix = Postfix(short_path / "postfix", free_port(), more=ASKING)
    postfix.start()
    ended.callback(postfix.stop)
    return World(authority, postfix, server)


def test_postfix_believes_the_tlsa_records_of_our_host_and_nothing_against_them(
    alone: Apart, world: World
) -> None:
    """One test, since the parts take seconds to start."""
    alone.run(lambda: believed(world))


def believed(world: World) -> None:
    wait_for(lambda: "Pebble" in shown(world.server.mx, "mx.a.test"))
    told = world.send()
    assert "status=sent" in told
    assert "Untrusted TLS connection established to mx.a.test" in told

    old = world.own()
    world.publish(f"3 1 1 {old}")
    world.send_until(VERIFIED)

    world.seen.clear()
    change_certificate(world.server, "roll", "mx.a.test")
    sent = [world.send()]
    while len(world.seen[-1]) > 1 or old in world.seen[-1]:
        assert len(sent) < MANY, world.server.ask("certificate", "show", "mx.a.test")
        sent.append(world.send())
    new = world.own()
    assert {old, new} in world.seen
    assert world.seen[-1] == {new} != {old}
    assert verified(world.send())
    assert all(map(verified, sent)), sent
    wait_for(lambda: not world.rolls())

    world.publish(f"3 1 1 {'00' * 32}")
    world.send_until("status=deferred (Server certificate not verified)")


def verified(log: str) -> bool:
    return VERIFIED in log and "status=sent" in log
