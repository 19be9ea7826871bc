"""G7: the DNS fails while mail waits for many domains, and comes back.

Silence, failures, refusals, truncated and mangled answers, for longer than a retry takes to fail;
then an honest server. Nothing may be given up; everything goes out soon after, and not all at one
moment. An hour and its retries are compressed to seconds; the full form has 100,000 recipients
queued at once, in one outage of each kind. What is not as its zone signed it: `dnssec.py`.
"""

import asyncio
import random
import time

from merpati.api import operations as op
from merpati.api import questions as ask
from merpati.testing.zone import Fault, ZoneServer, serve_zone
from torture.generator import Door, Sent, Talk
from torture.oracle import compare
from torture.server import Setup, Victim
from torture.sink import Sink
from torture.torment import Batch, Outcome, Torment, nothing

FAULTS = (
    Fault.SERVFAIL,
    Fault.SILENT,
    Fault.TRUNCATED_TCP_DEAD,
    Fault.REFUSED,
    Fault.GARBAGE,
    Fault.TRUNCATED,
)
_EACH = 100
"""Recipients of a message, one domain each."""
_DOMAINS = 1000
_OUTAGE = 6.0
"""Seconds at least."""
_TRIES = 2
"""Of many recipients, until it is over."""
_TRIED_SECONDS = 120.0
"""For these tries: an answer that does not come is waited for in each."""
_DRAINED = 1200.0
"""Seconds from the recovery to an empty queue, at most."""
FIRST_SECONDS = 60.0
"""After the recovery, for the first delivery."""
_SPREAD = 200
"""Of so many retries at least it is seen how far they lie apart."""
_TABLES = """\
[dns]
servers = ["127.0.0.1:{dns}"]
[delivery]
mx_port = {port}
[queue]
retry = ["4s", "8s"]
[limits]
free_space = 0
"""


class Outage:
    """One, and what became of what was queued in it."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.sink = Sink()
        self.fault = FAULTS[batch.number % len(FAULTS)]
        self.domains = [f"d{n}.test" for n in range(min(_DOMAINS, batch.count))]
        self.flaws: list[str] = []
        self.asked = 0
        self.first = 0.0

    async def run(self) -> Outcome:
        """From the first message to the last delivery."""
        await self.sink.start()
        zone = "".join(f"{one} MX 10 mx.{one}\nmx.{one} A 127.0.0.1\n" for one in self.domains)
        async with serve_zone(zone) as dns:
            tables = _TABLES.format(dns=dns.address[1], port=self.sink.port)
            server = Victim(self.batch.folder, Setup("mx:", tables=tables))
            await asyncio.to_thread(server.populate)
            await asyncio.to_thread(server.start)
            await asyncio.to_thread(server.wait_greeting)
            try:
                sent = await self._suffer(server, dns)
                await server.drain(_DRAINED)
            finally:
                if await asyncio.to_thread(server.stop) != 0:
                    self.flaws.append("the stop failed")
                await self.sink.stop()
        if "Traceback" in server.log.read_text("utf-8", "replace"):
            self.flaws.append(f"a traceback in {server.log}")
        verdict = compare(sent, self.sink, interrupted=False)
        figures = (("first delivery after recovery, s", round(self.first, 1)),)
        tally = ((self.fault.name.lower(), self.batch.count), ("questions meanwhile", self.asked))
        return Outcome(len(sent.acknowledged), (verdict,), tuple(self.flaws), figures, tally)

    async def _suffer(self, server: Victim, dns: ZoneServer) -> Sent:
        """Queue without DNS, and wait until it is back."""
        dns.faults["*"] = self.fault
        begun = time.monotonic()
        sent = await put(server.doors[0], self.domains, self.batch)
        await asyncio.sleep(max(0.0, _OUTAGE - (time.monotonic() - begun)))
        # A truncated answer is asked for again by TCP: that is no outage.
        if self.fault is not Fault.TRUNCATED:
            if not await have_tried(server, min(_SPREAD, self.batch.count)):
                self.flaws.append(f"not tried {_TRIES} times in {_TRIED_SECONDS:g} s")
            if self.sink.taken:
                self.flaws.append(f"{len(self.sink.taken)} delivered without DNS")
            if (apart := await spread(server)) < 0.5:
                self.flaws.append(f"retries are due within {apart:.2f} s of one another")
        self.asked = len(dns.asked)
        del dns.faults["*"]
        self.first = await wait_first(self.sink)
        if self.first > FIRST_SECONDS:
            self.flaws.append(f"first delivery {self.first:.0f} s after the recovery")
        return sent


async def run(batch: Batch) -> Outcome:
    """One outage a batch, each of another kind."""
    return await Outage(batch).run()


async def put(door: Door, domains: list[str], batch: Batch) -> Sent:
    """Queue a message for every hundred recipients, over one connection."""
    sent = Sent()
    chance = random.Random(batch.seed)
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    talk = Talk(reader, writer, sent)
    await talk.expect(b"220")
    await talk.say(b"EHLO generator")
    for start in range(0, batch.count, _EACH):
        name = f"dns-{start}"
        locals_ = tuple(f"ok-{n}" for n in range(start, min(start + _EACH, batch.count)))
        await talk.say(b"MAIL FROM:<load@c.test>")
        addresses = tuple(
            f"{local}@{domains[n % len(domains)]}" for n, local in enumerate(locals_, start)
        )
        for address in addresses:
            talk.write(f"RCPT TO:<{address}>\r\n".encode())
        for _ in locals_:
            await talk.expect(b"250")
        await talk.say(b"DATA", b"354")
        body = b"%020d" % chance.getrandbits(60)
        talk.write(b"X-Torture: %s\r\n\r\n%s\r\n.\r\n" % (name.encode(), body))
        sent.put(name, addresses, body)
        await talk.expect(b"250")
        sent.acknowledged.update({(name, local): 0 for local in locals_})
    writer.close()
    return sent


async def have_tried(server: Victim, count: int, tries: int = _TRIES) -> bool:
    """Whether so many of the first in the queue were tried so often before time was over."""
    begun, starved = time.monotonic(), server.starved()
    while server.elapsed(begun, starved) < _TRIED_SECONDS:
        lines = await server.tell(op.QUEUE_LIST, ask.ListQueue(limit=1000))
        if sum(one.attempts >= tries for one in lines) >= count:
            return True
        await asyncio.sleep(0.2)
    return False


async def spread(server: Victim) -> float:
    """Seconds between the first and the last of some retries, all but the outermost twentieths."""
    lines = await server.tell(op.QUEUE_LIST, ask.ListQueue(limit=1000))
    # What had no attempt yet is due since it was taken, all at once.
    tried = [one for one in lines if one.attempts]
    dues = sorted(max(one.due, one.site_held_until or one.due).timestamp() for one in tried)
    edge = len(dues) // 20
    return dues[-1 - edge] - dues[edge] if dues else 0.0


async def wait_first(sink: Sink) -> float:
    """Seconds until something is taken."""
    begun = time.monotonic()
    for _ in range(1000):
        if sink.taken:
            break
        await asyncio.sleep(0.1)
    return time.monotonic() - begun


DNS = Torment(
    name="dns",
    guarantee="G7",
    counted="queued recipients",
    full=600_000,
    short=2000,
    size=100_000,
    run=run,
    missing=nothing,
)
