"""The server's side of a connection, SMTP or LMTP. No I/O: octets in, events out, replies back.

How it works: one bytearray holds what was received and not understood. A reader for each state
takes the next event off its front; whether the next octets are command or content depends on the
answer to the last event, so there is one event at a time and `states.TABLE` moves on its answer.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import cast

from merpati.mail.envelope import BodyType
from merpati.mail.trace import Tls
from merpati.smtp.body import ChunkReader, DotReader, Inspector
from merpati.smtp.commands import (
    LMTP_COMMANDS,
    SMTP_COMMANDS,
    VERBS,
    Command,
    parse_auth_response,
    parse_chunk,
    unknown_command,
)
from merpati.smtp.errors import CommandError, ProtocolError
from merpati.smtp.events import (
    BodyOctets,
    ChunkReceived,
    Connected,
    ContentReceived,
    ContentStarted,
    Event,
    MailFrom,
    MailParameters,
    Mistake,
    RcptTo,
)
from merpati.smtp.extensions import Extension
from merpati.smtp.lines import LineReader, decode_line, quote_line
from merpati.smtp.offer import Offer, make_basic_offer, make_offer
from merpati.smtp.replies import (
    ALREADY_AUTHENTICATED,
    AUTH_LINE_TOO_LONG,
    LINE_TOO_LONG,
    NO_BINARY_DATA,
    NOT_AFTER_AUTH,
    OUT_OF_TURN,
    SMTPUTF8_NEEDED,
    TOO_MANY_ERRORS,
    TOO_MANY_RECIPIENTS,
    Reply,
)
from merpati.smtp.settings import Protocol, ServerSettings
from merpati.smtp.states import ALONE, FATAL, TABLE, TRANSACTION, Row, State, Step, out_of_order

_CONNECTED = Connected()
# Looked up for each command: on CPython 3.11 a member costs ten times as much by its class.
_HELLO, _MISTAKE, _OCTETS = Step.HELLO, Step.MISTAKE, Step.OCTETS
_TLS, _CLOSED, _BINARY = State.TLS, State.CLOSED, BodyType.BINARY


class ServerConnection:
    """Octets in, one event at a time out, an answer to each, replies to send.

    The first event is `Connected`, before any octet. `None` from `next_event` means that more
    octets are needed: send what `take` gives, then read, then `receive`.
    """

    __slots__ = (
        "_accepted",
        "_agreed",
        "_buffer",
        "_commands",
        "_errors",
        "_event",
        "_has_ended",
        "_inspector",
        "_is_lmtp",
        "_lines",
        "_mail",
        "_now",
        "_offered",
        "_orphaned",
        "_owed",
        "_read",
        "_replies",
        "_row",
        "_rows",
        "_source",
        "_state",
        "_step",
        "_surplus",
        "_xclient",
        "is_authenticated",
        "settings",
        "tls",
    )

    _read: Callable[["ServerConnection"], Event | None]

    def __init__(
        self,
        settings: ServerSettings,
        tls: Tls | None = None,
        *,
        xclient: bool = False,
        now: float = 0.0,
    ) -> None:
        """`tls` for implicit TLS. `xclient`: the peer is listed for it.

        `now`, seconds since 1970 UTC, is for FUTURERELEASE, which promises a latest date.
        """
        self.settings = settings
        self.tls = tls
        self._xclient = xclient
        self._now = now
        self._is_lmtp = settings.protocol is Protocol.LMTP
        self._commands: Mapping[str, Command] = LMTP_COMMANDS if self._is_lmtp else SMTP_COMMANDS
        self._buffer = bytearray()
        self._lines = LineReader(
            self._buffer, max(settings.max_command_line, settings.max_auth_line)
        )
        self._replies: list[bytes] = []
        self._errors = 0
        self._has_ended = False
        self._event: Event | None = None
        self._row: Row | None = None
        self._step = Step.CONNECT
        self._forget()
        self._enter(State.CONNECTED)

    def _forget(self) -> None:
        """As if nothing had been said: at the start, after STARTTLS (RFC 3207 §4.2)."""
        self.is_authenticated = False
        """AUTH was answered with 235."""
        self._agreed = self._offered = make_basic_offer(self.settings)
        self._mail = MailParameters()
        self._accepted = self._surplus = self._orphaned = 0
        self._source: DotReader | ChunkReader = ChunkReader(self._buffer, 0, is_last=True)
        self._inspector = Inspector(0, 0)
        self._owed: bytes | CommandError = b""

    def receive(self, octets: bytes | bytearray | memoryview) -> None:
        """Take in what arrived. b"" is the peer's end: what is complete is still served."""
        if not octets:
            self._has_ended = True
        elif self._state is _TLS:
            raise ProtocolError("these octets belong to the handshake")
        elif self._state is not _CLOSED:
            self._buffer += octets

    def next_event(self) -> Event | None:
        """The next thing to answer. None: more octets are needed, or the connection `is_closed`."""
        if self._row is not None:
            raise ProtocolError("the last event was not answered")
        event = self._event = self._read(self)
        if event is None and self._has_ended:
            self._enter(State.CLOSED)
        return event

    def answer(self, reply: Reply | None) -> None:
        """Answer the event; the only place where the state moves. None for BodyOctets alone.

        421 to anything closes the connection after it. When the peer spoke where it had to wait,
        the answer is not sent: a fatal Mistake is the next event instead.
        """
        row = self._row
        if row is None or (reply is None) is not (row.step is _OCTETS):
            raise ProtocolError("this is no answer to that event")
        self._row = None
        if reply is None:
            return
        if self._buffer and self._is_out_of_turn(row):
            self._read = ServerConnection._read_out_of_turn
            return
        code, step = reply.code, row.step
        if step not in _SENT_LATER:
            self._replies.append(reply.octets if code not in _GOODBYES else self._written(reply))
        after = row.no
        if code < 300:
            after = row.yes
        elif code < 400:
            after = row.more or row.yes
        elif code == 421:  # RFC 5321 §3.8: it may be said to anything, and ends it
            after = _CLOSED
        if after is not self._state:
            self._enter(after)
        settle = _SETTLE.get(step)
        if settle is not None:
            settle(self, reply)

    def answer_each(self, replies: Sequence[Reply]) -> None:
        """LMTP: answer ContentReceived with a reply for each accepted recipient, in RCPT order."""
        row = self._row
        if row is None or row.step is not Step.END or len(replies) != self._expected_replies:
            raise ProtocolError("this is no answer for each recipient")
        self._row = None
        if any(reply.is_positive for reply in replies):
            self._refuse_praise_of_a_flaw()
        self._replies += map(self._written, replies)
        self._enter(row.yes)

    def take(self) -> bytes:
        """Replies that are to be sent now, all of a pipelined group at once. They are gone then."""
        replies = self._replies
        if not replies:
            return b""
        octets = replies[0] if len(replies) == 1 else b"".join(replies)
        replies.clear()
        return octets

    def secured(self, tls: Tls) -> None:
        """The handshake after STARTTLS is done: all that was known of the client is forgotten."""
        if self._state is not State.TLS:
            raise ProtocolError("no STARTTLS was agreed on")
        self.tls = tls
        self._forget()
        self._enter(State.GREETED)

    def close(self, reply: Reply | None = None) -> None:
        """End the session out of turn (time-out, shutdown), also with an event unanswered.

        Who spoke where it had to wait, and so was not answered, is told that at least.
        """
        if reply is None and self._read is ServerConnection._read_out_of_turn:
            reply = OUT_OF_TURN
        if reply is not None and self._state is not State.CLOSED:
            self._replies.append(self._written(reply))
        self._row = None
        self._enter(State.CLOSED)

    @property
    def state(self) -> State:
        """Where the connection stands."""
        return self._state

    @property
    def wants_tls(self) -> bool:
        """STARTTLS was answered with 220: send `take()`, do the handshake, call `secured`."""
        return self._state is _TLS

    @property
    def wants_octets(self) -> bool:
        """Neither of these two: send what `take` gives, then read."""
        return self._state is not _TLS and self._state is not _CLOSED

    @property
    def is_closed(self) -> bool:
        """Send what `take` gives, then close."""
        return self._state is _CLOSED

    @property
    def in_transaction(self) -> bool:
        """Between a MAIL that was taken and the end of its transaction."""
        return self._state in TRANSACTION

    @property
    def pending(self) -> int:
        """Octets received and not yet understood."""
        return len(self._buffer)

    def _enter(self, state: State) -> None:
        self._state = state
        self._rows, self._read = _PLACES[state]
        if state is _CLOSED:
            self._buffer.clear()

    def _is_out_of_turn(self, row: Row) -> bool:
        if row.is_alone:
            return True
        return row.is_grouped and Extension.PIPELINING not in self._agreed.extensions

    def _asks(self, step: Step, event: Event) -> Event:
        """Hand out an event whose answer moves by the row of `step`."""
        self._row = self._rows[step]
        return event

    def _read_connected(self) -> Event | None:
        return self._asks(Step.CONNECT, _CONNECTED)

    def _read_nothing(self) -> Event | None:
        return None

    def _read_out_of_turn(self) -> Event | None:
        self._row = FATAL
        return Mistake(OUT_OF_TURN, fatal=True)

    def _read_command(self) -> Event | None:
        if not self._buffer:
            return None
        self._step = _MISTAKE
        line: bytearray | None = None
        try:
            line = self._lines.next_line()
            return None if line is None else self._understand(line)
        except CommandError as error:
            return self._mistake(error, line or b"")

    def _read_response(self) -> Event | None:
        self._step = Step.RESPONSE
        try:
            line = self._lines.next_line()
            if line is None:
                return None
            return self._asks(Step.RESPONSE, parse_auth_response(decode_line(line)))
        except CommandError as error:
            if error.reply is LINE_TOO_LONG:
                error = CommandError(AUTH_LINE_TOO_LONG)
            return self._mistake(error, b"")

    def _read_content(self) -> Event | None:
        source, inspector = self._source, self._inspector
        octets = source.read()
        if octets:
            octets = inspector.inspect(octets)
        if source.has_ended and source.is_last:
            octets += inspector.finish()
            if inspector.flaw is not None:
                octets = b""
            received = ContentReceived(inspector.size, inspector.flaw, octets)
            return self._asks(Step.END, received)
        if octets:
            return self._asks(_OCTETS, BodyOctets(octets))
        if isinstance(source, ChunkReader) and source.has_ended:
            return self._asks(Step.CHUNK_END, ChunkReceived(source.size, inspector.flaw))
        return None

    def _read_swallowed(self) -> Event | None:
        """The octets of a refused chunk, which must not be taken for commands."""
        self._source.read()
        if not self._source.has_ended:
            return None
        self._read = _READERS[self._state]
        owed, self._owed = self._owed, b""
        if isinstance(owed, CommandError):
            return self._mistake(owed, b"BDAT")
        self._replies.append(owed)
        return self._read(self)

    def _understand(self, line: bytearray) -> Event | None:
        verb, _, text = decode_line(line).partition(" ")
        verb = verb.upper()
        # RFC 5321 §4.5.3.1.4 and RFC 4954 §4: only AUTH may be longer.
        if len(line) + 2 > self.settings.max_command_line and verb != "AUTH":
            raise CommandError(LINE_TOO_LONG)
        text = text.lstrip(" ")
        command = self._commands.get(verb)
        if command is None:
            if verb != "BDAT":
                raise unknown_command(verb)
            return self._understand_chunk(text)
        step = self._step = command.step
        row = self._rows.get(step)
        if row is None:
            raise CommandError(out_of_order(self._state, step))
        offer = self._agreed
        if step is _HELLO:
            offer = self._offered = self._offer_to(verb)
        event = command.parse(verb, text, offer)
        check = _CHECKS.get(step)
        if check is not None:
            check(self, event)
        self._row = row
        return event

    def _understand_chunk(self, argument: str) -> Event | None:
        size, is_last = parse_chunk(argument)
        self._source = ChunkReader(self._buffer, size, is_last=is_last)
        row = self._rows.get(Step.BDAT)
        if row is None or Extension.CHUNKING not in self._agreed.extensions:
            return self._swallow_out_of_order(is_last)
        if self._state is State.RCPT:
            self._row = row
            return ContentStarted(chunking=True)
        self._enter(row.yes)
        return self._read_content()

    def _swallow_out_of_order(self, is_last: bool) -> Event | None:
        self._owed = CommandError(out_of_order(self._state, Step.BDAT))
        if is_last and self._is_lmtp and self._orphaned:
            # RFC 2033 §4.2: who pipelined this behind a chunk whose refusal it had not seen counts
            # a reply for each recipient; RFC 3030 §2 lets nobody else send it.
            self._owed = self._owed.reply.octets * self._orphaned
            self._orphaned = 0
        elif self._state is State.MAIL and is_last and self._is_lmtp:
            # RFC 2033 §4.3: no recipient was accepted, so there is none to reply for.
            self._owed = b""
            self._enter(State.READY)
        self._read = ServerConnection._read_swallowed
        return self._read_swallowed()

    def _offer_to(self, verb: str) -> Offer:
        if verb == "HELO":  # RFC 5321 §4.1.1.1: no extensions
            return make_basic_offer(self.settings)
        return make_offer(self.settings, self.tls, xclient=self._xclient, now=self._now)

    def _mistake(self, error: CommandError, line: bytes | bytearray) -> Mistake:
        # 452: a client that splits its recipients over transactions is not at fault, unless what
        # is left over is more than a transaction may hold.
        is_split = error.reply is TOO_MANY_RECIPIENTS
        self._errors += not is_split or self._surplus > self.settings.max_recipients
        reply, fatal = error.reply, error.fatal
        if self._step in ALONE and self._buffer:
            reply, fatal = OUT_OF_TURN, True
        elif self._errors >= self.settings.max_errors:
            reply, fatal = TOO_MANY_ERRORS, True
        self._row = FATAL if fatal else self._rows[_MISTAKE]
        return Mistake(reply, quote_line(line, VERBS), fatal)

    def _check_rcpt(self, event: Event) -> None:
        recipient = cast(RcptTo, event).recipient  # Step.RCPT makes nothing else
        if not recipient.is_ascii and not self._mail.smtputf8:
            raise CommandError(SMTPUTF8_NEEDED)
        if self._accepted >= self.settings.max_recipients:
            self._surplus += 1
            raise CommandError(TOO_MANY_RECIPIENTS)

    def _check_mail(self, event: Event) -> None:
        self._mail = cast(MailFrom, event).parameters  # Step.MAIL makes nothing else
        self._accepted = self._surplus = self._orphaned = 0

    def _check_data(self, event: Event) -> None:
        if self._mail.body is _BINARY:  # RFC 3030 §3
            raise CommandError(NO_BINARY_DATA)

    def _check_auth(self, event: Event) -> None:
        if self.is_authenticated:  # RFC 4954 §4
            raise CommandError(ALREADY_AUTHENTICATED)

    def _check_starttls(self, event: Event) -> None:
        if self.is_authenticated:
            raise CommandError(NOT_AFTER_AUTH)

    def _settle_hello(self, reply: Reply) -> None:
        if reply.is_positive:
            self._agreed = self._offered

    def _settle_rcpt(self, reply: Reply) -> None:
        if reply.is_positive:
            self._accepted += 1

    def _settle_auth(self, reply: Reply) -> None:
        self.is_authenticated = reply.code < 300

    def _settle_xclient(self, reply: Reply) -> None:
        if reply.is_positive:
            self._forget()

    def _settle_data(self, reply: Reply) -> None:
        if reply.is_positive:
            self._inspector = self._make_inspector()
            self._source = DotReader(self._buffer)

    def _settle_bdat(self, reply: Reply) -> None:
        if reply.is_positive:
            self._inspector = self._make_inspector()
        elif self._state is State.CLOSED:
            self._replies.append(self._written(reply))
        else:
            self._owed = reply.octets * (self._expected_replies if self._source.is_last else 1)
            self._settle_chunk(reply)
            self._read = ServerConnection._read_swallowed

    def _settle_chunk(self, reply: Reply) -> None:
        if not reply.is_positive and not self._source.is_last:
            self._orphaned = self._accepted

    def _settle_end(self, reply: Reply) -> None:
        if reply.code < 400:
            self._refuse_praise_of_a_flaw()
        octets = self._written(reply)
        self._replies.append(octets * self._accepted if self._is_lmtp else octets)

    def _written(self, reply: Reply) -> bytes:
        # RFC 5321 §4.2.2: who ends a session (221, 421) says its name first.
        if reply.code not in _GOODBYES:
            return reply.octets
        return Reply(reply.code, f"{self.settings.hostname} {reply.text}", reply.status).octets

    def _refuse_praise_of_a_flaw(self) -> None:
        event = self._event
        if isinstance(event, ContentReceived) and event.flaw is not None:
            raise ProtocolError("a message with a flaw was accepted")

    @property
    def _expected_replies(self) -> int:
        # RFC 2033 §4.2: one for each recipient that was accepted.
        return self._accepted if self._is_lmtp else 1

    def _make_inspector(self) -> Inspector:
        settings, is_binary = self.settings, self._mail.body is _BINARY
        return Inspector(settings.max_size, settings.max_text_line, is_binary=is_binary)


