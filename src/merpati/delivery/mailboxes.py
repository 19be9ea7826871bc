"""Deliveries that are final here: into the mailboxes of users, or into the developer's inbox.

A few workers share one queue; each message is written by a thread of a bounded pool, since syncing
blocks. What the disk refuses is deferred, never lost: full or over quota is temporary here.
"""

import asyncio
import errno
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from msgspec.structs import replace

from merpati.clock import Clock
from merpati.delivery.maildir import Incoming, Maildirs, headers
from merpati.delivery.outcome import Outcome, Result
from merpati.delivery.reports import ROUTE, Reports
from merpati.delivery.transaction import Transaction
from merpati.directory.directory import Directory
from merpati.errors import MerpatiError
from merpati.journal.events import Attempt
from merpati.mail.address import Address
from merpati.mail.envelope import Body, BodyType
from merpati.mail.headers import Headers
from merpati.queue.entry import Entry, Waiting
from merpati.queue.ids import made_at
from merpati.storage.errors import StorageError

T = TypeVar("T")
Finished = Callable[[Transaction, Sequence[Outcome]], None]

_MAX_HEADER = 128 * 1024
_SENDER = "Return-Path"
_RECIPIENT = "Delivered-To"


@dataclass(frozen=True, slots=True)
class MailboxParts:
    """What deliveries here are made with."""

    maildirs: Maildirs
    directory: Directory
    executor: Executor
    clock: Clock
    workers: int = 8
    """Deliveries at once."""
    reports: Reports | None = None
    """Who reads the mail for the address of reports; None: nobody."""
    reports_waiting: int = 20
    """Mail for the address of reports; more comes back later."""


@dataclass(frozen=True, slots=True)
class _Line:
    """Transactions that wait, each with whether it is for the developer's inbox."""

    ready: deque[tuple[Transaction, bool]] = field(default_factory=deque)
    wanted: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    def put(self, transaction: Transaction, keep: bool) -> None:
        self.ready.append((transaction, keep))
        self.wanted.release()


