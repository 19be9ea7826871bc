"""Names that are answered late, or never, and the mail that waits for them, in virtual time."""

import asyncio

import pytest
from msgspec import structs

from merpati.delivery.dispatcher import DispatcherSettings
from merpati.delivery.lookups import LookupSettings
from merpati.delivery.signing import Signing
from merpati.dns.errors import DnsTimeout
from merpati.journal.events import Deferred, Delivered, Expired
from merpati.mail.trace import Client
from merpati.queue.entry import Selection
from merpati.testing.clock import VirtualClock
from merpati.testing.deliveries import START, ScriptedDns, ScriptedHost, an_entry

HAND = 20
IP = "192.0.2.1"


class LateDns(ScriptedDns):
    """Answers for `dN.dead.test` and for `late` names come after `seconds`."""

    def __init__(self, clock: VirtualClock, *healthy: str) -> None:
        super().__init__({name: ((10, f"mx.{name}"),) for name in healthy})
        self.v4 = {f"mx.{name}": (IP,) for name in healthy}
        self.clock = clock
        self.late: set[str] = set()
        self.seconds = 20.0
        self.under_way = 0
        self.most = 0
        self.order: list[str] = []

    async def mx(self, domain):
        self.order.append(domain)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            if domain in self.late or domain.endswith(".dead.test"):
                await self.clock.sleep(self.seconds)
            if domain.endswith(".dead.test"):
                raise DnsTimeout("no server answered in time")
            return await super().mx(domain)
        finally:
            self.under_way -= 1


@pytest.fixture
def world(make_world):
    """Its hand holds few recipients; `a.test` and `b.test` are healthy."""

    def make(**lookups):
        clock = VirtualClock(START)
        settings = DispatcherSettings(recipients=HAND, lookups=LookupSettings(**lookups))
        dns = LateDns(clock, "a.test", "b.test")
        return make_world(clock=clock, dns=dns, hosts={IP: ScriptedHost()}, settings=settings)

    return make


def dead(count: int, first: int = 0):
    return [an_entry(n, f"x@d{n}.dead.test") for n in range(first, first + count)]


@pytest.mark.slow
async def test_dead_names_fill_no_hand_that_others_need(world):
    world = world()
    async with world.running():
        await world.put(*dead(10 * HAND))
        await world.put(an_entry(9000, "ann@a.test"))
        await world.clock.advance(4)
        assert [one.address for one in await world.events(Delivered)] == ["ann@a.test"]
        assert await world.events(Deferred) == []


@pytest.mark.slow
async def test_a_dead_name_is_one_attempt_however_often_its_mail_went_back(world):
    """Beside so many, and with an answer that comes only after it was twice due again."""
    world = world()
    world.dns.seconds = 65.0
    async with world.running():
        await world.put(*dead(3 * HAND))
        await world.clock.advance(64)
        assert await world.events(Deferred) == []
        listed = await world.queue.search(Selection(), 1000)
        assert {(one.waiting.attempts, one.waiting.reply) for one in listed} == {(0, "")}
        await world.clock.advance(3)
        deferred = await world.events(Deferred)
    assert len(deferred) == len({one.message for one in deferred}) == 3 * HAND
    assert {(one.cause, one.attempts) for one in deferred} == {("dns-failing", 1)}


@pytest.mark.slow
async def test_what_went_back_leaves_as_soon_as_its_late_answer_is_there(world):
    world = world()
    world.dns.late.add("a.test")
    world.dns.seconds = 5.0
    async with world.running():
        await world.put(an_entry(9000, "ann@a.test"), *dead(2 * HAND))
        await world.clock.advance(3)
        assert (await world.queue.count())["waiting"] > 0
        await world.clock.advance(3)
        (one,) = await world.events(Delivered)
    assert one.delay < 6.0


