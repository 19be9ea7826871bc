"""The one door into the queue: judge, expand aliases, stamp, store, journal, answer.

SMTP and LMTP sessions call `accept`, doors without a conversation (sendmail, HTTP) call `submit`,
notices of our own come in by `accept_notice`. One Intake serves one set of rules.
"""

import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec
from msgspec import structs

from merpati.authenticity.examiner import Examiner
from merpati.authenticity.judgement import Examination, Origin, is_here
from merpati.authenticity.results import MAX_FIELDS, is_forged
from merpati.authenticity.results import NAME as RESULTS
from merpati.clock import Clock
from merpati.directory.errors import DirectoryError
from merpati.directory.expansion import Expander, Expansion
from merpati.journal.events import MAX_TEXT, Accepted, Noticed, Refused, Reported
from merpati.journal.journal import Journal
from merpati.journal.limits import Limits
from merpati.journal.parties import MAX_RECIPIENTS
from merpati.mail.envelope import Body, Envelope
from merpati.mail.headers import MAX_OCTETS, Headers
from merpati.mail.trace import Client, date_time, received
from merpati.policy.evidence import checks_of
from merpati.policy.forwarding import Forwarding, SentOn
from merpati.policy.guard import Guard
from merpati.policy.judge import Judge
from merpati.policy.replay import Action, Replays
from merpati.policy.rule import JUDGED, MAIL, MESSAGE, RCPT, Facts
from merpati.policy.rules.account import not_stored
from merpati.policy.verdict import Verdict
from merpati.queue.entry import Entry, Owed
from merpati.queue.queue import Draft, Queue
from merpati.smtp.replies import Reply, bad_syntax
from merpati.smtp.status import Status
from merpati.storage.errors import StorageError

OURSELVES = Client(ip="", role="local", protocol="")
"""The client of what this host writes itself."""

# RFC 6409 §8: only a submission server may complete a message; a relay must not.
_BULK = frozenset({"bulk", "list", "junk"})
_COMPLETES = frozenset({"submission", "submissions", "local"})
_REPORT_AGE = 86_400.0
"""Seconds that a report is tried for (RFC 8460 §5.5); the next day's has the news."""
_WHOLE = frozenset({"data", "message"})
"""Stages at which a refusal is about every recipient."""
_OK = Status(2, 0, 0)
_FULL = Verdict(Reply(452, "No space left, try again later", Status(4, 3, 1)), "storage")
_BROKEN = Verdict(Reply(451, "Cannot store mail now, try again later", Status(4, 3, 0)), "storage")
_DAMAGED = Verdict(Reply(451, "Aliases here need repair", Status(4, 3, 5)), "directory")
_BARE = Verdict(Reply(554, "Lines must end in CRLF only", Status(5, 6, 0)), "line-endings")
_TOO_LATE = Verdict(bad_syntax("To be held for too long"), "release")
TOO_MANY_HEADERS = Verdict(Reply(552, "Header section too large", Status(5, 3, 4)), "headers")


@dataclass(frozen=True, slots=True)
class IntakeSettings:
    """What this host promises to the mail that it takes."""

    hostname: str
    max_age: float = 5 * 86400.0
    """Seconds that a message is tried for (RFC 5321 §4.5.4.1: at least 4 or 5 days)."""
    max_hold: float = 7 * 86400.0
    """Seconds that a message may be held for before its first attempt; SMTP says it in EHLO."""

    @property
    def tried(self) -> float:
        """Seconds from when a message came to its last attempt, at most."""
        return self.max_hold + self.max_age


# Structs, since one of each is made for each message: dataclasses took three times as long to make.
class Stamp(msgspec.Struct, frozen=True):
    """An id and the fields that go on top of the message that gets it."""

    id: str
    at: float
    message_id: str
    """The Message-ID that the message has or gets; empty for one that is relayed without."""
    octets: bytes


class Stamped(msgspec.Struct, frozen=True):
    """Content with its stamp's octets on top: a draft that was streamed, or a body."""

    content: Draft | Body
    stamp: Stamp
    size: int
    eight_bit: bool


