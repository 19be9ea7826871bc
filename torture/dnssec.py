"""G7: zones whose signatures are broken, while mail for a thousand of their names is queued.

BIND serves three zones that promise TLS by DANE, an unbound that validates stands between, and the
sink has the very key that the TLSA records name. In one zone every signature has expired; in one
the TLSA records are other than what was signed; from one they were taken out. Whoever delivers to
any of them believes what nobody vouches for. Then the zones are mended: everything goes out soon
after, over TLS. An hour and its retries are compressed to seconds. The short form waits neither
for what unbound remembers of a broken zone nor for how long a host rests.
"""

import asyncio
import hashlib
import ssl
import time
from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from merpati.api import operations as op
from merpati.api import questions as ask
from merpati.clock import SystemClock
from merpati.testing.process import free_port
from merpati.wire.certificates import make_self_signed
from tests.interop.peers import Named, Unbound, find
from torture.dns import FIRST_SECONDS, have_tried, put
from torture.oracle import compare
from torture.server import Setup, Victim
from torture.sink import Sink
from torture.torment import Batch, Outcome, Torment

_ZONES = ("expired.test", "forged.test", "stripped.test")
_DOMAINS = 333
"""In each."""
_OUTAGE, _SHORT_OUTAGE = 12.0, 3.0
_PAST = "-P -s 20200101000000 -e 20200201000000"
_TABLES = """\
[dns]
servers = ["127.0.0.1:{dns}"]
trusted = true
[delivery]
mx_port = {port}
[queue]
retry = ["4s", "8s"]
[limits]
free_space = 0
"""


class Signers:
    """The three zones, their server and who validates them."""

    def __init__(self, folder: Path, domains: int, port: int, key: str) -> None:
        self._named = Named(folder / "named", free_port())
        self._unbound = Unbound(folder / "unbound", free_port())
        self._key = key.upper()
        names = "".join(
            f"d{n} MX 10 mx.d{n}\nmx.d{n} A 127.0.0.1\n_{port}._tcp.mx.d{n} TLSA 3 1 1 {key}\n"
            for n in range(domains)
        )
        for zone in _ZONES:
            self._named.add(zone, names, options="-O full")
        self.port = self._unbound.port

    def start(self) -> None:
        """Serve them broken."""
        self._named.sign("expired.test", f"-O full {_PAST}")
        self._spoil("forged.test", lambda text: text.replace(self._key[-8:], "0" * 8))
        self._spoil("stripped.test", _without_tlsa)
        self._named.start()
        self._unbound.start(self._named)

    def _spoil(self, zone: str, spoil: Callable[[str], str]) -> None:
        file = self._named.folder / f"{zone}.zone.signed"
        text = file.read_text()
        spoiled = spoil(text)
        assert spoiled != text, f"{zone} is as it was"
        file.write_text(spoiled)

    def mend(self) -> None:
        """Sign them well, with the keys that they had."""
        self._named.stop()
        for zone in _ZONES:
            self._named.sign(zone, "-O full")
        self._named.start()

    def forget(self) -> None:
        """Let the one who validates begin anew."""
        self._unbound.stop()
        self._unbound.start(self._named)

    def stop(self) -> None:
        """Serve nothing more."""
        self._unbound.stop()
        self._named.stop()


def _without_tlsa(text: str) -> str:
    """Without the records, and without what says that there are some."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("_")) + "\n"


class Bogus:
    """One such time, and what became of what was queued in it."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._pair = (batch.folder / "sink.pem", batch.folder / "sink.key")
        make_self_signed(*self._pair, SystemClock(), ["sink.test"])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self._pair)
        self.sink = Sink(tls=context)
        self.flaws: list[str] = []
        self.first: dict[str, float] = {}
        """Seconds from the mending of a zone to the first delivery there."""
        self._is_whole = batch.count >= DNSSEC.full

    async def run(self) -> Outcome:
        """From the first message to the last delivery."""
        await self.sink.start()
        count = max(1, min(_DOMAINS, self._batch.count // len(_ZONES)))
        signers = Signers(self._batch.folder, count, self.sink.port, _digest(self._pair[0]))
        await asyncio.to_thread(signers.start)
        tables = _TABLES.format(dns=signers.port, port=self.sink.port)
        server = Victim(self._batch.folder, Setup("mx:", tls="opportunistic", tables=tables))
        try:
            await asyncio.to_thread(server.populate)
            await asyncio.to_thread(server.start)
            await asyncio.to_thread(server.wait_greeting)
            domains = [f"d{n}.{zone}" for n in range(count) for zone in _ZONES]
            sent = await put(server.doors[0], domains, self._batch)
            await self._suffer(server)
            await asyncio.to_thread(signers.mend)
            await (self._see_first() if self._is_whole else asyncio.to_thread(signers.forget))
            # The short form has no time for the minutes that sites rest which failed.
            await server.drain(600, hurried=not self._is_whole)
        finally:
            if await asyncio.to_thread(server.stop) != 0:
                self.flaws.append("the stop failed")
            await asyncio.to_thread(signers.stop)
            await self.sink.stop()
        if "Traceback" in server.log.read_text("utf-8", "replace"):
            self.flaws.append(f"a traceback in {server.log}")
        if self.sink.plain:
            self.flaws.append(f"{self.sink.plain} transactions without TLS")
        verdict = compare(sent, self.sink, interrupted=False)
        return Outcome(len(sent.acknowledged), (verdict,), tuple(self.flaws), self._figures())

    async def _suffer(self, server: Victim) -> None:
        """What is queued stays queued, and it is known why."""
        await asyncio.sleep(_OUTAGE if self._is_whole else _SHORT_OUTAGE)
        await have_tried(server, len(_ZONES), tries=1)
        if self.sink.taken:
            self.flaws.append(f"{len(self.sink.taken)} delivered on the word of a broken zone")
        lines = await server.tell(op.QUEUE_LIST, ask.ListQueue(limit=1000))
        told = {line.reply for line in lines if line.attempts}
        if not told or not all("bogus" in reply for reply in told):
            self.flaws.append(f"why it waits: {sorted(told)[:3]}")

    async def _see_first(self) -> None:
        """Mail of each zone has to begin to go."""
        begun = time.monotonic()
        while len(self.first) < len(_ZONES) and time.monotonic() < begun + 2 * FIRST_SECONDS:
            await asyncio.sleep(0.1)
            numbers = {int(local[3:]) for one in self.sink.taken for local in one.recipients}
            for zone in {_ZONES[n % len(_ZONES)] for n in numbers} - self.first.keys():
                self.first[zone] = time.monotonic() - begun
        if len(self.first) < len(_ZONES) or max(self.first.values()) > FIRST_SECONDS:
            self.flaws.append(f"seconds from the mending to the first delivery: {self.first}")

    def _figures(self) -> tuple[tuple[str, float], ...]:
        return tuple((f"first for {zone}, s", round(at, 1)) for zone, at in self.first.items())


def _digest(certificate: Path) -> str:
    """Of its key: what `3 1 1` says."""
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    return hashlib.sha256(
        key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ).hexdigest()


def missing() -> str:
    """Who is not there to serve and to validate."""
    absent = [name for name in ("named", "dnssec-signzone", "unbound") if find(name) is None]
    return f"{', '.join(absent)} not installed" if absent else ""


async def run(batch: Batch) -> Outcome:
    """One such time a batch."""
    return await Bogus(batch).run()


DNSSEC = Torment(
    name="dnssec",
    guarantee="G7",
    counted="queued recipients",
    full=20_000,
    short=30,
    size=20_000,
    run=run,
    missing=missing,
)
