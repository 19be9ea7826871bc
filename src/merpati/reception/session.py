"""One connection: moves octets between the stream and the protocol, and events to the commands.

Most of what is asked is answered within the call that brings the octets (`_take`); only what has to
wait, for the disk or for a rule, wakes the session's task.

Deadlines. A command has five minutes in all (RFC 5321 §4.5.3.2.7), however it trickles in; content
has that between pieces and a least rate besides, so that no slot is held by dripping. Time in which
we read nothing, waiting for the disk or for room, is not the client's. When slots are short the
patience is short.
"""

from collections.abc import Awaitable, Coroutine
from typing import TYPE_CHECKING, Any

from merpati.mail.address import Address
from merpati.mail.trace import Tls
from merpati.policy.limit import Limit
from merpati.policy.rule import Moment
from merpati.policy.verdict import Verdict
from merpati.reception.commands import COMMANDS
from merpati.smtp.replies import SHUTTING_DOWN, TIMED_OUT, Reply
from merpati.smtp.server import ServerConnection
from merpati.smtp.status import Status
from merpati.wire.errors import WireError, WireTimeout

if TYPE_CHECKING:
    from merpati.reception.login import Login
    from merpati.reception.port import Port
    from merpati.reception.transaction import Transaction
    from merpati.wire.listen import Arrival

_FAIR_EVENTS = 100
_MOST_MET = 1000
"""Different recipients that are remembered: a session may go on for days."""
_DEFECT = Reply(421, "Local error, closing", Status(4, 3, 0))


