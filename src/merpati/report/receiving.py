"""Receives the mail for the address of reports: what it says is kept, and what cannot be read is
kept for a person to look at.

Nothing here is ever answered, and only a store that cannot write keeps such mail in the queue:
whatever a reporter sends, nothing comes back to it.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from merpati.clock import Clock
from merpati.feedback.aggregate import AggregateReport
from merpati.feedback.complaint import Complaint
from merpati.feedback.feedback import Feedback, Room
from merpati.feedback.received import Origin, Proof, Received, Unreadable
from merpati.mail.address import Address
from merpati.queue.entry import Entry
from merpati.report.incoming import receive, unreadable
from merpati.report.tlsrpt.document import read_report as read_tls

_MAX_SAID = 200


@dataclass(frozen=True, slots=True)
class ReceiverParts:
    """What reports are received with."""

    feedback: Feedback
    executor: Executor
    """A report of 20 MB takes two seconds to read: not on the loop."""
    is_address: Callable[[Address], bool]
    """Whether mail for an address is for us."""
    defect: Callable[[str, BaseException], None]
    """Takes what nobody expected, with its trace."""
    clock: Clock
    new_id: Callable[[], str]
    """Names what comes without a message."""


class Receiver:
    """See `delivery.reports.Reports`."""

    def __init__(self, parts: ReceiverParts) -> None:
        self._parts = parts
        self.room = Room()
        """Set at start and at a reload."""

    def is_for(self, address: Address) -> bool:
        """Whether mail for this address is read here."""
        return self._parts.is_address(address)

    async def take(self, entry: Entry, message: bytes) -> str:
        """Keep what a message brings; what became of it. Raises StorageError."""
        loop = asyncio.get_running_loop()
        received = await loop.run_in_executor(self._parts.executor, self._read, entry, message)
        is_new = await self._parts.feedback.keep(received, self.room)
        return _said(received) if is_new else "the same report is there already"

    async def take_posted(self, octets: bytes) -> None:
        """Keep a report about TLS that came by HTTPS (RFC 8460 §5.4), from nobody knows whom.

        Raises ReportError for what is none, and StorageError.
        """
        loop = asyncio.get_running_loop()
        report = await loop.run_in_executor(self._parts.executor, read_tls, octets)
        id_, now = self._parts.new_id(), self._parts.clock.now()
        origin = Origin(id_, now, "", Proof.UNKNOWN, "by HTTPS")
        await self._parts.feedback.keep(Received(origin, report), self.room)

    def _read(self, entry: Entry, message: bytes) -> Received:
        try:
            return receive(entry, message)
        except Exception as error:
            # To try it again would fail again, for days, and then be told to the reporter.
            self._parts.defect("reading a report", error)
            return unreadable(entry, message, f"a defect of ours: {type(error).__name__}")


def _said(received: Received) -> str:
    content, author = received.content, received.origin.author
    if isinstance(content, Unreadable):
        return f"kept for a person to look at: {content.why}"[:_MAX_SAID]
    if isinstance(content, AggregateReport):
        return f"kept: DMARC of {content.published.domain}, told by {author}"[:_MAX_SAID]
    if isinstance(content, Complaint):
        return f"kept: {content.kind}, told by {author}"[:_MAX_SAID]
    return f"kept: TLS, told by {author}"[:_MAX_SAID]
