"""What accounts send is counted from the journal once, and failures of theirs are noticed."""

import asyncio

import pytest

from merpati.directory.usage import DAY, Used
from merpati.journal.events import Accepted, Failed, Refused
from merpati.mail.address import Address
from merpati.policy.guard import Guard, GuardSettings
from merpati.report.book import Book
from merpati.report.counting import Counting, CountingParts, CountingSettings
from merpati.storage.errors import StorageError
from merpati.testing.clock import VirtualClock
from merpati.testing.memory import MemoryJournal
from merpati.testing.memory_directory import MemoryDirectory, MemoryUsage

ANN = Address("ann", "a.test")
TODAY = 20_000


class World:
    """A journal whose messages of ann are counted."""

    def __init__(self) -> None:
        self.clock = VirtualClock((TODAY + 0.5) * DAY)
        self.journal = MemoryJournal()
        self.directory = MemoryDirectory()
        self.usage = MemoryUsage(self.directory)
        books = (self.directory, self.usage)
        self.guard = Guard(GuardSettings(unknown=2), books, self.clock, b"secret")
        self.counting = self.restarted()

    def restarted(self) -> Book:
        """As after a crash: nothing but the stores is left."""
        parts = CountingParts(self.journal, self.usage, self.guard, self.clock)
        return Book(Counting(0, CountingSettings(), parts), self.journal, self.clock)

    def accept(self, *to: str, login: str = "ann@a.test", **more: object) -> None:
        """A message, with its number as its id."""
        at = self.clock.now()
        event = Accepted(at=at, sender=login, recipients=to, size=1, login=login, **more)  # type: ignore[arg-type]  # fields of Accepted
        self.journal.note(event)


@pytest.fixture
async def world() -> World:
    world = World()
    await world.directory.add_domain("a.test")
    await world.directory.add_user(ANN, None)
    return world


async def count(world: World, counting: Book, seconds: float) -> None:
    task = asyncio.create_task(counting.run())
    await world.clock.advance(seconds)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_crash_before_a_write_loses_nothing_and_one_behind_it_doubles_nothing(
    world: World,
) -> None:
    world.accept("x@b.test", "y@b.test", "bob@a.test")
    await count(world, world.counting, 1.0)
    assert world.usage.used(ANN, TODAY) == Used()
    for _ in range(2):
        await count(world, world.restarted(), 7.0)
    assert world.usage.used(ANN, TODAY) == Used(1, 3, 2)
    world.accept("x@b.test")
    await count(world, world.restarted(), 7.0)
    assert world.usage.used(ANN, TODAY) == Used(2, 4, 2)


async def test_at_the_end_everything_is_written(world: World) -> None:
    world.accept("x@b.test")
    await world.counting.finish()
    assert world.usage.used(ANN, TODAY) == Used(1, 1, 1)


async def test_mail_of_nobody_who_logged_in_is_not_read_again_and_again(world: World) -> None:
    for _ in range(3):
        world.accept("x@b.test", login="")
    await world.counting.finish()
    assert await world.usage.cursor(0) == 3


async def test_a_list_here_is_one_recipient_and_strangers_mail_is_nobodys(world: World) -> None:
    members = tuple(f"{n}@b.test" for n in range(50))
    aliases = tuple(("all@a.test", member) for member in members)
    world.accept(*members, aliases=aliases)
    world.accept("x@b.test", login="")
    await world.counting.finish()
    assert world.usage.used(ANN, TODAY) == Used(1, 1, 0)


async def test_what_is_read_again_when_storage_fails_makes_nobody_suspect_twice(
    world: World,
) -> None:
    now = world.clock.now()
    world.accept("x@b.test", message="01A")
    for _ in range(2):
        world.journal.note(
            Failed(at=now, message="01A", address="x@b.test", reply="550", cause="unknown-user")
        )
    add = world.usage.add

    async def full(*_: object) -> None:
        raise StorageError("full", is_full=True)

    world.usage.add = full  # type: ignore[method-assign]
    for _ in range(3):
        with pytest.raises(StorageError):
            await world.counting.gather()
        await world.counting._begin()
    world.usage.add = add  # type: ignore[method-assign]
    await world.counting.gather()
    assert world.guard.suspects() == {}
    assert world.usage.used(ANN, TODAY) == Used(1, 1, 1)
    world.journal.note(
        Failed(at=now, message="01A", address="x@b.test", reply="550", cause="unknown-user")
    )
    await world.counting.gather()
    assert list(world.guard.suspects()) == [ANN]


async def test_members_of_a_list_whom_nobody_knows_are_not_the_senders_doing(
    world: World,
) -> None:
    now, members = world.clock.now(), tuple(f"{n}@b.test" for n in range(9))
    aliases = tuple(("all@a.test", member) for member in members)
    world.accept("x@b.test", *members, aliases=aliases, message="01A")
    for address in (*members, "x@b.test", "x@b.test"):
        world.journal.note(
            Failed(at=now, message="01A", address=address, reply="550", cause="unknown-user")
        )
    await count(world, world.counting, 1.0)
    assert world.guard.suspects() == {}
    world.journal.note(
        Failed(at=now, message="01A", address="x@b.test", reply="550", cause="unknown-user")
    )
    await count(world, world.restarted(), 1.0)
    assert ANN in world.guard.suspects()


async def test_recipients_that_nobody_knows_make_a_suspect(world: World) -> None:
    now = world.clock.now()
    world.accept("x@b.test", message="01A")
    for reply, cause in (("550 5.1.1 who?", "unknown-user"), ("550 5.7.1 spam", "refused")):
        world.journal.note(Failed(at=now, message="01A", reply=reply, cause=cause))
    refused = {"stage": "rcpt", "reply": "550 5.1.1", "rule": "recipients", "login": "ann@a.test"}
    world.journal.note(Refused(at=now, **refused))
    old = now - 2 * 3600
    world.journal.note(Refused(at=old, **refused), Refused(at=old, **refused))
    await count(world, world.counting, 1.0)
    assert world.guard.suspects() == {}
    world.journal.note(Refused(at=now, **refused))
    await count(world, world.restarted(), 1.0)
    assert world.guard.suspects() == {ANN: "more than 2 unknown recipients in an hour"}
