"""The client's side of SMTP, submission and LMTP, without I/O.

    client = ClientConnection("mx.a.test")
    client.receive(octets); client.next_event()      # until None: more octets are needed
    client.take()                                    # what must be sent now

Replies are matched to commands by counting (RFC 2920 §3.1): `_owed` says what each is for. Commands
wait in `_unsent` until they may leave: at once when pipelined, one at a time in lockstep. The owner
begins a transaction, waits for EnvelopeAnswered, writes the content, and may begin the next
transaction before the verdict is in: its RSET, MAIL, RCPT then leave in one write behind the body.

A reply that came before its command is held against the server, not against the next command: a
421 is its good-bye, anything else is Nonsense.

After ShutDown, Nonsense or a failed BDAT the connection is over: no event follows; close it.
"""

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass

from merpati.smtp import capabilities
from merpati.smtp.answers import Answer, AnswerReader, Nonsense
from merpati.smtp.capabilities import Capabilities
from merpati.smtp.client_events import (
    ClientEvent,
    EnvelopeAnswered,
    Greeted,
    HelloAnswered,
    LoginAnswered,
    Mailing,
    QuitAnswered,
    ShutDown,
    TlsAnswered,
    VerdictGiven,
)
from merpati.smtp.client_states import ALLOWED, ANSWERS, Act, Command, Phase
from merpati.smtp.content import ContentWriter, CountedContent, DottedContent
from merpati.smtp.errors import ProtocolError
from merpati.smtp.login import Login
from merpati.smtp.outgoing import Outgoing, mail_command, rcpt_command
from merpati.smtp.rung import Rung
from merpati.smtp.sasl.exchange import ClientExchange


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """How a client speaks."""

    hostname: str
    """Its own name for EHLO: a domain or an address literal."""
    lmtp: bool = False
    ignored: frozenset[str] = frozenset()
    """EHLO keywords, upper case, that are taken as not offered (broken there)."""


