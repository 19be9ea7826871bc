"""How far one broken handshake reaches, and one bad certificate, in a whole dispatcher."""

from merpati.delivery.ending import End, Ending
from merpati.delivery.lesson import Waive, Waived
from merpati.feedback.tls import ResultType
from merpati.testing.deliveries import ScriptedDns, ScriptedHost, ScriptedHosts, an_entry


class BrokenTls(ScriptedHosts):
    """One address breaks the first handshake; notes who is talked to without TLS."""

    def __init__(self, clock, hosts):
        super().__init__(clock, hosts)
        self.breaks = "192.0.2.1"
        self.plain = []

    def talk(self, way, host, memory, learn):
        self.plain.append((host.ip, memory.waived is Waived.TLS))
        if host.ip == self.breaks:
            self.breaks = ""
            learn(Waive(Waived.TLS, ResultType.FAILED))
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


class BadCertificate(ScriptedHosts):
    """Fails a check that is only a test, for a name that is not its own."""

    def __init__(self, clock, hosts):
        super().__init__(clock, hosts)
        self.memories = []

    def talk(self, way, host, memory, learn):
        self.memories.append((memory.waived, memory.failure))
        if memory.waived is Waived.NOTHING:
            learn(Waive(Waived.PROOF, ResultType.WRONG_NAME))
            failed = {host.ip: ScriptedHost(fails=End(Ending.TLS_FAILED, "not accepted"))}
            return ScriptedHosts(self._clock, failed).talk(way, host, memory, learn)
        return super().talk(way, host, memory, learn)


async def test_a_certificate_that_fails_a_test_costs_a_connection_and_no_mail(make_world):
    dns = ScriptedDns(v4={"a.test": ("192.0.2.1",)})
    world = make_world(hosts={"192.0.2.1": ScriptedHost()}, dns=dns)
    talker = world.talker = BadCertificate(world.clock, world.hosts)
    async with world.running():
        await world.put(an_entry(1, "ann@a.test"))
        await world.clock.advance(2)
        waived = Waived.PROOF, ResultType.WRONG_NAME
        assert talker.memories == [(Waived.NOTHING, None), waived]
        await world.clock.advance(60)
        await world.put(an_entry(2, "ann@a.test"))
        await world.clock.advance(2)
    assert talker.memories == [(Waived.NOTHING, None), waived, waived]
    assert world.hosts["192.0.2.1"].received
