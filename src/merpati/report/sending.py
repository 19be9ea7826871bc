"""Sends the reports that are due: asks who wants one, writes it, hands it to the queue or posts it.

A report goes out once, whatever crashes between two steps: the id of its message is kept before the
message is stored, so that whoever goes on finds in the journal whether it was. What is posted may
come twice, when the crash falls between the answer and our note of it; it has the same id then, by
which receivers know it (RFC 9990 §2.6.4).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from merpati.clock import Clock
from merpati.dns.errors import DnsError
from merpati.errors import MerpatiError
from merpati.feedback.received import Kind
from merpati.feedback.tallies import DAY, Due, Progress, Tallies
from merpati.journal.events import Accepted, Reported
from merpati.journal.journal import Journal
from merpati.mail.address import Address
from merpati.mail.envelope import Body, BodyType, Envelope, Recipient
from merpati.report.outgoing import Identity, Maker, Wanted, day_of
from merpati.wire.errors import WireError

_MAX_WHY = 500
_FEW = 200
"""Rows that are written sooner than a thread is found."""


class Door(Protocol):
    """Where reports enter the queue; intake is one."""

    async def accept_report(
        self, envelope: Envelope, content: Body, message: str, event: Reported
    ) -> None:
        """Store it under this id, with the event, in one transaction."""
        ...


@dataclass(frozen=True, slots=True)
class SendingSettings:
    """Times in seconds."""

    interval: float = 60.0
    """Between two looks for what is due."""
    at_once: int = 5
    """Reports in work at the same time: a slow name server holds up none but its own."""
    lease: float = 900.0
    """A report that a worker has taken is its own for so long."""
    patience: float = float(DAY)
    """From the first try until it is given up (RFC 8460 §5.5)."""
    retry: float = 900.0
    """After a failure; doubles up to `longest_retry`."""
    longest_retry: float = 4 * 3600.0
    kept: int = 4
    """Days until what is left of a day is forgotten, whatever became of it."""


@dataclass(frozen=True, slots=True)
class SendingParts:
    """Whom sending talks to."""

    tallies: Tallies
    journal: Journal
    """Of the shard whose queue the messages go into."""
    makers: Mapping[Kind, Maker]
    identity: Callable[[], Identity]
    new_id: Callable[[], str]
    clock: Clock
    is_wanted: Callable[[], bool]
    """Whether reports are sent at all; false ends `run`."""
    defect: Callable[[str, BaseException], None]
    """Takes what nobody expected."""


class Sending:
    """Of one shard."""

    def __init__(
        self, shard: int, settings: SendingSettings, parts: SendingParts, door: Door
    ) -> None:
        self._shard = shard
        self._settings = settings
        self._parts = parts
        self._door = door

    def take_up(self, door: Door) -> None:
        """Use this one for the reports to come."""
        self._door = door

    async def run(self) -> None:
        """Send while it is wanted. Raises StorageError."""
        while self._parts.is_wanted():
            await self.send()
            await self._parts.clock.sleep(self._settings.interval)

    async def send(self) -> None:
        """All that are due now. Raises StorageError, when the others in work have ended."""
        today = int(self._parts.clock.now() // DAY)
        await self._parts.tallies.forget(today - self._settings.kept)
        failures: list[MerpatiError] = []
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._settings.at_once):
                tasks.create_task(self._work(failures))
        if failures:
            raise failures[0]

    async def _work(self, failures: list[MerpatiError]) -> None:
        tallies, clock = self._parts.tallies, self._parts.clock
        try:
            while not failures:
                now = clock.now()
                due = await tallies.take(self._shard, now, now + self._settings.lease)
                if due is None:
                    return
                await self._one(due)
        except MerpatiError as error:
            failures.append(error)

    async def _one(self, due: Due) -> None:
        try:
            await _Case(self._settings, self._parts, self._door, due).send()
        except MerpatiError:
            raise
        except Exception as error:
            # A defect of ours is none of the other reports': this one is tried again until its day
            # is forgotten.
            self._parts.defect("report", error)


class _Case:
    """One report on its way."""

    def __init__(
        self, settings: SendingSettings, parts: SendingParts, door: Door, due: Due
    ) -> None:
        self._settings = settings
        self._parts = parts
        self._door = door
        self._due = due
        self._maker = parts.makers[due.subject.kind]
        self._who = parts.identity()

    async def send(self) -> None:
        """As far as it goes now."""
        # Two who report to each other would tell of their reports for ever.
        if not self._due.reasons:
            await self._parts.tallies.finish(self._due)
            return
        progress = self._due.progress
        if not progress.begun:
            progress = replace(progress, begun=self._parts.clock.now())
        try:
            wanted = None
            if not progress.is_mailed and not await self._is_stored(progress.message):
                wanted = await self._maker.wanted(self._due)
        except DnsError as error:
            await self._put_off(progress, f"the DNS does not say who wants it: {error}")
            return
        self._due = await self._maker.known(self._due)
        if wanted is not None:
            mailed = await self._mail(progress, wanted)
            if mailed is None:
                return
            progress = mailed
        await self._post(replace(progress, is_mailed=True))

    async def _is_stored(self, message: str) -> bool:
        """Whether a worker that broke off had stored it."""
        if not message:
            return False
        events = await self._parts.journal.story(message)
        return any(isinstance(event, Accepted) for event in events)

    async def _mail(self, progress: Progress, wanted: Wanted) -> Progress | None:
        """Hand it to the queue; None where somebody else has it now."""
        now = self._parts.clock.now()
        to, too_large = await self._fitting(wanted, now)
        left_out = (*wanted.left_out, *too_large)
        if not to and not wanted.posts and left_out:
            self._tell("given-up", (), "; ".join(left_out))
        message = self._parts.new_id() if to else ""
        progress = replace(progress, message=message, is_mailed=not to, posts=wanted.posts)
        if not await self._keep(progress, self._settings.lease):
            return None
        if to:
            head, body = await self._written(to, now)
            told = self._event("mailed", tuple(map(str, to)), "; ".join(left_out), message)
            content = Body((head, body))
            await self._door.accept_report(self._envelope(to), content, message, told)
        return progress

    async def _written(self, to: Sequence[Address], now: float) -> tuple[bytes, bytes]:
        write = partial(self._maker.mail, self._due, self._who, to, now)
        # 5,000 rows take a quarter of a second, in which mail must go on.
        return write() if len(self._due.rows) < _FEW else await asyncio.to_thread(write)

    async def _fitting(self, wanted: Wanted, now: float) -> tuple[list[Address], list[str]]:
        """RFC 9990 §2.6: who takes only smaller ones gets none."""
        if not any(wanted.limits):
            return list(wanted.mail), []
        size = sum(map(len, await self._written(wanted.mail, now)))
        pairs = list(zip(wanted.mail, wanted.limits, strict=True))
        fitting = [address for address, limit in pairs if not limit or size <= limit]
        too_large = [
            f"{address}: it takes {limit} octets, and the report has {size}"
            for address, limit in pairs
            if limit and size > limit
        ]
        return fitting, too_large

    def _envelope(self, to: list[Address]) -> Envelope:
        # Nobody is told when it fails (`accept_report`); it is named so that SPF passes, too.
        return Envelope(
            sender=self._who.sender,
            recipients=tuple(Recipient(address) for address in to),
            body=BodyType.SEVEN_BIT,
        )

    async def _post(self, progress: Progress) -> None:
        """To each URI that is left; those where it failed again later."""
        left, why = [], ""
        for uri in progress.posts:
            try:
                await self._maker.post(self._due, self._who, uri)
            except (WireError, DnsError) as error:
                left.append(uri)
                why = str(error)
            else:
                self._tell("posted", (uri,))
        if left:
            await self._put_off(replace(progress, posts=tuple(left)), why)
        else:
            await self._parts.tallies.finish(self._due)

    async def _put_off(self, progress: Progress, why: str) -> None:
        now, settings = self._parts.clock.now(), self._settings
        # A clock that was set back must not make a day of a year.
        if not progress.begun - DAY <= now <= progress.begun + settings.patience:
            self._tell("given-up", progress.posts, why)
            await self._parts.tallies.finish(self._due)
            return
        wait = settings.retry * 2.0 ** min(self._due.token - 1, 10)
        await self._keep(progress, min(wait, settings.longest_retry))

    async def _keep(self, progress: Progress, seconds: float) -> bool:
        until = self._parts.clock.now() + seconds
        return await self._parts.tallies.keep(self._due, progress, until)

    def _tell(self, outcome: str, to: tuple[str, ...], why: str = "") -> None:
        self._parts.journal.note(self._event(outcome, to, why))

    def _event(
        self, outcome: str, to: tuple[str, ...], why: str = "", message: str = ""
    ) -> Reported:
        return Reported(
            at=self._parts.clock.now(),
            message=message,
            report=self._due.subject.kind.value,
            domain=self._due.subject.domain,
            day=day_of(self._due),
            outcome=outcome,
            to=to,
            rows=len(self._due.rows),
            why=why[:_MAX_WHY],
        )