class ClientConnection:
    """One connection as its client speaks it. See the top of this file for how it is driven."""

    def __init__(self, settings: ClientSettings, rung: Rung = Rung.BDAT_LOOKAHEAD) -> None:
        self.rung = rung
        """Changed by the owner when a server stumbles; holds for the next transaction."""
        self.capabilities = Capabilities()
        self.phase = Phase.GREETING
        self.transactions = 0
        """MAIL commands so far, for MAILMAX."""
        self.answers = 0
        """Replies so far that were whole: the time for each begins when the last one came."""
        self._settings = settings
        self._reader = AnswerReader()
        self._out: list[bytes] = []
        self._owed: deque[tuple[Command, Mailing | None]] = deque([(Command.GREETING, None)])
        self._unsent: deque[tuple[Command, bytes, Mailing | None]] = deque()
        self._used = False
        self._verb = ""
        self._unasked = False
        self._mailing: Mailing | None = None
        self._writer: ContentWriter = DottedContent(0)
        self._login: Login  # Made by `log_in`: before it no reply to AUTH is owed.

    @property
    def waiting_for(self) -> Command | None:
        """The oldest command without its reply: it says how long to wait."""
        return self._owed[0][0] if self._owed else None

    @property
    def may_look_ahead(self) -> bool:
        """Whether a transaction may begin before the verdict on the one before."""
        return self.rung <= Rung.DATA_LOOKAHEAD and self.capabilities.offers("PIPELINING")

    def hello(self) -> None:
        """EHLO, LHLO in LMTP; HELO after an EHLO was refused, or on the lowest rung."""
        self._require(Act.HELLO)
        was_refused = self._verb == "EHLO" and self.phase is Phase.GREETED
        plain = was_refused or self.rung is Rung.HELO
        self._verb = "LHLO" if self._settings.lmtp else ("HELO" if plain else "EHLO")
        self.phase = Phase.HELLO
        self._send(Command.HELLO, f"{self._verb} {self._settings.hostname}\r\n".encode("ascii"))

    def start_tls(self) -> None:
        """STARTTLS (RFC 3207)."""
        self._require(Act.START_TLS)
        self.phase = Phase.SECURING
        self._send(Command.STARTTLS, b"STARTTLS\r\n")

    def secured(self) -> None:
        """The handshake is done: say hello again. What was learned in the clear is forgotten."""
        if self.phase is not Phase.SECURING or self._owed or self._reader.pending:
            raise ProtocolError("TLS begins after a 220 to STARTTLS and nothing behind it")
        self.capabilities = Capabilities()
        self._verb = ""
        self.phase = Phase.GREETED

    def log_in(self, exchange: ClientExchange) -> None:
        """AUTH (RFC 4954) with an exchange from `sasl.mechanisms.choose`."""
        self._require(Act.LOG_IN)
        self.phase = Phase.LOGIN
        self._login = Login(exchange)
        self._send(Command.AUTH, self._login.command())

    def begin(self, outgoing: Outgoing) -> Mailing:
        """RSET unless this is the first, MAIL, every RCPT, and DATA where content goes by DATA.

        Ask `outgoing.hindrance` first. Behind a body only where `may_look_ahead`.
        """
        self._require(Act.BEGIN)
        if self.phase is Phase.VERDICT and not (self.may_look_ahead and self._mailing is None):
            raise ProtocolError("nothing may be sent behind this body")
        mailing = Mailing(outgoing, self._may_pipeline, self._may_chunk(outgoing))
        mailing.commands = self._commands(outgoing)
        self._mailing = mailing
        self._queue_envelope(mailing)
        if self.phase is Phase.READY:
            self.phase = Phase.ENVELOPE
        return mailing

    def write_body(self, octets: bytes) -> None:
        """The next octets of the content, `outgoing.size` in all. Raises ContentError."""
        mailing = self._being_written()
        self._out.append(self._writer.write(octets))
        mailing.begun = True
        # Of a chunk the last octets are its end; nothing that `finish_body` adds makes it final.
        mailing.finished = self._writer.is_complete

    def finish_body(self) -> None:
        """End the content. Raises ContentError; then the connection must be aborted."""
        mailing = self._being_written()
        self._out.append(self._writer.finish())
        self._mailing = None
        mailing.finished = True
        command = Command.CHUNK if mailing.chunked else Command.BODY
        # RFC 2033 §4.2: one reply for each accepted recipient.
        for _ in range(len(mailing.accepted) if self._settings.lmtp else 1):
            self._owed.append((command, mailing))
        self.phase = Phase.VERDICT

    def quit(self) -> None:
        """QUIT (RFC 5321 §4.1.1.10)."""
        self._require(Act.QUIT)
        self.phase = Phase.QUITTING
        self._send(Command.QUIT, b"QUIT\r\n")

    def receive(self, octets: bytes) -> None:
        """Take what arrived."""
        self._reader.receive(octets)

    def take(self) -> bytes:
        """Everything that must be sent now."""
        octets = b"".join(self._out)
        self._out.clear()
        return octets

    def next_event(self) -> ClientEvent | None:
        """What the replies so far amount to; None: more octets are needed, or it is over."""
        while self.phase is not Phase.OVER:
            answer = self._reader.next()
            if answer is None:
                return None
            self.answers += 1
            event = self._take_answer(answer)
            if event is not None:
                return event
        return None

    @property
    def _may_pipeline(self) -> bool:
        return self.rung < Rung.LOCKSTEP and self.capabilities.offers("PIPELINING")

    def _may_chunk(self, outgoing: Outgoing) -> bool:
        if not self.capabilities.offers("CHUNKING"):
            return False
        # RFC 3030 does not say how LMTP answers a chunk: DATA is clear there.
        plain = self.rung is Rung.BDAT_LOOKAHEAD and not self._settings.lmtp
        return plain or outgoing.is_binary

    def _require(self, act: Act) -> None:
        if self.phase not in ALLOWED[act]:
            raise self._not_now(act)

    def _not_now(self, act: Act) -> ProtocolError:
        return ProtocolError(f"cannot {act.value} while {self.phase.value}")

    def _being_written(self) -> Mailing:
        if self._mailing is None or self.phase not in ALLOWED[Act.WRITE_BODY]:
            raise self._not_now(Act.WRITE_BODY)
        return self._mailing

    def _commands(self, outgoing: Outgoing) -> list[bytes]:
        offers, bare = self.capabilities, outgoing.bare
        rcpts = [rcpt_command(recipient, offers, bare) for recipient in outgoing.recipients]
        return [mail_command(outgoing, offers), *rcpts]

    def _queue_envelope(self, mailing: Mailing) -> None:
        queue = self._unsent.append
        if self._used:
            # Exim queues the next message with the sender of the last refused one otherwise.
            queue((Command.RSET, b"RSET\r\n", mailing))
        self._used = True
        self.transactions += 1
        queue((Command.MAIL, mailing.commands[0], mailing))
        for line in mailing.commands[1:]:
            queue((Command.RCPT, line, mailing))
        if not mailing.chunked:
            queue((Command.DATA, b"DATA\r\n", mailing))
        mailing.owed = len(self._unsent)
        self._send_queued(pipelined=mailing.pipelined)

    def _send(self, command: Command, line: bytes, mailing: Mailing | None = None) -> None:
        if not self._owed and self._reader.pending:
            self._unasked = True
        self._out.append(line)
        self._owed.append((command, mailing))

    def _send_queued(self, pipelined: bool) -> None:
        while self._unsent and (pipelined or not self._owed):
            self._send(*self._unsent.popleft())

    def _take_answer(self, answer: Answer | Nonsense) -> ClientEvent | None:
        if isinstance(answer, Nonsense):
            return self._give_up(answer.why, answer.octets)
        if self._unasked or not self._owed:
            return self._on_unasked(answer)
        command, mailing = self._owed.popleft()
        if answer.code == 421:
            self.phase = Phase.OVER
            _record(command, answer, mailing)
            return ShutDown(answer, command, mailing)
        if answer.code // 100 not in ANSWERS[command]:
            return self._give_up(f"a {answer.code} cannot answer {command.name}", answer.octets)
        if mailing is None:
            return _REACTIONS[command](self, answer)
        return _MAILING_REACTIONS[command](self, command, answer, mailing)

    def _on_unasked(self, answer: Answer) -> ClientEvent:
        if answer.code != 421:
            return self._give_up("a reply that nobody asked for", answer.octets)
        # RFC 5321 §3.8: 421 may come at any time.
        self.phase = Phase.OVER
        return ShutDown(answer, None, None)

    def _give_up(self, why: str, octets: bytes) -> Nonsense:
        self.phase = Phase.OVER
        return Nonsense(why, octets[:100])

    def _on_greeting(self, answer: Answer) -> ClientEvent:
        self.phase = Phase.GREETED
        if self._reader.pending:
            return self._give_up("octets behind the greeting", answer.octets)
        return Greeted(answer)

    def _on_hello(self, answer: Answer) -> ClientEvent:
        self.capabilities = Capabilities()
        if not answer.is_positive:
            self.phase = Phase.GREETED
            return HelloAnswered(answer, self.capabilities)
        if self._verb != "HELO":
            self.capabilities = capabilities.parse(answer, self._ignored)
        self.phase = Phase.READY
        return HelloAnswered(answer, self.capabilities)

    @property
    def _ignored(self) -> Collection[str]:
        return self._settings.ignored

    def _on_starttls(self, answer: Answer) -> ClientEvent:
        if not answer.is_positive:
            self.phase = Phase.READY
        elif self._reader.pending:
            # RFC 3207 §6 and CVE-2021-38371: what came in the clear must not be read as if it
            # had come through TLS.
            return self._give_up("octets in the clear behind the 220 to STARTTLS", answer.octets)
        return TlsAnswered(answer)

    def _on_auth(self, answer: Answer) -> ClientEvent | None:
        login = self._login
        if answer.code // 100 == 3:
            response = login.response(answer)
            if response is None:
                return self._give_up("a challenge behind the end of the login", answer.octets)
            self._send(Command.AUTH, response)
            return None
        if answer.is_positive:
            login.succeed()
        self.phase = Phase.READY
        return LoginAnswered(answer, login.error)

    def _on_envelope(
        self, command: Command, answer: Answer, mailing: Mailing
    ) -> ClientEvent | None:
        _record(command, answer, mailing)
        mailing.owed -= 1
        if not mailing.pipelined:
            self._go_on_in_lockstep(mailing)
        if mailing.owed:
            return None
        if mailing.data is not None and mailing.data.is_positive and not mailing.accepted:
            return self._end_nobodys_content(mailing, answer)
        return self._end_envelope(mailing)

    def _end_nobodys_content(self, mailing: Mailing, answer: Answer) -> ClientEvent | None:
        """RFC 2920 §3.1: 354 though nobody was accepted; a lone dot ends the empty content."""
        if any(reply.is_positive for reply in mailing.rcpts):
            # RSET or MAIL was refused and recipients were taken: a dot would give them an empty
            # message, perhaps under another's name.
            return self._give_up("content is wanted for a refused transaction", answer.octets)
        self._send(Command.LONE_DOT, b".\r\n", mailing)
        return None

    def _go_on_in_lockstep(self, mailing: Mailing) -> None:
        """Send the next command, or none when what was refused makes the rest senseless."""
        rest = self._unsent
        dead = mailing.first_refusal is not None and (not rest or rest[0][0] is not Command.RCPT)
        if dead or (mailing.mail is not None and not mailing.mail.is_positive):
            mailing.owed -= len(rest)
            rest.clear()
        self._send_queued(pipelined=False)

    def _on_lone_dot(self, _: Command, __: Answer, mailing: Mailing) -> ClientEvent | None:
        return self._end_envelope(mailing)

    def _end_envelope(self, mailing: Mailing) -> EnvelopeAnswered | None:
        if not mailing.wants_body:
            self.phase = Phase.READY
            self._mailing = None
            return EnvelopeAnswered(mailing)
        if self._reader.pending:
            # It would be taken for the verdict on a body that was never sent.
            self._unasked = True
            return None
        self.phase = Phase.BODY
        size = mailing.outgoing.size
        if mailing.chunked:
            self._out.append(b"BDAT %d LAST\r\n" % size)
            self._writer = CountedContent(size, mailing.outgoing.is_binary)
        else:
            self._writer = DottedContent(size)
        return EnvelopeAnswered(mailing)

    def _on_verdict(self, command: Command, answer: Answer, mailing: Mailing) -> ClientEvent | None:
        mailing.verdicts.append(answer)
        if self._settings.lmtp and len(mailing.verdicts) < len(mailing.accepted):
            return None
        if command is Command.CHUNK and not answer.is_positive:
            # Exim runs what is left of a refused chunk as commands: nothing behind it is believed.
            self.phase = Phase.OVER
        else:
            self.phase = Phase.READY if self._mailing is None else Phase.ENVELOPE
        return VerdictGiven(mailing)

    def _on_quit(self, answer: Answer) -> ClientEvent:
        self.phase = Phase.OVER
        return QuitAnswered(answer)


