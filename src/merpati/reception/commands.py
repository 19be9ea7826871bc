"""What a session does about each event: check, ask the rules, proceed. One function an event.

A function answers at once where nothing waits, as is usual, so that most commands cost no coroutine
and no turn of the loop; else it gives back what to await.
"""

import ipaddress
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from msgspec import structs

from merpati.mail.address import Address, AddressError
from merpati.policy.limit import Limit
from merpati.policy.prefix import without_zone
from merpati.policy.rule import AUTH, CONNECT, HELLO, MAIL, RCPT
from merpati.policy.rules import recipients
from merpati.policy.verdict import Verdict, of_protocol
from merpati.reception.crowds import CROWDS
from merpati.reception.transaction import Transaction
from merpati.smtp.errors import ProtocolError
from merpati.smtp.events import (
    AuthResponse,
    AuthStarted,
    BodyOctets,
    ChunkReceived,
    Connected,
    ContentReceived,
    ContentStarted,
    Event,
    Expand,
    Hello,
    Help,
    MailFrom,
    Mistake,
    Noop,
    Quit,
    RcptTo,
    Reset,
    StartTls,
    Verify,
    Xclient,
)
from merpati.smtp.replies import (
    CANNOT_VERIFY,
    CLOSING,
    NOT_IMPLEMENTED,
    OK,
    OUT_OF_TURN,
    READY_FOR_TLS,
    RECIPIENT_OK,
    SENDER_OK,
    SHUTTING_DOWN,
    START_MAIL_INPUT,
    TOO_MANY_ERRORS,
    UNKNOWN_MECHANISM,
    Reply,
    bad_syntax,
)
from merpati.smtp.status import Status
from merpati.wire.listen import Crowd

if TYPE_CHECKING:
    from merpati.reception.session import Session

Answer = Reply | Coroutine[Any, Any, Reply | None] | None
"""What to say, or what to await for it; None to octets of content."""

_CROWDED = Verdict(
    Reply(421, "Too many connections, try again later", Status(4, 7, 0)), "crowd", close=True
)
_BUSY = Verdict(Reply(421, "Too busy, try again later", Status(4, 3, 2)), "crowd", close=True)
_CROWDS = {
    crowd: replace(_BUSY if crowd is Crowd.BUSY else _CROWDED, limit=CROWDS[crowd])
    for crowd in Crowd
}
_EARLY = Verdict(OUT_OF_TURN, "early", close=True)
_PLAIN_TEXT_BEHIND = Verdict(
    Reply(421, "Octets behind STARTTLS, closing", Status(4, 7, 0)), "starttls", close=True
)
_TOO_MANY_LOGINS = Verdict(
    Reply(421, "Too many failed logins", Status(4, 7, 0)),
    "login",
    close=True,
    limit=Limit.FAILED_LOGINS,
)
_IDLE = Verdict(TOO_MANY_ERRORS, "idle", close=True, limit=Limit.IDLE_COMMANDS)
# RFC 5321 §4.1.1.8.
_HELP = Reply(214, "See RFC 5321 for what can be said here", Status(2, 0, 0))
# RFC 6710 and the registry of RFC 5248: the text begins with the priority that was given.
_PRIORITY_LOWERED = Reply(250, "0 is the priority of who has not logged in", Status(2, 3, 6))
_CHUNK_OK = Reply(250, "OK", Status(2, 0, 0))


async def connected(session: "Session", event: Connected) -> Reply:
    """Greet, unless there is no room or the rules do not want to."""
    if (crowd := session.arrival.crowd) is not None:
        refusal = _CROWDS[crowd]
        session.refuse("connect", refusal)
        return refusal.reply
    if session.port.is_stopping:
        return SHUTTING_DOWN
    if await _talks_early(session):
        session.refuse("connect", _EARLY)
        return _EARLY.reply
    judged = session.judge(CONNECT)
    verdict = await judged if judged else None
    return verdict.reply if verdict else session.port.greeting


async def _talks_early(session: "Session") -> bool:
    """Whether a stranger at an mx port spoke before it was greeted, as programs do that do not
    listen (RFC 5321 §4.3.1: the client waits for the greeting)."""
    if not session.port.is_mx or session.facts.trusted:
        return False
    # What has arrived by now is read from the kernel in this turn of the loop. Nobody is kept
    # waiting to see whether more comes.
    await session.port.clock.sleep(0)
    return session.arrival.stream.pending > 0


async def hello(session: "Session", event: Hello) -> Reply:
    """A hello also ends a transaction (RFC 5321 §4.1.4)."""
    await session.end_transaction()
    if reply := _waste(session):
        return reply
    session.introduce(event.name, session.facts.login, extended=event.verb != "HELO")
    judged = session.judge(HELLO)
    verdict = await judged if judged else None
    return verdict.reply if verdict else event.reply