class Mailboxes:
    """Takes transactions whose recipients live here."""

    def __init__(self, parts: MailboxParts, finished: Finished) -> None:
        self._parts = parts
        self._finished = finished
        self._mail = _Line()
        # Apart, and one at a time: a stranger's report may take seconds to be read.
        self._reports = _Line()
        self._stopping = False

    def offer(self, transaction: Transaction, keep: bool) -> None:
        """Deliver this soon; `keep` puts it into the developer's inbox."""
        if keep or not self._has_report(transaction):
            self._mail.put(transaction, keep)
        elif len(self._reports.ready) < self._parts.reports_waiting:
            self._reports.put(transaction, keep)
        else:
            text = "many reports are being read"
            later = Outcome(0, Result.DEFERRED, text, "4.3.2", "reports-busy")
            self._finished(transaction, [_for(one, later) for one in transaction.recipients])

    def _has_report(self, transaction: Transaction) -> bool:
        reports = self._parts.reports
        return reports is not None and any(
            reports.is_for(one.recipient.address) for one in transaction.recipients
        )

    def stop(self) -> None:
        """Finish what is begun; what waits comes back untouched."""
        self._stopping = True
        for line in (self._mail, self._reports):
            for _ in range(self._parts.workers):
                line.wanted.release()
            while line.ready:
                transaction, _ = line.ready.popleft()
                untouched = [Outcome(one.n, Result.UNTOUCHED) for one in transaction.recipients]
                self._finished(transaction, untouched)

    async def run(self) -> None:
        """Work until stopped."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._parts.workers):
                group.create_task(self._work(self._mail))
            group.create_task(self._work(self._reports))

    async def _work(self, line: _Line) -> None:
        while True:
            await line.wanted.acquire()
            if self._stopping:
                return
            transaction, keep = line.ready.popleft()
            work = self._keep(transaction) if keep else self._deliver(transaction)
            self._finished(transaction, await work)

    async def _keep(self, transaction: Transaction) -> list[Outcome]:
        """One copy for all, which tells the envelope."""
        outcome = await _guarded(self._into_inbox(transaction))
        return [_for(one, outcome) for one in transaction.recipients]

    async def _into_inbox(self, transaction: Transaction) -> Outcome:
        recipients = [str(one.recipient.address) for one in transaction.recipients]
        fields = [("X-Envelope-From", _sender(transaction))]
        fields += [("X-Envelope-To", recipient) for recipient in recipients]
        unique = _unique(transaction, transaction.recipients[0].n)
        begin = partial(self._parts.maildirs.inbox, unique)
        return await self._store(transaction, begin, fields, "keep:")

    async def _deliver(self, transaction: Transaction) -> list[Outcome]:
        return [
            _for(one, await _guarded(self._to(one, transaction))) for one in transaction.recipients
        ]

    async def _to(self, waiting: Waiting, transaction: Transaction) -> Outcome:
        reports = self._parts.reports
        if reports is not None and reports.is_for(waiting.recipient.address):
            return await self._read(transaction, reports)
        try:
            mailboxes = self._mailboxes(waiting.recipient.address)
        except MerpatiError as error:
            return Outcome(waiting.n, Result.DEFERRED, str(error), "4.3.0", "alias-loop")
        if not mailboxes:
            text = f"{waiting.recipient.address} has no mailbox here any more"
            return Outcome(waiting.n, Result.FAILED, text, "5.1.1", "unknown-user")
        outcome = Outcome(waiting.n, Result.DELIVERED)
        for mailbox in mailboxes:
            outcome = _for(waiting, await self._into(mailbox, waiting, transaction))
            if outcome.result is not Result.DELIVERED:
                break
        return outcome

    async def _read(self, transaction: Transaction, reports: Reports) -> Outcome:
        started = self._parts.clock.monotonic()
        entry = transaction.entry
        said = await reports.take(entry, await _octets(transaction))
        attempt = Attempt(route=ROUTE, seconds=self._parts.clock.monotonic() - started)
        return _stored(said, attempt)

    def _mailboxes(self, address: Address) -> Sequence[Address]:
        """Aliases were followed when the message was accepted; this follows what changed since."""
        user = self._parts.directory.user(address)
        if user is not None:
            return [user.address]
        resolution = self._parts.directory.resolve(address)
        return resolution.mailboxes if resolution else ()

    async def _into(self, mailbox: Address, waiting: Waiting, transaction: Transaction) -> Outcome:
        if await _was_here(transaction, str(mailbox)):
            text = f"mail forwarding loop: it was delivered to {mailbox} before"
            return Outcome(waiting.n, Result.FAILED, text, "5.4.6", "loops-back")
        fields = [(_SENDER, _sender(transaction)), (_RECIPIENT, str(mailbox))]
        begin = partial(self._parts.maildirs.mailbox, mailbox, _unique(transaction, waiting.n))
        return await self._store(transaction, begin, fields, "mailbox:")

    async def _store(
        self,
        transaction: Transaction,
        begin: Callable[[], Incoming],
        fields: list[tuple[str, str]],
        route: str,
    ) -> Outcome:
        started = self._parts.clock.monotonic()
        try:
            await self._write(transaction, begin, headers(fields))
        except OSError as error:
            return _refused(error, route)
        seconds = self._parts.clock.monotonic() - started
        return _stored("stored in the mailbox", Attempt(route=route, seconds=seconds))

    async def _write(
        self, transaction: Transaction, begin: Callable[[], Incoming], head: bytes
    ) -> None:
        entry = transaction.entry
        binary = entry.envelope.body is BodyType.BINARY
        if isinstance(transaction.body, Body):
            parts = transaction.body.parts
            _check_size(sum(map(len, parts)), entry)
            await self._blocking(partial(_whole, begin, head, parts, binary))
            return
        begun: list[Incoming] = []
        try:
            await self._blocking(lambda: begun.append(begin()))
            incoming = begun[0]
            await self._blocking(partial(incoming.write, head))
            append = incoming.write if binary else incoming.write_lines
            size = 0
            async for piece in transaction.body():
                size += len(piece)
                await self._blocking(partial(append, piece))
            _check_size(size, entry)
            await self._blocking(incoming.commit)
        finally:
            for one in begun:
                await self._blocking(one.discard)

    async def _blocking(self, work: Callable[[], T]) -> T:
        """Do it in a thread. Who is cancelled still waits for the thread.

        Else it would write on to descriptors that were closed under it, or to others' by then.
        """
        working = asyncio.get_running_loop().run_in_executor(self._parts.executor, work)
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            while not working.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait((working,))
            raise


async def _guarded(delivery: Awaitable[Outcome]) -> Outcome:
    """Its outcome; for a store that cannot be read now, or a defect of ours, that it waits."""
    try:
        return await delivery
    except Exception as error:
        if isinstance(error, StorageError) and error.is_damaged:
            return Outcome(0, Result.DAMAGED, str(error), "4.3.0", "damaged-here")
        text = f"the mailbox could not be reached: {type(error).__name__}: {error}"
        return Outcome(0, Result.DEFERRED, text, "4.3.0", "delivery-defect")


def _check_size(written: int, entry: Entry) -> None:
    """Half a message is never made visible as a whole one."""
    if written != entry.size:
        raise StorageError(f"{written} octets were read of a message of {entry.size}")


def _whole(
    begin: Callable[[], Incoming], head: bytes, parts: Sequence[bytes], binary: bool
) -> None:
    incoming = begin()
    try:
        body = b"".join(parts)
        incoming.write(head + (body if binary else body.replace(b"\r\n", b"\n")))
        incoming.commit()
    finally:
        incoming.discard()


async def _was_here(transaction: Transaction, mailbox: str) -> bool:
    """Whether the message says that it was in this mailbox before."""
    head = await _head(transaction)
    if b"delivered-to" not in head.lower():
        return False
    return mailbox.lower() in (
        one.strip().lower() for one in Headers.scan(head).get_all(_RECIPIENT)
    )


async def _octets(transaction: Transaction) -> bytes:
    """The whole message; of one that is damaged, not the end."""
    if isinstance(transaction.body, Body):
        octets = b"".join(transaction.body.parts)
    else:
        octets = b"".join([piece async for piece in transaction.body()])
    _check_size(len(octets), transaction.entry)
    return octets


def _stored(said: str, attempt: Attempt) -> Outcome:
    return Outcome(
        0,
        Result.DELIVERED,
        said,
        "2.0.0",
        attempt=attempt,
        relayed_without_dsn=True,  # A mailbox tells nobody: a notice of success is ours.
    )


async def _head(transaction: Transaction) -> bytes:
    """As much of the beginning as a header section may be."""
    if isinstance(transaction.body, Body):
        octets = b"".join(transaction.body.parts)[:_MAX_HEADER]
    else:
        octets = await _first(transaction.body())
    end = octets.find(b"\r\n\r\n")
    return octets if end < 0 else octets[: end + 4]


async def _first(pieces: AsyncIterator[bytes]) -> bytes:
    async for piece in pieces:
        return piece[:_MAX_HEADER]
    return b""


def _sender(transaction: Transaction) -> str:
    return f"<{transaction.entry.envelope.sender or ''}>"


def _unique(transaction: Transaction, n: int) -> str:
    """The same for each try of one delivery, and for no other: `received` may be moved."""
    name = transaction.entry.id
    return f"{int(made_at(name))}.{name}N{n}"


def _for(waiting: Waiting, outcome: Outcome) -> Outcome:
    return replace(outcome, n=waiting.n)


def _refused(error: OSError, route: str) -> Outcome:
    # RFC 3463 §3.3, §3.4: 4.2.2 the mailbox is full, 4.3.1 the system is.
    status, cause = {
        errno.EDQUOT: ("4.2.2", "quota-here"),
        errno.ENOSPC: ("4.3.1", "mailbox-failing"),
    }.get(error.errno or 0, ("4.3.0", "mailbox-failing"))
    text = f"the mailbox cannot be written: {error.strerror or error}"
    return Outcome(0, Result.DEFERRED, text, status, cause, Attempt(route=route))
