"""How long the hosts of a domain are remembered, and what is never remembered with them."""

import pytest

from merpati.delivery.dane import Dane
from merpati.delivery.mx import Exchanges, HostFinder, MxSettings, NoHosts
from merpati.delivery.outcome import Result
from merpati.delivery.siting import Siting, SitingSettings
from merpati.delivery.transaction import Host
from merpati.testing.clock import VirtualClock
from merpati.testing.deliveries import ScriptedDns
from merpati.testing.memory import MemoryQueue

TLSA = "_25._tcp.mx.test"


def a_dns(ttl: float) -> ScriptedDns:
    return ScriptedDns(mxs={"a.test": ((10, "mx.test"),)}, v4={"mx.test": ("192.0.2.1",)}, ttl=ttl)


async def a_siting(clock: VirtualClock, dns: ScriptedDns) -> Siting:
    finder = HostFinder(MxSettings("us.test"), dns, lambda names: None)
    siting = Siting(SitingSettings(), finder, MemoryQueue(clock), clock)
    assert isinstance(await siting.look_up("a.test"), Exchanges)
    return siting


@pytest.mark.parametrize(
    ("ttl", "seconds"), [(60.0, 60.0), (86_400.0, 300.0), (0.0, 5.0)], ids=["short", "long", "none"]
)
async def test_hosts_are_remembered_as_long_as_their_answer_holds(
    ttl: float, seconds: float
) -> None:
    clock = VirtualClock(0)
    siting = await a_siting(clock, a_dns(ttl))
    await clock.advance(seconds - 0.1)
    assert siting.known("a.test")
    await clock.advance(0.2)
    assert siting.known("a.test") is None


async def test_a_domain_without_mx_is_remembered_as_long_as_that_is_true() -> None:
    clock = VirtualClock(0)
    siting = await a_siting(clock, ScriptedDns(v4={"a.test": ("192.0.2.1",)}, ttl=30.0))
    await clock.advance(31.0)
    assert siting.known("a.test") is None


async def test_an_answer_of_a_short_life_serves_another_hour_where_the_new_one_is_late() -> None:
    clock = VirtualClock(0)
    siting = await a_siting(clock, a_dns(5.0))
    await clock.advance(3600.0)
    assert siting.old("a.test")
    await clock.advance(6.0)
    assert siting.old("a.test") is None


async def test_another_certificate_counts_at_the_next_connection() -> None:
    """RFC 7672: the records are asked for by each connection, whatever is known of the domain."""
    dns = a_dns(86_400.0)
    dns.v6 = {"mx.test": ("2001:db8::1",)}
    dns.secure = {"mx.test", TLSA}
    dane = Dane(dns)
    for key in (b"\1" * 32, b"\2" * 32):
        dns.tlsas[TLSA] = ((3, 1, 1, key),)
        found = await dane.of(Host("mx.test", "192.0.2.1", 25))
        assert found
        assert [one.association for one in found.usable] == [key]


async def test_a_no_ends_what_was_known_before() -> None:
    """A null MX, and a policy that allows none of the hosts: both are answers."""
    policy = NoHosts(Result.DEFERRED, "4.7.5", "no host is in its policy", "sts-no-host")
    told: list[NoHosts] = []

    async def demands(domain: str, found: Exchanges, *, is_ours: bool) -> Exchanges | NoHosts:
        return told[0] if told else found

    for is_null in (True, False):
        clock, dns = VirtualClock(0), a_dns(300.0)
        finder = HostFinder(MxSettings("us.test"), dns, lambda _: None)
        siting = Siting(SitingSettings(), finder, MemoryQueue(clock), clock, demands)
        told.clear()
        assert isinstance(await siting.look_up("a.test"), Exchanges)
        await clock.advance(301)
        if is_null:
            dns.mxs["a.test"] = ((0, ""),)
        else:
            told.append(policy)
        assert siting.old("a.test") is not None
        assert isinstance(await siting.look_up("a.test"), NoHosts)
        assert siting.old("a.test") is None
