"""One mail transaction: its envelope as it grows, and its content as it arrives.

Small content stays in memory. What is larger waits for its share of it, and goes into a draft part
by part, each waited for, so that a message of any size costs the memory of a few parts.
"""

from collections.abc import Awaitable, Coroutine
from typing import Any

from merpati.authenticity.judgement import Examination
from merpati.clock import Clock
from merpati.intake import TOO_MANY_HEADERS, Intake, Stamp, Stamped, storage_verdict
from merpati.mail.envelope import DEFAULT_NOTIFY, Body, DeliverBy, Envelope, Recipient
from merpati.mail.headers import Headers
from merpati.policy.limit import Limit
from merpati.policy.prefix import neighbourhoods
from merpati.policy.rule import Facts
from merpati.policy.verdict import Verdict, of_protocol
from merpati.queue.queue import Draft
from merpati.reception.room import SMALL, Room
from merpati.smtp.events import ContentReceived, MailFrom, RcptTo
from merpati.smtp.replies import Reply
from merpati.smtp.status import Status
from merpati.storage.errors import StorageError

PART = 256 * 1024
"""Octets of one part; no more than about two are held in memory for one message."""
_EXAMINED = 64 * 1024
"""Octets that are examined in one turn of the loop: all the bodies that ten signatures can ask for
take 0.4 ms of text of that size, and 0.8 ms of what a stranger makes to be slow."""
_LONG = 16 * 1024
"""Octets of a header section that takes a turn to be read, and another to be kept; most have 4."""
_PIECES = 256
"""Held apart at most: a piece costs 50 octets besides its own, and may be one octet long."""
# RFC 3463 §3.4: X.3.1 is the system's storage; memory is that too.
NO_ROOM = Verdict(
    Reply(452, "Too many large messages at once, try again later", Status(4, 3, 1)),
    "room",
    limit=Limit.LARGE_MESSAGES,
)


