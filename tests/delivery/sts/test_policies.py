"""When a policy of MTA-STS is fetched, kept and applied (RFC 8461 §3.3, §5)."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from merpati.delivery.backing import Backing, StsMode
from merpati.delivery.mx import Exchanges, NoHosts
from merpati.delivery.outcome import Result
from merpati.delivery.sts.policies import Policies, PolicyParts, StsSettings
from merpati.directory.policies import PolicyRoom, PolicyStore
from merpati.storage.connection import Kind, StorageSettings
from merpati.storage.database import Database
from merpati.storage.errors import StorageError
from merpati.testing.clock import VirtualClock
from merpati.testing.deliveries import DAY, START, ScriptedDns
from merpati.wire.errors import WireError

RECORD = "_mta-sts.a.test"
ENFORCE = b"version: STSv1\nmode: enforce\nmx: *.a.test\nmax_age: 604800\n"
HOSTS = Exchanges((("mx1.a.test", "mx.evil.test"), ("mx2.a.test",)))


class World:
    """A domain with a policy host, and what was asked of it."""

    def __init__(self, database: Database) -> None:
        self.clock = VirtualClock(START)
        self.dns = ScriptedDns(txts={RECORD: (b"v=STSv1; id=1",)})
        self.text: bytes | Exception = ENFORCE
        self.fetched: list[str] = []
        self.told: list[tuple[str, ...]] = []
        self.left_out: list[str] = []
        self.settings = StsSettings()
        self.gate = asyncio.Event()
        """Without it the host gives no answer."""
        self.gate.set()
        self.store = PolicyStore(database)
        self.close = database.close
        self.restart()

    def restart(self) -> None:
        """Nothing is in memory any more."""
        parts = PolicyParts(
            self.store,
            self.dns,
            self._fetch,
            self.clock,
            lambda *said: self.told.append(said),
            self.left_out.append,
        )
        self.policies = Policies(self.settings, parts)

    def publish(self, ident: str, text: bytes | WireError) -> None:
        """Another policy."""
        self.dns.txts[RECORD] = (f"v=STSv1; id={ident}".encode(),)
        self.text = text

    async def mode(self, domain: str = "a.test", *, is_ours: bool = True) -> StsMode | None:
        policy = await self.policies.policy(domain, is_ours=is_ours)
        return policy.mode if policy else None

    async def ask_at_once(self, count: int) -> list[asyncio.Task[StsMode | None]]:
        """While the host gives no answer; the first of them has asked it."""
        self.gate.clear()
        asked = []
        for number in range(1, count + 1):
            asked.append(asyncio.create_task(self.mode()))
            while not self.fetched or self.dns.asked < number:
                await asyncio.sleep(0.01)
        return asked

    async def used(self, domain: str = "a.test") -> float:
        """Days after the start that mail last went to a domain."""
        kept = await self.store.kept(domain)
        assert kept is not None
        return (kept.used - START) / DAY

    async def _fetch(self, host: str, path: str) -> bytes:
        self.fetched.append(f"https://{host}{path}")
        await self.gate.wait()
        if isinstance(self.text, Exception):
            raise self.text
        return self.text


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    database = Database(StorageSettings(tmp_path / "directory.db", Kind.DIRECTORY))
    await database.open()
    yield World(database)
    await database.close()


async def test_a_policy_is_fetched_once_and_kept_over_restarts(world: World) -> None:
    assert await world.mode() is StsMode.ENFORCE
    world.restart()
    assert await world.mode() is StsMode.ENFORCE
    assert world.fetched == ["https://mta-sts.a.test/.well-known/mta-sts.txt"]


async def test_a_domain_without_a_record_is_asked_for_no_policy(world: World) -> None:
    world.dns.txts.clear()
    assert await world.mode() is None
    assert world.fetched == []


async def test_another_id_says_that_there_is_another_policy(world: World) -> None:
    await world.mode()
    world.publish("2", ENFORCE.replace(b"enforce", b"testing"))
    assert await world.mode() is StsMode.TESTING
    assert len(world.fetched) == 2


@pytest.mark.parametrize("how", ["record gone", "dns broken", "host broken", "nonsense"])
async def test_a_policy_holds_until_it_expires_whatever_others_say(world: World, how: str) -> None:
    await world.mode()
    if how == "record gone":
        world.dns.txts.clear()
    elif how == "dns broken":
        world.dns.broken.add(RECORD)
    else:
        world.publish("2", WireError("no answer") if how == "host broken" else b"<html>")
    assert await world.mode() is StsMode.ENFORCE
    await world.clock.advance(7 * DAY - 1)
    assert await world.mode() is StsMode.ENFORCE
    await world.clock.advance(2)
    assert await world.mode() is None


async def test_what_cannot_be_fetched_is_told_and_asked_for_again_after_a_while(
    world: World,
) -> None:
    world.text = WireError("no answer")
    assert await world.mode() is None
    assert await world.mode() is None
    assert len(world.fetched) == 1
    assert world.told == [("a.test", "fetch", "no answer")]
    await world.clock.advance(301)
    world.text = ENFORCE
    assert await world.mode() is StsMode.ENFORCE


async def test_a_dns_that_is_silent_is_waited_for_once_in_five_minutes(world: World) -> None:
    """Each new connection to a smarthost asks, and each would wait for as long as a question may
    take."""
    await world.mode()
    world.dns.asked = 0
    world.dns.silent = {RECORD, "_mta-sts.relay.b.test"}
    for _ in range(3):
        assert await world.mode() is StsMode.ENFORCE
        assert await world.mode("relay.b.test") is None
    assert world.dns.asked == 2
    await world.clock.advance(301)
    world.dns.silent.clear()
    world.dns.txts["_mta-sts.relay.b.test"] = (b"v=STSv1; id=1",)
    assert await world.mode("relay.b.test") is StsMode.ENFORCE


async def test_a_dns_that_fails_at_once_is_asked_again(world: World) -> None:
    world.dns.broken.add(RECORD)
    assert await world.mode() is None
    world.dns.broken.clear()
    assert await world.mode() is StsMode.ENFORCE


@pytest.mark.parametrize("text", [ENFORCE, ENFORCE.replace(b"604800", b"0"), WireError("late")])
async def test_who_want_the_same_policy_at_once_wait_for_one_fetch(
    world: World, text: bytes | WireError
) -> None:
    world.text = text
    asked = await world.ask_at_once(5)
    asked.pop().cancel()
    world.gate.set()
    expected = None if isinstance(text, WireError) else StsMode.ENFORCE
    assert await asyncio.gather(*asked) == [expected] * 4
    assert len(world.fetched) == 1


async def test_what_is_a_defect_at_a_fetch_is_met_once_in_five_minutes(world: World) -> None:
    world.text = RecursionError()
    first, *others = await world.ask_at_once(5)
    world.gate.set()
    with pytest.raises(RecursionError):
        await first
    assert await asyncio.gather(*others) == [None] * 4
    assert len(world.fetched) == 1


async def test_whoever_waits_fetches_where_the_first_was_cancelled(world: World) -> None:
    first, second = await world.ask_at_once(2)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    world.gate.set()
    assert await second is StsMode.ENFORCE
    assert len(world.fetched) == 2


async def test_a_kept_policy_that_nobody_can_read_is_fetched_anew(world: World) -> None:
    await world.mode()
    kept = await world.store.kept("a.test")
    assert kept is not None
    await world.store.keep(replace(kept, text=b"as no version reads it"), PolicyRoom(10, 0.0))
    assert await world.mode() is StsMode.ENFORCE
    assert len(world.fetched) == 2
    assert await world.mode() is StsMode.ENFORCE
    assert len(world.fetched) == 2


async def test_another_id_is_asked_for_at_once_though_the_last_one_failed(world: World) -> None:
    """RFC 8461 §3.3 counts the five minutes for each id."""
    world.text = WireError("no answer")
    await world.mode()
    world.publish("2", ENFORCE)
    assert await world.mode() is StsMode.ENFORCE


async def test_what_has_expired_and_cannot_be_had_is_forgotten_by_the_store(world: World) -> None:
    await world.mode()
    world.text = WireError("no answer")
    await world.clock.advance(8 * DAY)
    await world.policies.refresh()
    assert await world.store.kept("a.test") is None


async def test_hands_that_meet_a_failing_store_raise_its_error(world: World) -> None:
    await world.mode()
    await world.clock.advance(DAY)
    await world.close()
    with pytest.raises(StorageError):
        await world.policies.refresh()


async def test_enforced_only_listed_hosts_are_left_and_must_prove_who_they_are(
    world: World,
) -> None:
    found = await world.policies.apply("a.test", HOSTS, is_ours=True)
    assert found == replace(
        HOSTS, groups=(("mx1.a.test",), ("mx2.a.test",)), backing=Backing(sts=StsMode.ENFORCE)
    )


async def test_where_no_host_is_listed_the_mail_waits(world: World) -> None:
    found = await world.policies.apply("a.test", Exchanges((("mx.evil.test",),)), is_ours=True)
    assert isinstance(found, NoHosts)
    assert (found.result, found.cause) == (Result.DEFERRED, "sts-mx-unlisted")


async def test_in_testing_every_host_is_left_and_it_is_known_which_are_not_named(
    world: World,
) -> None:
    world.text = ENFORCE.replace(b"enforce", b"testing")
    found = await world.policies.apply("a.test", HOSTS, is_ours=True)
    backing = Backing(sts=StsMode.TESTING, unlisted=("mx.evil.test",))
    assert found == replace(HOSTS, backing=backing)


@pytest.mark.parametrize("domain", ["[192.0.2.1]", "b.test"])
async def test_others_demand_nothing(world: World, domain: str) -> None:
    assert await world.policies.apply(domain, HOSTS, is_ours=True) is HOSTS


async def test_a_policy_that_ends_one_demands_nothing(world: World) -> None:
    await world.mode()
    world.publish("2", b"version: STSv1\nmode: none\nmax_age: 86400\n")
    assert await world.policies.apply("a.test", HOSTS, is_ours=True) is HOSTS


async def test_that_mail_goes_there_is_noted_once_a_day(world: World) -> None:
    await world.mode()
    await world.clock.advance(DAY - 1)
    await world.mode()
    assert await world.used() == 0
    await world.clock.advance(1)
    await world.mode()
    assert await world.used() == 1


async def test_what_was_strangers_is_ours_at_once(world: World) -> None:
    await world.mode(is_ours=False)
    assert await world.store.count() == (0, 1)
    await world.mode(is_ours=True)
    assert await world.store.count() == (1, 0)
    await world.mode(is_ours=False)
    assert await world.store.count() == (1, 0)


async def test_a_store_that_can_write_nothing_stops_no_mail(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object, **__: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(PolicyStore, "keep", full)
    assert await world.mode() is StsMode.ENFORCE
    assert await world.mode() is StsMode.ENFORCE
    assert (len(world.fetched), world.left_out) == (1, [])
    monkeypatch.undo()
    await world.clock.advance(301)
    await world.mode()
    await world.clock.advance(DAY)
    monkeypatch.setattr(PolicyStore, "use", full)
    assert await world.mode() is StsMode.ENFORCE


async def test_a_policy_without_room_is_applied_and_not_kept(world: World) -> None:
    world.settings = StsSettings(domains=2)
    world.restart()
    for name in ("a", "b", "c", "d"):
        world.dns.txts[f"_mta-sts.{name}.test"] = (b"v=STSv1; id=1",)
        assert await world.mode(f"{name}.test") is StsMode.ENFORCE
    assert await world.store.count() == (2, 0)
    assert await world.store.kept("c.test") is None
    # It is told of once an hour, and the policy fetched again as if it had failed.
    assert world.left_out == ["c.test"]
    assert await world.mode("c.test") is StsMode.ENFORCE
    assert len(world.fetched) == 4
    await world.clock.advance(3601)
    assert await world.mode("c.test") is StsMode.ENFORCE
    assert (len(world.fetched), world.left_out) == (5, ["c.test", "c.test"])


async def test_a_flood_of_strangers_pushes_out_nothing_of_ours(world: World) -> None:
    world.settings = StsSettings(domains=4)
    world.restart()
    for n in range(12):
        await world.clock.advance(1)
        world.dns.txts[f"_mta-sts.d{n}.test"] = (b"v=STSv1; id=1",)
        assert await world.mode(f"d{n}.test", is_ours=n in (0, 6)) is StsMode.ENFORCE
    assert await world.store.count() == (2, 2)
    assert await world.store.kept("d0.test")
    assert await world.store.kept("d6.test")
    assert world.left_out == []
