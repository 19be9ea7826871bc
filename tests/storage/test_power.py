"""The power is cut at any moment: what was acknowledged is there, whole; and syncing is why."""

from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from merpati.journal.store import JournalStore
from merpati.mail.envelope import Body
from merpati.queue.entry import Entry, Selection, Settlement, State
from merpati.queue.queue import Draft
from merpati.queue.store import QueueStore
from merpati.storage.connection import StorageSettings
from merpati.storage.database import Database
from merpati.storage.errors import StorageError
from merpati.testing.clock import VirtualClock
from merpati.testing.conformance.bench import NOW, accepted, an_entry
from merpati.testing.power import Picture, PowerDisk, restore

pytestmark = pytest.mark.slow

CUTS = 120


@dataclass(slots=True)
class Promises:
    """What the queue has said so far."""

    acknowledged: list[str] = field(default_factory=list)
    settling: list[str] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)

    def copy(self) -> "Promises":
        return Promises(list(self.acknowledged), list(self.settling), list(self.finished))


@dataclass(slots=True)
class Recorder:
    """Pictures of the device at some of its operations, each with what was promised by then."""

    chance: Random
    promises: Promises = field(default_factory=Promises)
    pictures: list[tuple[Picture, Promises]] = field(default_factory=list)

    def watch(self, picture: Picture) -> None:
        if self.chance.random() < 0.1:
            self.pictures.append((dict(picture), self.promises.copy()))


def content(entry: Entry) -> bytes:
    return entry.id.encode() * 200


async def coming_in(queue: QueueStore, entry: Entry, number: int) -> Body | Draft:
    """Its content, as it is or in a draft."""
    if number % 3:
        return Body((content(entry),))
    draft = queue.draft()
    await draft.write(content(entry))
    return draft


async def live(folder: Path, recorder: Recorder, *, keeps_syncs: bool = True) -> None:
    """Sixty messages, every second one delivered, every third streamed in; the log is folded back
    every few commits."""
    disk = PowerDisk(recorder.watch, keeps_syncs=keeps_syncs)
    database = Database(StorageSettings(folder / "0.db", ride=0.0, vfs=disk.name))
    await database.open()
    await database.write(lambda connection: connection.execute("PRAGMA wal_autocheckpoint=40"))
    queue = QueueStore(database, JournalStore(database), VirtualClock(NOW))
    await queue.open()
    promises = recorder.promises
    for number in range(60):
        entry = an_entry(number, size=5_200)
        await queue.put(entry, await coming_in(queue, entry, number), [accepted(entry)])
        promises.acknowledged.append(entry.id)
        for claim in await queue.claim(NOW, number % 2):
            promises.settling.append(claim.entry.id)
            await queue.settle([Settlement(claim.entry.id, 0, State.DELIVERED)])
            promises.finished.append(claim.entry.id)
    await database.close()


async def what_is_there(folder: Path) -> set[str]:
    """The messages after a new start, each with its content as it was put."""
    database = Database(StorageSettings(folder / "0.db"))
    await database.open()
    try:
        assert await database.read(lambda db: db.pragma("integrity_check")) == "ok"
        queue = QueueStore(database, JournalStore(database), VirtualClock(NOW))
        await queue.open()
        entries = [line.entry for line in await queue.search(Selection(), 1000)]
        for entry in entries:
            assert b"".join([piece async for piece in queue.read(entry.id)]) == content(entry)
    finally:
        await database.close()
    return {entry.id for entry in entries}


async def test_nothing_acknowledged_is_lost_by_a_power_cut(tmp_path: Path) -> None:
    chance = Random(7)
    recorder = Recorder(chance)
    await live(tmp_path, recorder)
    pictures = chance.sample(recorder.pictures, min(CUTS, len(recorder.pictures)))
    assert len(pictures) > CUTS // 2
    for n, (picture, promises) in enumerate(pictures):
        restore(picture, tmp_path / str(n), chance)
        there = await what_is_there(tmp_path / str(n))
        lost = set(promises.acknowledged) - set(promises.settling) - there
        assert not lost, f"cut {n}"
        assert not set(promises.finished) & there, f"cut {n}: a settled message came back"


async def test_a_disk_that_does_not_sync_loses_mail(tmp_path: Path) -> None:
    chance = Random(7)
    recorder = Recorder(chance)
    await live(tmp_path, recorder, keeps_syncs=False)
    lost = 0
    for n, (picture, promises) in enumerate(chance.sample(recorder.pictures, 10)):
        restore(picture, tmp_path / str(n), chance)
        try:
            there = await what_is_there(tmp_path / str(n))
        except (StorageError, AssertionError):
            there = set()
        lost += len(set(promises.acknowledged) - set(promises.settling) - there)
    assert lost, "the test has no teeth"
