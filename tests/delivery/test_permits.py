"""Permits between sites, in a whole dispatcher."""

from merpati.delivery.dispatcher import DispatcherSettings
from merpati.journal.events import Delivered
from merpati.testing.deliveries import ScriptedDns, ScriptedHost, an_entry


async def test_a_site_that_withholds_its_verdicts_does_not_stop_the_mail_for_others(make_world):
    dns = ScriptedDns(v4={"silent.test": ("192.0.2.1",), "good.test": ("192.0.2.2",)})
    hosts = {"192.0.2.1": ScriptedHost(seconds=600.0), "192.0.2.2": ScriptedHost()}
    settings = DispatcherSettings(permits=2)
    world = make_world(hosts=hosts, dns=dns, settings=settings, site_permits=1)
    async with world.running():
        await world.put(*(an_entry(n, f"u{n}@silent.test") for n in range(50)))
        await world.clock.advance(60)
        await world.put(an_entry(900, "ann@good.test"))
        await world.clock.advance(5)
        assert [one.address for one in await world.events(Delivered)] == ["ann@good.test"]
