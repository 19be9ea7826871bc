"""What the replies of a transaction mean for each of its recipients. Pure: no I/O, no time.

For each recipient the first thing that decides counts: MAIL refused, its own RCPT refused, DATA
refused, the verdict on the content. Where the replies end before anything decided, the recipient
is UNKNOWN if the final octets had left, DEFERRED if some of the content had: a message that breaks
every connection must not stand in the others' way for ever. Else it is UNTOUCHED.
"""

import msgspec

from merpati.delivery.outcome import Outcome, Result
from merpati.diagnosis.replies import Meaning, Refusal, Stage, classify
from merpati.journal.events import MAX_TEXT, Attempt, Exchange
from merpati.mail.envelope import Notify
from merpati.queue.entry import Waiting
from merpati.smtp.answers import Answer
from merpati.smtp.client_events import Mailing
from merpati.smtp.client_states import Command

GREYLIST_WAIT = 300.0
STORAGE_WAIT = 300.0
DOUBT_WAIT = 900.0
"""After UNKNOWN: long enough for a host that has the message to have passed it on."""

STAGES = {
    Command.GREETING: Stage.CONNECT,
    Command.HELLO: Stage.HELLO,
    Command.STARTTLS: Stage.STARTTLS,
    Command.AUTH: Stage.AUTH,
    Command.RSET: Stage.MAIL,
    Command.MAIL: Stage.MAIL,
    Command.RCPT: Stage.RCPT,
    Command.DATA: Stage.DATA,
    Command.BODY: Stage.BODY,
    Command.CHUNK: Stage.BODY,
    Command.LONE_DOT: Stage.BODY,
    Command.QUIT: Stage.BODY,
}
_AT_THE_END = (Command.CHUNK, Command.BODY)
_UNTOUCHED = {Refusal.CONNECTION, Refusal.REPUTATION}
_WAITS = {Refusal.GREYLIST: GREYLIST_WAIT, Refusal.STORAGE: STORAGE_WAIT}
# A chunk that failed like this was not understood; the message itself was not looked at.
_CHUNK_UNKNOWN = {500, 501, 502, 503, 504}


class Judged(msgspec.Struct, frozen=True):
    """One recipient's outcome, and for a refusal what was refused where."""

    outcome: Outcome
    stage: Stage | None = None
    meaning: Meaning | None = None


class Circumstances(msgspec.Struct, frozen=True):
    """What is the same for all recipients of a transaction."""

    attempt: Attempt
    """Without its dialogue."""
    lmtp: bool = False
    offers_dsn: bool = True
    keeps_deadline: bool = True
    """False where the message has a BY= that the host does not offer to know of."""
    seconds: float = 0.0
    """From MAIL to the verdict."""
    why: str = ""
    """Why the replies ended, if they did."""
    signed: tuple[str, ...] = ()
    """See `Attempt`."""


def meaning_of(command: Command, answer: Answer, **circumstances: int | bool) -> Meaning:
    """What a refusal means."""
    status = answer.status
    return classify(
        STAGES[command],
        answer.code,
        str(status) if status else "",
        answer.text,
        first_try=bool(circumstances.get("first_try", False)),
        recipients_before=int(circumstances.get("recipients_before", 0)),
    )


def is_void(mailing: Mailing, command: Command, answer: Answer) -> bool:
    """Whether a refusal speaks of our way of talking and is therefore no verdict."""
    if command is Command.CHUNK and not mailing.outgoing.is_binary:
        return answer.code in _CHUNK_UNKNOWN
    return command is Command.RSET or mailing.is_void(answer)


def judge(mailing: Mailing, waiting: tuple[Waiting, ...], around: Circumstances) -> list[Judged]:
    """One judgement for each recipient of the mailing, in order."""
    return [_judge_one(mailing, n, who, around) for n, who in enumerate(waiting)]


def _judge_one(mailing: Mailing, n: int, who: Waiting, around: Circumstances) -> Judged:
    decisive = _decisive(mailing, n, around.lmtp)
    attempt = _attempt(around, _dialogue(mailing, n, around, decisive))
    if decisive is None:
        return Judged(_undecided(mailing, who, attempt, around.why))
    command, answer = decisive
    if answer.is_positive:
        return Judged(_delivered(who, answer, attempt, around))
    if is_void(mailing, command, answer):
        return Judged(Outcome(who.n, Result.UNTOUCHED, str(answer), attempt=attempt))
    accepted_before = sum(1 for reply in mailing.rcpts[:n] if reply.is_positive)
    meaning = meaning_of(
        command, answer, first_try=who.attempts == 0, recipients_before=accepted_before
    )
    # With nobody accepted before it a split would come back unchanged for ever.
    split = meaning.refusal is Refusal.SPLIT and accepted_before > 0
    return Judged(_refused(who, answer, meaning, attempt, split), STAGES[command], meaning)