class Receipt(msgspec.Struct, frozen=True):
    """What became of a message: the answer, and the id if it was taken."""

    reply: Reply
    id: str = ""
    """Empty: refused, and nothing is kept."""
    close: bool = False
    """A rule asks to end the connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """Takes responsibility for messages, or says why not."""

    settings: IntakeSettings
    queue: Queue
    journal: Journal
    expander: Expander
    judge: Judge
    clock: Clock
    new_id: Callable[[], str]
    """`queue.ids.IdMaker.make`."""
    examiner: Examiner | None = None
    """Examines the authenticity of strangers' mail."""
    replays: Replays | None = None
    """Counts what others than its signer bring."""
    forwarding: Forwarding | None = None
    """Chooses the senders of what aliases lead elsewhere; None: they stay."""
    guard: Guard | None = None
    """Who counted the message when it was judged."""
    limits: Limits | None = None
    """Counts limits that a whole message is above."""

    async def accept(
        self, facts: Facts, content: Body | Stamped, examination: Examination | None = None
    ) -> Receipt:
        """Judge and store. A positive reply means: on stable storage (promise 1).

        `facts` has the complete envelope, the header section and the size as it was received.
        A Body comes without a stamp and is stamped here; a draft stays its owner's to discard.
        """
        answer = self.judge.hear(MESSAGE, facts)
        verdict = answer if answer is None or isinstance(answer, Verdict) else await answer
        head = b""
        if verdict is None and examination is not None:
            verdict, head = await self._examine(facts, examination)
        if verdict is not None:
            return self._refuse(facts, verdict)
        if isinstance(content, Body):
            content = _stamped(content, self.stamp(facts), head)
            head = b""
        try:
            sent_on = await self._send_on(facts)
            if isinstance(sent_on, Verdict):
                return self._not_stored(facts, sent_on)
            entry, accepted = self._entry(facts, content, sent_on, head)
            await self.queue.put(entry, content.content, (accepted,))
        except StorageError as error:
            return self._not_stored(facts, storage_verdict(error))
        except DirectoryError:
            return self._not_stored(facts, _DAMAGED)
        message = content.stamp.id
        return Receipt(Reply(250, f"queued as {message}", _OK), message)

    async def submit(self, facts: Facts, envelope: Envelope, content: Body) -> Receipt:
        """Accept from a door without a conversation: sender and recipients are judged here too.

        All or nothing: the first refusal of anything is the answer. SMTPUTF8 is declared for a
        message that needs it.
        """
        facts.headers = header_section(content)
        facts.envelope = envelope = _with_smtputf8(envelope, facts.headers)
        facts.size = content.size
        verdict = await self._judge_envelope(facts, envelope) or self._judge_form(facts, content)
        if verdict is not None:
            return self._refuse(facts, verdict)
        return await self.accept(facts, content)

    async def accept_notice(
        self, envelope: Envelope, content: Body, answers: Sequence[Owed] = ()
    ) -> str:
        """Store a notice of our own and clear the debts that it answers, in one transaction.

        It is not judged and is never answered with another. Journals Noticed for each debt and
        returns the id. Raises StorageError or DirectoryError; then nothing was stored or cleared.
        """
        facts = Facts(OURSELVES, envelope=envelope, headers=header_section(content))
        stamped = _stamped(content, self.stamp(facts))
        entry, accepted = self._entry_of_ours(facts, stamped)
        noticed = [_noticed(entry, owed) for owed in answers]
        debts = [owed.id for owed in answers]
        await self.queue.put(entry, stamped.content, [accepted, *noticed], debts)
        return entry.id

    async def accept_report(
        self, envelope: Envelope, content: Body, message: str, event: Reported
    ) -> None:
        """Store a report of our own to another domain under this id, with the event that tells of
        it, in one transaction.

        It is not judged, is never answered with a notice, and is tried for a day. Raises
        StorageError or DirectoryError; then nothing was stored.
        """
        facts = Facts(OURSELVES, envelope=envelope, headers=header_section(content))
        stamped = _stamped(content, self.stamp(facts, message))
        entry, accepted = self._entry_of_ours(facts, stamped)
        entry = structs.replace(entry, expires=min(entry.expires, entry.received + _REPORT_AGE))
        await self.queue.put(entry, stamped.content, [accepted, event])

    def examination(self, facts: Facts) -> Examination | None:
        """Of a stranger's message whose header section is known; None for everybody else's.

        Nobody is a stranger who logged in, is in a trusted network or on this machine.
        """
        if self.examiner is None or facts.trusted or facts.login is not None:
            return None
        client = facts.client
        if is_here(client.ip):
            return None
        origin = Origin(client.ip, client.helo, _envelope(facts).sender)
        return self.examiner.begin(origin, facts.headers)

    def beginning(self, facts: Facts, octets: bytes) -> bytes:
        """The beginning of a content, with its whole header section, as it is kept.

        Without fields that claim that this host found something (RFC 8601 §5): a trusted host, and
        one in front of us, may say so. And with an empty line where the section ends in a line that
        is no field. Some readers pass over such a line and take what follows for fields, another
        From or what we are said to have found, of which nothing was examined.
        """
        section = facts.headers.section
        rest = octets[len(section) :]
        is_open = facts.headers.size == len(section) and rest
        is_believed = facts.trusted or facts.client.role == "lmtp"
        if not is_believed and (count := facts.headers.count(RESULTS)):
            section = self._without_forged(facts.headers, count)
        elif not is_open:
            return octets
        return section + (b"\r\n" if is_open else b"") + rest

    def _without_forged(self, headers: Headers, count: int) -> bytes:
        if count > MAX_FIELDS:
            return headers.without({RESULTS})
        ours = (self.settings.hostname,)
        return b"".join([each.raw for each in headers.fields if not is_forged(each, ours)])

    async def _examine(
        self, facts: Facts, examination: Examination
    ) -> tuple[Verdict | None, bytes]:
        """What the rules make of what was found, and the field that tells of it."""
        if self.examiner is None:
            return None, b""
        judgement = facts.judgement = await self.examiner.judge(examination)
        suspect = None
        if self.replays is not None:
            replayed = self.replays.count(judgement, len(_envelope(facts).recipients))
            facts.replayed = replayed
            if replayed is not None and self.replays.settings.action is Action.MARK:
                suspect = replayed.signature
        verdict = await self.judge.ask(JUDGED, facts)
        return verdict, judgement.results(self.settings.hostname, suspect).field()

    def stamp(self, facts: Facts, message: str = "") -> Stamp:
        """The stamp for a message whose envelope is complete and whose header section is known,
        with this id or a new one."""
        now = self.clock.now()
        message = message or self.new_id()
        trace = received(facts.client, _envelope(facts), self.settings.hostname, message, now)
        message_id = facts.headers.get("message-id") or ""
        if facts.client.role in _COMPLETES:
            if not facts.headers.count("date"):
                trace += f"Date: {date_time(int(now))}\r\n".encode()
            if not message_id:
                message_id = f"<{message}@{self.settings.hostname}>"
                trace += f"Message-ID: {message_id}\r\n".encode()
        return Stamp(message, now, message_id[:MAX_TEXT], trace)

    def refuse(self, stage: str, facts: Facts, verdict: Verdict, line: bytes = b"") -> None:
        """Journal a refusal; every door tells its own here."""
        self.journal.note(_refused(stage, facts, verdict, self.clock.now(), line))

    async def _send_on(self, facts: Facts) -> SentOn | Verdict:
        """The recipients that aliases lead to, with the senders for those elsewhere."""
        expansion = self.expander.expand(_envelope(facts).recipients)
        if self.forwarding is None or not expansion.forwards:
            return _as_they_are(expansion)
        return await self.forwarding.send_on(facts, expansion)

    def _entry_of_ours(self, facts: Facts, content: Stamped) -> tuple[Entry, Accepted]:
        """Of a notice or a report: what goes on by an alias does so as it is."""
        sent_on = _as_they_are(self.expander.expand(_envelope(facts).recipients))
        return self._entry(facts, content, sent_on, is_notice=True)

    def _entry(
        self,
        facts: Facts,
        content: Stamped,
        sent_on: SentOn,
        head: bytes = b"",
        *,
        is_notice: bool = False,
    ) -> tuple[Entry, Accepted]:
        envelope = _envelope(facts)
        if sent_on.recipients != envelope.recipients:
            envelope = envelope.addressed_to(sent_on.recipients)
        entry = Entry(
            id=content.stamp.id,
            received=content.stamp.at,
            expires=self._expiry(envelope, content.stamp.at),
            envelope=envelope,
            client=facts.client,
            size=len(head) + content.size,
            eight_bit=content.eight_bit,
            utf8_headers=not facts.headers.is_ascii,
            is_notice=is_notice,
            head=head,
            is_ours=is_notice or facts.trusted or facts.login is not None,
            is_bulk=_is_bulk(envelope, facts.headers),
            is_disproved=_is_disproved(facts),
            waives_tls=_waives_tls(envelope, facts.headers),
            # RFC 5321 §4.5.5: nothing is told to the null reverse-path.
            expanded=sent_on.expansion.expanded if envelope.sender is not None else (),
            sealing=sent_on.sealing,
        )
        return entry, _accepted(entry, content.stamp.message_id, facts, sent_on)

    def _expiry(self, envelope: Envelope, at: float) -> float:
        # RFC 4865 §4: the time that a message is held does not count against its life.
        expires = max(at, envelope.release_at or at) + self.settings.max_age
        by = envelope.deliver_by
        # RFC 2852 §4.1: only mode R gives the message up; mode N tells the sender and goes on.
        return min(expires, by.deadline) if by is not None and by.must_return else expires

    async def _judge_envelope(self, facts: Facts, envelope: Envelope) -> Verdict | None:
        verdict = await self.judge.ask(MAIL, facts)
        for recipient in envelope.recipients:
            if verdict is not None:
                break
            facts.recipient = recipient.address
            verdict = await self.judge.ask(RCPT, facts)
            facts.known_recipients += 1
        return verdict

    def _judge_form(self, facts: Facts, content: Body) -> Verdict | None:
        """What the protocol itself checks for those who speak it."""
        if facts.headers.truncated:
            return TOO_MANY_HEADERS
        latest = self.clock.now() + self.settings.max_hold
        if (_envelope(facts).release_at or 0.0) > latest:
            return _TOO_LATE
        return _BARE if has_bare_newlines(content.parts) else None

    def _not_stored(self, facts: Facts, verdict: Verdict) -> Receipt:
        if self.guard is not None:
            # Where even that cannot be done it is counted too much until the next start.
            with suppress(StorageError):
                not_stored(self.guard, facts)
        return self._refuse(facts, verdict)

    def _refuse(self, facts: Facts, verdict: Verdict) -> Receipt:
        if verdict.limit is not None and self.limits is not None:
            self.limits.hit(f"{facts.client.role}: {verdict.limit.value}")
        self.refuse("message", facts, verdict)
        return Receipt(verdict.reply, close=verdict.close)


