"""Deliveries that are final here: what the disk and the message itself can object."""

import asyncio
import errno
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec import structs

from merpati.delivery.mailboxes import Mailboxes, MailboxParts
from merpati.delivery.maildir import Maildirs, MaildirSettings
from merpati.delivery.outcome import Result
from merpati.delivery.transaction import Transaction
from merpati.errors import MerpatiError
from merpati.mail.envelope import Body, BodyType
from merpati.queue.entry import State, Waiting
from merpati.storage.errors import StorageError
from merpati.testing.clock import VirtualClock
from merpati.testing.deliveries import A_BODY, START, an_entry
from merpati.testing.residents import Residents


class FullDisk(Maildirs):
    """Every mailbox is refused with an errno."""

    def __init__(self, settings, number):
        super().__init__(settings)
        self.number = number

    def mailbox(self, address, unique):
        raise OSError(self.number, "refused")


@pytest.fixture
def deliver(tmp_path):
    """Deliver a body to people here; the outcomes, and the files of ann's mailbox."""
    settings = MaildirSettings(tmp_path / "mail", tmp_path / "inbox", "h")
    directory = Residents()
    directory.move_in("ann@here.test", "x")
    directory.alias("old@here.test", "ann@here.test")

    async def run(body=A_BODY, to="ann@here.test", body_type=BodyType.SEVEN_BIT, refuse=0, size=0):
        entry = an_entry(1, to, size=size or len(body.octets()))
        entry = structs.replace(entry, envelope=structs.replace(entry.envelope, body=body_type))
        row = Waiting(0, entry.envelope.recipients[0], State.IN_HAND, START)
        maildirs = FullDisk(settings, refuse) if refuse else Maildirs(settings)
        found = asyncio.get_running_loop().create_future()
        with ThreadPoolExecutor(1) as executor:
            parts = MailboxParts(maildirs, directory, executor, VirtualClock())
            mailboxes = Mailboxes(parts, lambda _, outcomes: found.set_result(outcomes))
            async with asyncio.TaskGroup() as group:
                group.create_task(mailboxes.run())
                mailboxes.offer(Transaction(entry, (row,), body), keep=False)
                (outcome,) = await found
                mailboxes.stop()
        new = tmp_path / "mail" / "here.test" / "ann" / "new"
        files = [file.read_bytes() for file in new.iterdir()] if new.is_dir() else []
        return outcome, files

    return run


HEAD = b"Return-Path: <eve@b.test>\nDelivered-To: ann@here.test\n"


async def test_a_streamed_body_is_the_same_as_one_in_memory(deliver):
    async def pieces():
        yield b"Subject: hello\r"
        yield b"\n\r\nhi\r\n"

    outcome, files = await deliver(pieces, size=22)
    assert (outcome.result, files) == (Result.DELIVERED, [HEAD + b"Subject: hello\n\nhi\n"])


async def test_a_notice_of_success_is_ours_to_send(deliver):
    outcome, _ = await deliver()
    assert outcome.relayed_without_dsn


async def test_binary_content_is_kept_to_the_octet(deliver):
    body = Body((b"A: b\r\n\r\n\x00\r\n",))
    _, files = await deliver(body, body_type=BodyType.BINARY)
    assert files == [HEAD + b"A: b\r\n\r\n\x00\r\n"]


async def test_an_alias_that_was_made_since_is_followed(deliver):
    outcome, files = await deliver(to="old@here.test")
    assert (outcome.result, files) == (Result.DELIVERED, [HEAD + b"Subject: hello\n\nhi\n"])


async def test_a_message_that_was_here_before_is_a_loop(deliver):
    body = Body((b"Delivered-To: Ann@Here.test\r\nSubject: x\r\n\r\n",))
    outcome, files = await deliver(body)
    assert (outcome.result, outcome.status, outcome.cause) == (Result.FAILED, "5.4.6", "loops-back")
    assert files == []


async def test_a_damaged_body_leaves_no_file_and_is_held(deliver):
    async def pieces():
        yield b"Subject: half\r\n"
        raise StorageError("its checksum does not match", is_damaged=True)

    outcome, files = await deliver(pieces, size=22)
    assert (outcome.result, outcome.cause, files) == (Result.DAMAGED, "damaged-here", [])


async def test_the_body_is_not_mistaken_for_a_header(deliver):
    outcome, _ = await deliver(Body((b"A: b\r\n\r\nDelivered-To: ann@here.test\r\n",)))
    assert outcome.result is Result.DELIVERED


@pytest.mark.parametrize(
    ("number", "status"),
    [(errno.EDQUOT, "4.2.2"), (errno.ENOSPC, "4.3.1"), (errno.EIO, "4.3.0")],
)
async def test_what_the_disk_refuses_is_deferred(deliver, number, status):
    outcome, files = await deliver(refuse=number)
    assert (outcome.result, outcome.status, files) == (Result.DEFERRED, status, [])


async def test_a_body_that_cannot_be_read_leaves_no_file_and_is_deferred(deliver):
    async def pieces():
        yield b"Subject: half\r\n"
        raise MerpatiError("the store is damaged")

    outcome, files = await deliver(pieces, size=22)
    assert (outcome.result, outcome.cause, files) == (Result.DEFERRED, "delivery-defect", [])
    assert "the store is damaged" in outcome.reply