def start_tls(session: "Session", event: StartTls) -> Reply:
    """What follows in plain text is not what the client sent (threats: STARTTLS injection)."""
    if session.arrival.stream.pending:
        session.refuse("hello", _PLAIN_TEXT_BEHIND)
        return _PLAIN_TEXT_BEHIND.reply
    return READY_FOR_TLS


async def auth_started(session: "Session", event: AuthStarted) -> Reply:
    """A login begins; the core has let through only mechanisms that were offered."""
    judged = session.judge(AUTH)
    verdict = await judged if judged else None
    if verdict:
        return verdict.reply
    session.login = session.port.begin_login(event.mechanism, session.facts.client)
    if session.login is None:
        return UNKNOWN_MECHANISM
    return await _continue_login(session, event.response)


async def auth_response(session: "Session", event: AuthResponse) -> Reply:
    """The next step of a login."""
    return await _continue_login(session, event.response)


async def _continue_login(session: "Session", response: bytes | None) -> Reply:
    login = session.login
    if login is None:
        raise ProtocolError("a response without a login")
    reply = await login.respond(response)
    if reply.code == 334:
        return reply
    session.login = None
    if reply.code == 235:
        session.introduce(session.facts.client.helo, login.account, extended=True)
        return reply
    if login.limit is not None:
        session.port.hits(login.limit)
    session.failed_logins += login.has_failed
    if session.failed_logins >= session.port.max_failed_logins:
        session.refuse("auth", _TOO_MANY_LOGINS)
        return _TOO_MANY_LOGINS.reply
    return reply


def mail_from(session: "Session", event: MailFrom) -> Answer:
    """A transaction begins if sender, size and rate are right."""
    port, facts = session.port, session.facts
    if port.is_stopping:
        return SHUTTING_DOWN
    transaction = Transaction(port.intake, port.room, event)
    facts.envelope = transaction.envelope
    facts.size = event.parameters.size or 0
    judged = session.judge(MAIL)
    return (
        _begin(session, transaction) if judged is None else _may_begin(session, transaction, judged)
    )


async def _may_begin(
    session: "Session", transaction: Transaction, judged: Awaitable[Verdict | None]
) -> Reply:
    verdict = await judged
    if verdict is None:
        return _begin(session, transaction)
    session.facts.envelope = None
    return _waste(session) or verdict.reply


def _begin(session: "Session", transaction: Transaction) -> Reply:
    session.transaction = transaction
    if transaction.envelope.priority > 0:
        return _lower_priority(session, transaction)
    return SENDER_OK


def _lower_priority(session: "Session", transaction: Transaction) -> Reply:
    """RFC 6710: a stranger does not push ahead, and is told so; to stand back is everybody's."""
    if session.facts.login is not None or session.facts.trusted:
        return SENDER_OK
    lowered = structs.replace(transaction.envelope, priority=0)
    transaction.envelope = session.facts.envelope = lowered
    return _PRIORITY_LOWERED


def rcpt_to(session: "Session", event: RcptTo) -> Answer:
    """A recipient is taken, or refused for itself alone."""
    session.facts.recipient = event.recipient
    judged = session.judge(RCPT)
    return _add(session, event) if judged is None else _may_add(session, event, judged)


def _add(session: "Session", event: RcptTo) -> Reply:
    _transaction(session).add(event)
    session.facts.known_recipients += 1
    session.meet(event.recipient)
    return RECIPIENT_OK


async def _may_add(session: "Session", event: RcptTo, judged: Awaitable[Verdict | None]) -> Reply:
    verdict = await judged
    if verdict is None:
        return _add(session, event)
    if verdict.rule == recipients.NAME:
        session.facts.unknown_recipients += 1  # That rule has a limit of its own for them.
        return verdict.reply
    if verdict.reply.is_temporary:
        return verdict.reply  # Also what is above the number of recipients, which is no fault.
    # Each refusal is journaled: without an end of them a stranger fills the disk.
    return _waste(session) or verdict.reply


def content_started(session: "Session", event: ContentStarted) -> Reply:
    """The envelope is complete."""
    session.begin_content(_transaction(session))
    return START_MAIL_INPUT


def body_octets(session: "Session", event: BodyOctets) -> Answer:
    """A piece of content; the next is read when this one is put away."""
    return _transaction(session).write(event.octets, session.facts)


async def chunk_received(session: "Session", event: ChunkReceived) -> Reply:
    """A flaw ends the transaction at once, so that the client need not send the rest."""
    transaction = _transaction(session)
    verdict = of_protocol(event.flaw, "content") if event.flaw else transaction.flaw
    if verdict is None:
        return (None if event.size else _waste(session)) or _CHUNK_OK
    session.refuse("data", verdict)
    await session.end_transaction()
    return _count_verdict(session, verdict.reply)


