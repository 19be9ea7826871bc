"""What fails on our side costs the message it happens to some time, and the others nothing."""

import pytest

from merpati.delivery.dispatcher import DispatcherSettings
from merpati.delivery.ending import End, Ending
from merpati.diagnosis.replies import Stage
from merpati.errors import MerpatiError
from merpati.journal.events import Deferred, Delivered, Lifecycle
from merpati.storage.errors import StorageError
from merpati.testing.deliveries import ScriptedDns, ScriptedHost, an_entry
from merpati.testing.residents import Residents

SMARTHOST = "smtp://192.0.2.1:25"


class FailingDirectory(Residents):
    """Cannot be read for one domain."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def is_local(self, domain):
        if self.error and domain == "bad.test":
            raise self.error
        return super().is_local(domain)


@pytest.mark.parametrize("error", [StorageError("disk I/O error"), ZeroDivisionError("a defect")])
async def test_what_cannot_be_routed_waits_and_the_others_go(make_world, error):
    host = ScriptedHost()
    directory = FailingDirectory(error)
    world = make_world(hosts={"192.0.2.1": host}, routes=(SMARTHOST,), directory=directory)
    async with world.running():
        await world.put(an_entry(1, "ann@bad.test"), an_entry(2, "bob@good.test"))
        await world.clock.advance(5)
        assert [one.address for one in await world.events(Delivered)] == ["bob@good.test"]
        (deferred,) = await world.events(Deferred)
        assert (deferred.address, deferred.cause) == ("ann@bad.test", "delivery-defect")
        assert str(error) in deferred.reply
        (told,) = [one for one in await world.events(Lifecycle) if one.what.startswith("delivery-")]
        assert str(error) in told.detail
        directory.error = None
        await world.clock.advance(70)
    assert len(host.received) == 2
    assert world.defects == ([] if isinstance(error, MerpatiError) else [error])


async def test_a_result_that_cannot_be_judged_ends_nothing(make_world):
    world = make_world(hosts={"192.0.2.1": ScriptedHost()}, routes=(SMARTHOST,))
    dispatcher = world.build()
    settle = dispatcher._parts.settling.settle

    def choking(entry, *rest):
        if entry.id == an_entry(1, "x@a.test").id:
            raise ValueError("a defect")
        return settle(entry, *rest)

    dispatcher._parts.settling.settle = choking
    world.build = lambda: dispatcher
    async with world.running():
        await world.put(an_entry(1, "ann@a.test"), an_entry(2, "bob@a.test"))
        await world.clock.advance(5)
    assert [one.address for one in await world.events(Delivered)] == ["bob@a.test"]
    assert await world.waiting() == 0  # The host has both: neither is sent again.
    assert [str(error) for error in world.defects] == ["a defect"]


async def test_a_claim_that_fails_by_a_defect_is_tried_again(make_world):
    host = ScriptedHost()
    world = make_world(hosts={"192.0.2.1": host}, routes=(SMARTHOST,))
    claim, failures = world.queue.claim, [ValueError("a defect"), StorageError("disk I/O error")]

    async def failing(*args):
        if failures:
            raise failures.pop()
        return await claim(*args)

    world.queue.claim = failing
    async with world.running():
        await world.put(an_entry(1, "ann@a.test"))
        await world.clock.advance(5)
    assert len(host.received) == 1
    assert [str(error) for error in world.defects] == ["a defect"]


async def test_what_we_lack_ourselves_is_held_against_no_host(make_world):
    lacking = End(Ending.OURS, "this process has too many open files", Stage.CONNECT)
    ips = ("2001:db8::1", "192.0.2.1")
    hosts = {ip: ScriptedHost(fails=lacking) for ip in ips}
    dns = ScriptedDns(v6={"a.test": ips[:1]}, v4={"a.test": ips[1:]})
    world = make_world(hosts=hosts, dns=dns)
    async with world.running():
        await world.put(an_entry(1, "ann@a.test"))
        await world.clock.advance(35)
        assert 3 <= len(world.talker.tried) <= 5  # Every ten seconds, and not each address.
        hosts[ips[0]].fails = None
        await world.clock.advance(12)
    assert set(world.talker.tried) == {ips[0]}
    assert len(hosts[ips[0]].received) == 1
    assert await world.events(Deferred) == []


@pytest.mark.slow
async def test_the_connections_of_a_worker_are_bounded(make_world):
    names = [f"d{n}.test" for n in range(12)]
    dns = ScriptedDns(v4={name: (f"192.0.2.{n}",) for n, name in enumerate(names)})
    hosts = {f"192.0.2.{n}": ScriptedHost(seconds=20.0) for n in range(12)}
    world = make_world(hosts=hosts, dns=dns, settings=DispatcherSettings(connections=8))
    most = 0
    async with world.running():
        await world.put(*(an_entry(n, f"u@{names[n % 12]}") for n in range(48)))
        for _ in range(400):
            await world.clock.advance(1)
            most = max(most, sum(host.live for host in hosts.values()))
    assert most == 8
    assert [len(host.received) for host in hosts.values()] == [4] * 12
