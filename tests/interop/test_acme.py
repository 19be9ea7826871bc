"""Certificates from a real CA (Pebble), whose questions to the DNS a real BIND answers.

RFC 8555."""

import asyncio
import base64
import smtplib
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from merpati.certificates.authority import Authority, CaSettings
from merpati.certificates.errors import AcmeError
from merpati.certificates.keys import KeyType, make_key
from merpati.certificates.proof import HookProver, Prover
from merpati.certificates.zone import DnsProver, ZoneWriter
from merpati.clock import SystemClock
from merpati.dns.client import DnsClient, DnsSettings
from merpati.dns.key import key_of
from merpati.dns.update import Change, RecordSet, Updater, UpdateSettings
from merpati.testing.process import free_port
from merpati.wire.certificates import Shown, shown_of
from tests.interop.ca import Pebble, shown
from tests.interop.conftest import Installation, change_certificate, needs, wait_for
from tests.interop.peers import Named

LOAD = 8

HOOK = """\
#!{python}
import sys
import dns.query, dns.update
from merpati.dns.key import key_of
from pathlib import Path
port, what, name, text = sys.argv[1:]
with open("{calls}", "a") as file:
    print(what, name, file=file)
key = key_of(Path("{folder}/certs.key"))
signing = dns.tsig.Key("certs", key.secret, key.algorithm.value)
change = dns.update.UpdateMessage("b.test")
(change.add if what == "present" else change.delete)(
    name + ".", *([60] if what == "present" else []), "TXT", text
)
change.use_tsig(signing)
sys.exit(dns.query.tcp(change, "127.0.0.1", port=int(port)).rcode())
"""

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Named]:
    needs("named", "bind9")
    named = Named(tmp_path_factory.mktemp("dns") / "named", free_port())
    named.key("certs")
    named.add_dynamic("b.test", "", "grant certs zonesub TXT;")
    named.add_dynamic("c.test", "mx A 127.0.0.1\nmail A 127.0.0.1", "grant certs zonesub TLSA;")
    named.start()
    yield named
    named.stop()


@pytest.fixture(scope="module")
def pebble(tmp_path_factory: pytest.TempPathFactory, authority: Named) -> Iterator[Pebble]:
    needs("pebble", "pebble")
    ca = Pebble(tmp_path_factory.mktemp("ca") / "pebble", authority.port)
    ca.start()
    yield ca
    ca.stop()


@pytest.fixture
def zone(authority: Named) -> Callable[[str], Updater]:
    """Who changes the zone that a name lies in."""
    server = ("127.0.0.1", authority.port)
    key = key_of(authority.folder / "certs.key")

    def updater(name: str) -> Updater:
        resolver = DnsClient(SystemClock(), DnsSettings((server,), min_ttl=0.0))
        of = "c.test" if name.endswith("c.test") else "b.test"
        return Updater(resolver, UpdateSettings(key, of, server))

    return updater


def issued(ca: Pebble, prover: Prover, names: tuple[str, ...], kind: KeyType) -> Shown:
    """A certificate that a CA gives for such a proof."""
    binding = next(iter(ca.binding.items()), None)
    account = make_key(KeyType.P256)
    settings = CaSettings(ca.directory, account, ("ann@a.test",), binding, ca.authorities)
    with closing(Authority(settings, time.time, time.monotonic)) as authority:
        chain = authority.issue(names, make_key(kind), prover, threading.Event())
    return shown_of(chain, "the certificate")


def test_wildcards_are_got_by_a_change_of_the_zone_or_by_a_program(
    pebble: Pebble, authority: Named, zone: Callable[[str], Updater], tmp_path: Path
) -> None:
    names = ("*.b.test", "b.test")
    by_dns = DnsProver(ZoneWriter(zone), 0)
    assert issued(pebble, by_dns, names, KeyType.RSA2048).names == names
    calls, hook = tmp_path / "calls", tmp_path / "hook"
    hook.write_text(HOOK.format(python=sys.executable, calls=calls, folder=authority.folder))
    hook.chmod(0o700)
    by_program = HookProver((str(hook), str(authority.port)), 0)
    assert issued(pebble, by_program, names, KeyType.P384).names == names
    assert sorted(calls.read_text().split()) == [
        *["_acme-challenge.b.test"] * 4,
        *["cleanup"] * 2,
        *["present"] * 2,
    ]


def test_a_ca_that_wants_an_account_of_its_own_is_shown_it(
    authority: Named, zone: Callable[[str], Updater], tmp_path: Path
) -> None:
    ca = Pebble(tmp_path / "pebble", authority.port)
    ca.binding = {"kid-1": base64.urlsafe_b64encode(bytes(range(32))).decode().rstrip("=")}
    ca.start()
    try:
        prover = DnsProver(ZoneWriter(zone), 0)
        assert issued(ca, prover, ("b.test",), KeyType.P256).names == ("b.test",)
        ca.binding = {"kid-2": ca.binding["kid-1"]}
        with pytest.raises(AcmeError, match="not known to the ACME server"):
            issued(ca, prover, ("b.test",), KeyType.P256)
    finally:
        ca.stop()