def _record(command: Command, answer: Answer, mailing: Mailing | None) -> None:
    """Write an answer down where it belongs."""
    if mailing is None:
        return
    if command is Command.RSET:
        mailing.reset = answer
    elif command is Command.MAIL:
        mailing.mail = answer
    elif command is Command.RCPT:
        mailing.rcpts.append(answer)
    elif command is Command.DATA:
        mailing.data = answer
    elif command is not Command.LONE_DOT:
        mailing.verdicts.append(answer)


_REACTIONS: dict[Command, Callable[[ClientConnection, Answer], ClientEvent | None]] = {
    Command.GREETING: ClientConnection._on_greeting,
    Command.HELLO: ClientConnection._on_hello,
    Command.STARTTLS: ClientConnection._on_starttls,
    Command.AUTH: ClientConnection._on_auth,
    Command.QUIT: ClientConnection._on_quit,
}
_MAILING_REACTIONS: dict[
    Command, Callable[[ClientConnection, Command, Answer, Mailing], ClientEvent | None]
] = {
    Command.RSET: ClientConnection._on_envelope,
    Command.MAIL: ClientConnection._on_envelope,
    Command.RCPT: ClientConnection._on_envelope,
    Command.DATA: ClientConnection._on_envelope,
    Command.BODY: ClientConnection._on_verdict,
    Command.CHUNK: ClientConnection._on_verdict,
    Command.LONE_DOT: ClientConnection._on_lone_dot,
}
