"""One connection: moves octets between the stream and the protocol, and events to the commands.

Deadlines. A command has five minutes in all (RFC 5321 §4.5.3.2.7), however it trickles in; content
has that between pieces and a least rate besides, so that no slot is held by dripping. When slots
are short the patience is short.
"""

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from merpati.mail.address import Address
from merpati.mail.trace import Tls
from merpati.policy.rule import Moment
from merpati.policy.verdict import Verdict
from merpati.reception.commands import COMMANDS
from merpati.smtp.events import Event
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
        """Commands since the last that got mail further."""
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

    async def run(self) -> None:
        """Serve until either side ends it. The stream is closed then."""
        try:
            await self._pump()
        except WireTimeout:
            if self.port.is_short:
                self.port.hits("too slow while slots are short")
            self._smtp.close(SHUTTING_DOWN if self.port.is_stopping else TIMED_OUT)
        except WireError:
            return  # The client is gone: nobody is left to be told.
        except BaseException:
            # A defect here, or the end of the grace at shutdown: said, so that silence is not
            # taken for anything, and passed on.
            self._smtp.close(SHUTTING_DOWN if self.port.is_stopping else _DEFECT)
            raise
        finally:
            await self.end_transaction()
            self._stream.write(self._smtp.take())
            await self._stream.close()

    async def _pump(self) -> None:
        smtp, served = self._smtp, 0
        while (event := smtp.next_event() or await self._wait_event()) is not None:
            smtp.answer(await COMMANDS[type(event)](self, event))
            if self._hangs_up and not smtp.is_closed:
                smtp.close()
            served += 1
            # 64 KiB of tiny commands would hold the loop for tens of milliseconds.
            if served % _FAIR_EVENTS == 0:
                await self.port.clock.sleep(0)

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
        """Journal a refusal, and end the connection behind it if the rule wants that."""
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
        self.facts.envelope = self.facts.recipient = self.facts.judgement = None
        self.facts.known_recipients = 0
        if transaction is not None:
            await transaction.discard()

    def interrupt(self) -> None:
        """Shutdown: stop waiting for commands, but let a transaction come to its end."""
        if self.transaction is None:
            self._stream.deadline = self.port.clock.monotonic()

    def hurry(self) -> None:
        """Slots have become short: the wait for a command that has begun ends earlier."""
        latest = self.port.clock.monotonic() + self.port.settings.short_patience
        if self._content_since is None and (self._stream.deadline or latest) > latest:
            self._stream.deadline = latest

    async def _wait_event(self) -> Event | None:
        """Send what waits and read on until something is asked; None: the session is over."""
        smtp, stream, port = self._smtp, self._stream, self.port
        patience = port.patience(in_transaction=self.transaction is not None)
        stream.deadline = port.clock.monotonic() + patience
        while True:
            if octets := smtp.take():
                stream.write(octets)
            if smtp.wants_octets:
                if octets and stream.is_congested:
                    await stream.drain()
                if self._content_since is not None:
                    stream.deadline = self._content_deadline(self._content_since)
                arrived = await stream.read()
                self._content_octets += len(arrived)
                smtp.receive(arrived)
            elif smtp.wants_tls:
                # No await stands between the 220 and this: nothing slips in as plain text.
                await self._secure()
            else:
                return None
            if (event := smtp.next_event()) is not None:
                return event

    async def _secure(self) -> None:
        tls = await self.port.secure(self.arrival)
        # RFC 3207 §4.2: all that was said before is forgotten; what was guessed is still known.
        before = self.facts
        self.facts = self.port.facts(self.arrival.peer, tls)
        self.facts.unknown_recipients = before.unknown_recipients
        self.facts.different_recipients = before.different_recipients
        self._smtp.secured(tls)

    def _content_deadline(self, since: float) -> float:
        patience, now = self.port.patience(in_transaction=True), self.port.clock.monotonic()
        earned = self._content_octets / self.port.settings.least_rate
        return min(now + patience, since + patience + earned)