class Session:
    """A client's connection, from the greeting to the end."""

    def __init__(self, port: "Port", arrival: "Arrival", tls: Tls | None) -> None:
        self.port = port
        self.arrival = arrival
        self.facts = port.facts(arrival.peer, tls)
        self.transaction: Transaction | None = None
        self.login: Login | None = None
        self.failed_logins = 0
        self.idle_commands = 0
        """Commands, and messages that were refused for good, since the last one that was taken."""
        self._stream = arrival.stream
        self._smtp = ServerConnection(
            port.protocol,
            tls,
            xclient=port.lists_xclient(arrival.peer),
            now=port.clock.now(),
        )
        self._met: set[tuple[str, str]] = set()
        self._content_since: float | None = None
        self._content_octets = 0
        self._hangs_up = False
        self._awaited: Coroutine[Any, Any, Reply | None] | None = None
        """Answers the event that was asked last."""

    async def run(self) -> None:
        """Serve until either side ends it. The stream is closed then."""
        try:
            await self._pump()
        except WireTimeout:
            if self.port.is_short:
                self.port.hits(Limit.SLOW)
            self._smtp.close(SHUTTING_DOWN if self.port.is_stopping else TIMED_OUT)
        except WireError:
            return  # The client is gone: nobody is left to be told.
        except BaseException:
            # A defect here, or the end of the grace at shutdown: said, so that silence is not
            # taken for anything, and passed on.
            self._smtp.close(SHUTTING_DOWN if self.port.is_stopping else _DEFECT)
            raise
        finally:
            if self._awaited is not None:
                self._awaited.close()
            try:
                await self.end_transaction()
            finally:
                self._stream.write(self._smtp.take())
                await self._stream.close()

    async def _pump(self) -> None:
        smtp, stream = self._smtp, self._stream
        while True:
            while self._awaited is not None or not self._serve():
                await self._go_on()
            self._send()
            if smtp.wants_octets:
                if stream.is_congested:
                    await stream.drain()
                await stream.feed(self._take)
            elif smtp.wants_tls:
                # No await stands between the 220 and this: nothing slips in as plain text.
                await self._secure()
            else:
                return

    def _take(self, octets: bytes) -> bool:
        """Take in what has arrived, and answer it if nothing has to be waited for; then more may
        come."""
        self._content_octets += len(octets)
        self._smtp.receive(octets)
        if not self._serve() or not self._smtp.wants_octets:
            return False
        self._send()
        return not self._stream.is_congested

    def _serve(self) -> bool:
        """Answer all that was asked; False when there is something to be waited for first."""
        smtp = self._smtp
        for _ in range(_FAIR_EVENTS):
            event = smtp.next_event()
            if event is None:
                return True
            answer = COMMANDS[type(event)](self, event)
            if answer is not None and not isinstance(answer, Reply):
                self._awaited = answer
                return False
            self._answer(answer)
        return False

    async def _go_on(self) -> None:
        awaited, self._awaited = self._awaited, None
        if awaited is None:
            # 64 KiB of tiny commands would hold the loop for tens of milliseconds.
            await self.port.clock.sleep(0)
        elif self._content_since is None:
            self._answer(await awaited)
        else:
            begun = self.port.clock.monotonic()
            answer = await awaited
            if self._content_since is not None:
                # The client could not send meanwhile: its time does not run.
                self._content_since += self.port.clock.monotonic() - begun
            self._answer(answer)

    def _answer(self, reply: Reply | None) -> None:
        self._smtp.answer(reply)
        if self._hangs_up and not self._smtp.is_closed:
            self._smtp.close()

    def _send(self) -> None:
        """Write what was answered. The wait that begins then has a deadline of its own."""
        octets = self._smtp.take()
        if octets:
            self._stream.write(octets)
        if self._content_since is not None:
            self._stream.deadline = self._content_deadline(self._content_since)
        elif octets:
            self._stream.deadline = self.port.deadline(in_transaction=self.transaction is not None)

    def judge(self, moment: Moment) -> Awaitable[Verdict | None] | None:
        """Ask the rules; a refusal is journaled. None when all let it pass at once, as most do."""
        answer = self.port.intake.judge.hear(moment, self.facts)
        return None if answer is None else self._judged(moment, answer)

    async def _judged(
        self, moment: Moment, answer: Verdict | Awaitable[Verdict | None]
    ) -> Verdict | None:
        verdict = answer if isinstance(answer, Verdict) else await answer
        if verdict is not None:
            self.refuse(moment.value, verdict)
        return verdict

    def refuse(self, stage: str, verdict: Verdict, line: bytes = b"") -> None:
        """Journal a refusal, count the limit that it is, and end the connection behind it if the
        rule wants that."""
        if verdict.limit is not None:
            self.port.hits(verdict.limit)
        if self.port.may_journal(verdict.rule):
            self.port.intake.refuse(stage, self.facts, verdict, line)
        self._hangs_up = self._hangs_up or verdict.close

    def hang_up(self) -> None:
        """Close behind the next answer."""
        self._hangs_up = True

    def introduce(self, name: str, login: Address | None, *, extended: bool) -> None:
        """From now on the client is this, as far as the rules and the trace are concerned."""
        facts = self.facts
        known = str(login) if login else ""
        facts.client = facts.client.introduced(name, known, extended=extended)
        facts.login = login

    def meet(self, recipient: Address) -> None:
        """Someone who exists was named; who was before is not counted again."""
        if len(self._met) < _MOST_MET:
            mailbox, _, _ = recipient.local.lower().partition("+")
            self._met.add((mailbox, recipient.domain))
            self.facts.different_recipients = len(self._met)

    def begin_content(self, transaction: "Transaction") -> None:
        """Content begins to come: its own deadline and count begin."""
        transaction.close_envelope(self.facts)
        self._content_since = self.port.clock.monotonic()
        self._content_octets = 0

    async def end_transaction(self) -> None:
        """Forget what was said since MAIL. The counts of recipients stay the session's."""
        transaction, self.transaction = self.transaction, None
        self._content_since = None
        self.facts.envelope = self.facts.recipient = None
        self.facts.judgement = self.facts.replayed = None
        self.facts.known_recipients = 0
        if transaction is not None and (waiting := transaction.discard()) is not None:
            await waiting

    def interrupt(self) -> None:
        """Shutdown: stop waiting for commands, but let a transaction come to its end."""
        if self.transaction is None:
            self._stream.deadline = self.port.clock.monotonic()

    def hurry(self) -> None:
        """Slots have become short: the wait for a command that has begun ends earlier."""
        latest = self.port.clock.monotonic() + self.port.settings.short_patience
        if self._content_since is None and (self._stream.deadline or latest) > latest:
            self._stream.deadline = latest

    async def _secure(self) -> None:
        tls = await self.port.secure(self.arrival)
        # RFC 3207 §4.2: all that was said before is forgotten; what was guessed is still known.
        before = self.facts
        self.facts = self.port.facts(self.arrival.peer, tls)
        self.facts.unknown_recipients = before.unknown_recipients
        self.facts.different_recipients = before.different_recipients
        self._smtp.secured(tls)

    def _content_deadline(self, since: float) -> float:
        patience = self.port.patience(in_transaction=True)
        earned = self._content_octets / self.port.settings.least_rate
        return min(self.port.clock.monotonic(), since + earned) + patience
