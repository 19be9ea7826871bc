"""Whoever is suspected is suspended once, and told once, whatever crashes in between."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from msgspec import structs

from merpati.directory.directory import Suspension
from merpati.directory.usage import DAY
from merpati.journal.events import AccountSuspended, Event
from merpati.mail.address import Address
from merpati.mail.envelope import Body, Envelope
from merpati.mail.headers import Headers
from merpati.mail.trace import Client
from merpati.policy.guard import Guard, GuardSettings
from merpati.report.dsn import NoticeSettings
from merpati.report.suspending import Suspending, SuspendingParts
from merpati.storage.errors import StorageError
from merpati.testing.clock import VirtualClock
from merpati.testing.deliveries import A_BODY, an_entry
from merpati.testing.memory import MemoryJournal, MemoryQueue
from merpati.testing.memory_directory import MemoryDirectory, MemoryUsage

ANN = Address("ann", "a.test")


@dataclass
class Door:
    """Keeps what comes in, or fails."""

    mails: list[tuple[Envelope, Body]] = field(default_factory=list)
    is_broken: bool = False

    async def accept_notice(self, envelope: Envelope, content: Body, answers: object = ()) -> str:
        if self.is_broken:
            raise StorageError("full", is_full=True)
        self.mails.append((envelope, content))
        return "01A"


class World:
    """Two workers of a node; the first speaks for both."""

    def __init__(self, journal: MemoryJournal | None = None) -> None:
        self.clock = VirtualClock(20_000.5 * DAY)
        self.directory, self.door = MemoryDirectory(), Door()
        self.journal = journal or MemoryJournal()
        books = (self.directory, MemoryUsage(self.directory))
        self.guards = [Guard(GuardSettings(), books, self.clock, b"secret") for _ in range(2)]
        self.queues = [MemoryQueue(self.clock, self.journal) for _ in range(2)]
        self.workers = [
            Suspending(
                SuspendingParts(
                    self.directory,
                    guard,
                    self.queues[n],
                    self.journal,
                    self.clock,
                    tells=n == 0,
                ),
                self.door,
                NoticeSettings("mx.a.test"),
            )
            for n, guard in enumerate(self.guards)
        ]

    async def look(self) -> None:
        for worker in reversed(self.workers):
            await worker.look()

    async def suspensions(self) -> list[AccountSuspended]:
        told = await self.journal.follow(0, 100)
        return [event for _, event in told if isinstance(event, AccountSuspended)]


@pytest.fixture
async def world() -> World:
    world = World()
    await world.directory.add_domain("a.test")
    await world.directory.add_user(ANN, None)
    return world


async def test_two_workers_that_suspect_the_same_suspend_once_and_tell_once(world: World) -> None:
    user = world.directory.user(ANN)
    assert user is not None
    for guard in world.guards:
        guard.too_many_strangers(user, 200)
    for _ in range(3):
        await world.look()
    (event,) = await world.suspensions()
    assert (event.login, event.by) == ("ann@a.test", "merpati")
    ((envelope, content),) = world.door.mails
    assert envelope.sender is None
    assert [str(one.address) for one in envelope.recipients] == ["ann@a.test", "postmaster@a.test"]
    headers = Headers.scan(b"".join(content.parts))
    assert headers.get("Auto-Submitted") == "auto-generated"


class FullJournal(MemoryJournal):
    """Has no room while it is told so."""

    def __init__(self) -> None:
        super().__init__()
        self.is_full = False

    async def append(self, events: Sequence[Event]) -> None:
        if self.is_full:
            raise StorageError("full", is_full=True)
        await super().append(events)


async def test_a_suspension_that_the_journal_had_no_room_for_is_written_later() -> None:
    journal = FullJournal()
    world = World(journal)
    await world.directory.add_domain("a.test")
    await world.directory.add_user(ANN, None)
    user = world.directory.user(ANN)
    assert user is not None
    world.guards[0].too_many_strangers(user, 200)
    journal.is_full = True
    with pytest.raises(StorageError):
        await world.workers[0].look()
    journal.is_full = False
    for _ in range(2):
        await world.workers[0].look()
    (event,) = await world.suspensions()
    assert event.login == "ann@a.test"


async def test_a_mail_that_cannot_be_stored_is_written_later(world: World) -> None:
    user = world.directory.user(ANN)
    assert user is not None
    world.guards[1].too_many_strangers(user, 200)
    world.door.is_broken = True
    with pytest.raises(StorageError):
        await world.look()
    world.door.is_broken = False
    await world.look()
    await world.look()
    assert len(world.door.mails) == 1
    assert len(await world.suspensions()) == 1


async def test_an_address_that_is_made_anew_does_not_let_the_old_ones_mail_go(world: World) -> None:
    queue = world.queues[0]
    entry = an_entry(1, "zoe@far.test")
    entry = structs.replace(entry, received=world.clock.now(), client=Client("::1", login=str(ANN)))
    await queue.put(entry, A_BODY)
    await world.directory.suspend(ANN, Suspension(world.clock.now(), "stolen"))
    await world.look()
    assert (await queue.count())["held"] == 1
    await world.clock.advance(10)
    await world.directory.remove_user(ANN)
    await world.directory.add_user(ANN, None, world.clock.now())
    await world.look()
    assert (await queue.count())["held"] == 1


async def test_a_suspect_is_not_forgotten_while_storage_has_no_room(world: World) -> None:
    user = world.directory.user(ANN)
    assert user is not None
    world.guards[0].too_many_strangers(user, 200)
    suspend = world.directory.suspend

    async def full(*_: object, **__: object) -> bool:
        raise StorageError("full", is_full=True)

    world.directory.suspend = full  # type: ignore[method-assign]
    with pytest.raises(StorageError):
        await world.look()
    world.directory.suspend = suspend  # type: ignore[method-assign]
    await world.look()
    assert len(await world.suspensions()) == 1


async def test_who_was_removed_meanwhile_is_passed_over(world: World) -> None:
    user = world.directory.user(ANN)
    assert user is not None
    world.guards[0].too_many_strangers(user, 200)
    await world.directory.remove_user(ANN)
    await world.look()
    assert world.door.mails == []
