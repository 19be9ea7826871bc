"""What sending costs: CPU a message of the client's protocol core, and with a conversation around.

python -m benchmarks.client [seconds for each row]

The server is a string: it says what would come back, so that nothing but our side is measured. The
conversation talks over a stream in memory that answers at once, without any event loop's I/O.
"""

import asyncio
import sys
import time
from collections.abc import Sequence

from benchmarks.stream import AlwaysReady
from merpati.clock import SystemClock
from merpati.delivery.conversation import Conversation, Surroundings
from merpati.delivery.lesson import SiteMemory
from merpati.delivery.link import ConversationSettings
from merpati.delivery.outcome import Outcome
from merpati.delivery.security import decide
from merpati.delivery.transaction import Host, TlsDemand, Transaction, Way
from merpati.mail.address import Address
from merpati.mail.envelope import Body, Envelope, Recipient
from merpati.mail.trace import Client
from merpati.queue.entry import Entry, State, Waiting
from merpati.smtp.client import ClientConnection, ClientSettings
from merpati.smtp.outgoing import Outgoing, Shelter, hindrance
from merpati.smtp.rung import Rung

LINE = b"x" * 76 + b"\r\n"
BODY = LINE * (10 * 1024 // len(LINE))
HELLO = (
    b"250-mx\r\n250-PIPELINING\r\n250-SIZE 10485760\r\n250-8BITMIME\r\n250-DSN\r\n250 CHUNKING\r\n"
)
ENVELOPE = b"250 2.0.0 Ok\r\n250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n"
VERDICT = b"250 2.0.0 Ok: queued as 4XYZ12345\r\n"
ANN, BOB = Address.parse("ann@a.test"), Address.parse("bob@b.test")
OUTGOING = Outgoing(Envelope(ANN), (Recipient(BOB),), len(BODY))
COUNT = 500


def a_client(rung: Rung) -> ClientConnection:
    client = ClientConnection(ClientSettings("bench.test"), rung)
    client.receive(b"220 mx\r\n")
    client.next_event()
    client.hello()
    client.receive(HELLO)
    client.next_event()
    client.take()
    return client


def core(rung: Rung, seconds: float) -> float:
    """Microseconds a message of the core alone, looking ahead."""
    go = b"" if rung is Rung.BDAT_LOOKAHEAD else b"354 go\r\n"
    best = float("inf")
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        client = a_client(rung)
        client.begin(OUTGOING)
        client.receive(ENVELOPE.partition(b"\n")[2] + go)
        client.next_event()
        began = time.process_time()
        for _ in range(COUNT):
            client.write_body(BODY)
            client.finish_body()
            assert hindrance(OUTGOING, client.capabilities, Shelter.NONE) is None
            client.begin(OUTGOING)
            client.take()
            client.receive(VERDICT + ENVELOPE + go)
            client.next_event()
            client.next_event()
        best = min(best, (time.process_time() - began) / COUNT)
    return best * 1e6


class Echo(AlwaysReady):
    """A Stream whose far end has always just answered."""

    def __init__(self, rung: Rung) -> None:
        self._go = b"" if rung is Rung.BDAT_LOOKAHEAD else b"354 go\r\n"
        self._reply = b"220 mx\r\n"

    async def read(self) -> bytes:
        return self._reply

    def write(self, octets: bytes) -> None:
        """What comes back for this."""
        if octets.startswith(b"EHLO"):
            self._reply = HELLO
        elif octets.startswith(b"QUIT"):
            self._reply = b"221 bye\r\n"
        elif len(octets) < len(BODY):
            self._reply = ENVELOPE.partition(b"\n")[2] + self._go
        elif len(octets) - len(BODY) < 40:
            self._reply = VERDICT
        else:
            self._reply = VERDICT + ENVELOPE + self._go


class Plenty:
    """A Source with so many messages."""

    def __init__(self, messages: list[Transaction]) -> None:
        self._messages = messages
        self.delivered = 0

    def next(self) -> Transaction | None:
        return self._messages.pop() if self._messages else None

    async def wait_next(self, seconds: float) -> Transaction | None:
        return None

    async def permit(self) -> None:
        return

    def finished(self, transaction: Transaction, outcomes: Sequence[Outcome]) -> None:
        self.delivered += outcomes[0].result.value == "delivered"


def messages(count: int) -> list[Transaction]:
    body = Body((BODY,))
    waiting = (Waiting(0, Recipient(BOB), State.IN_HAND, 0.0),)
    envelope = Envelope(ANN, (Recipient(BOB),))
    entry = Entry(
        id="01JBENCH000000000000000000",
        received=0.0,
        expires=1.0,
        envelope=envelope,
        client=Client("192.0.2.1"),
        size=len(BODY),
    )
    return [Transaction(entry, waiting, body) for _ in range(count)]


async def converse(rung: Rung, seconds: float) -> float:
    """Microseconds a message of a whole conversation."""
    way = Way("b.test", "mx", tls=TlsDemand.OFF)
    host = Host("mx.b.test", "192.0.2.2")

    async def dial(host: Host, seconds: float) -> Echo:
        return Echo(rung)

    around = Surroundings(
        ConversationSettings("bench.test"),
        dial,
        SystemClock(),
        lambda count: b"e" * count,
        lambda event: None,
        lambda lesson: None,
    )
    best = float("inf")
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        source = Plenty(messages(COUNT))
        conversation = Conversation(way, host, decide(way, host), around, SiteMemory(rung))
        assert await conversation.open() is None
        began = time.process_time()
        await conversation.run(source)
        best = min(best, (time.process_time() - began) / COUNT)
        assert source.delivered == COUNT
    return best * 1e6


def main(seconds: float) -> None:
    for name, rung in (
        ("BDAT lookahead", Rung.BDAT_LOOKAHEAD),
        ("DATA lookahead", Rung.DATA_LOOKAHEAD),
    ):
        print(f"{name}, core          {core(rung, seconds):8.1f} us a message of 10 KB")
        together = asyncio.run(converse(rung, seconds))
        print(f"{name}, conversation  {together:8.1f} us a message of 10 KB")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