@pytest.mark.parametrize("size", [21, 23])
async def test_a_body_of_another_size_than_was_accepted_is_never_seen_in_a_mailbox(deliver, size):
    async def pieces():
        yield A_BODY.octets()

    for body in (pieces, A_BODY):
        outcome, files = await deliver(body, size=size)
        assert (outcome.result, outcome.cause, files) == (Result.DEFERRED, "delivery-defect", [])
        assert f"22 octets were read of a message of {size}" in outcome.reply


class SlowDisk(Maildirs):
    """Each write waits until it is let go; what is written to a closed file is remembered."""

    def __init__(self, settings):
        super().__init__(settings)
        self.writing, self.go = threading.Event(), threading.Event()
        self.failures = []

    def mailbox(self, address, unique):
        incoming = super().mailbox(address, unique)
        write = incoming.write

        def slowly(octets):
            self.writing.set()
            self.go.wait(5)
            try:
                write(octets)
            except OSError as error:
                self.failures.append(error)

        incoming.write = slowly
        return incoming


async def test_a_cancelled_delivery_waits_for_its_thread_and_leaves_nothing(tmp_path):
    async def pieces():
        yield A_BODY.octets()

    disk = SlowDisk(MaildirSettings(tmp_path / "mail", tmp_path / "inbox", "h"))
    directory = Residents()
    directory.move_in("ann@here.test", "x")
    entry = an_entry(1, "ann@here.test")
    row = Waiting(0, entry.envelope.recipients[0], State.IN_HAND, START)
    with ThreadPoolExecutor(1) as executor:
        parts = MailboxParts(disk, directory, executor, VirtualClock())
        mailboxes = Mailboxes(parts, lambda *_: None)
        task = asyncio.create_task(mailboxes.run())
        mailboxes.offer(Transaction(entry, (row,), pieces), keep=False)
        await asyncio.to_thread(disk.writing.wait, 60)
        task.cancel()
        await asyncio.sleep(0.02)
        disk.go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert disk.failures == []
    assert [file for file in (tmp_path / "mail").rglob("*") if file.is_file()] == []


class Reading:
    """Takes what comes to `reports`, when it is let."""

    def __init__(self, failing=False):
        self.taken = []
        self.may = asyncio.Event()
        self.failing = failing

    def is_for(self, address):
        return address.local == "reports"

    async def take(self, entry, message):
        await self.may.wait()
        if self.failing:
            raise StorageError("sick")
        self.taken.append(message)
        return "kept"


class TestReports:
    """Mail for the address of reports goes to who reads it, apart from people's mail."""

    @pytest.fixture
    def directory(self):
        directory = Residents()
        directory.move_in("ann@here.test", "x")
        return directory

    async def run(self, tmp_path, directory, reading, *recipients, waiting=20):
        """Offer a message to each of these; outcomes by recipient as they come."""
        settings = MaildirSettings(tmp_path / "mail", tmp_path / "inbox", "h")
        outcomes = []
        loop = asyncio.get_running_loop()
        ended = loop.create_future()

        def finished(transaction, found):
            address = str(transaction.entry.envelope.recipients[0].address)
            outcomes.append((address, found[0]))
            if address == "ann@here.test":
                reading.may.set()
            if len(outcomes) == len(recipients):
                ended.set_result(None)

        with ThreadPoolExecutor(1) as executor:
            parts = MailboxParts(
                Maildirs(settings), directory, executor, VirtualClock(), 8, reading, waiting
            )
            mailboxes = Mailboxes(parts, finished)
            async with asyncio.TaskGroup() as group:
                group.create_task(mailboxes.run())
                for n, to in enumerate(recipients):
                    entry = an_entry(n, to, size=len(A_BODY.octets()))
                    row = Waiting(0, entry.envelope.recipients[0], State.IN_HAND, START)
                    mailboxes.offer(Transaction(entry, (row,), A_BODY), keep=False)
                await ended
                mailboxes.stop()
        return outcomes

    async def test_it_is_read_and_told(self, tmp_path, directory):
        reading = Reading()
        reading.may.set()
        ((_, outcome),) = await self.run(tmp_path, directory, reading, "reports@here.test")
        assert (outcome.result, outcome.reply) == (Result.DELIVERED, "kept")
        assert outcome.attempt.route == "reports:"
        assert reading.taken == [A_BODY.octets()]
        assert not (tmp_path / "mail").exists()

    async def test_peoples_mail_does_not_wait_for_it(self, tmp_path, directory):
        recipients = ["reports@here.test"] * 10 + ["ann@here.test"]
        outcomes = await self.run(tmp_path, directory, Reading(), *recipients)
        assert [to for to, _ in outcomes] == ["ann@here.test"] + ["reports@here.test"] * 10

    async def test_more_than_may_wait_comes_back_later(self, tmp_path, directory):
        recipients = ["reports@here.test"] * 4 + ["ann@here.test"]
        outcomes = await self.run(tmp_path, directory, Reading(), *recipients, waiting=2)
        results = [(outcome.result, outcome.cause) for _, outcome in outcomes]
        later = (Result.DEFERRED, "reports-busy")
        assert results == [later, later, *[(Result.DELIVERED, "")] * 3]

    async def test_a_store_that_fails_defers_it(self, tmp_path, directory):
        reading = Reading(failing=True)
        reading.may.set()
        ((_, outcome),) = await self.run(tmp_path, directory, reading, "reports@here.test")
        assert outcome.result is Result.DEFERRED