def storage_verdict(error: StorageError) -> Verdict:
    """What a client is told when mail cannot be stored: temporary, whatever it is."""
    return _FULL if error.is_full else _BROKEN


def header_section(content: Body) -> Headers:
    """The header section of a message in memory."""
    beginning = b""
    for part in content.parts:
        beginning += part
        if len(beginning) > MAX_OCTETS:
            break
    return Headers.scan(beginning)


def _is_disproved(facts: Facts) -> bool:
    if facts.judgement is None or facts.trusted or facts.login is not None:
        return False
    return facts.judgement.disproves_sender


def _waives_tls(envelope: Envelope, headers: Headers) -> bool:
    """Who asked for REQUIRETLS means that (RFC 8689 §4.1); what stands there twice says nothing."""
    said = [value.strip().lower() for value in headers.get_all("tls-required")]
    return said == ["no"] and not envelope.require_tls


def _is_bulk(envelope: Envelope, headers: Headers) -> bool:
    """By what the sender says of it: MT-PRIORITY (RFC 6710), or the fields of lists (RFC 2919 and
    2369) and of old custom (RFC 2076 §3.9). What is urgent is not."""
    if envelope.priority > 0:
        return False
    if envelope.priority < 0 or headers.count("list-id") or headers.count("list-unsubscribe"):
        return True
    return (headers.get("precedence") or "").strip().lower() in _BULK


