"""Data of every earlier format opens, is brought to the present one, and nothing of it is lost."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from merpati.config.places import Places
from merpati.mail.address import Address
from merpati.queue.entry import Selection, State
from merpati.storage.connection import Kind, newest_schema
from merpati.system.stores import Stores, open_stores
from merpati.system.verifying import verify
from merpati.testing.clock import VirtualClock
from tests.upgrade import sample

SAMPLES = sorted(path for path in Path(__file__).parent.iterdir() if "schema" in path.name)


@pytest.fixture(params=SAMPLES, ids=lambda folder: folder.name)
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    sample.unpack(request.param, tmp_path)
    async with open_stores(Places(tmp_path), VirtualClock(sample.RECEIVED + 60)) as stores:
        yield stores


async def its_schema_is_the_present_one(stores: Stores) -> None:
    version = await stores.shard.read(lambda db: db.execute("PRAGMA user_version").get)
    assert version == newest_schema(Kind.SHARD)


async def every_recipient_is_where_it_was(stores: Stores) -> None:
    listed = await stores.queue.search(Selection(), 100)
    states = {str(one.waiting.recipient.address): one.waiting.state for one in listed}
    refused = set(sample.MESSAGES["refused"])
    expected = {one for to in sample.MESSAGES.values() for one in to} - refused
    held = sample.MESSAGES["held"][0]
    assert states == {one: State.HELD if one == held else State.WAITING for one in expected}


async def every_content_is_read_as_it_came(stores: Stores) -> None:
    for number, subject in enumerate(sample.MESSAGES):
        pieces = [piece async for piece in stores.queue.read(sample.entry(number, subject).id)]
        assert b"".join(pieces) == sample.octets(subject)


async def debts_people_and_stories_are_kept(stores: Stores) -> None:
    (owed,) = await stores.queue.owed(10)
    assert (owed.entry, owed.reply) == (sample.entry(4, "refused"), "550 5.1.1 no such user")
    resolution = stores.directory.resolve(Address("sales", "a.test"))
    assert resolution is not None
    assert resolution.targets == (sample.ANN, Address("bob", "b.test"))
    for number, subject in enumerate(sample.MESSAGES):
        story = await stores.journal.story(sample.entry(number, subject).id)
        assert story[0] == sample.accepted(sample.entry(number, subject))


async def what_waits_is_claimed_whole(stores: Stores) -> None:
    claims = await stores.queue.claim(sample.RECEIVED + 60, 100)
    claimed = {claim.entry.id for claim in claims}
    assert claimed == {
        sample.entry(number, subject).id
        for number, subject in enumerate(sample.MESSAGES)
        if subject not in {"held", "refused"}
    }


async def nothing_is_called_damaged(stores: Stores) -> None:
    places = Places(stores.shard.settings.path.parent)
    assert list(verify(places, lambda _things, _number: None)) == []


KEPT = (
    nothing_is_called_damaged,
    its_schema_is_the_present_one,
    every_recipient_is_where_it_was,
    every_content_is_read_as_it_came,
    debts_people_and_stories_are_kept,
    what_waits_is_claimed_whole,
)


async def test_nothing_is_lost(stores: Stores) -> None:
    for fact in KEPT:
        await fact(stores)


@pytest.mark.parametrize(("name", "kind"), list(zip(sample.FILES, Kind, strict=True)))
def test_every_earlier_schema_has_a_sample(name: str, kind: Kind, tmp_path: Path) -> None:
    kept = set()
    for folder in SAMPLES:
        sample.unpack(folder, tmp_path / folder.name)
        connection = apsw.Connection(str(tmp_path / folder.name / name))
        kept.add(connection.execute("PRAGMA user_version").get)
        connection.close()
    assert kept >= set(range(1, newest_schema(kind)))


@pytest.mark.parametrize("schema", [1, 5])
async def test_who_was_suspended_by_an_earlier_version_may_not_send(
    tmp_path: Path, schema: int
) -> None:
    sample.unpack(Path(__file__).parent / f"0.1.0-schema-{schema}", tmp_path)
    connection = apsw.Connection(str(tmp_path / "directory.db"))
    connection.execute("UPDATE user SET suspended = 1")
    connection.close()
    async with open_stores(Places(tmp_path), VirtualClock(sample.RECEIVED + 60)) as stores:
        ((user, is_told),) = await stores.directory.suspensions()
    assert (user.address, user.suspended, is_told) == (sample.ANN, True, True)
    assert user.suspension is not None
    assert user.suspension.at > sample.RECEIVED - 1e9


@pytest.mark.parametrize("schema", [9, 10])
async def test_a_policy_of_mta_sts_that_was_kept_holds_and_is_due_at_once(
    tmp_path: Path, schema: int
) -> None:
    sample.unpack(Path(__file__).parent / f"0.1.0-schema-{schema}", tmp_path)
    async with open_stores(Places(tmp_path), VirtualClock(sample.RECEIVED + 60)) as stores:
        assert await stores.policies.kept("b.test") == sample.POLICY
        claimed = await stores.policies.claim(sample.RECEIVED + 60, sample.NEVER)
    assert claimed == replace(sample.POLICY, due=sample.NEVER)
