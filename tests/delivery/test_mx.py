"""Which hosts take mail for a domain (RFC 5321 §5.1, RFC 7505)."""

import pytest

from merpati.delivery.mx import Exchanges, HostFinder, MxSettings, NoHosts
from merpati.delivery.outcome import Result
from merpati.testing.deliveries import ScriptedDns


def finder(dns, shuffle=lambda names: None, **settings):
    return HostFinder(MxSettings("us.test", **settings), dns, shuffle)


async def ips(dns, domain, **settings):
    looker = finder(dns, **settings)
    exchanges = await looker.exchanges(domain)
    assert isinstance(exchanges, Exchanges)
    hosts = await looker.addresses(exchanges)
    return hosts if isinstance(hosts, NoHosts) else [host.ip for host in hosts]


async def refused(dns, domain):
    found = await finder(dns).exchanges(domain)
    assert isinstance(found, NoHosts)
    return found.result, found.status, found.cause


async def test_hosts_come_in_the_order_of_preference():
    dns = ScriptedDns(
        mxs={"a.test": ((20, "worse.test"), (10, "best.test"))},
        v4={"best.test": ("192.0.2.1",), "worse.test": ("192.0.2.2",)},
    )
    assert await ips(dns, "a.test") == ["192.0.2.1", "192.0.2.2"]


async def test_equals_are_shuffled_within_their_preference_only():
    dns = ScriptedDns(
        mxs={"a.test": ((10, "b.test"), (10, "c.test"), (20, "d.test"))},
        v4={"b.test": ("192.0.2.1",), "c.test": ("192.0.2.2",), "d.test": ("192.0.2.3",)},
    )
    looker = finder(dns, shuffle=lambda names: names.reverse())
    hosts = await looker.addresses(await looker.exchanges("a.test"))
    assert [host.ip for host in hosts] == ["192.0.2.2", "192.0.2.1", "192.0.2.3"]


async def test_the_families_take_turns():
    dns = ScriptedDns(
        mxs={"a.test": ((10, "mx.test"),)},
        v6={"mx.test": ("2001:db8::1", "2001:db8::2")},
        v4={"mx.test": ("192.0.2.1",)},
    )
    assert await ips(dns, "a.test") == ["2001:db8::1", "192.0.2.1", "2001:db8::2"]
    assert await ips(dns, "a.test", ipv6=False) == ["192.0.2.1"]


async def test_without_mx_the_domain_is_its_own():
    assert await ips(ScriptedDns(v4={"a.test": ("192.0.2.1",)}), "a.test") == ["192.0.2.1"]


async def test_a_null_mx_refuses_for_good():
    dns = ScriptedDns(mxs={"a.test": ((0, "."),)})
    assert await refused(dns, "a.test") == (Result.FAILED, "5.1.10", "null-mx")


async def test_a_null_mx_beside_others_is_ignored():
    dns = ScriptedDns(mxs={"a.test": ((0, "."), (10, "b.test"))}, v4={"b.test": ("192.0.2.1",)})
    assert await ips(dns, "a.test") == ["192.0.2.1"]


async def test_a_name_that_does_not_exist_fails():
    assert await refused(ScriptedDns(), "a.test") == (Result.FAILED, "5.1.2", "no-such-domain")


async def test_a_dns_that_gives_no_answer_defers():
    dns = ScriptedDns(broken={"a.test"})
    assert await refused(dns, "a.test") == (Result.DEFERRED, "4.4.3", "dns-failing")


async def test_one_host_without_an_answer_is_passed_over():
    dns = ScriptedDns(
        mxs={"a.test": ((10, "b.test"), (20, "c.test"))},
        v4={"c.test": ("192.0.2.1",)},
        broken={"b.test"},
    )
    assert await ips(dns, "a.test") == ["192.0.2.1"]


async def test_no_host_with_an_address_fails_unless_one_may_have_some_later():
    dns = ScriptedDns(mxs={"a.test": ((10, "b.test"), (20, "c.test"))})
    assert (await ips(dns, "a.test")).status == "5.4.4"
    dns.broken.add("b.test")
    assert (await ips(dns, "a.test")).result is Result.DEFERRED


@pytest.mark.parametrize(("literal", "ip"), [("[192.0.2.1]", "192.0.2.1"), ("[IPv6:::1]", "::1")])
async def test_a_literal_is_its_own_host_without_a_question(literal, ip):
    dns = ScriptedDns()
    assert await ips(dns, literal) == [ip]
    assert dns.asked == 0


async def test_a_literal_of_nothing_fails():
    assert (await refused(ScriptedDns(), "[x]"))[1] == "5.1.3"


async def test_a_host_of_a_route_without_an_address_is_waited_for():
    looker = finder(ScriptedDns())
    found = await looker.addresses(looker.fixed("relay.test", 587))
    assert (found.result, found.status) == (Result.DEFERRED, "4.4.4")
    assert found.cause == "route-unreachable"


async def test_our_own_name_cuts_off_equals_and_worse():
    dns = ScriptedDns(
        mxs={"a.test": ((10, "b.test"), (20, "US.test"), (20, "c.test"), (30, "d.test"))},
        v4={"b.test": ("192.0.2.1",)},
    )
    assert await ips(dns, "a.test") == ["192.0.2.1"]


async def test_our_own_name_as_the_best_host_is_a_loop():
    dns = ScriptedDns(mxs={"a.test": ((10, "us.test"), (20, "b.test"))})
    assert await refused(dns, "a.test") == (Result.FAILED, "5.4.6", "loops-back")


async def test_our_own_address_under_another_name_is_a_loop():
    dns = ScriptedDns(mxs={"a.test": ((10, "b.test"),)}, v4={"b.test": ("192.0.2.9",)})
    found = await ips(dns, "a.test", own=frozenset({("192.0.2.9", 25)}))
    assert found.status == "5.4.6"


async def test_a_strangers_zone_cannot_keep_us_busy():
    many = tuple((n, f"h{n}.test") for n in range(500))
    dns = ScriptedDns(mxs={"a.test": many})
    assert (await ips(dns, "a.test")).status == "5.4.4"
    assert dns.asked == 1 + 2 * 10


def test_domains_with_the_same_hosts_in_the_same_order_are_one_site():
    looker = finder(ScriptedDns())
    one = looker.site(Exchanges((("b.test", "a.test"), ("c.test",))))
    assert (
        one == looker.site(Exchanges((("a.test", "b.test"), ("c.test",)))) == "a.test,b.test/c.test"
    )
    assert one != looker.site(Exchanges((("a.test",), ("b.test", "c.test"))))


def test_long_names_of_sites_stay_different():
    looker = finder(ScriptedDns())
    names = {looker.site(Exchanges(((f"{'x' * 200}{n}",),))) for n in range(5)}
    assert len(names) == 5
    assert max(map(len, names)) < 200


async def test_our_own_name_that_is_no_domain_is_told_as_that():
    found = await finder(ScriptedDns()).exchanges("us.test")
    assert (found.status, found.cause) == ("5.1.1", "own-name")