async def content_received(session: "Session", event: ContentReceived) -> Reply:
    """All of it is here: the moment of promise 1."""
    try:
        return await _take(session, _transaction(session), event)
    finally:
        await session.end_transaction()


async def _take(session: "Session", transaction: Transaction, event: ContentReceived) -> Reply:
    content = await transaction.finish(session.facts, event)
    if isinstance(content, Verdict):
        session.refuse("data", content)
        return _count_verdict(session, content.reply)
    accept = session.port.intake.accept
    receipt = await accept(session.facts, content, transaction.examination)
    if receipt.close:
        session.hang_up()
    return _count_verdict(session, receipt.reply)


def _count_verdict(session: "Session", reply: Reply) -> Reply:
    """A message that is taken is what a session is for. One that is refused for good counts as what
    gets no mail further; it is said to be, whatever comes then."""
    if reply.is_positive:
        session.idle_commands = 0
    elif not reply.is_temporary and _waste(session):
        session.hang_up()
    return reply


async def reset(session: "Session", event: Reset) -> Reply:
    """RSET."""
    await session.end_transaction()
    return _waste(session) or OK


def noop(session: "Session", event: Noop) -> Reply:
    """NOOP."""
    return _waste(session) or OK


def verify(session: "Session", event: Verify) -> Reply:
    """VRFY tells nobody who lives here (RFC 5321 §3.5.3, §7.3)."""
    return _waste(session) or CANNOT_VERIFY


def expand(session: "Session", event: Expand) -> Reply:
    """EXPN is not for strangers."""
    return _waste(session) or NOT_IMPLEMENTED


def help_(session: "Session", event: Help) -> Reply:
    """HELP."""
    return _waste(session) or _HELP


def quit_(session: "Session", event: Quit) -> Reply:
    """QUIT."""
    return CLOSING


async def xclient(session: "Session", event: Xclient) -> Reply:
    """A listed peer says whom it speaks for; what that one may do is decided anew."""
    await session.end_transaction()
    try:
        _become(session, dict(event.attributes))
    except ValueError:
        return bad_syntax("Bad XCLIENT attribute")
    except AddressError:
        return bad_syntax("Bad XCLIENT login")
    judged = session.judge(CONNECT)
    verdict = await judged if judged else None
    return verdict.reply if verdict else session.port.greeting


def _become(session: "Session", said: dict[str, str]) -> None:
    """Raises ValueError and AddressError for attributes that are none."""
    known = {name: value for name, value in said.items() if not value.startswith("[")}
    client = session.facts.client
    if ip := known.get("ADDR", ""):
        plain = without_zone(ip.upper().removeprefix("IPV6:"))
        client = structs.replace(client, ip=str(ipaddress.ip_address(plain)))
    client = structs.replace(
        client, port=int(known.get("PORT", client.port)), name=known.get("NAME", client.name)
    )
    if client.tls is not None:
        # It was the front that showed a certificate, not the one it speaks for.
        client = structs.replace(client, tls=replace(client.tls, verified=False, chain=()))
    login = Address.parse(known["LOGIN"]) if known.get("LOGIN") else None
    # Nothing is believed of a command that is refused for one of its attributes.
    session.facts.client = client
    if "ADDR" in said:
        # [UNAVAILABLE]: it may be anybody, not only the front.
        session.facts.trusted = bool(ip) and session.port.trusts(client.ip)
    name = known.get("HELO", client.helo)
    session.introduce(name, login, extended=known.get("PROTO", "ESMTP") != "SMTP")


def mistake(session: "Session", event: Mistake) -> Reply:
    """Something malformed; the core counts these and closes after too many."""
    session.refuse("command", of_protocol(event.reply, "syntax"), event.line)
    return event.reply


def _transaction(session: "Session") -> Transaction:
    """The current one; the core lets through nothing that needs one where there is none."""
    if session.transaction is None:
        raise ProtocolError("content without a transaction")
    return session.transaction


def _waste(session: "Session") -> Reply | None:
    """Count a command that gets no mail further; a refusal when there were too many."""
    session.idle_commands += 1
    if session.idle_commands <= session.port.settings.idle_commands:
        return None
    session.refuse("command", _IDLE)
    return _IDLE.reply


COMMANDS: dict[type[Event], Callable[["Session", Any], Answer]] = {
    Connected: connected,
    Hello: hello,
    StartTls: start_tls,
    AuthStarted: auth_started,
    AuthResponse: auth_response,
    MailFrom: mail_from,
    RcptTo: rcpt_to,
    ContentStarted: content_started,
    BodyOctets: body_octets,
    ChunkReceived: chunk_received,
    ContentReceived: content_received,
    Reset: reset,
    Noop: noop,
    Verify: verify,
    Expand: expand,
    Help: help_,
    Quit: quit_,
    Xclient: xclient,
    Mistake: mistake,
}
"""By the event's type; each function takes the event of its key."""
