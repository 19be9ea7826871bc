"""A transaction on its way over one connection, and how its end is told to its source."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from msgspec import structs

from merpati.delivery.lesson import Lesson, RecipientLimit, Setback
from merpati.delivery.outcome import Outcome, Result
from merpati.delivery.security import PKIX, Policy
from merpati.delivery.signing import keys_of
from merpati.delivery.tenants import tenant_of
from merpati.delivery.transaction import Source, Transaction
from merpati.delivery.verdicts import Circumstances, Judged, judge
from merpati.diagnosis.replies import Refusal
from merpati.journal.events import Attempt
from merpati.queue.entry import Waiting
from merpati.smtp.capabilities import Capabilities
from merpati.smtp.client_events import Mailing
from merpati.smtp.outgoing import Hindrance, Outgoing

# What concerns more than its recipient, and therefore the pool.
_SETBACKS = {
    Refusal.CONNECTION,
    Refusal.RATE,
    Refusal.STORAGE,
    Refusal.REPUTATION,
    Refusal.SENDER,
}
_HINDRANCES = {
    (5, 3, 4): "message-too-large",
    (5, 6, 7): "smtputf8-unsupported",
    (5, 6, 3): "binary-unsupported",
    (4, 7, 10): "tls-failed",
    (5, 7, 10): "requiretls-unsupported",
    (5, 7, 30): "requiretls-unsupported",
    (5, 4, 7): "deliver-by-missed",
}


@dataclass(slots=True, eq=False)
class Flight:
    """One transaction as it was taken, and its mailing as far as it has come."""

    transaction: Transaction
    recipients: tuple[Waiting, ...]
    """Those that go this time: at most as many as the server bears."""
    mailing: Mailing
    began: float
    looked_ahead: bool = False
    """Its envelope went behind another's body."""

    @property
    def spared(self) -> tuple[Waiting, ...]:
        """Recipients above the server's limit; they are untouched."""
        return self.transaction.recipients[len(self.recipients) :]


def outgoing_of(
    transaction: Transaction, recipients: Sequence[Waiting], now: float, *, bare: bool = False
) -> Outgoing:
    """The transaction as the protocol wants it. `now` in seconds since 1970 UTC."""
    entry = transaction.entry
    envelope = entry.envelope
    by = envelope.deliver_by
    if (path := transaction.return_path) is not None:
        envelope = structs.replace(envelope, sender=path)
    return Outgoing(
        envelope=envelope,
        recipients=tuple([waiting.recipient for waiting in recipients]),
        size=entry.size + len(transaction.top),
        eight_bit=entry.eight_bit,
        utf8_headers=entry.utf8_headers,
        deliver_in=None if by is None else int(by.deadline - now),
        bare=bare,
    )


def hindered(transaction: Transaction, why: Hindrance, attempt: Attempt) -> list[Outcome]:
    """Nothing was sent: this server cannot be given this message."""
    status = why.status
    cause = _HINDRANCES.get((status.severity, status.subject, status.detail), "refused")
    result = Result.DEFERRED if status.severity == 4 else Result.FAILED
    return [
        Outcome(waiting.n, result, why.text, str(status), cause, attempt, elsewhere=True)
        for waiting in transaction.recipients
    ]


def left_alone(transaction: Transaction, why: str, attempt: Attempt) -> list[Outcome]:
    """What was answered says nothing about this message."""
    return [
        Outcome(waiting.n, Result.UNTOUCHED, why, attempt=attempt)
        for waiting in transaction.recipients
    ]


@dataclass(frozen=True, slots=True)
class Telling:
    """How the flights of one connection are told."""

    source: Source
    learn: Callable[[Lesson], None]
    attempt: Attempt
    """Without dialogue: what is the same for all of this connection."""
    lmtp: bool
    proves_unasked: bool = False
    """The host showed a good certificate that nobody demanded, but for senders (REQUIRETLS)."""

    def tell(self, flight: Flight, offers: Capabilities, seconds: float, why: str = "") -> bool:
        """Settle a flight by its replies. `why` they ended, if they did. True: somebody has it."""
        wish = flight.transaction.entry.envelope.deliver_by
        around = Circumstances(
            self._attempt_with(flight.transaction),
            self.lmtp,
            offers_dsn=offers.offers("DSN"),
            keeps_deadline=wish is None or offers.offers("DELIVERBY"),
            seconds=seconds,
            why=why,
            signed=keys_of(flight.transaction.top),
        )
        judged = judge(flight.mailing, flight.recipients, around)
        for lesson in _lessons(flight, judged):
            self.learn(lesson)
        outcomes = [one.outcome for one in judged]
        outcomes += [Outcome(waiting.n, Result.UNTOUCHED) for waiting in flight.spared]
        self.source.finished(flight.transaction, outcomes)
        return any(outcome.result is Result.DELIVERED for outcome in outcomes)

    def _attempt_with(self, transaction: Transaction) -> Attempt:
        """Of this transaction: its sender decides where nobody else demands anything."""
        entry, attempt = transaction.entry, self.attempt
        if self.proves_unasked and entry.envelope.require_tls:
            return structs.replace(attempt, policy=Policy.REQUIRETLS.value, proof=PKIX)
        if attempt.policy == Policy.OPPORTUNISTIC.value and entry.waives_tls:
            return structs.replace(attempt, policy=Policy.WAIVED.value)
        return attempt


def _lessons(flight: Flight, judged: Sequence[Judged]) -> Iterator[Lesson]:
    """What the refusals say about the site, each class once."""
    told = set()
    for n, one in enumerate(judged):
        if one.meaning is None or one.stage is None or one.meaning.refusal in told:
            continue
        told.add(one.meaning.refusal)
        before = sum(1 for answer in flight.mailing.rcpts[:n] if answer.is_positive)
        if one.meaning.refusal is Refusal.SPLIT and before:
            yield RecipientLimit(before)
        elif one.meaning.refusal in _SETBACKS:
            entry, reply = flight.transaction.entry, one.outcome.reply
            yield Setback(one.stage, one.meaning, reply, entry.id, tenant_of(entry))
    if flight.spared:
        yield RecipientLimit(len(flight.recipients))