class Transaction:
    """From MAIL to the end of the content."""

    __slots__ = (
        "_draft",
        "_eight_bit",
        "_held",
        "_held_size",
        "_intake",
        "_room",
        "_share",
        "_size",
        "_stamp",
        "_written",
        "envelope",
        "examination",
        "flaw",
        "recipients",
    )

    def __init__(self, intake: Intake, room: Room, event: MailFrom) -> None:
        self._intake = intake
        self._room = room
        self._share: str | None = None
        """In whose name a share of the room is held."""
        self.envelope = _envelope(event, intake.clock)
        self.recipients: list[Recipient] = []
        self.flaw: Verdict | None = None
        """Why the content cannot be taken; what still comes of it is thrown away."""
        self._held: list[bytes] = []
        self._held_size = 0
        self._size = 0
        self._eight_bit = False
        self._draft: Draft | None = None
        self._written = 0
        self._stamp: Stamp | None = None
        self.examination: Examination | None = None
        """Of a stranger's message; fed what comes of it, as it comes."""

    def add(self, event: RcptTo) -> None:
        """One more recipient."""
        wishes = event.parameters
        self.recipients.append(
            Recipient(
                event.recipient,
                DEFAULT_NOTIFY if wishes.notify is None else wishes.notify,
                wishes.original,
                named_notify=wishes.notify is not None,
            )
        )

    def close_envelope(self, facts: Facts) -> None:
        """The envelope is complete: content begins."""
        self.envelope = self.envelope.addressed_to(tuple(self.recipients))
        facts.envelope = self.envelope

    def write(self, octets: bytes, facts: Facts) -> Coroutine[Any, Any, None] | None:
        """Take the next octets of the content; what to await until memory is bounded again.

        None, as for all small mail: it is.
        """
        self._size += len(octets)
        if self.flaw is not None:
            return None
        self._held.append(octets)
        self._held_size += len(octets)
        if len(self._held) > _PIECES:
            self._held = [b"".join(self._held)]
        return self._bound(facts) if self._held_size >= SMALL else None

    async def _bound(self, facts: Facts) -> None:
        if self._share is None:
            await self._take_share(facts)
        if self._held_size >= PART:
            await self._flush(facts)

    async def finish(self, facts: Facts, event: ContentReceived) -> Body | Stamped | Verdict:
        """The whole content, with `facts` about it; or why it cannot be taken."""
        waiting = self.write(event.octets, facts)
        if waiting is not None:
            await waiting
        facts.size = self._size
        if event.flaw is not None:
            return of_protocol(event.flaw, "content")
        octets = b"".join(self._held)
        if self._draft is None:
            octets = await self._look_at(octets, facts)
        elif octets and self.flaw is None:
            await self._go_on(self._draft, octets)
        if self.flaw is not None:
            return self.flaw
        if self._draft is None or self._stamp is None:
            return Body((octets,), len(octets))
        return Stamped(self._draft, self._stamp, self._written, self._eight_bit)

    def discard(self) -> Awaitable[None] | None:
        """Forget the content, unless it was put. What to await: None for small mail."""
        self._held.clear()
        if self._draft is not None:
            return self._discard(self._draft)
        self._give_share_back()
        return None

    async def _discard(self, draft: Draft) -> None:
        try:
            await draft.discard()
        finally:
            self._give_share_back()

    def _give_share_back(self) -> None:
        share, self._share = self._share, None
        if share is not None:
            self._room.give_back(share)

    async def _take_share(self, facts: Facts) -> None:
        is_known = facts.trusted or facts.login is not None
        who = "" if is_known else neighbourhoods(facts.client.ip)[0]
        if await self._room.take(who):
            self._share = who
        else:
            self.flaw = NO_ROOM
            self._held.clear()
            self._held_size = 0

    async def _flush(self, facts: Facts) -> None:
        octets = b"".join(self._held)
        self._held.clear()
        self._held_size = 0
        if self._draft is not None:
            await self._go_on(self._draft, octets)
            return
        octets = await self._look_at(octets, facts)
        if self.flaw is not None:
            return
        # The id stands in the first octets, so it is given before the end is seen.
        self._stamp = self._intake.stamp(facts)
        self._draft = self._intake.queue.draft()
        await self._write(self._draft, self._stamp.octets)
        if self.flaw is None:
            await self._write(self._draft, octets)

    async def _go_on(self, draft: Draft, octets: bytes) -> None:
        await self._examine(octets)
        await self._write(draft, octets)

    async def _write(self, draft: Draft, octets: bytes) -> None:
        self._eight_bit = self._eight_bit or not octets.isascii()
        self._written += len(octets)
        try:
            await draft.write(octets)
        except StorageError as error:
            self._give_up(storage_verdict(error))

    async def _examine(self, body: bytes) -> None:
        """What is found of the next octets of the body; others have their turns meanwhile."""
        if self.examination is None:
            return
        for at in range(0, len(body), _EXAMINED):
            if at:
                await self._intake.clock.sleep(0)
            self.examination.update(body[at : at + _EXAMINED])

    async def _look_at(self, beginning: bytes, facts: Facts) -> bytes:
        """The beginning as it is kept. It is examined as it came: so it was signed."""
        facts.headers = Headers.scan(beginning)
        if facts.headers.truncated:
            self._give_up(TOO_MANY_HEADERS)
            return beginning
        self.examination = self._intake.examination(facts)
        if self.examination is None:
            return self._intake.beginning(facts, beginning)
        await self._pause(facts)
        await self._examine(beginning[facts.headers.size :])
        await self._pause(facts)
        return self._intake.beginning(facts, beginning)

    async def _pause(self, facts: Facts) -> None:
        """Others have their turn behind each look at a header section that is long."""
        if facts.headers.size > _LONG:
            await self._intake.clock.sleep(0)

    def _give_up(self, flaw: Verdict) -> None:
        self.flaw = flaw
        self._give_share_back()  # What still comes is thrown away and needs no memory.


def _envelope(event: MailFrom, clock: Clock) -> Envelope:
    wishes = event.parameters
    by = wishes.deliver_by
    release_at = wishes.hold_until
    if wishes.hold_for is not None:
        release_at = clock.now() + wishes.hold_for
    return Envelope(
        sender=event.sender,
        body=wishes.body,
        smtputf8=wishes.smtputf8,
        size=wishes.size,
        ret=wishes.ret,
        envelope_id=wishes.envelope_id,
        require_tls=wishes.require_tls,
        # The core knows no time: BY= is counted from now.
        deliver_by=DeliverBy(clock.now() + by.deadline, by.must_return, by.trace) if by else None,
        release_at=release_at,
        priority=wishes.priority or 0,
    )
