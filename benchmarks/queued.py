"""A long queue in the store alone: what it costs to accept, claim and search beside waiting mail.

Run: python -m benchmarks.queued [--recipients N] [--domains N]; benchmarks.million has the system.
"""

import argparse
import asyncio
import resource
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from merpati.journal.store import JournalStore
from merpati.mail.address import Address
from merpati.mail.envelope import Body
from merpati.queue.entry import Claim, Entry, Selection, Settlement, State
from merpati.queue.store import QueueSettings, QueueStore
from merpati.storage.connection import StorageSettings
from merpati.storage.database import Database
from merpati.testing.clock import VirtualClock
from merpati.testing.conformance.bench import NOW, accepted, an_entry

BODY = Body((b"x" * 500,))
LARGER = Body((b"x" * 10_000,))
AT_ONCE = 50
ACCEPTED = 4_000
SENDERS = 1_000
LATER = NOW + 600


@asynccontextmanager
async def opened(path: Path, settings: QueueSettings | None = None) -> AsyncIterator[QueueStore]:
    """The queue of a file, as a start of the server finds it."""
    database = Database(StorageSettings(path, hold=0.0, ride=0.0))
    await database.open()
    queue = QueueStore(database, JournalStore(database), VirtualClock(NOW), settings)
    await queue.open()
    try:
        yield queue
    finally:
        await database.close()


def waiting_entry(number: int, domains: int) -> Entry:
    """One of the many: every twentieth is due now, the rest later."""
    release_at = None if number % 20 == 0 else LATER
    sender = Address(f"s{number % SENDERS}", "a.test")
    to = f"u{number}@d{number % domains}.test"
    return an_entry(number, to, sender=sender, release_at=release_at)


async def fill(path: Path, recipients: int, domains: int) -> None:
    """Put them all straight into the file, none in hand."""
    async with opened(path, QueueSettings(in_hand=0)) as queue:
        for first in range(0, recipients, AT_ONCE * 5):
            numbers = range(first, min(first + AT_ONCE * 5, recipients))
            entries = [waiting_entry(number, domains) for number in numbers]
            await asyncio.gather(*(queue.put(one, BODY, [accepted(one)]) for one in entries))


async def accept(queue: QueueStore, first: int) -> float:
    """Fresh messages a second, in hand, each delivered at once."""
    seconds = 0.0
    for start in range(first, first + ACCEPTED, AT_ONCE):
        entries = [an_entry(n, f"u{n}@healthy.test") for n in range(start, start + AT_ONCE)]
        began = time.perf_counter()
        await asyncio.gather(*(queue.put(one, LARGER, [accepted(one)]) for one in entries))
        seconds += time.perf_counter() - began
        await settle(queue, await queue.claim(NOW - 1, AT_ONCE), State.DELIVERED)
    return ACCEPTED / seconds


async def settle(queue: QueueStore, claims: list[Claim], state: State) -> None:
    """The same end for all."""
    await queue.settle(
        [Settlement(c.entry.id, row.n, state, due=LATER) for c in claims for row in c.recipients]
    )


async def timed(ask: Callable[[], Awaitable[object]], times: int = 5) -> float:
    """Milliseconds, the median."""
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        await ask()
        spent.append((time.perf_counter() - began) * 1e3)
    return statistics.median(spent)


async def claims(queue: QueueStore, rounds: int = 5) -> tuple[float, float]:
    """Microseconds a recipient: claim what is due, and put it off."""
    claim, put_off, count = 0.0, 0.0, 0
    for _ in range(rounds):
        began = time.perf_counter()
        found = await queue.claim(NOW, 1_000)
        claim += time.perf_counter() - began
        began = time.perf_counter()
        await settle(queue, found, State.WAITING)
        put_off += time.perf_counter() - began
        count += len(found)
    return 1e6 * claim / max(count, 1), 1e6 * put_off / max(count, 1)


def show(name: str, figure: float, unit: str) -> None:
    """One line."""
    print(f"{name:<44} {figure:10.1f} {unit}", flush=True)


async def measure(folder: Path, recipients: int, domains: int) -> None:
    """Everything, in one file."""
    path = folder / "0.db"
    async with opened(folder / "empty.db") as queue:
        show("accept, beside nothing", await accept(queue, 0), "messages/s")
    began = time.perf_counter()
    await fill(path, recipients, domains)
    show("fill, straight into the file", recipients / (time.perf_counter() - began), "messages/s")
    began = time.perf_counter()
    async with opened(path) as queue:
        show("open", (time.perf_counter() - began) * 1e3, "ms")
        await queue.claim(NOW, 20)
        show("open to first claim", (time.perf_counter() - began) * 1e3, "ms")
        show("accept, beside it all", await accept(queue, recipients), "messages/s")
        claim, put_off = await claims(queue)
        show("claim", claim, "us a recipient")
        show("put off", put_off, "us a recipient")
        await search(queue)
        show("hold one site", await timed(lambda: queue.hold("d1.test", LATER, "down")), "ms")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    show("peak memory", peak, "MiB")


async def search(queue: QueueStore) -> None:
    """First pages of 50, as an operator asks for them."""
    for name, selection in (
        ("everything", Selection()),
        ("a domain", Selection(domain="d7.test")),
        ("a sender", Selection(sender="s7@a.test")),
        ("a sender's domain", Selection(sender="@a.test")),
        ("an address", Selection(recipient="u7@d7.test", domain="d7.test")),
        ("what is held", Selection(state=State.HELD)),
        ("what waits", Selection(state=State.WAITING)),
    ):
        ask = lambda selection=selection: queue.search(selection, 50)  # noqa: E731
        show(f"search, first page: {name}", await timed(ask), "ms")
    show("count", await timed(queue.count), "ms")


def main() -> None:
    """Fill a file in a folder that is removed afterwards, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipients", type=int, default=100_000)
    parser.add_argument("--domains", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="merpati-queued-") as folder:
        asyncio.run(measure(Path(folder), options.recipients, options.domains))


if __name__ == "__main__":
    main()
