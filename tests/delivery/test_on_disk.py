"""The dispatcher over the real store, in real time: nothing is left over, nothing goes twice."""

import asyncio
from collections import Counter

import pytest

from merpati.clock import SystemClock
from merpati.journal.events import Delivered, SiteHeld
from merpati.journal.store import JournalStore
from merpati.mail.envelope import Body
from merpati.queue.store import QueueStore
from merpati.storage.connection import StorageSettings
from merpati.storage.database import Database
from merpati.testing.deliveries import ScriptedHost, an_entry

pytestmark = pytest.mark.slow

SMARTHOST = "smtp://192.0.2.1:25"


@pytest.fixture
async def on_disk(make_world, tmp_path):
    """A world over SQLite, by the system's clock."""
    clock = SystemClock()
    database = Database(StorageSettings(tmp_path / "0.db"), clock)
    await database.open()
    world = make_world(clock=clock, hosts={}, routes=(SMARTHOST,))
    world.journal = JournalStore(database)
    world.queue = QueueStore(database, world.journal, clock)
    await world.queue.open()
    yield world
    await database.close()


async def everything_gone(world):
    async with asyncio.timeout(90):
        while sum((await world.queue.count()).values()):
            await asyncio.sleep(0.02)


async def put(world, count, domains, start=0):
    now = world.clock.now()
    body = Body((b"Subject: x\r\n\r\n", b"y" * 10_000 + b"\r\n"))
    entries = [an_entry(start + n, f"u@d{n % domains}.test", now=now) for n in range(count)]
    await asyncio.gather(*(world.queue.put(entry, body) for entry in entries))


async def test_everything_is_sent_once(on_disk):
    host = on_disk.hosts["192.0.2.1"] = ScriptedHost(seconds=0.0)
    dispatcher = on_disk.build()
    async with asyncio.TaskGroup() as group:
        group.create_task(dispatcher.run())
        await put(on_disk, 600, domains=40)
        await everything_gone(on_disk)
        dispatcher.stop()
    times = Counter(one.entry.id for one in host.received)
    assert (len(times), set(times.values())) == (600, {1})
    assert len(await on_disk.events(Delivered)) == 600


async def test_a_cohort_on_hold_is_not_touched_and_goes_when_it_is_resumed(on_disk):
    dispatcher = on_disk.build()
    async with asyncio.TaskGroup() as group:
        group.create_task(dispatcher.run())
        await put(on_disk, 300, domains=30)
        async with asyncio.timeout(90):
            while not await on_disk.queue.held():
                await asyncio.sleep(0.02)
        await put(on_disk, 100, domains=30, start=1000)
        await asyncio.sleep(1.2)
        assert len(on_disk.talker.tried) <= 2
        assert len(await on_disk.events(SiteHeld)) == 1
        on_disk.hosts["192.0.2.1"] = host = ScriptedHost(seconds=0.0)
        await on_disk.queue.hold(SMARTHOST, 0.0, "")
        dispatcher.resume(SMARTHOST)
        async with asyncio.timeout(90):
            # What was tried before waits for its own retry.
            while len(host.received) < 100:
                await asyncio.sleep(0.02)
        dispatcher.stop()
    assert max(Counter(one.entry.id for one in host.received).values()) == 1
