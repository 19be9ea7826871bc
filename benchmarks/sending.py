"""What sending costs once mail is stored: CPU a message on the loop, and on the other threads.

Run: python -m benchmarks.sending [messages] [rounds]

The dispatcher, the store on disk, the conversations, the counting and the writing of events are the
server's own. The far end lies in memory and answers a turn of the loop later, so that no network is
measured. The best of the rounds is printed: what disturbs only ever adds.
"""

import asyncio
import gc
import io
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks.outward import BODY, Destination, Outward, opened
from benchmarks.stream import AlwaysReady
from merpati.delivery.transaction import Host
from merpati.report.logs import EventLog
from merpati.report.metrics import Metrics
from merpati.report.reader import Reader, Taker

HELLO = b"250-mx\r\n250-PIPELINING\r\n250-SIZE 10485760\r\n250-8BITMIME\r\n250 DSN\r\n"
FIRST = b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 End data with <CRLF>.<CRLF>\r\n"
ENVELOPE = b"250 2.0.0 Ok\r\n" + FIRST
VERDICT = b"250 2.0.0 Ok: queued as 4XYZ12345\r\n"


class FarEnd(AlwaysReady):
    """A Stream to a server without CHUNKING, such as smtp-sink; it answers in the next turn."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reply = b"220 mx\r\n"

    async def read(self) -> bytes:
        turn = self._loop.create_future()
        self._loop.call_soon(turn.set_result, None)
        await turn
        return self._reply

    def write(self, octets: bytes) -> None:
        """What comes back for this."""
        if octets.startswith(b"EHLO"):
            self._reply = HELLO
        elif octets.startswith(b"QUIT"):
            self._reply = b"221 bye\r\n"
        elif len(octets) < BODY.size:
            self._reply = ENVELOPE if octets.startswith(b"RSET") else FIRST
        else:
            self._reply = VERDICT if octets.endswith(b"\n.\r\n") else VERDICT + ENVELOPE


async def dial(host: Host, seconds: float) -> FarEnd:
    return FarEnd()


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU of one round, microseconds a message."""

    loop: float
    others: float


async def send(outward: Outward, count: int) -> Cost:
    """Store so many messages, then measure until the last one is settled."""
    await outward.put(count)
    takers: list[Taker] = [Metrics(), EventLog(io.BytesIO())]
    reader = Reader(outward.journal, takers, outward.clock, await outward.journal.last())
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    loop, process = time.thread_time(), time.process_time()
    reading = asyncio.create_task(reader.run())
    async with outward.sending(Destination("smtp://192.0.2.1:25", dial)):
        await outward.wait_empty()
        loop, process = time.thread_time() - loop, time.process_time() - process
    reading.cancel()
    return Cost(loop / count * 1e6, (process - loop) / count * 1e6)


async def measure(count: int) -> Cost:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        async with opened(Path(folder)) as outward:
            return await send(outward, count)


def main(count: int = 1000, rounds: int = 15) -> None:
    """Print the best of the rounds."""
    costs = [uvloop.run(measure(count)) for _ in range(rounds)]
    loop, others = min(cost.loop for cost in costs), min(cost.others for cost in costs)
    print(f"loop {loop:.0f} us, other threads {others:.0f} us a message of 10 KB")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