def test_a_certificate_is_got_renewed_under_load_and_its_key_changed_in_order(
    pebble: Pebble, authority: Named, zone: Callable[[str], Updater], tmp_path: Path
) -> None:
    """One test, since the parts take seconds to start."""
    text = (
        f'[acme]\nterms_agreed = true\ndirectory = "{pebble.directory}"\n'
        f'authorities = "{pebble.authorities}"\nnames = ["mx.c.test", "mail.c.test"]\n'
        f'listen = "127.0.0.1:{pebble.http}"\n[limits]\nconnections_per_minute = 0\n'
        f'[dns]\nservers = ["127.0.0.1:{authority.port}"]\n[[dns.update]]\n'
        f'key = "{authority.folder}/certs.key"\nserver = "127.0.0.1:{authority.port}"\n'
    )
    server = Installation(tmp_path / "merpati", text)
    with server:
        told = got(server)
        assert "DNS:mx.c.test, DNS:mail.c.test" in told
        assert shown(server.submissions, None, starttls=False) == told
        renewed_under_load(server, told)
        rolled(server, zone)
        revoked(server, pebble, zone)
        moved(server)


def got(server: Installation) -> str:
    wait_for(lambda: "Pebble" in shown(server.mx, "mail.c.test"))
    return shown(server.mx, "mail.c.test")


def renewed_under_load(server: Installation, told: str) -> None:
    """Connections that stand go on, new ones see the new certificate."""
    with ThreadPoolExecutor(LOAD) as load:
        stop, begun = threading.Event(), threading.Barrier(LOAD + 1)
        talking = [load.submit(talk, server.mx, stop, begun) for _ in range(LOAD)]
        try:
            begun.wait(60)
            assert "is renewed" in change_certificate(server, "renew", "mx.c.test")
            wait_for(lambda: shown(server.mx, "mx.c.test") != told)
        finally:
            stop.set()
        assert all(talks.result(60) > 0 for talks in talking)


def talk(port: int, stop: threading.Event, begun: threading.Barrier) -> int:
    """One connection that stands, and new ones from when all do; how many there were."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    count = 0
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as standing:
        standing.starttls(context=context)
        begun.wait(60)
        while not stop.is_set():
            with smtplib.SMTP("127.0.0.1", port, timeout=60) as another:
                another.starttls(context=context)
                assert another.ehlo()[0] == 250
            count += 1
        # The session is the one that began before the renewal.
        assert standing.ehlo()[0] == 250
    return count


def revoked(server: Installation, ca: Pebble, zone: Callable[[str], Updater]) -> None:
    """Its key is known to others: the next one is of another, and the records follow."""
    serial = shown(server.mx, "mx.c.test").split()[0].removeprefix("serial=")
    assert ca.status(serial)["Status"] == "Valid"
    (old,) = published(zone)
    reason = ("--reason", "key-compromise", "--yes")
    assert "is revoked" in change_certificate(server, "revoke", "mx.c.test", *reason)
    told = ca.status(serial)
    assert (told["Status"], told["Reason"]) == ("Revoked", 1)
    wait_for(lambda: serial not in shown(server.mx, "mx.c.test"))
    wait_for(lambda: old not in published(zone))
    new = server.ask_json("certificate", "show", "mx.c.test")["records"][0].split()[-1]
    assert published(zone) == {new}


def moved(server: Installation) -> None:
    """The CA knows us by another key; when the account is closed, the next renewal makes one."""
    for what in ("--new-key", "--deactivate"):
        change_certificate(server, "account", what, "--yes")
        assert "is renewed" in change_certificate(server, "renew", "mx.c.test")


def published(zone: Callable[[str], Updater]) -> set[str]:
    """The keys in the TLSA records of mx.c.test."""
    resolver = zone("c.test")._resolver
    return {one[3].hex() for one in asyncio.run(resolver.tlsa(25, "mx.c.test")).records}


def rolled(server: Installation, zone: Callable[[str], Updater]) -> None:
    """The old record stands beside the new one until that is in use."""

    def line() -> Any:
        return server.ask_json("certificate", "show", "mx.c.test")

    old = line()["records"][0].split()[-1]
    # Nothing proves here that a host has no record, which would be waited for two hours.
    records = tuple(
        RecordSet(f"_25._tcp.{host}.c.test", "TLSA", (f"3 1 1 {old}",), 2)
        for host in ("mx", "mail")
    )
    asyncio.run(zone("c.test").apply(Change("c.test", added=records)))
    assert "the new one comes beside it" in change_certificate(server, "roll", "mx.c.test")
    wait_for(lambda: len(published(zone)) == 2)
    assert line()["records"][0].split()[-1] == old
    wait_for(lambda: line()["rolling"] is None)
    new = line()["records"][0].split()[-1]
    assert new != old
    assert published(zone) == {new}