def _decisive(mailing: Mailing, n: int, lmtp: bool) -> tuple[Command, Answer] | None:
    refusal = mailing.refusal_of_all
    if refusal is not None:
        return refusal
    if n >= len(mailing.rcpts):
        return None
    if not mailing.rcpts[n].is_positive:
        return Command.RCPT, mailing.rcpts[n]
    if mailing.data is not None and not mailing.data.is_positive:
        return Command.DATA, mailing.data
    place = mailing.accepted.index(n) if lmtp else 0
    if place < len(mailing.verdicts):
        return (Command.CHUNK if mailing.chunked else Command.BODY), mailing.verdicts[place]
    return None


def _undecided(mailing: Mailing, who: Waiting, attempt: Attempt, why: str) -> Outcome:
    if not mailing.begun:
        return Outcome(who.n, Result.UNTOUCHED, why, attempt=attempt)
    if not mailing.finished:
        return Outcome(who.n, Result.DEFERRED, why, cause="connection-lost", attempt=attempt)
    return Outcome(
        who.n,
        Result.UNKNOWN,
        why,
        cause="connection-lost",
        attempt=attempt,
        retry_after=DOUBT_WAIT,
    )


def _delivered(who: Waiting, answer: Answer, attempt: Attempt, around: Circumstances) -> Outcome:
    # RFC 3461 §5.2: what a host without DSN does not tell is ours to tell: "relayed", or
    # "delivered" where LMTP led into the mailbox.
    ours = not around.offers_dsn and Notify.SUCCESS in who.recipient.notify
    status = answer.status
    return Outcome(
        who.n,
        Result.DELIVERED,
        _text(answer),
        str(status) if status else "",
        attempt=attempt,
        relayed_without_dsn=ours,
        relayed_without_deadline=not around.keeps_deadline,
    )


def _refused(
    who: Waiting, answer: Answer, meaning: Meaning, attempt: Attempt, split: bool
) -> Outcome:
    status = answer.status
    return Outcome(
        who.n,
        _result(meaning, split),
        _text(answer),
        str(status) if status else "",
        meaning.cause,
        attempt,
        _WAITS.get(meaning.refusal),
    )


def _result(meaning: Meaning, split: bool) -> Result:
    # A split leaves its recipients to the next transaction of this same attempt.
    if meaning.refusal in _UNTOUCHED or split:
        return Result.UNTOUCHED
    return Result.FAILED if meaning.permanent else Result.DEFERRED


def _attempt(around: Circumstances, dialogue: list[Exchange]) -> Attempt:
    known = around.attempt
    return Attempt(
        route=known.route,
        site=known.site,
        host=known.host,
        ip=known.ip,
        port=known.port,
        connection=known.connection,
        tls=known.tls,
        policy=known.policy,
        proof=known.proof,
        dialogue=tuple(dialogue),
        seconds=around.seconds,
        signed=around.signed,
    )


def _dialogue(
    mailing: Mailing, n: int, around: Circumstances, decisive: tuple[Command, Answer] | None
) -> list[Exchange]:
    """This recipient's own part of what was said; content and other recipients left out."""
    said = []
    if mailing.mail is not None:
        said.append(Exchange(_command(mailing.commands[0]), _text(mailing.mail)))
    if n < len(mailing.rcpts):
        said.append(Exchange(_command(mailing.commands[n + 1]), _text(mailing.rcpts[n])))
    if mailing.data is not None:
        said.append(Exchange("DATA", _text(mailing.data)))
    end = f"BDAT {mailing.outgoing.size} LAST" if mailing.chunked else "."
    if decisive is not None and decisive[0] in _AT_THE_END:
        said.append(Exchange(end, _text(decisive[1]), around.seconds))
    elif mailing.finished and n in mailing.accepted:
        said.append(Exchange(end, around.why and f"({around.why})", around.seconds))
    return said


def _command(line: bytes) -> str:
    return line[:MAX_TEXT].decode("utf-8", "replace").rstrip("\r\n")


def _text(answer: Answer) -> str:
    return str(answer)[:MAX_TEXT]
