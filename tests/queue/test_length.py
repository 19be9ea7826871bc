"""The steady work costs the same beside a long queue as beside a short one: counted, not timed."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import apsw
import pytest

from merpati.journal.store import JournalStore
from merpati.mail.envelope import Body
from merpati.queue.entry import Claim, Settlement, State
from merpati.queue.flow import Flow
from merpati.queue.holds import Holds
from merpati.queue.lanes import Lanes
from merpati.queue.store import QueueStore
from merpati.storage.connection import StorageSettings
from merpati.storage.database import Database
from merpati.testing.clock import VirtualClock
from merpati.testing.conformance.bench import NOW, an_entry

pytestmark = pytest.mark.slow

SHORT, LONG = 200, 3_000
BODY = Body((b"hello",))
HEALTHY = "healthy.test"


@dataclass(slots=True)
class Steps:
    """Of SQLite's machine, on the writer's connection."""

    taken: int = 0

    def watch(self, connection: apsw.Connection) -> None:
        connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, self._ran)

    def _ran(self, told: dict[str, dict[str, int]]) -> None:
        self.taken += told["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]


class Work:
    """A queue with dead domains in it, and what one does beside them."""

    def __init__(self, queue: QueueStore, dead: int) -> None:
        self.queue = queue
        self._dead = dead
        self._number = dead

    async def fill(self) -> None:
        """Half of the dead are due, half wait for long on a site that is on hold."""
        numbers = range(self._dead)
        held = (self.queue.hold(f"d{one}.test", NOW + 900, "dead") for one in numbers[1::2])
        await asyncio.gather(*held)
        entries = [an_entry(one, f"u@d{one}.test", release_at=NOW + 60) for one in numbers]
        await asyncio.gather(*(self.queue.put(one, BODY) for one in entries))

    async def accept(self) -> None:
        """Fresh mail for somebody healthy, and its delivery."""
        self._number += 1
        await self.queue.put(an_entry(self._number, f"u@{HEALTHY}"), BODY)
        claims = await self.queue.claim(NOW, 10)
        assert [claim.domain for claim in claims] == [HEALTHY]
        await self.queue.settle([Settlement(one.entry.id, 0, State.DELIVERED) for one in claims])

    async def fail(self) -> None:
        """Another dead domain comes due and its new site goes on hold; mail comes meanwhile."""
        (claim,) = await self.queue.claim(NOW + 60, 1)
        await self._put_off(claim)
        await self.accept()

    async def tidy(self) -> None:
        """What the clock asks for once a minute."""
        assert await self.queue.remind(NOW, 3_600.0, 500) < 500
        assert await self.queue.expire(NOW, 500) == 0

    async def _put_off(self, claim: Claim) -> None:
        site = f"mx.{claim.domain}"
        await self.queue.assign(claim.domain, site)
        await self.accept()
        await self.queue.hold(site, NOW + 900, "dead")
        later = [Settlement(claim.entry.id, 0, State.WAITING, due=NOW + 900)]
        await self.queue.settle(later)


async def steps(
    folder: Path, dead: int, todo: Callable[[Work], Awaitable[None]], times: int
) -> int:
    """A round of work, `times` over, beside so many dead domains."""
    folder.mkdir()
    database = Database(StorageSettings(folder / "0.db", hold=0.0, ride=0.0))
    await database.open()
    try:
        queue = QueueStore(database, JournalStore(database), VirtualClock(NOW))
        await queue.open()
        work, counted = Work(queue, dead), Steps()
        await work.fill()
        if todo is Work.tidy:
            # What was never looked at is looked at once, when it is young.
            while await queue.remind(NOW, 3_600.0, 500):
                pass
        await database.write(counted.watch)
        for _ in range(times):
            await todo(work)
        return counted.taken
    finally:
        await database.close()


@pytest.mark.parametrize("todo", [Work.accept, Work.fail, Work.tidy], ids=lambda one: one.__name__)
async def test_no_step_more_is_taken_beside_fifteen_times_as_many(
    tmp_path: Path, todo: Callable[[Work], Awaitable[None]]
) -> None:
    few = await steps(tmp_path / "short", SHORT, todo, times=20)
    many = await steps(tmp_path / "long", LONG, todo, times=20)
    assert few > 0
    assert many <= 1.1 * few


async def test_the_first_mail_of_a_sender_to_a_domain_costs_the_same_however_many_write_to_it(
    tmp_path: Path,
) -> None:
    database = Database(StorageSettings(tmp_path / "0.db"))
    await database.open()
    lanes, way = Lanes(), ("everybody.test", "")

    async def found(senders: range) -> int:
        """Steps of finding the lanes of so many new senders."""
        counted = Steps()

        def find(connection: apsw.Connection) -> None:
            counted.watch(connection)
            for n in senders:
                lanes.find(connection, way, Flow(f"sender{n}.test"))

        await database.write(find)
        return counted.taken

    await found(range(10))
    few = await found(range(10, 20))
    await found(range(20, 300))
    assert await found(range(300, 310)) <= 1.1 * few
    await database.close()


async def test_a_claim_hands_sqlite_nothing_of_what_is_in_hand(tmp_path: Path) -> None:
    async def one_more(in_hand: int) -> int:
        folder = tmp_path / str(in_hand)
        folder.mkdir()
        database = Database(StorageSettings(folder / "0.db", hold=0.0, ride=0.0))
        await database.open()
        try:
            queue = QueueStore(database, JournalStore(database), VirtualClock(NOW))
            await queue.open()
            work, counted = Work(queue, 2 * in_hand + 400), Steps()
            await work.fill()
            assert len(await queue.claim(NOW + 60, in_hand)) == in_hand
            # This one finds that nothing is left of any of those.
            assert len(await queue.claim(NOW + 60, 64)) == 64
            await database.write(counted.watch)
            assert len(await queue.claim(NOW + 60, 64)) == 64
            return counted.taken
        finally:
            await database.close()

    few, many = await one_more(50), await one_more(250)
    # A site in hand is read past by each question for 64 sites, and by the one for the next time.
    assert many - few <= 200 * 4 * 8


def test_holds_that_are_over_are_found_without_a_look_at_the_rest() -> None:
    holds = Holds({f"{number}.test": NOW + 900 for number in range(1_000)})
    holds.put("soon.test", NOW + 1)
    holds.put("0.test", NOW + 2)
    holds.lift("1.test")
    holds.forget(NOW + 2)
    assert len(holds) == 998
    assert (holds.until("soon.test"), holds.until("0.test")) == (0.0, 0.0)
    assert holds.until("2.test") == NOW + 900


def test_a_hold_that_was_lengthened_outlives_its_first_end() -> None:
    holds = Holds()
    for end in range(1, 500):
        holds.put("x.test", NOW + end)
    holds.forget(NOW + 498)
    assert holds.until("x.test") == NOW + 499
    holds.forget(NOW + 499)
    assert len(holds) == 0
