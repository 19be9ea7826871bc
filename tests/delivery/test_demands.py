"""Domains with the same hosts that demand different things do not share their connections, and what
waives their demands goes by none of them."""

from dataclasses import replace

import pytest
from msgspec import structs

from merpati.delivery.backing import UNBACKED, Backing, StsMode
from merpati.delivery.mx import Exchanges, NoHosts
from merpati.delivery.outcome import Result
from merpati.delivery.transaction import TlsDemand
from merpati.journal.events import Deferred, Delivered
from merpati.queue.entry import Entry
from merpati.testing.deliveries import ScriptedDns, ScriptedHost, an_entry

REFUSES = NoHosts(Result.DEFERRED, "4.7.5", "none of its hosts is allowed", "sts-mx-unlisted")


def the_dns() -> ScriptedDns:
    domains = ("plain.test", "signed.test", "strict.test", "unlisted.test")
    return ScriptedDns(
        mxs=dict.fromkeys(domains, ((10, "mx.big.test"),)),
        v4={"mx.big.test": ("192.0.2.1",)},
        secure={"signed.test"},
    )


async def demands(domain: str, found: Exchanges, *, is_ours: bool) -> Exchanges | NoHosts:
    if domain == "strict.test":
        return replace(found, backing=replace(found.backing, sts=StsMode.ENFORCE))
    return REFUSES if domain == "unlisted.test" else found


async def test_each_demand_has_a_site_and_connections_of_its_own(make_world) -> None:
    host = ScriptedHost()
    world = make_world(hosts={"192.0.2.1": host}, dns=the_dns(), demands=demands)
    async with world.running():
        for n, domain in enumerate(("plain.test", "signed.test", "strict.test")):
            await world.put(an_entry(n, f"ann@{domain}"))
        await world.clock.advance(2)
    assert len(host.received) == 3
    assert {way.site: way.backing for way in world.talker.ways} == {
        "mx.big.test": UNBACKED,
        "mx.big.test?dnssec=yes": Backing(dnssec=True),
        "mx.big.test?sts=enforce": Backing(sts=StsMode.ENFORCE),
    }


async def test_what_strangers_made_us_write_is_no_mail_of_our_own_people(make_world) -> None:
    """Of whose mail it is depends whose policy of MTA-STS gives way to others."""
    asked: dict[str, bool] = {}

    async def demands(domain: str, found: Exchanges, *, is_ours: bool) -> Exchanges | NoHosts:
        asked[domain] = is_ours
        return found

    world = make_world(hosts={"192.0.2.1": ScriptedHost()}, dns=the_dns(), demands=demands)
    ours = structs.replace(an_entry(1, "ann@plain.test"), is_ours=True)
    notice = structs.replace(an_entry(2, "ann@signed.test"), is_ours=True, is_notice=True)
    forwarded = an_entry(3, "ann@strict.test")
    joined = [
        structs.replace(an_entry(4 + n, "ann@unlisted.test"), is_ours=bool(n)) for n in range(2)
    ]
    await world.put(ours, notice, forwarded, *joined)
    async with world.running():
        await world.clock.advance(2)
    assert asked == {
        "plain.test": True,
        "signed.test": False,
        "strict.test": False,
        "unlisted.test": True,
    }


async def test_mail_waits_where_the_domain_allows_no_host(make_world) -> None:
    world = make_world(dns=the_dns(), demands=demands)
    async with world.running():
        await world.put(an_entry(1, "ann@unlisted.test"))
        await world.clock.advance(2)
    (deferred,) = await world.events(Deferred)
    assert (deferred.cause, deferred.reply) == ("sts-mx-unlisted", REFUSES.reply)
    assert world.talker.tried == []


def a_waiver(n: int, *to: str) -> Entry:
    return structs.replace(an_entry(n, *to), waives_tls=True)


async def test_what_waives_tls_goes_where_nothing_is_demanded(make_world) -> None:
    host = ScriptedHost()
    world = make_world(hosts={"192.0.2.1": host}, dns=the_dns(), demands=demands)
    everybody = [f"ann@{name}.test" for name in ("plain", "signed", "strict", "unlisted")]
    async with world.running():
        await world.put(a_waiver(1, *everybody))
        await world.clock.advance(2)
    assert len(await world.events(Delivered)) == 4
    assert {way.site: way.backing for way in world.talker.ways} == {"mx.big.test": UNBACKED}


@pytest.mark.parametrize("first", ["what waives", "what heeds"])
async def test_one_domain_is_known_with_its_demands_and_without(make_world, first) -> None:
    host = ScriptedHost()
    world = make_world(hosts={"192.0.2.1": host}, dns=the_dns(), demands=demands)
    mails = [
        ("mx.big.test", a_waiver(1, "ann@strict.test")),
        ("mx.big.test?sts=enforce", an_entry(2, "ann@strict.test")),
    ]
    async with world.running():
        for site, entry in mails if first == "what waives" else reversed(mails):
            await world.put(entry)
            await world.clock.advance(2)
            assert world.talker.ways[-1].site == site
    assert len(world.talker.ways) == len(host.received) == 2


async def test_what_waives_tls_does_not_wait_for_the_connections_that_heed_it(make_world) -> None:
    host = ScriptedHost()
    world = make_world(hosts={"192.0.2.1": host}, dns=the_dns(), demands=demands)
    site = "mx.big.test?sts=enforce"
    async with world.running() as dispatcher:
        await world.put(an_entry(1, "ann@strict.test"))
        await world.clock.advance(2)
        until = world.clock.now() + 900
        await world.queue.assign("strict.test", site)
        await world.queue.hold(site, until, "no valid certificate")
        dispatcher.suspend(site, until, "no valid certificate")
        await world.put(an_entry(2, "bob@strict.test"), a_waiver(3, "zoe@strict.test"))
        await world.clock.advance(5)
        told = [str(one.recipients[0].recipient.address) for one in host.received]
        assert told == ["ann@strict.test", "zoe@strict.test"]


async def test_what_waives_tls_still_waits_for_hosts_that_nobody_names(make_world) -> None:
    dns = the_dns()
    dns.broken = {"strict.test"}
    world = make_world(dns=dns, demands=demands)
    async with world.running():
        await world.put(a_waiver(1, "ann@strict.test"))
        await world.clock.advance(2)
    (deferred,) = await world.events(Deferred)
    assert deferred.cause == "dns-failing"


async def test_a_route_that_requires_tls_requires_it_of_everything(make_world) -> None:
    world = make_world(hosts={"192.0.2.1": ScriptedHost()}, routes=("smtp://u:p@192.0.2.1:25",))
    async with world.running():
        await world.put(a_waiver(1, "ann@strict.test"))
        await world.clock.advance(2)
    assert [way.tls for way in world.talker.ways] == [TlsDemand.REQUIRED]
