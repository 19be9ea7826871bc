"""Servers of zones that are not as they should be: everything is counted, bounded and told."""

import asyncio

import pytest

from merpati.clock import SystemClock
from merpati.dns.authority import MAX_HOSTS, Authorities, AuthoritySettings
from merpati.dns.client import DnsClient, DnsSettings
from merpati.setup.record import Kind
from merpati.setup.seen import Place, Seen
from merpati.setup.servers import ServersWitness, Trouble, ZoneFinding
from merpati.setup.texts import trouble, trouble_name
from merpati.testing.zone import ZoneServer, serve_zone
from tests.cases import each

SOA = "a.test SOA ns.a.test. postmaster.a.test. 7 7200 900 86400 60"
ZONE = f"""
{SOA}
a.test NS ns.a.test
ns.a.test A 127.0.0.1
a.test MX 10 mx.a.test
"""
MX: Place = (Kind.MX, "a.test")


def looked(zone: str, *places: Place) -> tuple[Seen, list[ZoneFinding], ZoneServer]:
    """By a server that is resolver and authority at once."""

    async def run() -> tuple[Seen, list[ZoneFinding], ZoneServer]:
        async with serve_zone(zone) as server:
            resolver = DnsClient(SystemClock(), DnsSettings((server.address,)))
            settings = AuthoritySettings(server.address[1])
            witness = ServersWitness(resolver, Authorities(resolver, SystemClock(), settings))
            return await witness.look(places), list(witness.findings), server

    return asyncio.run(run())


def test_a_zone_whose_servers_are_in_order_has_no_trouble() -> None:
    seen, findings, _ = looked(ZONE, MX, (Kind.TXT, "a.test"))
    assert seen.at(*MX) == ("10 mx.a.test",)
    assert seen.at(Kind.TXT, "a.test") == ()
    assert findings == []


def test_a_host_without_an_address_is_told() -> None:
    _, findings, _ = looked(f"{ZONE}\na.test NS gone.a.test", MX)
    assert findings == [ZoneFinding("a.test", Trouble.NOWHERE, "gone.a.test")]


def test_without_a_zone_the_resolver_is_believed_and_that_is_told() -> None:
    seen, findings, _ = looked("a.test MX 10 mx.a.test", MX)
    assert seen.at(*MX) == ("10 mx.a.test",)
    assert findings == [ZoneFinding("", Trouble.UNSEEN)]
    assert not findings[0].is_fault


@pytest.mark.slow
def test_however_many_servers_a_zone_names_few_are_asked() -> None:
    hosts = [f"n{n}.a.test" for n in range(200)]
    lines = [f"a.test NS {host}\n{host} A 127.0.0.1" for host in hosts]
    _, findings, server = looked("\n".join([SOA, *lines, "a.test MX 10 mx.a.test"]), MX)
    asked = {name for name, kind in server.asked if kind == "A" and name in hosts}
    assert len(asked) == MAX_HOSTS
    assert len(server.asked) < 100
    assert findings == []


def test_an_answer_that_is_too_long_for_udp_is_seen() -> None:
    lines = "\n".join(f'a.test TXT "{n:03d} {"x" * 200}"' for n in range(8))
    seen, _, _ = looked(ZONE + lines, (Kind.TXT, "a.test"), MX)
    assert seen.large == {(Kind.TXT, "a.test")}


@each("language", ["en", "id"])
@each("kind", list(Trouble))
def test_every_trouble_says_what_it_costs(language: str, kind: Trouble) -> None:
    told = trouble(ZoneFinding("a.test", kind), language)
    assert told.endswith((".", "?"))
    assert "{" not in told
    assert trouble_name(ZoneFinding("a.test", kind), language)
