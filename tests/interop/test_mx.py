"""Mail that goes by MX records: a zone of our own names real hosts on loopback addresses.

Postfix is on 127.0.0.1, a second Merpati on 127.0.0.2, nobody on 127.0.0.3 and ::1, all at one
port that `[delivery] mx_port` names.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from merpati.testing.operator import Attended, move_in
from merpati.testing.process import free_port
from merpati.testing.zone import Fault, ZoneServer, serve_zone
from tests.interop.conftest import Install, Installation, submit, wait_for
from tests.interop.peers import Postfix, wait_mails

pytestmark = pytest.mark.interop

ZONE = """
postfix.test      MX    10 dead.test
postfix.test      MX    20 live.test
dead.test         A     127.0.0.3
live.test         AAAA  ::1
live.test         A     127.0.0.1
null.test         MX    0 .
plain.test        A     127.0.0.2
second.test       MX    10 mx.second.test
second.test       MX    20 mx.a.test
second.test       MX    30 dead.test
servfail.test     MX    10 mx.second.test
refused.test      MX    10 mx.second.test
silent.test       MX    10 mx.second.test
mx.second.test    A     127.0.0.2
mx.a.test         A     127.0.0.3
ours.test         MX    10 mx.a.test
ours.test         MX    20 mx.second.test
"""

SECOND = """\
hostname = "mx.second.test"
[[port]]
role = "mx"
listen = "127.0.0.2:{mx}"
[[port]]
role = "mx"
listen = "127.0.0.1:{watch}"
"""

MESSAGE = b"From: ann@a.test\r\nSubject: by mx\r\n\r\nhello\r\n"


class Second(Attended):
    """A Merpati on 127.0.0.2 with the user bob in each of these domains."""

    def __init__(self, folder: Path, mx: int, *domains: str) -> None:
        watch = free_port()
        super().__init__(folder, SECOND.format(mx=mx, watch=watch), [watch])
        move_in(self.config, "secret words", *(f"bob@{domain}" for domain in domains))

    def mails(self, domain: str) -> list[Path]:
        return sorted((self.folder / "var/mail" / quote(domain) / "bob/new").glob("*"))


@pytest.fixture
async def dns() -> AsyncIterator[ZoneServer]:
    async with serve_zone(ZONE) as server:
        yield server


def by_mx(dns: ZoneServer, port: int) -> str:
    """Configuration of a server that asks this zone and finds every host at this port."""
    host, number = dns.address
    return f'[dns]\nservers = ["{host}:{number}"]\n[delivery]\nmx_port = {port}\n'


async def away(work: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """In a thread: the zone is served by this one."""
    return await asyncio.to_thread(partial(work, *arguments, **named))


def story(server: Installation, message: str, kind: str) -> list[dict[str, Any]]:
    return [one for one in server.ask_json("trace", message)["events"] if one["kind"] == kind]


async def test_a_dead_first_mx_and_a_dead_family_cost_no_attempt(
    install: Install, postfix: Callable[..., Postfix], dns: ZoneServer
) -> None:
    peer = await away(postfix)
    server = await away(install, by_mx(dns, peer.port))
    message = await away(submit, server, ["bob@postfix.test"], MESSAGE)
    await away(wait_mails, peer, "bob", 1)
    await away(server.wait_empty)
    (delivered,) = await away(story, server, message, "delivered")
    attempt = delivered["attempt"]
    assert (attempt["host"], attempt["ip"], attempt["port"]) == (
        "live.test",
        "127.0.0.1",
        peer.port,
    )
    assert await away(story, server, message, "deferred") == []


async def test_another_merpati_is_found_by_mx_by_address_and_by_literal(
    install: Install, dns: ZoneServer, tmp_path: Path
) -> None:
    port, domains = free_port(), ("second.test", "plain.test", "[127.0.0.2]")
    with await away(Second, tmp_path / "second", port, *domains) as second:
        server = await away(install, by_mx(dns, port))
        for domain in domains:
            await away(submit, server, [f"bob@{domain}"], MESSAGE)
        for domain in domains:
            await away(wait_for, lambda domain=domain: len(second.mails(domain)) == 1)
        await away(server.wait_empty)


async def test_what_the_dns_rules_out_comes_back_at_once(install: Install, dns: ZoneServer) -> None:
    server = await away(install, by_mx(dns, free_port()))
    expected = {
        "null.test": ("5.1.10", "takes no mail (null MX)"),
        "nowhere.example": ("5.1.2", "does not exist"),
        "ours.test": ("5.4.6", "loops back to myself"),
    }
    for domain in expected:
        await away(submit, server, [f"bob@{domain}"], MESSAGE)
    await away(wait_for, lambda: len(server.mails("ann")) == len(expected))
    notices = {
        domain: notice.replace(b"\r\n ", b" ").replace(b"\n ", b" ")
        for notice in server.mails("ann")
        for domain in expected
        if f"rfc822;bob@{domain}".encode() in notice.replace(b"; ", b";")
    }
    assert notices.keys() == expected.keys()
    for domain, (status, words) in expected.items():
        assert f"Status: {status}".encode() in notices[domain]
        assert words.encode() in notices[domain]
        assert (b"556 5.1.10" in notices[domain]) == (domain == "null.test")
    await away(server.wait_empty)


async def test_mail_waits_for_a_dns_that_fails_and_goes_when_it_recovers(
    install: Install, dns: ZoneServer, tmp_path: Path
) -> None:
    port = free_port()
    failing = {
        "servfail.test": Fault.SERVFAIL,
        "refused.test": Fault.REFUSED,
        "silent.test": Fault.SILENT,
    }
    dns.faults.update(failing)
    with await away(Second, tmp_path / "second", port, *failing) as second:
        server = await away(install, by_mx(dns, port))
        sent = [await away(submit, server, [f"bob@{domain}"], MESSAGE) for domain in failing]
        for message in sent:
            await away(wait_for, lambda message=message: story(server, message, "deferred"))
            (deferred, *_) = await away(story, server, message, "deferred")
            assert deferred["cause"] == "dns-failing"
        dns.faults.clear()
        for domain in failing:
            await away(wait_for, lambda domain=domain: len(second.mails(domain)) == 1)
