"""What a verdict went by is told as real parts of the DNS said it: BIND has the zones, unbound
validates, a whole server judges and tells."""

import smtplib
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from merpati.authenticity.arc.sealer import Sealer
from merpati.authenticity.dkim.keypair import KeyKind, KeyPair
from merpati.authenticity.dkim.result import Result
from merpati.authenticity.dkim.signer import SigningKey
from merpati.testing.process import free_port
from tests.interop.conftest import Install, Installation, needs
from tests.interop.peers import Named, Unbound

pytestmark = pytest.mark.interop

KEYS = {
    name: SigningKey(name, "s", KeyPair.generate(KeyKind.RSA_2048))
    for name in ("one.test", "two.test")
}
LISTED = "192.0.2.7"
MANY = " ".join(f"ip4:198.51.100.{n}" for n in range(60))
"""Longer than one string of a TXT record can be."""
MESSAGE = b"From: Eve <eve@{}>\r\nTo: <ann@a.test>\r\nSubject: Halo\r\n\r\nHi\r\n"


def texts(record: str) -> str:
    return "TXT " + " ".join(f'"{record[at : at + 200]}"' for at in range(0, len(record), 200))


def published(name: str) -> str:
    return "s._domainkey " + texts(KEYS[name].pair.record.decode())


def zones(authority: Named) -> None:
    authority.add(
        "one.test",
        f"""
@     {texts("v=spf1 include:long.one.test include:insecure.test -all")}
long  {texts(f"v=spf1 {MANY} -all")}
{published("one.test")}
""",
    )
    authority.add("insecure.test", f"@ {texts('v=spf1 ip4:192.0.2.0/24')}", signed=False)
    authority.add(
        "two.test", f"@ {texts('v=spf1 include:bogus.test -all')}\n{published('two.test')}"
    )
    bogus = authority.add("bogus.test", f"@ {texts('v=spf1 ip4:203.0.113.1 -all')}")
    # Another record under the signature of the true one: unbound answers that it failed.
    assert "203.0.113.1" in bogus.read_text()
    bogus.write_text(bogus.read_text().replace("203.0.113.1", "192.0.2.7"))


def sealed(message: bytes, domain: str, validation: Result) -> bytes:
    sealer = Sealer()
    sealer.update(message)
    found = f"mx.{domain}; spf=pass smtp.mailfrom={domain}"
    return sealer.fields(KEYS[domain], found, validation, int(time.time())) + message


def configuration(resolver: int, door: int) -> str:
    return f"""
[dns]
servers = ["127.0.0.1:{resolver}"]
trusted = true
[[port]]
role = "mx"
listen = "127.0.0.1:{door}"
xclient = ["127.0.0.1/32"]
"""


def hand_in(server: Installation, door: int, domain: str, message: bytes) -> str:
    """As a stranger; what `trace` tells of it."""
    with smtplib.SMTP("127.0.0.1", door, timeout=60) as client:
        client.ehlo()
        assert client.docmd(f"XCLIENT ADDR={LISTED} NAME=mx.{domain}")[0] == 220
        client.ehlo("client.test")
        client.mail(f"eve@{domain}")
        client.rcpt("ann@a.test")
        code, reply = client.data(message)
        assert code == 250, reply
    return server.ask("trace", reply.decode().rsplit("queued as ", 1)[1])


def test_what_a_verdict_went_by_is_told(install: Install, short_path: Path) -> None:
    needs("named", "bind9")
    needs("unbound", "unbound")
    authority = Named(short_path / "named", free_port())
    zones(authority)
    resolver = Unbound(short_path / "unbound", free_port())
    authority.start()
    try:
        resolver.start(authority)
        try:
            door = free_port()
            judge(partial(hand_in, install(configuration(resolver.port, door)), door))
        finally:
            resolver.stop()
    finally:
        authority.stop()


def judge(tell: Callable[[str, bytes], str]) -> None:
    story = tell("one.test", MESSAGE.replace(b"{}", b"one.test"))
    assert "SPF: pass one.test; the record allows the host; include:insecure.test" in story
    assert f"SPF, record of long.one.test: v=spf1 {MANY} -all\n" in story
    assert "SPF, record of insecure.test: v=spf1 ip4:192.0.2.0/24\n" in story
    assert "DKIM: none; the message has no signature" in story

    chain = sealed(MESSAGE.replace(b"{}", b"two.test"), "one.test", Result.NONE)
    chain = sealed(chain, "two.test", Result.PASS)
    story = tell("two.test", chain)
    assert "SPF: temperror two.test; the DNS did not answer for now" in story
    assert "SPF, record of bogus.test: the DNS did not answer for now\n" in story
    assert "ARC: pass two.test\n" in story
    assert "ARC, set 1: pass one.test (s); it found no chain before it (cv=none)\n" in story
    assert "ARC, set 2: pass two.test (s); it found the chain before it good (cv=pass)\n" in story
    for name, key in KEYS.items():
        record = key.pair.record.decode()
        assert f"ARC, record of s._domainkey.{name}: {record}\n" in story

    altered = chain.replace(b"mx.one.test; spf=pass", b"mx.one.test; spf=fail")
    story = tell("two.test", altered)
    assert "ARC: fail two.test; the seal of set 2: what it seals was altered, or the key" in story
    assert "ARC, set 1: not checked one.test (s)" in story
    assert "ARC, set 2: fail two.test (s)" in story
