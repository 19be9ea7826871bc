"""How far one broken handshake reaches, in a whole dispatcher."""

from merpati.delivery.ending import End, Ending
from merpati.delivery.lesson import PlainOnly, Unproven
from merpati.testing.deliveries import ScriptedDns, ScriptedHost, ScriptedHosts, an_entry


class BrokenTls(ScriptedHosts):
    """One address breaks the first handshake; notes who is talked to without TLS."""

    def __init__(self, clock, hosts):
        super().__init__(clock, hosts)
        self.breaks = "192.0.2.1"
        self.plain = []

    def talk(self, way, host, memory, learn):
        self.plain.append((host.ip, memory.plain_only))
        if host.ip == self.breaks:
            self.breaks = ""
            learn(PlainOnly("the connection was closed in the handshake"))
            failed = {host.ip: ScriptedHost(fails=End(Ending.TLS_FAILED, "closed"))}
            return ScriptedHosts(self._clock, failed).talk(way, host, memory, learn)
        return super().talk(way, host, memory, learn)


async def test_one_broken_handshake_costs_one_host_its_tls_for_ten_minutes(make_world):
    ips = ("192.0.2.1", "192.0.2.2")
    dns = ScriptedDns(v4={"a.test": ips})
    world = make_world(hosts={ip: ScriptedHost() for ip in ips}, dns=dns)
    talker = world.talker = BrokenTls(world.clock, world.hosts)
    async with world.running():
        for n, pause in enumerate((60, 300, 300, 1)):
            await world.put(an_entry(n, "ann@a.test"))
            await world.clock.advance(pause)
        world.hosts[ips[0]].fails = End(Ending.UNREACHABLE, "refused")
        await world.clock.advance(30)
        await world.put(an_entry(9, "ann@a.test"))
        await world.clock.advance(2)
    first, second = ips
    assert talker.plain[:2] == [(first, False), (first, True)]
    assert talker.plain[2:4] == [(first, True), (first, True)]
    assert talker.plain[4] == (first, False)
    assert talker.plain[-1] == (second, False)


class Unlikely(ScriptedHosts):
    """A host whose certificate proves nothing; notes who looks at it."""

    def __init__(self, clock, hosts):
        super().__init__(clock, hosts)
        self.looked = []

    def talk(self, way, host, memory, learn):
        self.looked.append(not memory.unproven)
        if not memory.unproven:
            learn(Unproven("the certificate was not accepted: self-signed certificate"))
            failed = {host.ip: ScriptedHost(fails=End(Ending.TLS_FAILED, "self-signed"))}
            return ScriptedHosts(self._clock, failed).talk(way, host, memory, learn)
        return super().talk(way, host, memory, learn)


async def test_a_certificate_that_is_only_reported_on_delays_no_mail(make_world):
    ip = "192.0.2.1"
    world = make_world(hosts={ip: ScriptedHost()}, dns=ScriptedDns(v4={"a.test": (ip,)}))
    talker = world.talker = Unlikely(world.clock, world.hosts)
    async with world.running():
        await world.put(an_entry(1, "ann@a.test"))
        await world.clock.advance(2)
        assert talker.looked == [True, False]
        await world.clock.advance(60)
        await world.put(an_entry(2, "ann@a.test"))
        await world.clock.advance(2)
    assert talker.looked == [True, False, False]
