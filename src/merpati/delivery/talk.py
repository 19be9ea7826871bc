"""Transaction after transaction over an open link, until there is a reason to end.

Lookahead: behind a body go, in the same write, RSET, MAIL and RCPT of the next message, so that a
message costs one round trip and no body leaves before its recipients were answered. A server that
stumbles is talked to more plainly (`rung`), on this connection where it can still be trusted.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from merpati.clock import Clock
from merpati.delivery.ending import End, Ending
from merpati.delivery.flight import Flight, Telling, hindered, left_alone, outgoing_of
from merpati.delivery.lesson import LowerRung, MessageLimit, SiteMemory
from merpati.delivery.link import ConversationSettings, Link
from merpati.delivery.outcome import Outcome, Result
from merpati.delivery.transaction import Transaction
from merpati.delivery.verdicts import STAGES, is_void, meaning_of
from merpati.mail.envelope import Body
from merpati.smtp.answers import Nonsense
from merpati.smtp.client_events import (
    EnvelopeAnswered,
    ShutDown,
    VerdictGiven,
)
from merpati.smtp.client_states import Command, Phase
from merpati.smtp.content import ContentError, MiscountError
from merpati.smtp.outgoing import Shelter, hindrance
from merpati.smtp.rung import Rung
from merpati.storage.errors import StorageError
from merpati.wire.errors import WireError

# A 421 at MAIL behind at least so many good messages is a limit on messages, not on speed.
_ENOUGH_GOOD = 5
# RFC 5321 §4.1.1.11: MAIL or RCPT parameters not recognized or not implemented.
_PARAMETERS_REFUSED = 555


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may be used for."""

    settings: ConversationSettings
    memory: SiteMemory
    shelter: Shelter
    opened: float
    """Monotonic seconds."""


class _Over(Exception):
    def __init__(self, end: End) -> None:
        super().__init__(end.why)
        self.end = end


