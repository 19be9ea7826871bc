"""G8: a thousand destinations that hold connections up, beside ten that work.

Tarpits speak an octet a second, say nothing, say nothing more behind the final dot, say 421 at each
step, or cut the connection at each step, before and behind the dot. Of two servers one has mail for
them. Both are given the same mail for healthy hosts, which they know, in turns of a second, for
longer than a host that failed once is left alone; all turns together may not take the one a tenth
longer than the other. In turns as short as that whatever else the machine does strikes both alike.
A single turn, the short form, tells nothing of speed: there all must arrive within a bound, which
it does not where tarpits hold all connections or all permits.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from enum import Enum
from pathlib import Path

from merpati.api import operations as op
from merpati.api import questions as ask
from merpati.api.questions import MAX_LISTED
from merpati.testing.zone import serve_zone
from torture.generator import SENDER, Generator, Pace, Sent, Talk
from torture.oracle import Verdict, compare
from torture.server import Setup, Victim
from torture.sink import Sink, Taken, read_message
from torture.torment import Batch, Outcome, Torment, nothing

_TURNS = 36
_MESSAGES = 1000
"""In each turn."""
_HEALTHY = 10
_STEPS = (b"greeting", b"EHLO", b"MAIL", b"RCPT", b"DATA", b"dot")
SHARE = 0.9
SECONDS = 15.0
"""A fifth of a turn, to hosts that are known, has arrived by then, but for the time in which other
work of the machine kept us waiting."""
_TABLES = """\
[dns]
servers = ["127.0.0.1:{dns}"]
[delivery]
mx_port = {port}
[queue]
retry = ["5s"]
[limits]
free_space = 0
"""


class Way(Enum):
    """How a host is hostile."""

    DRIP = "an octet a second"
    SILENCE = "nothing at all"
    LATE = "nothing more behind the final dot"
    BUSY = "421 at one step"
    CUT = "the connection ends at one step"


class Hosts(Sink):
    """127.0.0.1 is a healthy sink; every other address of loopback is hostile in its way."""

    hanging = 0
    """Connections that hostile ones hold up."""

    def __init__(self) -> None:
        super().__init__()
        self.trapped: list[Taken] = []
        """What hostile ones said yes to, all the same."""

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = writer.get_extra_info("sockname")[0]
        if address == "127.0.0.1":
            await super().converse(reader, writer)
            return
        number = int(address.rsplit(".", 1)[1]) + 256 * int(address.split(".")[2])
        way = list(Way)[number % len(Way)]
        step = _STEPS[number // len(Way) % len(_STEPS)]
        self.hanging += 1
        try:
            await self._torment(way, step, reader, writer)
        finally:
            self.hanging -= 1

    async def _torment(
        self, way: Way, step: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        verb, line = b"greeting", b""
        addresses: list[str] = []
        while True:
            while way is Way.SILENCE:
                if not await reader.read(65536):
                    return
            if verb == step and way is Way.CUT:
                return
            reply = b"421 4.3.2 busy" if verb == step and way is Way.BUSY else _reply(verb)
            if verb == b"dot" and reply.startswith(b"250"):
                self._trap(line, tuple(addresses))
            await _say(way, reply + b"\r\n", writer)
            if reply.startswith(b"421"):
                return
            is_body = verb == b"DATA"
            line = await (reader.readuntil(b"\r\n.\r\n") if is_body else reader.readline())
            if not line:
                return
            verb = b"dot" if is_body else line[:4].upper()
            if verb == b"RCPT":
                addresses.append(line.split(b"<", 1)[1].split(b">", 1)[0].decode())
            way = Way.SILENCE if way is Way.LATE and is_body else way

    def _trap(self, content: bytes, recipients: tuple[str, ...]) -> None:
        """Such a yes may be too slow to be heard: it may come again."""
        one = read_message(content[:-3], recipients, self.epoch, sender=SENDER)
        self.trapped.append(replace(one, is_in_doubt=True))


def _reply(verb: bytes) -> bytes:
    return {b"greeting": b"220 tarpit", b"DATA": b"354 go"}.get(verb, b"250 ok")


async def _say(way: Way, octets: bytes, writer: asyncio.StreamWriter) -> None:
    if way is not Way.DRIP:
        writer.write(octets)
        return
    for octet in octets:
        writer.write(bytes((octet,)))
        await writer.drain()
        await asyncio.sleep(1)


async def run(batch: Batch) -> Outcome:
    """Turns without and with tarpits."""
    is_whole = batch.count >= HOSTILE.full
    async with (
        standing(batch.folder / "without", 0) as without,
        standing(batch.folder / "beside", batch.count) as beside,
    ):
        for side in (without, beside):
            await side.load(-1, _MESSAGES // 5)
            side.seconds = side.busy = 0.0
        await beside.feed(batch.count)
        await asyncio.sleep(3)
        for turn in range(_TURNS if is_whole else 1):
            for side in (without, beside):
                await side.load(turn, _MESSAGES if is_whole else _MESSAGES // 5)
        if not beside.hanging:
            beside.flaws.append("no tarpit held anything up: this run shows nothing")
        await beside.see_stuck()
    share = without.seconds / beside.seconds
    flaws = [*without.flaws, *beside.flaws]
    if is_whole and share < SHARE:
        flaws.append(f"healthy hosts get {share:.0%} of what they get without tarpits")
    figures = (
        ("throughput beside tarpits, share", round(share, 3)),
        ("recipients at tarpits that wait at the end", float(beside.waiting)),
        ("slowest turn, s", round(beside.slowest, 1)),
        ("the server's CPU beside tarpits, times", round(beside.busy / without.busy, 3)),
    )
    return Outcome(batch.count, (without.verdict(), beside.verdict()), tuple(flaws), figures)


class Side:
    """One server, its hosts, and the load for the healthy ones of them."""

    def __init__(self, server: Victim, hosts: Hosts) -> None:
        self.flaws: list[str] = []
        self.seconds = 0.0
        """From the first message in to the last one out, all turns together."""
        self.slowest = 0.0
        """Of one turn."""
        self.busy = 0.0
        """Seconds of CPU that the server had for that."""
        self.stuck = Sent()
        """For tarpits."""
        self.waiting = 0
        """Of the recipients there, at the end."""
        domains = tuple(f"h{n}.test" for n in range(_HEALTHY))
        pace = Pace(20, 0, 0.0, ("ok",), (40,), domains)
        self._generator = Generator(server.doors[:1], 1, pace)
        self._server, self._hosts = server, hosts
        self._seen = self._arrived = 0

    async def load(self, turn: int, messages: int) -> None:
        """One turn."""
        self._generator.prefix = f"turn-{turn}"
        self._generator.refill(messages)
        begun, busy, starved = time.monotonic(), self._server.busy(), self._server.starved()
        await self._generator.run()
        wanted = len(self._generator.sent.acknowledged)
        for _ in range(12000):
            fresh = self._hosts.taken[self._seen :]
            self._seen += len(fresh)
            self._arrived += sum(len(one.recipients) for one in fresh)
            if self._arrived >= wanted:
                break
            await asyncio.sleep(0.01)
        else:
            self.flaws.append("healthy mail did not arrive in two minutes")
        seconds = time.monotonic() - begun
        self.seconds += seconds
        self.slowest = max(self.slowest, seconds)
        unhindered = self._server.elapsed(begun, starved)
        if messages < _MESSAGES and unhindered > SECONDS:
            self.flaws.append(f"healthy mail took {unhindered:.1f} s of {seconds:.1f} s")
        self.busy += self._server.busy() - busy

    @property
    def hanging(self) -> int:
        """How many of its connections tarpits hold up now."""
        return self._hosts.hanging

    async def feed(self, tarpits: int) -> None:
        """Mail for so many tarpits."""
        self.stuck = await _feed(self._server, tarpits)

    async def see_stuck(self) -> None:
        """What is for tarpits waits, as it should, or is owed as any other."""
        question = ask.ListQueue(limit=MAX_LISTED)
        # Whatever went between the two was trapped before it left the queue.
        waiting = {
            line.recipient.partition("@")[0]
            for line in await self._server.tell(op.QUEUE_LIST, question)
        }
        self.waiting = len(waiting)
        for key in [key for key in self.stuck.acknowledged if key[1] in waiting]:
            del self.stuck.acknowledged[key]

    def verdict(self) -> Verdict:
        """What healthy hosts were sent has come, once each, and nothing for a tarpit is gone."""
        sent = self._generator.sent
        sent.add(self.stuck)
        self._hosts.taken += self._hosts.trapped
        return compare(sent, self._hosts, interrupted=False)


@asynccontextmanager
async def standing(folder: Path, tarpits: int) -> AsyncIterator[Side]:
    """A server, in a world with so many tarpits."""
    hosts = Hosts()
    await hosts.start(host="0.0.0.0")
    async with serve_zone(_zone(tarpits)) as dns:
        tables = _TABLES.format(dns=dns.address[1], port=hosts.port)
        server = Victim(folder, Setup("mx:", tables=tables))
        side = Side(server, hosts)
        await asyncio.to_thread(server.populate)
        await asyncio.to_thread(server.start)
        await asyncio.to_thread(server.wait_greeting)
        try:
            yield side
        finally:
            await asyncio.to_thread(server.kill_all)
            await hosts.stop()
    if "Traceback" in server.log.read_text("utf-8", "replace"):
        side.flaws.append(f"a traceback in {server.log}")


def _zone(tarpits: int) -> str:
    healthy = "".join(
        f"h{n}.test MX 10 mx.h{n}.test\nmx.h{n}.test A 127.0.0.1\n" for n in range(_HEALTHY)
    )
    return healthy + "".join(
        f"t{n}.test MX 10 mx.t{n}.test\nmx.t{n}.test A 127.1.{n // 256}.{n % 256}\n"
        for n in range(tarpits)
    )


async def _feed(server: Victim, tarpits: int) -> Sent:
    """A message for each tarpit."""
    sent = Sent()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.doors[0].port)
    talk = Talk(reader, writer, sent)
    await talk.expect(b"220")
    await talk.say(b"EHLO generator")
    for start in range(0, tarpits, 100):
        name = f"stuck-{start}"
        numbers = range(start, min(start + 100, tarpits))
        locals_ = tuple(f"ok-t{n}" for n in numbers)
        await talk.say(b"MAIL FROM:<load@c.test>")
        for n in numbers:
            await talk.say(b"RCPT TO:<ok-t%d@t%d.test>" % (n, n))
        await talk.say(b"DATA", b"354")
        sent.put(name, tuple(f"ok-t{n}@t{n}.test" for n in numbers), b"x")
        talk.write(b"X-Torture: %s\r\n\r\nx\r\n.\r\n" % name.encode())
        await talk.expect(b"250")
        sent.acknowledged.update({(name, local): 0 for local in locals_})
    writer.close()
    return sent


HOSTILE = Torment(
    name="hostile",
    guarantee="G8",
    counted="tarpits",
    full=1000,
    short=100,
    size=1000,
    run=run,
    missing=nothing,
)
