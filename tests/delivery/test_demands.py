"""Domains with the same hosts that demand different things do not share their connections."""

from dataclasses import replace

from merpati.delivery.backing import UNBACKED, Backing, StsMode
from merpati.delivery.mx import Exchanges, NoHosts
from merpati.delivery.outcome import Result
from merpati.journal.events import Deferred
from merpati.testing.deliveries import ScriptedDns, ScriptedHost, an_entry

REFUSES = NoHosts(Result.DEFERRED, "4.7.5", "none of its hosts is allowed", "sts-mx-unlisted")


def the_dns() -> ScriptedDns:
    domains = ("plain.test", "signed.test", "strict.test", "unlisted.test")
    return ScriptedDns(
        mxs=dict.fromkeys(domains, ((10, "mx.big.test"),)),
        v4={"mx.big.test": ("192.0.2.1",)},
        secure={"signed.test"},
    )


async def demands(domain: str, found: Exchanges) -> Exchanges | NoHosts:
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


async def test_mail_waits_where_the_domain_allows_no_host(make_world) -> None:
    world = make_world(dns=the_dns(), demands=demands)
    async with world.running():
        await world.put(an_entry(1, "ann@unlisted.test"))
        await world.clock.advance(2)
    (deferred,) = await world.events(Deferred)
    assert (deferred.cause, deferred.reply) == ("sts-mx-unlisted", REFUSES.reply)
    assert world.talker.tried == []