class Talk:
    """One use of one link. `converse` once, then `tell_left` whatever happened."""

    def __init__(self, link: Link, clock: Clock, telling: Telling, limits: Limits) -> None:
        self.told = 0
        """How many transactions were settled by replies."""
        self._link = link
        self._smtp = link.smtp
        self._clock = clock
        self._telling = telling
        self._limits = limits
        self._flights: list[Flight] = []
        """In the order of their envelopes: at most one with a body out and one behind it."""
        self._good = 0
        self._refused_in_a_row = 0
        self._heard = True
        """Something was heard since the connection lay idle."""
        # RFC 9422 §4.1: MAILMAX counts every MAIL, also those that were refused.
        known = (limits.memory.max_messages, self._smtp.capabilities.mail_max)
        self._quota = min((limit for limit in known if limit), default=float("inf"))

    async def converse(self) -> End:
        """Transactions until a reason to end. Raises only what is a defect."""
        try:
            while (end := self._reason_to_end()) is None:
                flight = self._flights[0] if self._flights else await self._draw()
                if flight is None:
                    end = End(Ending.IDLE)
                    break
                await self._fly(flight)
            await self._quit()
        except _Over as over:
            return over.end
        except WireError as error:
            return self._lost(error)
        return end

    def tell_left(self, why: str) -> None:
        """Settle what has no answer yet, because the replies ended."""
        while self._flights:
            self._tell(self._flights[0], why or "the conversation ended")

    def _reason_to_end(self) -> End | None:
        """Asked between transactions; what was begun by lookahead is finished first."""
        if self._flights:
            return None
        settings = self._limits.settings
        if self._clock.monotonic() - self._limits.opened > settings.age:
            return End(Ending.AGE)
        if self._smtp.transactions >= self._quota:
            return End(Ending.QUOTA)
        if self._refused_in_a_row >= settings.refused_in_a_row:
            return End(Ending.FRESH_START, "many refusals in a row")
        return None

    async def _draw(self) -> Flight | None:
        """The next transaction that this server can be given, its envelope begun."""
        settings = self._limits.settings
        idle = settings.idle_tls if self._telling.attempt.tls else settings.idle
        while True:
            transaction = self._telling.source.next()
            if transaction is None:
                self._heard = False
                transaction = await self._telling.source.wait_next(idle)
                await self._link.listen()
            if transaction is None:
                return None
            flight = self._begin(transaction)
            if flight is not None:
                return flight

    def _begin(self, transaction: Transaction) -> Flight | None:
        """Queue its envelope; None when this server cannot be given the message."""
        limit = self._smtp.capabilities.rcpt_max or len(transaction.recipients)
        recipients = transaction.recipients[:limit]
        outgoing = outgoing_of(transaction, recipients, self._clock.now())
        why = hindrance(outgoing, self._smtp.capabilities, self._limits.shelter)
        if why is not None:
            outcomes = hindered(transaction, why, self._telling.attempt)
            self._telling.source.finished(transaction, outcomes)
            return None
        looked_ahead = bool(self._flights)
        mailing = self._smtp.begin(outgoing)
        began = self._clock.monotonic()
        flight = Flight(transaction, recipients, mailing, began, looked_ahead)
        self._flights.append(flight)
        return flight

    async def _fly(self, flight: Flight) -> None:
        """One transaction to its end; the next may have begun behind its body."""
        await self._event(EnvelopeAnswered)
        while self._must_repeat(flight):
            await self._event(EnvelopeAnswered)
        if not flight.mailing.wants_body:
            self._refused_in_a_row += 1
            self._tell(flight)
            return
        self._refused_in_a_row = 0
        await self._send_body(flight)
        await self._event(VerdictGiven)
        self._take_verdict(flight)

    def _must_repeat(self, flight: Flight) -> bool:
        """Whether the envelope failed at our way of talking: then it is begun again, plainer."""
        mailing = flight.mailing
        refusal = mailing.first_refusal
        if refusal is None:
            return False
        command, answer = refusal
        if answer.code == _PARAMETERS_REFUSED and not mailing.outgoing.bare:
            self._repeat(flight, bare=True)
            return True
        if not is_void(mailing, command, answer):
            return False
        if self._smtp.rung >= Rung.LOCKSTEP:
            raise _confused(f"{command.name} refused between two messages: {answer}")
        self._lower(Rung.NO_LOOKAHEAD if flight.looked_ahead else Rung.LOCKSTEP, str(answer))
        self._repeat(flight, bare=mailing.outgoing.bare)
        return True

    def _repeat(self, flight: Flight, *, bare: bool) -> None:
        outgoing = outgoing_of(flight.transaction, flight.recipients, self._clock.now(), bare=bare)
        flight.looked_ahead = False
        flight.mailing = self._smtp.begin(outgoing)

    def _lower(self, rung: Rung, why: str) -> None:
        if rung > self._smtp.rung:
            self._smtp.rung = rung
            self._telling.learn(LowerRung(rung, why))

    async def _send_body(self, flight: Flight) -> None:
        """All but the end, the permit, the end, and the next envelope behind it."""
        try:
            if flight.transaction.entry.size <= self._limits.settings.alone:
                octets = await _whole(flight.transaction)
                await self._telling.source.permit()
                self._smtp.write_body(octets)
            else:
                await self._stream_body(flight.transaction)
            self._smtp.finish_body()
        except (ContentError, StorageError) as error:
            raise self._unsendable(flight, error) from error
        if self._may_look_ahead(flight):
            transaction = self._telling.source.next()
            if transaction is not None:
                self._begin(transaction)

    async def _stream_body(self, transaction: Transaction) -> None:
        """Piece by piece; the last is held back until the permit is there."""
        held = b""
        async for piece in _pieces(transaction):
            if held:
                await self._link.pour(held)
            held = piece
        await self._telling.source.permit()
        await self._link.pour(held)

    def _unsendable(self, flight: Flight, error: ContentError | StorageError) -> _Over:
        """The content cannot go out, or cannot be read; the server is left without its end."""
        if isinstance(error, StorageError) and error.is_damaged:
            result, status, cause = Result.DAMAGED, "4.3.0", "damaged-here"
        elif isinstance(error, StorageError | MiscountError):
            result, status, cause = Result.DEFERRED, "4.3.0", "delivery-defect"
        else:
            result, status, cause = Result.FAILED, "5.6.3", "binary-unsupported"
        self._flights.remove(flight)
        attempt = self._telling.attempt
        outcomes = [
            Outcome(waiting.n, result, str(error), status, cause, attempt)
            for waiting in flight.transaction.recipients
        ]
        self._telling.source.finished(flight.transaction, outcomes)
        self.told += 1
        return _Over(End(Ending.FRESH_START, str(error)))

    def _may_look_ahead(self, flight: Flight) -> bool:
        limits = self._limits
        return (
            self._smtp.may_look_ahead
            and flight.transaction.entry.size <= limits.settings.alone
            and self._smtp.transactions < self._quota
            and self._clock.monotonic() - limits.opened <= limits.settings.age
        )

    def _take_verdict(self, flight: Flight) -> None:
        mailing = flight.mailing
        refused = next((one for one in mailing.verdicts if not one.is_positive), None)
        if refused is not None and mailing.chunked and is_void(mailing, Command.CHUNK, refused):
            self._lower(Rung.DATA_LOOKAHEAD, str(refused))
        if self._tell(flight):
            self._good += 1
        if self._smtp.phase is Phase.OVER:
            raise _Over(End(Ending.FRESH_START, "a refused BDAT"))

    def _tell(self, flight: Flight, why: str = "") -> bool:
        self._flights.remove(flight)
        self.told += not why
        seconds = self._clock.monotonic() - flight.began
        return self._telling.tell(flight, self._smtp.capabilities, seconds, why=why)

    async def _event(self, awaited: type[EnvelopeAnswered] | type[VerdictGiven]) -> None:
        """Return when it happens; whatever else does is a reason to end."""
        event = await self._link.event()
        if isinstance(event, ShutDown):
            raise _Over(self._shut_down(event))
        self._heard = True
        if not isinstance(event, awaited):
            why = event.why if isinstance(event, Nonsense) else "an answer out of turn"
            self._lower(Rung.LOCKSTEP, why)
            raise _confused(why)

    def _shut_down(self, event: ShutDown) -> End:
        """421: what its command was for is settled by it, the rest is untouched."""
        if event.command is None and not self._heard:
            # It was told while it lay idle: no attempt was made with it.
            return End(Ending.IDLE, str(event.answer))
        # Between two transactions it is an answer to the next, come early.
        command = Command.MAIL if event.command is None else event.command
        if command in (Command.MAIL, Command.RSET) and self._good >= _ENOUGH_GOOD:
            return self._had_enough(str(event.answer))
        for flight in [one for one in self._flights if one.mailing is event.mailing]:
            self._tell(flight)
            self.told -= 1  # A connection that is turned away at its first MAIL was of no use.
        meaning = meaning_of(command, event.answer)
        return End(Ending.TURNED_AWAY, str(event.answer), STAGES[command], meaning)

    def _had_enough(self, reply: str) -> End:
        """The server takes only so many messages a connection, whatever words it says it in."""
        self._telling.learn(MessageLimit(self._good))
        for flight in self._flights:
            outcomes = left_alone(flight.transaction, reply, self._telling.attempt)
            self._telling.source.finished(flight.transaction, outcomes)
        self._flights.clear()
        return End(Ending.QUOTA, reply)

    def _lost(self, error: WireError) -> End:
        if not self._heard:
            # It had been closed while it lay idle: no attempt was made with it.
            return End(Ending.IDLE, error.cause)
        first = self._flights[0] if self._flights else None
        if first is not None and first.mailing.finished:
            # Servers that fall silent behind BDAT or a pipeline are known; go about it plainer.
            plainer = Rung.DATA_LOOKAHEAD if first.mailing.chunked else Rung.NO_LOOKAHEAD
            self._lower(plainer, error.cause)
        waiting_for = self._smtp.waiting_for
        stage = None if waiting_for is None else STAGES[waiting_for]
        return End(Ending.LOST, error.cause, stage)

    async def _quit(self) -> None:
        """Part as one does (RFC 5321 §4.1.1.10); nobody waits long for the answer."""
        self._smtp.quit()
        try:
            await self._link.event()
            await self._link.stream.close()
        except WireError:
            return  # All was settled before: how it parts does not matter.


def _confused(why: str) -> _Over:
    return _Over(End(Ending.CONFUSED, why))


async def _whole(transaction: Transaction) -> bytes:
    body = transaction.body
    if isinstance(body, Body):
        return b"".join((transaction.top, *body.parts))
    return b"".join([transaction.top, *[piece async for piece in body()]])


async def _pieces(transaction: Transaction) -> AsyncIterator[bytes]:
    body = transaction.body
    if transaction.top:
        yield transaction.top
    if isinstance(body, Body):
        for part in body.parts:
            yield part
    else:
        async for piece in body():
            yield piece