_READERS: Mapping[State, Callable[[ServerConnection], Event | None]] = {
    State.CONNECTED: ServerConnection._read_connected,
    State.GREETED: ServerConnection._read_command,
    State.READY: ServerConnection._read_command,
    State.MAIL: ServerConnection._read_command,
    State.RCPT: ServerConnection._read_command,
    State.DATA: ServerConnection._read_content,
    State.CHUNK: ServerConnection._read_content,
    State.BETWEEN_CHUNKS: ServerConnection._read_command,
    State.AUTH: ServerConnection._read_response,
    State.TLS: ServerConnection._read_nothing,
    State.CLOSED: ServerConnection._read_nothing,
}

_PLACES = {state: (TABLE[state], read) for state, read in _READERS.items()}

# Before an event is handed out: what the grammar alone cannot know.
_CHECKS: Mapping[Step, Callable[[ServerConnection, Event], None]] = {
    Step.MAIL: ServerConnection._check_mail,
    Step.RCPT: ServerConnection._check_rcpt,
    Step.DATA: ServerConnection._check_data,
    Step.AUTH: ServerConnection._check_auth,
    Step.STARTTLS: ServerConnection._check_starttls,
}

# After an answer has moved the state: what else is known now.
_SETTLE: Mapping[Step, Callable[[ServerConnection, Reply], None]] = {
    Step.HELLO: ServerConnection._settle_hello,
    Step.RCPT: ServerConnection._settle_rcpt,
    Step.AUTH: ServerConnection._settle_auth,
    Step.RESPONSE: ServerConnection._settle_auth,
    Step.XCLIENT: ServerConnection._settle_xclient,
    Step.DATA: ServerConnection._settle_data,
    Step.BDAT: ServerConnection._settle_bdat,
    Step.CHUNK_END: ServerConnection._settle_chunk,
    Step.END: ServerConnection._settle_end,
}

_GOODBYES = frozenset({221, 421})

# Their replies are sent by what settles them: not at all, later, or once for each recipient.
_SENT_LATER = frozenset({Step.BDAT, Step.END})
