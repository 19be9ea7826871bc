"""What one host of a site cannot be given, in a whole dispatcher."""

import pytest

from merpati.delivery.ending import End, Ending
from merpati.delivery.outcome import Outcome, Result
from merpati.delivery.transaction import Host
from merpati.journal.events import Deferred, Delivered, Failed
from merpati.testing.deliveries import ScriptedDns, ScriptedHost, an_entry, delivered

IPS = ("192.0.2.1", "192.0.2.2", "192.0.2.3")


def lacks(transaction):
    """The host has no SMTPUTF8, and everything but the messages of eve needs it."""
    if str(transaction.entry.envelope.sender) == "plain@b.test":
        return [delivered(one.n, Host("mx", IPS[0])) for one in transaction.recipients]
    return [
        Outcome(
            one.n, Result.FAILED, "no SMTPUTF8", "5.6.7", "smtputf8-unsupported", elsewhere=True
        )
        for one in transaction.recipients
    ]


@pytest.fixture
def site(make_world):
    def make(*hosts):
        names = [f"mx{n}.test" for n in range(len(hosts))]
        mxs = {"a.test": tuple((10 * n, name) for n, name in enumerate(names))}
        v4 = {name: (ip,) for name, ip in zip(names, IPS, strict=False)}
        return make_world(
            hosts=dict(zip(IPS, hosts, strict=False)), dns=ScriptedDns(mxs=mxs, v4=v4)
        )

    return make


async def test_another_host_is_asked_while_the_first_goes_on(site):
    able = ScriptedHost()
    world = site(ScriptedHost(verdict=lacks), ScriptedHost(verdict=lacks), able)
    async with world.running():
        for n in range(20):
            sender = "plain@b.test" if n % 2 else "eve@b.test"
            await world.put(an_entry(n, "ann@a.test", sender=sender))
        await world.clock.advance(20)
    assert len(await world.events(Delivered)) == 20
    assert len(able.received) == 10
    assert able.opened <= 3


async def test_what_no_host_takes_fails_once_each_was_asked(site):
    hosts = [ScriptedHost(verdict=lacks) for _ in range(3)]
    world = site(*hosts)
    async with world.running():
        await world.put(an_entry(1, "ann@a.test"))
        await world.clock.advance(20)
    (failed,) = await world.events(Failed)
    assert (failed.status, failed.cause) == ("5.6.7", "smtputf8-unsupported")
    assert [len(host.received) for host in hosts] == [1, 1, 1]


async def test_a_site_of_one_host_is_not_asked_again(site):
    host = ScriptedHost(verdict=lacks)
    world = site(host)
    async with world.running():
        await world.put(an_entry(1, "ann@a.test"))
        await world.clock.advance(20)
    assert len(await world.events(Failed)) == len(host.received) == 1


async def test_a_host_that_could_not_be_asked_is_asked_another_time(site):
    able = ScriptedHost(fails=End(Ending.UNREACHABLE, "refused"))
    world = site(ScriptedHost(verdict=lacks), able)
    async with world.running():
        await world.put(an_entry(1, "ann@a.test"))
        await world.clock.advance(20)
        (deferred,) = await world.events(Deferred)
        assert deferred.cause == "smtputf8-unsupported"
        able.fails = None
        await world.clock.advance(120)
    assert len(able.received) == 1
    assert await world.events(Failed) == []


def waits(transaction):
    """The host has what it needs, and not now: TLS is broken, for a message that requires it."""
    return [
        Outcome(one.n, Result.DEFERRED, "not now", "4.7.10", "tls-failed", elsewhere=True)
        for one in transaction.recipients
    ]


@pytest.mark.parametrize("verdicts", [(waits,), (waits, lacks), (lacks, waits)])
async def test_what_one_host_cannot_be_given_now_is_tried_again_whatever_others_lack(
    site, verdicts
):
    hosts = [ScriptedHost(verdict=verdict) for verdict in verdicts]
    world = site(*hosts)
    async with world.running():
        await world.put(an_entry(1, "ann@a.test"))
        await world.clock.advance(20)
        (deferred,) = await world.events(Deferred)
        assert deferred.cause == "tls-failed"
        assert all(host.received for host in hosts)
        hosts[verdicts.index(waits)].verdict = None
        await world.clock.advance(120)
    assert await world.events(Failed) == []
    assert len(await world.events(Delivered)) == 1