def _envelope(facts: Facts) -> Envelope:
    if facts.envelope is None:
        raise ValueError("a message needs an envelope")
    return facts.envelope


def _with_smtputf8(envelope: Envelope, headers: Headers) -> Envelope:
    # RFC 6531 §3.4 and RFC 6532: addresses or header fields beyond ASCII need the extension.
    addresses = [recipient.address for recipient in envelope.recipients]
    if envelope.sender is not None:
        addresses.append(envelope.sender)
    if all(address.is_ascii for address in addresses) and headers.is_ascii:
        return envelope
    return structs.replace(envelope, smtputf8=True)


def _stamped(content: Body, stamp: Stamp, head: bytes = b"") -> Stamped:
    """With the stamp on top, and on top of that what was found of the message."""
    top = head + stamp.octets
    body = Body((top, *content.parts), len(top) + content.size)
    eight_bit = not all(map(bytes.isascii, content.parts))
    return Stamped(body, stamp, body.size, eight_bit)


def has_bare_newlines(parts: Sequence[bytes]) -> bool:
    """Whether any CR or LF stands alone, right across parts (threats: smuggling)."""
    # Written in C, five times as fast as any regex over the text.
    decoder = io.IncrementalNewlineDecoder(None, translate=False)
    for part in parts:
        decoder.decode(str(part, "latin-1"))
    decoder.decode("", final=True)
    return decoder.newlines not in (None, "\r\n")


