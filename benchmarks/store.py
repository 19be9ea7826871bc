"""What accepting and settling costs the store: CPU and time a message, by messages a commit.

Run: python -m benchmarks.store
"""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from merpati.journal.store import JournalStore
from merpati.mail.envelope import Body
from merpati.queue.entry import Settlement, State
from merpati.queue.store import QueueStore
from merpati.storage.connection import StorageSettings
from merpati.storage.database import Database
from merpati.testing.clock import VirtualClock
from merpati.testing.conformance.bench import NOW, accepted, an_entry

MESSAGES = {1: 300, 10: 2_000, 50: 5_000}
BODY = Body((b"x" * 10_000,))
ROUNDS = 3


async def measure(path: Path, group: int, total: int) -> tuple[float, float, float, float]:
    """CPU and wall microseconds a message: accept, then settle."""
    database = Database(StorageSettings(path, hold=0.0, ride=0.05, riders=group))
    await database.open()
    queue = QueueStore(database, JournalStore(database), VirtualClock(NOW))
    await queue.open()
    accept = settle = (0.0, 0.0)
    for first in range(0, total, group):
        entries = [an_entry(number) for number in range(first, first + group)]
        start = time.process_time(), time.perf_counter()
        await asyncio.gather(*(queue.put(entry, BODY, [accepted(entry)]) for entry in entries))
        accept = _add(accept, start)
        claims = await queue.claim(NOW, group)
        start = time.process_time(), time.perf_counter()
        await asyncio.gather(
            *(queue.settle([Settlement(one.entry.id, 0, State.DELIVERED)]) for one in claims)
        )
        settle = _add(settle, start)
    await database.close()
    cpu, wall = (1e6 * one / total for one in accept)
    settle_cpu, settle_wall = (1e6 * one / total for one in settle)
    return cpu, wall, settle_cpu, settle_wall


def _add(sums: tuple[float, float], start: tuple[float, float]) -> tuple[float, float]:
    return (
        sums[0] + time.process_time() - start[0],
        sums[1] + time.perf_counter() - start[1],
    )


def main() -> None:
    """Print the medians."""
    print("us a message, 10 KB   accept cpu (wall)   settle cpu (wall)")
    for group, total in MESSAGES.items():
        rounds = []
        for _ in range(ROUNDS):
            with tempfile.TemporaryDirectory() as folder:
                rounds.append(asyncio.run(measure(Path(folder) / "0.db", group, total)))
        cpu, wall, settle_cpu, settle_wall = map(statistics.median, zip(*rounds, strict=True))
        print(f"g={group:<3} {cpu:20.0f} ({wall:.0f}) {settle_cpu:14.0f} ({settle_wall:.0f})")


if __name__ == "__main__":
    main()
