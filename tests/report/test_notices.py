"""Debts are paid by notices, forgiven where none may be sent, and never block one another."""

import asyncio
import errno
from collections.abc import AsyncIterator, Callable, Sequence

import pytest
from msgspec import structs

from merpati.errors import MerpatiError
from merpati.journal.events import Event, Lifecycle, Unnoticed
from merpati.mail.envelope import Body, Envelope
from merpati.queue.entry import Owed
from merpati.report.dsn import NoticeSettings
from merpati.report.notices import Notices
from merpati.storage.errors import StorageError
from merpati.testing.clock import VirtualClock
from merpati.testing.memory import MemoryJournal, MemoryQueue

Builder = Callable[..., Owed]


class Books(MemoryQueue):
    """A queue whose debts and content are given."""

    def __init__(self, debts: list[Owed], content: bytes, journal: MemoryJournal) -> None:
        super().__init__(VirtualClock(), journal)
        self.debts = debts
        self.content = content
        self.told: list[Event] = []
        self.is_damaged = False

    async def owed(self, limit: int) -> list[Owed]:
        return self.debts[:limit]

    async def forgive(self, ids: Sequence[int], events: Sequence[Event] = ()) -> None:
        self.debts = [owed for owed in self.debts if owed.id not in ids]
        self.told += events

    async def read(self, entry_id: str) -> AsyncIterator[bytes]:
        yield self.content
        if self.is_damaged:
            raise StorageError("its checksum does not match", is_damaged=True)


class Counter:
    """The door: clears debts as intake does, and refuses those about `broken`."""

    def __init__(self, books: Books, broken: str = "") -> None:
        self.books = books
        self.error: Exception = MerpatiError("broken")
        self.asked = 0
        self.broken = broken
        self.sent: list[tuple[Envelope, list[str]]] = []
        self.content = b""

    async def accept_notice(
        self, envelope: Envelope, content: Body, answers: Sequence[Owed]
    ) -> str:
        self.asked += 1
        if self.broken in ("all", *(str(owed.recipient.address) for owed in answers)):
            raise self.error
        self.content = content.octets()
        self.sent.append((envelope, [str(owed.recipient.address) for owed in answers]))
        await self.books.forgive([owed.id for owed in answers])
        return "id"


class Office:
    def __init__(self, debts: list[Owed], content: bytes, broken: str = "") -> None:
        self.journal = MemoryJournal()
        self.books = Books(debts, content, self.journal)
        self.door = Counter(self.books, broken)
        self.clock = VirtualClock()
        self.notices = Notices(
            (self.books, self.books, self.journal),
            self.door,
            self.clock,
            NoticeSettings("mx.a.test"),
        )


async def test_debts_of_one_message_and_action_make_one_notice(
    owed: Builder, original: bytes
) -> None:
    office = Office([owed(), owed("delayed", id_=2), owed(to="eve@b.test", id_=3)], original)
    assert await office.notices.pay() == 3
    told = sorted(to for _, to in office.door.sent)
    assert told == [["bob@b.test"], ["bob@b.test", "eve@b.test"]]
    assert office.books.debts == []


async def test_a_null_sender_is_forgiven_with_the_reason(owed: Builder, original: bytes) -> None:
    office = Office([owed(sender=None)], original)
    assert await office.notices.pay() == 1
    [told] = office.books.told
    assert isinstance(told, Unnoticed)
    assert told.why == "the sender is null"
    assert office.door.sent == []


@pytest.mark.parametrize("action", ["failed", "delayed", "delivered", "expanded"])
async def test_who_is_named_in_forged_mail_hears_nothing_and_that_is_written_down(
    owed: Builder, original: bytes, action: str
) -> None:
    debt = owed(action)
    office = Office(
        [structs.replace(debt, entry=structs.replace(debt.entry, is_disproved=True))], original
    )
    assert await office.notices.pay() == 1
    [told] = office.books.told
    assert isinstance(told, Unnoticed)
    assert told.why == "the sender was not proved"
    assert office.door.sent == []


async def test_an_automatic_answer_gets_no_notice(owed: Builder, original: bytes) -> None:
    office = Office([owed()], b"Auto-Submitted: auto-replied\r\n" + original)
    await office.notices.pay()
    assert office.door.sent == []
    assert office.books.debts == []