def _as_they_are(expansion: Expansion) -> SentOn:
    return SentOn(expansion, expansion.recipients)


def _accepted(entry: Entry, message_id: str, facts: Facts, sent_on: SentOn) -> Accepted:
    client, envelope = entry.client, entry.envelope
    return Accepted(
        at=entry.received,
        message=entry.id,
        sender=str(envelope.sender or ""),
        recipients=tuple([str(recipient.address) for recipient in envelope.recipients]),
        size=entry.size,
        ip=client.ip,
        client=client.name,
        helo=client.helo,
        login=client.login,
        role=client.role,
        protocol=client.protocol,
        tls=f"{client.tls.version} {client.tls.cipher}" if client.tls else "",
        envelope_id=envelope.envelope_id or "",
        message_id=message_id,
        subject=facts.headers.text("subject")[:MAX_TEXT],
        aliases=sent_on.expansion.aliases,
        forwards=sent_on.told,
        checks=checks_of(facts.judgement) if facts.judgement else (),
        replay=facts.replayed.told if facts.replayed else None,
    )


def _noticed(notice: Entry, owed: Owed) -> Noticed:
    return Noticed(
        at=notice.received,
        message=owed.entry.id,
        address=str(owed.recipient.address),
        notice=notice.id,
        action=owed.action,
    )


def _refused(stage: str, facts: Facts, verdict: Verdict, at: float, line: bytes) -> Refused:
    client, envelope = facts.client, facts.envelope
    return Refused(
        at=at,
        stage=stage,
        reply=str(verdict.reply),
        rule=verdict.rule,
        ip=client.ip,
        helo=client.helo,
        login=client.login,
        role=client.role,
        sender=str(envelope.sender or "") if envelope else "",
        address=str(facts.recipient) if facts.recipient and stage == "rcpt" else "",
        line=line.decode("utf-8", "replace")[:MAX_TEXT],
        recipients=_recipients(envelope) if envelope and stage in _WHOLE else (),
        checks=checks_of(facts.judgement) if facts.judgement else (),
        replay=facts.replayed.told if facts.replayed else None,
    )


def _recipients(envelope: Envelope) -> tuple[str, ...]:
    return tuple(str(one.address) for one in envelope.recipients[:MAX_RECIPIENTS])
