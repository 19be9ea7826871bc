"""Permits between sites, in a whole dispatcher."""

from merpati.delivery.dispatcher import DispatcherSettings
from merpati.journal.events import Delivered
from merpati.testing.deliveries import ScriptedDns, ScriptedHost, an_entry


async def test_a_site_that_withholds_its_verdicts_does_not_stop_the_mail_for_others(make_world):
    dns = ScriptedDns(v4={"silent.test": ("192.0.2.1",), "good.test": ("192.0.2.2",)})
    hosts = {"192.0.2.1": ScriptedHost(seconds=600.0), "192.0.2.2": ScriptedHost()}
    settings = DispatcherSettings(permits=4)
    world = make_world(hosts=hosts, dns=dns, settings=settings, site_permits=1)
    async with world.running():
        await world.put(*(an_entry(n, f"u{n}@silent.test") for n in range(50)))
        await world.clock.advance(60)
        await world.put(an_entry(900, "ann@good.test"))
        await world.clock.advance(5)
        assert [one.address for one in await world.events(Delivered)] == ["ann@good.test"]


def tarpits(count: int) -> tuple[ScriptedDns, dict[str, ScriptedHost]]:
    """So many hosts that are ten minutes silent behind the dot, and one that is not."""
    v4 = {f"t{n}.test": (f"192.0.2.{n + 10}",) for n in range(count)}
    hosts = {f"192.0.2.{n + 10}": ScriptedHost(seconds=600.0) for n in range(count)}
    dns = ScriptedDns(v4=v4 | {"good.test": ("192.0.2.1",)})
    return dns, hosts | {"192.0.2.1": ScriptedHost()}


async def test_however_many_sites_withhold_their_verdicts_one_that_answers_soon_goes_on(make_world):
    dns, hosts = tarpits(20)
    world = make_world(hosts=hosts, dns=dns, settings=DispatcherSettings(permits=4))
    async with world.running():
        await world.put(an_entry(1, "ann@good.test"))
        await world.clock.advance(5)
        await world.put(*(an_entry(n + 10, f"u@t{n}.test") for n in range(20)))
        await world.clock.advance(60)
        await world.put(an_entry(900, "bob@good.test"))
        await world.clock.advance(5)
        told = [one.address for one in await world.events(Delivered)]
        assert told == ["ann@good.test", "bob@good.test"]


async def test_sites_that_were_late_once_leave_room_for_those_that_nobody_knows(make_world):
    dns, hosts = tarpits(4)
    world = make_world(hosts=hosts, dns=dns, settings=DispatcherSettings(permits=4))
    async with world.running():
        await world.put(*(an_entry(n + 10, f"u@t{n}.test") for n in range(4)))
        await world.clock.advance(1300)
        await world.put(*(an_entry(n + 20, f"v@t{n}.test") for n in range(4)))
        await world.clock.advance(60)
        await world.put(an_entry(900, "bob@good.test"))
        await world.clock.advance(5)
        assert (await world.events(Delivered))[-1].address == "bob@good.test"