async def test_a_notice_that_cannot_be_stored_waits_and_the_others_go_out(
    owed: Builder, original: bytes
) -> None:
    office = Office([owed(to="x@b.test"), owed("delayed", id_=2)], original, broken="x@b.test")
    assert await office.notices.pay() == 1
    assert [owed.id for owed in office.books.debts] == [1]
    assert await office.notices.pay() == 0
    kept = [event for _, event in await office.journal.follow(0, 10)]
    assert [event.what for event in kept if isinstance(event, Lifecycle)] == ["notice put off"]


async def test_a_machine_without_files_is_asked_again_at_the_next_look(
    owed: Builder, original: bytes
) -> None:
    office = Office([owed(to="x@b.test")], original, broken="x@b.test")
    office.door.error = OSError(errno.EMFILE, "Too many open files")
    assert await office.notices.pay() == 0
    office.door.broken = ""
    assert await office.notices.pay() == 0
    await office.clock.advance(31)
    assert await office.notices.pay() == 1


async def test_a_file_that_sqlite_calls_damaged_behind_a_disk_that_failed_is_asked_again_soon(
    owed: Builder, original: bytes
) -> None:
    office = Office([owed(to="x@b.test")], original, broken="x@b.test")
    office.door.error = StorageError("database disk image is malformed", is_damaged=True)
    assert await office.notices.pay() == 0
    office.door.broken = ""
    await office.clock.advance(31)
    assert await office.notices.pay() == 1


async def test_the_loop_pays_what_is_there_and_what_it_is_woken_for(
    owed: Builder, original: bytes
) -> None:
    office = Office([owed()], original)
    loop = asyncio.create_task(office.notices.run())
    await office.clock.advance(1)
    assert office.books.debts == []
    office.books.debts = [owed(id_=2)]
    office.notices.wake()
    await office.clock.advance(1)
    assert office.books.debts == []
    office.books.debts = [owed(id_=3)]
    await office.clock.advance(60)
    assert office.books.debts == []
    loop.cancel()


async def test_storage_that_fails_ends_the_round_and_puts_nothing_off(
    owed: Builder, original: bytes
) -> None:
    debts = [owed(), owed("delayed", id_=2), owed("relayed", id_=3)]
    office = Office(debts, original, broken="all")
    office.door.error = StorageError("no space left", is_full=True)
    assert await office.notices.pay() == 0
    assert office.door.asked == 1
    office.door.broken = ""
    assert await office.notices.pay() == 3


async def test_a_debt_that_storage_refuses_comes_behind_the_others(
    owed: Builder, original: bytes
) -> None:
    debts = [owed("delayed", to="x@b.test"), owed(id_=2)]
    office = Office(debts, original, broken="x@b.test")
    office.door.error = StorageError("constraint failed")
    assert await office.notices.pay() == 0
    assert await office.notices.pay() == 1
    assert [one.id for one in office.books.debts] == [1]


async def test_content_that_is_damaged_puts_off_its_own_debts_alone(
    owed: Builder, original: bytes
) -> None:
    debts = [owed("delayed", to="x@b.test"), owed(id_=2)]
    office = Office(debts, original, broken="x@b.test")
    office.door.error = StorageError("a piece is gone", is_damaged=True)
    assert await office.notices.pay() == 1
    assert [one.id for one in office.books.debts] == [1]


async def test_the_sender_is_told_without_a_word_of_what_is_damaged(
    owed: Builder, original: bytes
) -> None:
    office = Office([owed()], original)
    office.books.is_damaged = True
    assert await office.notices.pay() == 1
    assert office.door.sent != []
    assert b"Laporan" not in office.door.content
    assert b"Isi pesan" not in office.door.content
    kept = [event for _, event in await office.journal.follow(0, 10)]
    assert [event.what for event in kept if isinstance(event, Lifecycle)] == [
        "notice without its message"
    ]


async def test_a_debt_about_nobody_knows_whom_is_kept_and_blocks_no_other(
    owed: Builder, original: bytes
) -> None:
    lost = structs.replace(owed(sender=None), damage="an entry cannot be read")
    office = Office([lost, owed("delayed", id_=2)], original)
    assert await office.notices.pay() == 1
    assert [one.id for one in office.books.debts] == [1]