async def test_a_hand_with_room_keeps_what_waits(world):
    world = world()
    async with world.running():
        await world.put(*dead(HAND // 2))
        await world.clock.advance(10)
        assert await world.queue.count() == {"waiting": 0, "in_hand": HAND // 2, "held": 0}


@pytest.mark.slow
async def test_what_went_back_is_the_operators_again(world):
    world = world()
    async with world.running():
        await world.put(*dead(3 * HAND))
        await world.clock.advance(2)
        back = (await world.queue.count())["waiting"]
        assert back >= 2 * HAND
        assert await world.queue.alter(Selection(), "cancel", "root") == back
        await world.clock.advance(25)
        assert len(await world.events(Deferred)) == 3 * HAND - back
        assert (await world.queue.count())["waiting"] == 3 * HAND - back


async def test_what_ends_while_its_name_is_late_ends_in_time(world):
    world = world()
    world.dns.seconds = 1000.0
    brief = [structs.replace(one, expires=START + 10) for one in dead(2 * HAND)]
    async with world.running():
        await world.put(*brief)
        await world.clock.advance(9)
        assert await world.events(Expired) == []
        await world.clock.advance(3)
        assert len(await world.events(Expired)) >= HAND


async def test_an_old_answer_serves_while_the_new_one_is_late(world):
    world = world()
    async with world.running():
        await world.put(an_entry(1, "ann@a.test"))
        await world.clock.advance(2000)
        world.dns.late.add("a.test")
        await world.put(an_entry(2, "ann@a.test", now=START + 2000))
        await world.clock.advance(2)
        assert len(await world.events(Delivered)) == 2


async def test_an_answer_of_yesterday_is_too_old(world):
    world = world()
    async with world.running():
        await world.put(an_entry(1, "ann@a.test"))
        await world.clock.advance(5000)
        world.dns.late.add("a.test")
        await world.put(an_entry(2, "ann@a.test", now=START + 5000))
        await world.clock.advance(2)
        assert len(await world.events(Delivered)) == 1


async def test_no_more_are_looked_up_at_once_than_may_be(world):
    world = world(at_once=3)
    world.dns.seconds = 1.0
    async with world.running():
        await world.put(*dead(HAND // 2))
        await world.clock.advance(6)
        assert len(await world.events(Deferred)) == HAND // 2
    assert world.dns.most == 3


async def test_the_first_and_the_last_that_came_are_looked_up_by_turns(world):
    world = world(at_once=1)
    world.dns.seconds = 1.0
    async with world.running():
        await world.put(*dead(6))
        await world.clock.advance(7)
    assert [name.split(".")[0] for name in world.dns.order] == ["d0", "d1", "d5", "d2", "d4", "d3"]


async def test_whose_names_are_many_keeps_no_other_tenants_waiting(world):
    world = world(at_once=1)
    world.dns.seconds = 1.0
    bob, news = Client("192.0.2.7", login="bob"), Client("192.0.2.7", login="news")
    one = structs.replace(an_entry(7, "x@d7.dead.test"), client=bob, is_ours=True)
    bulk = structs.replace(an_entry(8, "x@d8.dead.test"), client=news, is_ours=True, is_bulk=True)
    async with world.running():
        await world.put(*dead(6), bulk, one)
        await world.clock.advance(9)
    asked = [int(name[1]) for name in world.dns.order]
    assert asked.index(7) < 3
    assert asked.index(8) == 4


@pytest.mark.slow
async def test_names_that_gave_no_answer_before_let_new_ones_by(world):
    world = world(at_once=1)
    world.dns.seconds = 1.0
    async with world.running():
        await world.put(*dead(8))
        await world.clock.advance(9)
        world.dns.order.clear()
        assert await world.queue.alter(Selection(), "retry", "root") == 8
        await world.clock.advance(0.5)
        await world.put(*(an_entry(n, f"x@d{n}.dead.test") for n in range(10, 14)))
        await world.clock.advance(12)
    assert {name[:3] for name in world.dns.order[1:6]} >= {"d10", "d11", "d12", "d13"}


@pytest.mark.slow
async def test_beyond_the_bound_names_are_given_up_and_their_mail_comes_again(world):
    world = world(at_once=2, names=5)
    world.dns.seconds = 1.0
    async with world.running():
        await world.put(*dead(HAND))
        await world.clock.advance(0.9)
        assert (await world.queue.count())["waiting"] == HAND - 5
        await world.clock.advance(400)
        deferred = await world.events(Deferred)
    assert {one.address for one in deferred} == {f"x@d{n}.dead.test" for n in range(HAND)}


async def test_a_stop_waits_for_no_dead_name(world):
    world = world()
    async with world.running() as dispatcher:
        await world.put(*dead(3 * HAND))
        await world.clock.advance(2)
        dispatcher.stop(30.0)
        await world.clock.advance(0.5)
        assert (await world.queue.count())["in_hand"] == 0
    assert (await world.queue.count())["waiting"] == 3 * HAND
    assert await world.events(Deferred) == []


@pytest.fixture
def slow_store(world):
    """It takes five seconds to write what became of mail."""
    world = world()
    world.dns.seconds = 3.0
    settle = world.queue.settle

    async def settle_slowly(*arguments):
        await world.clock.sleep(5)
        await settle(*arguments)

    world.queue.settle = settle_slowly
    return world


async def test_a_stop_between_an_answer_and_the_end_of_the_way_back(slow_store):
    world = slow_store
    async with world.running() as dispatcher:
        await world.put(*dead(HAND))
        await world.clock.advance(4)
        dispatcher.stop(0.0)
        await world.clock.advance(12)
    assert world.defects == []
    assert (await world.queue.count())["waiting"] == HAND


async def test_an_answer_before_the_end_of_the_way_back_makes_due_as_well(slow_store):
    world = slow_store
    async with world.running():
        await world.put(*dead(HAND))
        await world.clock.advance(17)
        assert len(await world.events(Deferred)) == HAND


class CountedSigning(Signing):
    """Counts what it is given, and finds no key for it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def wants(self, entry, route):
        return True

    async def sign(self, transactions):
        self.asked += [one.entry.id for one in transactions]
        return list(transactions)


async def test_dead_names_cost_no_signatures(world):
    world = world()
    world.signing = CountedSigning()
    async with world.running():
        await world.put(*dead(5), an_entry(7, "ann@a.test"))
        await world.clock.advance(25)
        assert len(await world.events(Delivered)) == 1
    assert world.signing.asked == [an_entry(7).id]


async def test_what_goes_by_an_old_answer_is_signed_once(world):
    world = world()
    world.signing = CountedSigning()
    async with world.running():
        await world.put(an_entry(1, "ann@a.test"))
        await world.clock.advance(2000)
        world.dns.late.add("a.test")
        await world.put(an_entry(2, "ann@a.test", now=START + 2000))
        await world.clock.advance(5)
        assert len(await world.events(Delivered)) == 2
    assert world.signing.asked == [an_entry(1).id, an_entry(2).id]


async def test_a_defect_in_a_look_up_is_an_attempt_that_failed(world):
    world = world()

    async def break_(domain):
        await asyncio.sleep(0)
        raise RuntimeError("a defect")

    world.dns.mx = break_
    async with world.running():
        await world.put(*dead(3))
        await world.clock.advance(1)
        assert {one.cause for one in await world.events(Deferred)} == {"delivery-defect"}


async def test_mail_that_is_released_later_is_not_hastened_by_an_answer(world):
    world = world()
    world.dns.late.add("a.test")
    world.dns.seconds = 5.0
    later = an_entry(9001, "ann@a.test")
    later = structs.replace(later, envelope=structs.replace(later.envelope, release_at=START + 25))
    async with world.running():
        await world.put(later, an_entry(9000, "ann@a.test"))
        await world.clock.advance(0.01)
        await world.put(*dead(2 * HAND))
        await world.clock.advance(10)
        assert [one.message for one in await world.events(Delivered)] == [an_entry(9000).id]


async def test_the_name_that_comes_beyond_the_bound_may_be_the_one_that_is_given_up(world):
    """The only one of bulk mail: it stands alone in the line that is shortened first."""
    world = world(at_once=2, names=5)
    world.dns.seconds = 1.0
    async with world.running():
        await world.put(*dead(5))
        await world.clock.advance(0.1)
        await world.put(structs.replace(an_entry(9000, "ann@a.test"), is_bulk=True))
        await world.clock.advance(3000)
        await world.put(an_entry(9001, "ann@a.test", now=START + 3000))
        await world.clock.advance(3000)
        delivered = [one.message for one in await world.events(Delivered)]
        assert delivered == [an_entry(9000).id, an_entry(9001, now=START + 3000).id]


async def test_a_no_is_not_told_to_mail_that_came_behind_it(world):
    world = world()
    world.dns.broken.add("a.test")
    world.dns.late.add("a.test")
    world.dns.seconds = 5.0
    async with world.running():
        await world.put(*(an_entry(9000 + n, "ann@a.test") for n in range(3)))
        await world.clock.advance(0.01)
        await world.put(*dead(3 * HAND))
        await world.clock.advance(1)
        assert await world.queue.alter(Selection(domain="a.test"), "cancel", "root") == 3
        await world.clock.advance(6)
        world.dns.broken.clear()
        world.dns.late.clear()
        await world.put(an_entry(9500, "carl@a.test", now=START + 7))
        await world.clock.advance(5)
        assert [one.address for one in await world.events(Delivered)] == ["carl@a.test"]
