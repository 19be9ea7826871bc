"""G8: a thousand destinations that hold connections up, beside ten that work.

Tarpits speak an octet a second, say nothing, say 421 at each step, or cut the connection at each
step, before and behind the final dot. What goes to healthy hosts is timed with and without them, in
turns, each with a server of its own; the medians may not differ by more than a tenth.
"""

import asyncio
import statistics
import time
from enum import Enum
from pathlib import Path

from merpati.testing.zone import serve_zone
from torture.generator import Generator, Pace, Sent, Talk
from torture.oracle import Verdict, compare
from torture.server import Setup, Victim
from torture.sink import Sink
from torture.torment import Batch, Outcome, Torment, nothing

ROUNDS = 3
_MESSAGES = 2000
_HEALTHY = 10
_STEPS = (b"greeting", b"EHLO", b"MAIL", b"RCPT", b"DATA", b"dot")
SHARE = 0.9
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
    BUSY = "421 at one step"
    CUT = "the connection ends at one step"


class Hosts(Sink):
    """127.0.0.1 is a healthy sink; every other address of loopback is hostile in its way."""

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = writer.get_extra_info("sockname")[0]
        if address == "127.0.0.1":
            await super().converse(reader, writer)
            return
        number = int(address.rsplit(".", 1)[1]) + 256 * int(address.split(".")[2])
        way = list(Way)[number % len(Way)]
        step = _STEPS[number // len(Way) % len(_STEPS)]
        await _torment(way, step, reader, writer)


async def _torment(
    way: Way, step: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    while way is Way.SILENCE:
        if not await reader.read(65536):
            return
    verb, line = b"greeting", b""
    while True:
        if verb == step and way is Way.CUT:
            return
        reply = b"421 4.3.2 busy" if verb == step and way is Way.BUSY else _reply(verb)
        await _say(way, reply + b"\r\n", writer)
        if reply.startswith(b"421"):
            return
        is_body = verb == b"DATA"
        line = await (reader.readuntil(b"\r\n.\r\n") if is_body else reader.readline())
        if not line:
            return
        verb = b"dot" if is_body else line[:4].upper()


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
    """Rounds without and with tarpits in turn."""
    seconds: dict[bool, list[float]] = {False: [], True: []}
    verdicts: list[Verdict] = []
    flaws: list[str] = []
    is_whole = batch.count >= HOSTILE.full
    for turn in range(ROUNDS if is_whole else 1):
        for is_tormented in (False, True):
            folder = batch.folder / f"{turn}-{is_tormented}"
            round_ = Round(folder, batch.count if is_tormented else 0, is_whole)
            seconds[is_tormented].append(await round_.run())
            verdicts.append(round_.verdict)
            flaws += round_.flaws
    share = statistics.median(seconds[False]) / statistics.median(seconds[True])
    # A single round on a busy machine tells nothing of speed: there it must only arrive.
    if is_whole and share < SHARE:
        flaws.append(f"healthy hosts get {share:.0%} of what they get without tarpits")
    figures = (("throughput beside tarpits, share", round(share, 2)),)
    return Outcome(batch.count, tuple(verdicts), tuple(flaws), figures)


class Round:
    """One server, some tarpits, and the same load for healthy hosts."""

    def __init__(self, folder: Path, tarpits: int, is_whole: bool) -> None:
        self.flaws: list[str] = []
        self._folder = folder
        self._tarpits = tarpits
        self._messages = _MESSAGES if is_whole else _MESSAGES // 10

    async def run(self) -> float:
        """Seconds that the healthy load took from the first message in to the last one out."""
        hosts = Hosts()
        await hosts.start(host="0.0.0.0")
        async with serve_zone(_zone(self._tarpits)) as dns:
            tables = _TABLES.format(dns=dns.address[1], port=hosts.port)
            server = Victim(self._folder, Setup("mx:", tables=tables))
            await asyncio.to_thread(server.populate)
            await asyncio.to_thread(server.start)
            await asyncio.to_thread(server.wait_greeting)
            try:
                stuck = await _feed(server, self._tarpits)
                await asyncio.sleep(3 if self._tarpits else 0)
                seconds, sent = await self._load(server, hosts)
            finally:
                await asyncio.to_thread(server.kill_all)
                await hosts.stop()
        if "Traceback" in server.log.read_text("utf-8", "replace"):
            self.flaws.append(f"a traceback in {server.log}")
        stuck.acknowledged.clear()  # They wait, as they should.
        sent.add(stuck)
        self.verdict = compare(sent, hosts, interrupted=False)
        return seconds

    async def _load(self, server: Victim, hosts: Hosts) -> tuple[float, Sent]:
        domains = tuple(f"h{n}.test" for n in range(_HEALTHY))
        pace = Pace(20, self._messages, 0.0, ("ok",), (40,), domains)
        generator = Generator(server.doors[:1], 1, pace)
        before = len(hosts.taken)
        begun = time.monotonic()
        await generator.run()
        wanted = len(generator.sent.acknowledged)
        for _ in range(6000):
            if sum(len(one.recipients) for one in hosts.taken[before:]) >= wanted:
                break
            await asyncio.sleep(0.02)
        else:
            self.flaws.append("healthy mail did not arrive in two minutes")
        return time.monotonic() - begun, generator.sent


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
    if not tarpits:
        return sent
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
        sent.put(name, locals_, b"x")
        talk.write(b"X-Torture: %s\r\n\r\nx\r\n.\r\n" % name.encode())
        await talk.expect(b"250")
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
