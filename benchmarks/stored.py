"""What it costs to check and to copy what is stored.

Run: python -m benchmarks.stored
"""

import asyncio
import os
import resource
import tempfile
import time
import zlib
from pathlib import Path
from timeit import repeat

from merpati.config.places import Places
from merpati.mail.envelope import Body
from merpati.system.backup import back_up
from merpati.system.stores import open_stores
from merpati.system.verifying import verify
from merpati.testing.clock import VirtualClock
from merpati.testing.conformance.bench import NOW, accepted, an_entry

MESSAGES = 20_000
BODY = os.urandom(10_240)


async def fill(places: Places) -> None:
    """Messages for 5,000 domains."""
    async with open_stores(places, VirtualClock(NOW)) as stores:
        for first in range(0, MESSAGES, 200):
            entries = [
                an_entry(n, f"u@d{n % 5000}.test", size=len(BODY))
                for n in range(first, first + 200)
            ]
            body = Body((BODY,))
            await asyncio.gather(*(stores.queue.put(one, body, [accepted(one)]) for one in entries))


def main() -> None:
    """Print the figures."""
    print(f"checksum of 10 KB: {min(repeat(lambda: zlib.crc32(BODY), number=2_000)) * 500:.1f} us")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        places = Places(Path(folder) / "data")
        places.data.mkdir()
        asyncio.run(fill(places))
        cpu, wall = time.process_time(), time.perf_counter()
        findings = list(verify(places, lambda things, number: None))
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        each = cpu / MESSAGES * 1e6
        print(f"verify: {len(findings)} findings, {each:.0f} us CPU a message, {wall:.1f} s")
        wall = time.perf_counter()
        back_up(places, b"", Path(folder) / "backup", NOW)
        octets = places.queue().stat().st_size / 1e6
        print(f"backup: {octets:.0f} MB in {time.perf_counter() - wall:.1f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"memory at most, filling included: {peak} MiB")


if __name__ == "__main__":
    main()
