"""No policy of MTA-STS runs out while its domain says it (RFC 8461 §3.3, §10.2)."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise

import pytest

from merpati.delivery.backing import StsMode
from merpati.delivery.sts.policies import Policies, PolicyParts, StsSettings
from merpati.testing.clock import VirtualClock
from merpati.testing.deliveries import DAY, START, ScriptedDns
from merpati.testing.memory_policies import MemoryPolicies
from merpati.wire.errors import WireError

MINUTE = 60.0
LOOK = 5 * MINUTE
"""Between two looks for what is due: fewer than ours, to cost less."""
SILENCE = 30.0
"""Seconds after which a policy host that says nothing is given up."""


def a_text(max_age: float, mode: str = "enforce") -> bytes:
    return f"version: STSv1\nmode: {mode}\nmx: *.a.test\nmax_age: {max_age:.0f}\n".encode()


class World:
    """Policy hosts, and whoever asks them."""

    def __init__(self, max_age: float = DAY, mode: str = "enforce", hands: int = 2) -> None:
        self.clock = VirtualClock(START)
        self.keeper = MemoryPolicies()
        self.dns = ScriptedDns()
        self.text = a_text(max_age, mode)
        self.is_down: Callable[[str, float], bool] = lambda _host, _at: False
        """Whether a host refuses, seconds after the start."""
        self.is_silent: Callable[[str], bool] = lambda _host: False
        self.tries: list[float] = []
        self.fetched: Counter[str] = Counter()
        self.told: list[str] = []
        self.open = self.most_open = 0
        parts = PolicyParts(
            self.keeper,
            self.dns,
            self._fetch,
            self.clock,
            lambda *said: self.told.append(said[0]),
            self.told.append,
        )
        self._parts = parts
        self.policies = Policies(StsSettings(hands=hands, interval=LOOK), parts)

    def with_settings(self, **settings: float) -> Policies:
        """Others, over the same keeper."""
        return Policies(replace(StsSettings(hands=2), **settings), self._parts)

    async def learn(self, *domains: str) -> None:
        """Mail goes there for the first time."""
        for domain in domains:
            self.dns.txts[f"_mta-sts.{domain}"] = (b"v=STSv1; id=1",)
            await self.policies.policy(domain, is_ours=True)

    async def mode(self, domain: str = "a.test") -> StsMode | None:
        policy = await self.policies.policy(domain, is_ours=True)
        return policy.mode if policy else None

    @property
    def holding(self) -> int:
        return sum(one.expires > self.clock.now() for one in self.keeper.all.values())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        chore = asyncio.create_task(self.policies.run())
        yield
        chore.cancel()
        await asyncio.gather(chore, return_exceptions=True)

    async def _fetch(self, host: str, _path: str) -> bytes:
        at = self.clock.monotonic()
        self.tries.append(at)
        self.open += 1
        self.most_open = max(self.open, self.most_open)
        try:
            if self.is_silent(host):
                await self.clock.sleep(SILENCE)
                raise WireError("no answer")
            if self.is_down(host, at):
                raise WireError("refused")
        finally:
            self.open -= 1
        self.fetched[host] += 1
        return self.text


@pytest.mark.parametrize("max_age", [2 * 3600, DAY, 2 * DAY])
async def test_a_policy_holds_on_without_a_gap_while_no_mail_goes(max_age: float) -> None:
    world = World(max_age)
    await world.learn("a.test")
    async with world.running():
        for _ in range(12):
            await world.clock.advance(max_age / 4)
            assert world.holding == 1
    assert 6 <= world.fetched["mta-sts.a.test"] <= 7


@pytest.mark.parametrize("max_age", [DAY, 2 * DAY])
async def test_one_fetch_that_fails_is_tried_again_soon(max_age: float) -> None:
    world = World(max_age)
    await world.learn("a.test")
    world.is_down = lambda _host, _at: len(world.tries) == 2
    async with world.running():
        await world.clock.advance(max_age / 2 + 3 * LOOK)
        assert [len(world.tries), world.holding, len(world.told)] == [3, 1, 1]
        await world.clock.advance(max_age / 2)
        assert world.holding == 1


@pytest.mark.parametrize("max_age", [3600, DAY, 2 * DAY])
async def test_a_host_that_is_down_is_tried_less_and_less_but_to_the_end(max_age: float) -> None:
    """Nobody waits for half of what is left without a try, and none comes within five minutes."""
    world = World(max_age)
    await world.learn("a.test")
    world.is_down = lambda _host, _at: True
    async with world.running():
        await world.clock.advance(max_age + 3 * LOOK)
    assert world.tries[1] <= max_age / 2 + LOOK
    assert world.tries[-1] >= max_age - 3 * LOOK
    for before, after in pairwise(world.tries[1:]):
        longest = max(5 * MINUTE, (max_age - before) / 2)
        assert 5 * MINUTE <= after - before <= longest + LOOK
    assert len(world.tries) < 35
    assert world.keeper.all == {}


async def test_what_is_a_defect_at_one_policy_keeps_no_other_from_being_renewed() -> None:
    world = World(DAY, hands=3)
    domains = [f"{kind}{number}.test" for kind in ("odd", "even") for number in range(5)]
    await world.learn(*domains)

    def break_off(host: str, _at: float) -> bool:
        if "odd" in host:
            raise RecursionError
        return False

    world.is_down = break_off
    await world.clock.advance(DAY / 2 + 1)
    with pytest.raises(RecursionError):
        await world.policies.refresh()
    now = world.clock.now()
    assert all(one.due > now for one in world.keeper.all.values())
    fresh = {name for name, one in world.keeper.all.items() if one.expires > now + DAY / 2}
    assert fresh == {name for name in domains if "even" in name}


async def test_a_policy_host_that_is_back_before_the_end_saves_its_policy() -> None:
    world = World(DAY)
    await world.learn("a.test")
    world.is_down = lambda _host, at: DAY / 2 <= at < DAY - 3600
    async with world.running():
        await world.clock.advance(3 * DAY)
    assert world.holding == 1


@pytest.mark.parametrize("how", ["gone", "broken"])
async def test_who_hides_the_record_does_not_end_a_policy(how: str) -> None:
    """RFC 8461 §10.2: it is fetched "regardless of the state" of the record."""
    world = World(DAY)
    await world.learn("a.test")
    if how == "gone":
        world.dns.txts.clear()
    else:
        world.dns.broken.add("_mta-sts.a.test")
    async with world.running():
        await world.clock.advance(2 * DAY)
    assert await world.mode() is StsMode.ENFORCE


async def test_what_the_host_says_now_counts_also_under_the_same_id() -> None:
    world = World(DAY)
    await world.learn("a.test")
    world.text = a_text(DAY, "testing")
    async with world.running():
        await world.clock.advance(DAY)
    assert await world.mode() is StsMode.TESTING


async def test_a_server_that_was_down_for_longer_than_a_policy_holds_asks_before_it_forgets() -> (
    None
):
    world = World(DAY)
    await world.learn("a.test")
    await world.clock.advance(3 * DAY)
    async with world.running():
        await world.clock.advance(LOOK)
    assert (world.holding, len(world.tries)) == (1, 2)


async def test_a_domain_that_ended_its_policy_may_take_everything_down_in_silence() -> None:
    """RFC 8461 §8.3, and §3.3: no alert where the mode is "none"."""
    world = World(DAY, "none")
    await world.learn("a.test")
    world.dns.txts.clear()
    world.is_down = lambda _host, _at: True
    async with world.running():
        await world.clock.advance(2 * DAY)
    assert len(world.tries) > 2
    assert (world.told, world.keeper.all) == ([], {})


async def test_a_policy_that_holds_for_minutes_is_fetched_when_mail_goes() -> None:
    world = World(10 * MINUTE)
    await world.learn("a.test")
    async with world.running():
        await world.clock.advance(DAY)
    assert len(world.tries) == 1
    assert await world.mode() is StsMode.ENFORCE


async def test_two_workers_share_the_work() -> None:
    world = World(DAY)
    await world.learn("a.test", "b.test")
    async with world.running(), world.running():
        await world.clock.advance(DAY - 3600)
    assert set(world.fetched.values()) == {2}


@pytest.mark.parametrize("max_age", [DAY, 200 * DAY])
async def test_what_no_mail_goes_to_for_two_months_is_left_to_expire(max_age: float) -> None:
    world = World(max_age)
    await world.learn("a.test")
    world.policies = world.with_settings(interval=DAY / 4)
    async with world.running():
        await world.clock.advance(62 * DAY)
        fetched = len(world.tries)
        # To the last day it was renewed, and it holds for its time from then on.
        kept = await world.keeper.kept("a.test")
        assert (kept is None) is (max_age == DAY)
        await world.clock.advance(190 * DAY)
        assert len(world.tries) == fetched
        assert world.holding == (max_age != DAY)
        await world.clock.advance(10 * DAY)
        assert world.keeper.all == {}
    assert world.told == []


async def test_mail_that_goes_once_a_month_finds_it_fresh() -> None:
    world = World(DAY)
    await world.learn("a.test")
    world.policies = world.with_settings(interval=DAY / 4)
    async with world.running():
        for _ in range(3):
            await world.clock.advance(31 * DAY)
            assert world.holding == 1
            assert await world.mode() is StsMode.ENFORCE


async def test_what_rested_is_fetched_again_when_mail_goes() -> None:
    world = World(200 * DAY)
    await world.learn("a.test")
    world.policies = world.with_settings(interval=DAY / 4)
    async with world.running():
        await world.clock.advance(100 * DAY)
        fetched = len(world.tries)
        world.dns.txts.clear()
        assert await world.mode() is StsMode.ENFORCE
        await world.clock.advance(DAY / 2)
        assert len(world.tries) == fetched + 1
        await world.clock.advance(DAY)
        assert len(world.tries) == fetched + 2


@pytest.mark.slow
async def test_twenty_thousand_that_are_due_at_once_are_renewed_beside_hosts_that_are_silent() -> (
    None
):
    """One in a hundred says nothing; at most 20 are asked at a time."""
    world = World(DAY, hands=20)
    await world.learn(*(f"d{number:05}.test" for number in range(20_000)))
    world.is_silent = lambda host: host.endswith("00.test")
    async with world.running():
        await world.clock.advance(DAY / 2 + 3600)
        assert sum(count > 1 for count in world.fetched.values()) == 19_800
        await world.clock.advance(DAY / 2)
    assert world.holding == 19_800
    assert world.most_open == 20
