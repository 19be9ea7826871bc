"""What the queue on disk keeps in memory, and what becomes of it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import structs

from merpati.journal.store import JournalStore
from merpati.mail.envelope import Body
from merpati.queue.entry import Entry, Settlement, State
from merpati.queue.store import QueueSettings, QueueStore
from merpati.storage.connection import StorageSettings
from merpati.storage.database import Database
from merpati.testing.clock import VirtualClock
from merpati.testing.conformance.bench import NOW, an_entry

BODY = Body((b"x" * 1_000,))


@asynccontextmanager
async def a_queue(folder: Path, settings: QueueSettings | None = None) -> AsyncIterator[QueueStore]:
    database = Database(StorageSettings(folder / "0.db", ride=0.0))
    await database.open()
    queue = QueueStore(database, JournalStore(database), VirtualClock(NOW), settings)
    await queue.open()
    yield queue
    await database.close()


async def put(queue: QueueStore, entries: Sequence[Entry]) -> None:
    for entry in entries:
        await queue.put(entry, BODY)


async def test_bodies_in_memory_stay_within_their_octets(tmp_path: Path) -> None:
    async with a_queue(tmp_path, QueueSettings(in_hand_octets=2_500)) as queue:
        await put(queue, [an_entry(number) for number in range(5)])
        assert await queue.count() == {"waiting": 3, "in_hand": 2, "held": 0}
        claims = await queue.claim(NOW, 10) + await queue.claim(NOW, 10)
        assert [claim.body is not None for claim in claims] == [True, True, False, False, False]


async def test_fresh_mail_does_not_wait_for_what_storage_answers(tmp_path: Path) -> None:
    async with a_queue(tmp_path) as queue:
        await put(queue, [an_entry(1)])
    database = Database(StorageSettings(tmp_path / "0.db", ride=0.0))
    await database.open()
    queue = QueueStore(database, JournalStore(database), VirtualClock(NOW))
    await queue.open()
    await put(queue, [an_entry(2)])
    is_over = threading.Event()
    busy = asyncio.ensure_future(database.write(lambda connection: is_over.wait(10)))
    await asyncio.sleep(0)
    (fresh,) = await asyncio.wait_for(queue.claim(NOW, 10), 60)
    assert fresh.entry == an_entry(2)
    is_over.set()
    await busy
    (waiting,) = await queue.claim(NOW, 10)
    assert waiting.entry == an_entry(1)
    assert await queue.claim(NOW, 10) == []
    await database.close()


async def test_what_storage_answered_is_handed_out_within_the_room(tmp_path: Path) -> None:
    async with a_queue(tmp_path) as queue:
        await put(queue, [an_entry(1, *(f"u{n}@a.test" for n in range(5)))])
    async with a_queue(tmp_path) as queue:
        await put(queue, [an_entry(2)])
        claims = [await queue.claim(NOW, room) for room in (6, 2, 2, 2)]
        assert [sum(len(one.recipients) for one in some) for some in claims] == [1, 2, 2, 1]
        assert sorted(w.n for some in claims[1:] for one in some for w in one.recipients) == [
            *range(5)
        ]


async def test_recipients_in_hand_stay_within_their_number(tmp_path: Path) -> None:
    async with a_queue(tmp_path, QueueSettings(in_hand=3)) as queue:
        await put(queue, [an_entry(number) for number in range(5)])
        assert await queue.count() == {"waiting": 2, "in_hand": 3, "held": 0}
        claims = await queue.claim(NOW, 10)
        assert len(claims) == 3
        await queue.settle([Settlement(one.entry.id, 0, State.DELIVERED) for one in claims])
        assert len(await queue.claim(NOW, 10)) == 2


async def test_room_that_is_settled_is_free_again(tmp_path: Path) -> None:
    async with a_queue(tmp_path, QueueSettings(in_hand_octets=1_000, in_hand=1)) as queue:
        for number in range(3):
            await put(queue, [an_entry(number)])
            (claim,) = await queue.claim(NOW, 10)
            assert claim.body == BODY
            await queue.settle([Settlement(claim.entry.id, 0, State.DELIVERED)])


async def test_bulk_mail_takes_half_of_the_hand_and_leaves_the_rest(tmp_path: Path) -> None:
    news = [structs.replace(an_entry(number), is_bulk=True) for number in range(5)]
    async with a_queue(tmp_path, QueueSettings(in_hand=6)) as queue:
        await put(queue, news)
        assert await queue.count() == {"waiting": 2, "in_hand": 3, "held": 0}
        await put(queue, [an_entry(number) for number in range(5, 10)])
        assert await queue.count() == {"waiting": 4, "in_hand": 6, "held": 0}


async def test_what_was_in_hand_waits_after_a_restart(tmp_path: Path) -> None:
    async with a_queue(tmp_path) as queue:
        await put(queue, [an_entry(1), an_entry(2, "a@x.test", "b@y.test")])
        assert len(await queue.claim(NOW, 1)) == 1
    async with a_queue(tmp_path) as queue:
        assert await queue.count() == {"waiting": 3, "in_hand": 0, "held": 0}
        claims = await queue.claim(NOW, 10)
        assert sorted(claim.domain for claim in claims) == ["b.test", "x.test", "y.test"]


async def test_a_higher_priority_is_taken_out_before_the_rest(tmp_path: Path) -> None:
    urgent = an_entry(2)
    urgent = structs.replace(urgent, envelope=structs.replace(urgent.envelope, priority=4))
    async with a_queue(tmp_path) as queue:
        await put(queue, [an_entry(1), urgent])
        (first,) = await queue.claim(NOW, 1)
        assert first.entry == urgent


async def test_what_is_deferred_after_its_lane_moved_comes_due_at_the_new_site(
    tmp_path: Path,
) -> None:
    async with a_queue(tmp_path) as queue:
        await put(queue, [an_entry(1)])
    async with a_queue(tmp_path) as queue:
        (claim,) = await queue.claim(NOW, 10)
        await queue.assign("b.test", "mx.test")
        assert await queue.claim(NOW, 10) == []
        await queue.settle([Settlement(claim.entry.id, 0, State.WAITING, due=NOW + 60)])
        assert await queue.next_due() == NOW + 60
        assert [one.entry.id for one in await queue.claim(NOW + 61, 10)] == [claim.entry.id]


async def test_fresh_mail_deferred_after_its_lane_moved_comes_due_at_the_new_site(
    tmp_path: Path,
) -> None:
    async with a_queue(tmp_path) as queue:
        await put(queue, [an_entry(1, "x@a.test")])
        await queue.assign("a.test", "mx.test")
    async with a_queue(tmp_path) as queue:
        (waiting,) = await queue.claim(NOW, 10)
        await put(queue, [an_entry(2, "y@b.test")])
        (fresh,) = await queue.claim(NOW, 10)
        await queue.assign("b.test", "mx.test")
        assert await queue.claim(NOW, 10) == []
        await queue.settle([Settlement(waiting.entry.id, 0, State.DELIVERED)])
        await queue.settle([Settlement(fresh.entry.id, 0, State.WAITING, due=NOW + 60)])
        assert [one.entry.id for one in await queue.claim(NOW + 61, 10)] == [fresh.entry.id]


async def test_nothing_is_remembered_of_lanes_and_sites_that_are_done(tmp_path: Path) -> None:
    domains = [f"{number}.test" for number in range(20)]
    async with a_queue(tmp_path) as queue:
        await put(queue, [an_entry(n, f"x@{domain}") for n, domain in enumerate(domains)])
    async with a_queue(tmp_path) as queue:
        *done, last = await queue.claim(NOW, 100)
        assert queue.remembered == 2 * len(domains)
        await queue.settle([Settlement(one.entry.id, 0, State.DELIVERED) for one in done])
        await queue.settle([Settlement(last.entry.id, 0, State.WAITING, due=NOW + 60)])
        assert len(await queue.claim(NOW + 61, 100)) == 1
        assert queue.remembered == 2


async def test_a_hold_that_is_over_is_forgotten(tmp_path: Path) -> None:
    async with a_queue(tmp_path) as queue:
        for number in range(20):
            await queue.hold(f"{number}.test", NOW + 60, "busy")
        assert queue.remembered == 20
        for number in range(20):
            await queue.hold(f"{number}.test", 0, "")
        assert queue.remembered == 0
        await queue.hold("late.test", NOW - 60, "busy")
        assert queue.remembered == 0


async def test_what_was_taken_out_of_memory_is_handed_out_though_the_store_fails(
    tmp_path: Path,
) -> None:
    async with a_queue(tmp_path, QueueSettings(in_hand_octets=1_000)) as queue:
        await put(queue, [an_entry(1), an_entry(2)])
        await queue._database.close()
        (fresh,) = await queue.claim(NOW, 10)
        assert fresh.entry == an_entry(1)


async def test_what_comes_for_a_site_on_hold_is_not_looked_for_before_the_hold_ends(
    tmp_path: Path,
) -> None:
    async with a_queue(tmp_path) as queue:
        await queue.hold("b.test", NOW + 60, "busy")
        assert await queue.claim(NOW, 10) == []
        await put(queue, [an_entry(1, "bob@b.test")])
        assert await queue.next_due() == NOW + 60
        await queue.hold("b.test", 0, "")
        [claim] = await queue.claim(NOW, 10)
        assert claim.entry == an_entry(1, "bob@b.test")
