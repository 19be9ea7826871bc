"""What an attempt's outcome means for a recipient: its row, its events and the notices it owes.

Pure: an outcome and the time go in, a settlement and its events come out. The schedule of retries
is the queue's.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from merpati.delivery.outcome import Outcome, Result
from merpati.journal.events import (
    BY_ITSELF,
    MAX_TEXT,
    Attempt,
    Deferred,
    Delivered,
    Event,
    Expired,
    Failed,
    Held,
)
from merpati.mail.envelope import DeliverBy, Notify
from merpati.queue.debts import (
    BY_MISSED,
    EXPIRED,
    WAITS,
    delay_told_at,
    has_reader,
    missed_its_time,
    untold,
)
from merpati.queue.entry import Entry, Notice, Settlement, State, Waiting

_UNPROVED = frozenset({"dmarc-failed", "spf-failed", "dkim-failed", "sender-unauthenticated"})
Retry = Callable[[int], float]
"""Seconds from this attempt to the next, by the number of attempts made, this one counted."""


@dataclass(frozen=True, slots=True)
class SettlingSettings:
    """Times in seconds."""

    delay_notice: float = 4 * 3600.0
    """After this time in the queue the sender is told, once, that the message waits."""
    in_doubt: float = 15 * 60.0
    """The earliest retry of what the host may already have: sooner is a likely duplicate."""


class Settled(msgspec.Struct, frozen=True):
    """What to write about one recipient."""

    settlement: Settlement
    events: tuple[Event, ...] = ()


class Settling:
    """The rules."""

    def __init__(self, settings: SettlingSettings, retry: Retry) -> None:
        self.settings = settings
        """A reload replaces them for the outcomes to come."""
        self._retry = retry

    def settle(
        self, entry: Entry, waiting: Waiting, outcome: Outcome, now: float, final: bool = False
    ) -> Settled:
        """The outcome at `now`. `final`: delivered means into the mailbox, not to a relay."""
        outcome = _as_sent_on(waiting, outcome)
        case = _Case(entry, waiting, outcome, now)
        if outcome.result is Result.DELIVERED:
            return case.delivered(final)
        if outcome.result is Result.FAILED:
            return case.failed(outcome.status, outcome.cause)
        if outcome.result is Result.UNTOUCHED:
            return case.untouched(self._owes_delay_notice(case))
        if outcome.result is Result.DAMAGED:
            return case.held()
        if is_over(entry, now):
            return case.over()
        return self._later(case)

    def _later(self, case: "_Case") -> Settled:
        told = self._owes_delay_notice(case)
        due = case.now + self._wait(case.waiting.attempts + 1, case.outcome)
        due = min(due, _last_try(case.entry, case.now), self._next_notice(case, told))
        if case.outcome.result is Result.UNKNOWN:
            due = max(due, case.now + self.settings.in_doubt)
        return case.deferred(due, told)

    def _wait(self, attempts: int, outcome: Outcome) -> float:
        return outcome.retry_after if outcome.retry_after is not None else self._retry(attempts)

    def _owes_delay_notice(self, case: "_Case") -> bool:
        return not case.waiting.delay_told and case.now >= self._notice_at(case)

    def _next_notice(self, case: "_Case", told: bool) -> float:
        """When to try again at the latest, so that a delay is told in time."""
        return math.inf if told or case.waiting.delay_told else self._notice_at(case)

    def _notice_at(self, case: "_Case") -> float:
        """When the sender is to be told of the delay; infinite for never."""
        return delay_told_at(case.entry, case.waiting.recipient, self.settings.delay_notice)


def end(entry: Entry) -> float:
    """When a message's time is over."""
    by = entry.envelope.deliver_by
    return min(entry.expires, by.deadline) if _must_return(by) and by else entry.expires


def _last_try(entry: Entry, now: float) -> float:
    """A minute before the end, rather than never again after it."""
    return max(end(entry) - 60.0, min(end(entry), now + 60.0))


def is_over(entry: Entry, now: float) -> bool:
    """Whether nothing more is to be tried for a message."""
    return now >= end(entry)


def _must_return(by: DeliverBy | None) -> bool:
    return by is not None and by.must_return


def _as_sent_on(waiting: Waiting, outcome: Outcome) -> Outcome:
    """Who wrote the message cannot mend what only its being sent on has broken."""
    if waiting.recipient.return_path is None or outcome.cause not in _UNPROVED:
        return outcome
    return msgspec.structs.replace(outcome, cause="forward-refused")


