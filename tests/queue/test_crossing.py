"""Claims, operators and the clock reach for the same recipient: one of them has it."""

import asyncio
from pathlib import Path

from merpati.journal.events import Attempt, Cancelled, Delivered, Event
from merpati.journal.store import JournalStore
from merpati.mail.envelope import Body
from merpati.queue.entry import Selection, Settlement, State
from merpati.queue.store import QueueStore
from merpati.storage.connection import StorageSettings
from merpati.storage.database import Database
from merpati.testing.clock import VirtualClock
from merpati.testing.conformance.bench import NOW, an_entry

ONE = an_entry(1)


async def opened(path: Path) -> tuple[Database, JournalStore, QueueStore]:
    database = Database(StorageSettings(path, ride=0.0))
    await database.open()
    journal = JournalStore(database)
    queue = QueueStore(database, journal, VirtualClock(NOW))
    await queue.open()
    return database, journal, queue


async def with_one_waiting(path: Path) -> tuple[Database, JournalStore, QueueStore]:
    database, _, queue = await opened(path)
    await queue.put(ONE, Body((b"hello",)))
    await database.close()
    return await opened(path)


async def test_what_a_claim_is_just_taking_out_cannot_be_cancelled(tmp_path: Path) -> None:
    database, _, queue = await with_one_waiting(tmp_path / "0.db")
    claims, changed = await asyncio.gather(
        queue.claim(NOW, 10), queue.alter(Selection(domain="b.test"), "cancel", "ann")
    )
    assert (len(claims), changed) == (1, 0)
    assert b"".join([piece async for piece in queue.read(ONE.id)]) == b"hello"
    await database.close()


async def test_what_a_claim_is_just_taking_out_is_left_alone_by_the_clock(tmp_path: Path) -> None:
    database, _, queue = await with_one_waiting(tmp_path / "0.db")
    claims, reminded, ended = await asyncio.gather(
        queue.claim(NOW, 10), queue.remind(NOW + 90_000, 1.0, 10), queue.expire(NOW + 90_000, 10)
    )
    assert (len(claims), reminded, ended) == (1, 1, 0)
    assert await queue.owed(10) == []
    await database.close()


async def test_a_claim_that_nobody_waits_for_any_more_still_has_what_it_took(
    tmp_path: Path,
) -> None:
    database, _, queue = await with_one_waiting(tmp_path / "0.db")
    claiming = asyncio.ensure_future(queue.claim(NOW, 10))
    await asyncio.sleep(0)
    claiming.cancel()
    assert await queue.alter(Selection(domain="b.test"), "cancel", "ann") == 0
    await database.close()


async def test_a_claim_behind_a_change_does_not_see_what_was_changed(tmp_path: Path) -> None:
    database, _, queue = await with_one_waiting(tmp_path / "0.db")
    changed, claims = await asyncio.gather(
        queue.alter(Selection(domain="b.test"), "cancel", "ann"), queue.claim(NOW, 10)
    )
    assert (changed, claims) == (1, [])
    await database.close()


async def test_what_has_ended_is_not_journaled_to_end_once_more(tmp_path: Path) -> None:
    database, journal, queue = await with_one_waiting(tmp_path / "0.db")
    assert await queue.alter(Selection(domain="b.test"), "cancel", "ann") == 1
    told: list[Event] = [
        Delivered(
            at=NOW,
            message=ONE.id,
            address="bob@b.test",
            reply="250 ok",
            attempt=Attempt(route="mx:"),
        )
    ]
    await queue.settle([Settlement(ONE.id, 0, State.DELIVERED)], told)
    assert [type(event) for event in await journal.story(ONE.id)] == [Cancelled]
    await database.close()


async def test_an_end_that_comes_twice_leaves_the_events_of_others(tmp_path: Path) -> None:
    two = an_entry(2, "bob@b.test", "eve@b.test")
    database, journal, queue = await opened(tmp_path / "0.db")
    await queue.put(two, Body((b"hello",)))
    told = [
        Delivered(
            at=NOW, message=two.id, address=address, reply="250 ok", attempt=Attempt(route="mx:")
        )
        for address in ("bob@b.test", "eve@b.test")
    ]
    ends = [Settlement(two.id, n, State.DELIVERED) for n in (0, 1)]
    await queue.settle(ends[:1], told[:1])
    await queue.settle(ends, told)
    assert await journal.story(two.id) == told
    await database.close()