class _Case(msgspec.Struct, frozen=True):
    """One recipient with what just happened to it."""

    entry: Entry
    waiting: Waiting
    outcome: Outcome
    now: float

    @property
    def has_reader(self) -> bool:
        """Whether a notice may be sent at all."""
        return has_reader(self.entry)

    @property
    def address(self) -> str:
        return str(self.waiting.recipient.address)

    @property
    def words(self) -> str:
        return (self.outcome.reply or self.waiting.reply)[:MAX_TEXT]

    def delivered(self, final: bool) -> Settled:
        notice = None
        if self._tells_of_success(final):
            action = "delivered" if final else "relayed"
            notice = self._notice(action, self.outcome.status or "2.0.0")
        event = Delivered(
            at=self.now,
            message=self.entry.id,
            address=self.address,
            reply=self.words,
            attempt=self.outcome.attempt or Attempt(route=""),
            delay=max(0.0, self.now - self.entry.received),
            is_ours=self.entry.is_notice,
        )
        return self._ended(State.DELIVERED, notice, (event,))

    def _tells_of_success(self, final: bool) -> bool:
        notify, by = self.waiting.recipient.notify, self.entry.envelope.deliver_by
        if not self.has_reader:
            return False
        # RFC 2852 §4: with by-trace each relay is told of, and without it the one behind which
        # nobody keeps the time; unless NOTIFY=NEVER.
        is_last_to_know = self.outcome.relayed_without_deadline
        if by and (by.trace or is_last_to_know) and not final and notify:
            return True
        # RFC 3461 §5.2: whoever understands DSN and is the last to do so tells of the success.
        return self.outcome.relayed_without_dsn and Notify.SUCCESS in notify

    def failed(self, status: str, cause: str) -> Settled:
        event = Failed(
            at=self.now,
            message=self.entry.id,
            address=self.address,
            reply=self.words,
            cause=cause,
            status=status,
            attempt=self.outcome.attempt,
            is_ours=self.entry.is_notice,
        )
        return self._given_up(State.FAILED, status or "5.0.0", event)

    def over(self) -> Settled:
        """Its time is over: BY= asked for that, or it has waited for days."""
        if missed_its_time(self.entry):
            return self.failed(BY_MISSED, "deliver-by-missed")
        event = Expired(
            at=self.now,
            message=self.entry.id,
            address=self.address,
            reply=self.words,
            attempts=self.waiting.attempts + 1,
        )
        return self._given_up(State.EXPIRED, EXPIRED, event)

    def untouched(self, told: bool) -> Settled:
        after = self.outcome.retry_after
        due = self.waiting.due if after is None else self.now + after
        return Settled(self._waits(due, told, attempted=False))

    def held(self) -> Settled:
        """Nobody is sent what may not be what was accepted. A release tries it once more."""
        settlement = Settlement(
            self.entry.id,
            self.waiting.n,
            State.HELD,
            due=self.now,
            attempted=False,
            reply=self.outcome.reply[:MAX_TEXT],
            cause=self.outcome.cause,
        )
        event = Held(
            at=self.now,
            message=self.entry.id,
            address=self.address,
            by=BY_ITSELF,
            why=self.outcome.reply[:MAX_TEXT],
        )
        return Settled(settlement, (event,))

    def deferred(self, due: float, told: bool) -> Settled:
        event = Deferred(
            at=self.now,
            message=self.entry.id,
            address=self.address,
            reply=self.words,
            cause=self.outcome.cause,
            attempt=self.outcome.attempt,
            due=due,
            attempts=self.waiting.attempts + 1,
            in_doubt=self.outcome.result is Result.UNKNOWN,
            is_ours=self.entry.is_notice,
        )
        return Settled(self._waits(due, told, attempted=True), (event,))

    def _waits(self, due: float, told: bool, attempted: bool) -> Settlement:
        status = self.outcome.status or WAITS
        return Settlement(
            self.entry.id,
            self.waiting.n,
            State.WAITING,
            due=due,
            attempted=attempted,
            reply=self.words if attempted else self.waiting.reply,
            cause=self.outcome.cause if attempted else "",
            delay_told=True if told else None,
            notice=self._notice("delayed", status) if told else None,
        )

    def _given_up(self, state: State, status: str, event: Event) -> Settled:
        if Notify.FAILURE not in self.waiting.recipient.notify:
            return self._ended(state, None, (event,))
        if self.has_reader:
            return self._ended(state, self._notice("failed", status), (event,))
        unsaid = untold(self.now, self.entry, self.waiting)
        return self._ended(state, None, (event, *unsaid))

    def _ended(self, state: State, notice: Notice | None, events: tuple[Event, ...]) -> Settled:
        settlement = Settlement(
            self.entry.id, self.waiting.n, state, reply=self.words, notice=notice
        )
        return Settled(settlement, events)

    def _notice(self, action: str, status: str) -> Notice:
        attempt = self.outcome.attempt
        cause = self.outcome.cause or self.waiting.cause
        return Notice(action, status, self.words, attempt.host if attempt else "", cause)
