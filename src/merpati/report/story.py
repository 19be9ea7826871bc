"""The story of a message from its journal events: for a person, every line explained."""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from merpati.diagnosis.cause import Diagnosis, Fault
from merpati.diagnosis.dialogue import annotate, reply_parts
from merpati.diagnosis.own_words import translated
from merpati.diagnosis.replies import Stage, classify
from merpati.diagnosis.rules import LOGINS, cause_of_rule
from merpati.diagnosis.texts import DEFAULT_LANGUAGE, explain
from merpati.journal.events import (
    BY_ITSELF,
    Accepted,
    AccountSuspended,
    Attempt,
    Deferred,
    Delivered,
    Event,
    Exchange,
    Expired,
    Failed,
    Held,
    LoggedIn,
    LoginFailed,
    Noticed,
    Opened,
    PolicyUnread,
    Refused,
    Reported,
    SenderHeld,
    SiteHeld,
    Unnoticed,
)
from merpati.report import forwards, replays, suspension
from merpati.report import waiting as queue_view
from merpati.report.checks import MAX_TOLD, evidence, told
from merpati.report.sentences import (
    ACCEPTED_BY,
    ACTIONS,
    LABELS,
    LACKING,
    OUTCOMES,
    POLICIES,
    PROOFS,
    REASONS,
    REPORTS,
    SENTENCES,
    STAGES,
    UNDEMANDED,
    WITNESSES,
)
from merpati.report.shown import shown
from merpati.report.waiting import Waits
from merpati.report.wording import WORDINGS


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One command, its answer, and what both mean."""

    sent: str
    reply: str
    meaning: str
    seconds: float = 0.0


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """Why it went wrong and what to do."""

    cause: str
    fault: str
    summary: str
    advice: str


class Chapter(msgspec.Struct, frozen=True, kw_only=True):
    """One event, told."""

    at: float
    kind: str
    told: str
    details: tuple[str, ...] = ()
    dialogue: tuple[Line, ...] = ()
    diagnosis: Advice | None = None


def chapters(
    events: Sequence[Event], language: str = DEFAULT_LANGUAGE, waiting: Sequence[Waits] = ()
) -> list[Chapter]:
    """The story as a structure, in order of time; texts in `language`, English if unknown.

    What waits still stands last: its time is the next try's.
    """
    spoken = language if language in SENTENCES else DEFAULT_LANGUAGE
    past = [_chapter(event, spoken) for event in _in_order(events)]
    return [*past, *(_waiting(one, spoken) for one in waiting)]


def tell(
    events: Sequence[Event], language: str = DEFAULT_LANGUAGE, waiting: Sequence[Waits] = ()
) -> str:
    """The story as text for a terminal, in UTC; what strangers said cannot act on it."""
    spoken = language if language in SENTENCES else DEFAULT_LANGUAGE
    told = [_text(chapter, spoken) for chapter in chapters(events, spoken, waiting)]
    return "\n".join(told) + "\n" if told else ""


def _in_order(events: Sequence[Event]) -> list[Event]:
    """By time; but a story begins with its message, not with the connection that it used again."""
    begin = min((event.at for event in events if isinstance(event, Accepted)), default=-math.inf)
    return sorted(
        events, key=lambda event: (max(event.at, begin), not isinstance(event, Accepted), event.at)
    )


def _chapter(event: Event, language: str) -> Chapter:
    facts = {name: _word(getattr(event, name)) for name in event.__struct_fields__}
    kind = _kind(event)
    return Chapter(
        at=event.at,
        kind=kind,
        told=SENTENCES[language][kind].format(**facts | _extra(event, language)),
        details=(*_details(event, language), *_checks(event, language)),
        dialogue=tuple(_lines(event, language)),
        diagnosis=_advice(event, language),
    )


def _waiting(waits: Waits, language: str) -> Chapter:
    until = _time(waits.site_until)
    found = queue_view.diagnosis(waits, language)
    return Chapter(
        at=waits.next_try if waits.state == "waiting" else waits.since,
        kind=waits.state,
        told=queue_view.told(waits, _time(waits.since), language),
        details=(queue_view.hold(waits, until, language),) if waits.is_kept_back else (),
        diagnosis=_advised(found) if found else None,
    )


def _kind(event: Event) -> str:
    if isinstance(event, SiteHeld) and not event.until:
        return "site-resumed"
    if isinstance(event, SenderHeld) and not event.until:
        return "sender-resumed"
    return str(event.__struct_config__.tag)


def _word(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(shown(str(one)) for one in value[:20]) + (" …" if len(value) > 20 else "")
    return shown(str(value))


def _extra(event: Event, language: str) -> dict[str, str]:
    """What the sentences say that is no field of the event."""
    labels = LABELS[language]
    attempt = _attempt(event)
    extra = {"place": _place(attempt, labels) if attempt else labels["here"]}
    if isinstance(event, Accepted):
        extra["who"] = ACCEPTED_BY[language].get(event.role, shown(event.role))
        extra["sender"] = shown(event.sender) or "<>"
    elif isinstance(event, Deferred):
        extra["due"] = _time(event.due) if event.due else labels["soon"]
    elif isinstance(event, Delivered):
        extra["delay"] = f"{event.delay:.1f}"
    elif isinstance(event, Opened):
        extra["error"] = shown(translated(event.error, language)) or labels["made"]
    elif isinstance(event, Refused):
        extra["stage"] = STAGES[language].get(event.stage, shown(event.stage))
    elif isinstance(event, Noticed | Unnoticed):
        extra["action"] = ACTIONS[language].get(event.action, shown(event.action))
        extra["why"] = _why(event, language)
    elif isinstance(event, Reported):
        extra["kind"] = REPORTS[language].get(event.report, shown(event.report))
        extra["done"] = OUTCOMES[language].get(event.outcome, shown(event.outcome))
        extra["why"] = _why(event, language)
    elif isinstance(
        event, Held | SiteHeld | SenderHeld | LoginFailed | PolicyUnread | AccountSuspended
    ):
        extra["why"] = _why(event, language)
    return extra


def _why(event: Event, language: str) -> str:
    """The reason of an event behind a colon; nothing where none was given."""
    why = getattr(event, "why", "")
    if isinstance(event, AccountSuspended):
        why = suspension.reason(why, language)
    return f": {shown(REASONS[language].get(why) or translated(why, language))}" if why else ""


def _attempt(event: Event) -> Attempt | None:
    return event.attempt if isinstance(event, Delivered | Deferred | Failed) else None


def _place(attempt: Attempt, labels: Mapping[str, str]) -> str:
    where = attempt.host or attempt.site or labels.get(attempt.route, attempt.route)
    return shown(f"{where} [{attempt.ip}]:{attempt.port}" if attempt.ip else where)


def _details(event: Event, language: str) -> list[str]:
    labels = LABELS[language]
    found = []
    if isinstance(event, Accepted):
        client = " ".join(one for one in (event.login, event.helo, event.ip) if one)
        found += [(labels["client"], client), (labels["subject"], event.subject)]
        found += [(labels["alias"], " → ".join(pair)) for pair in event.aliases[:20]]
        found += [forwards.told(one, language) for one in event.forwards[:20]]
        found.append((labels["tls"], event.tls or labels["plain"]))
    if isinstance(event, Delivered | Failed | Deferred | Expired):
        found.append((labels["reply"], translated(event.reply, language)))
    if isinstance(event, LoggedIn | LoginFailed):
        found += _login(event, language)
    if isinstance(event, Refused):
        found += _refused(event, labels)
    attempt = _attempt(event)
    if attempt and attempt.host and (attempt.tls or attempt.dialogue):
        found.append((labels["tls"], _encryption(attempt, attempt.host, language)))
        found.append((labels["signed"], ", ".join(attempt.signed)))
        if attempt.policy in ("waived", "requiretls"):
            found.append((labels["policy"], POLICIES[language][attempt.policy]))
    if isinstance(event, Opened) and (event.tls or not event.error):
        found.append((labels["tls"], _encryption(event, event.name or event.host, language)))
    # A connection that failed before TLS could begin did so whoever decides about it, unless TLS
    # was demanded.
    if isinstance(event, Opened) and (event.tls or not event.error or event.policy in _DEMAND):
        found.append((labels["policy"], POLICIES[language].get(event.policy, event.policy)))
    if isinstance(event, Opened):
        found.append((labels["certificate"], _certificate(event)))
        found.append((labels["undemanded"], _undemanded(event, language)))
        found.append((labels["lacking"], _lacking(event, language)))
    return [f"{label}: {shown(value)}" for label, value in found if value]


def _checks(event: Event, language: str) -> Iterator[str]:
    """Whole, since they are bounded where they are written."""
    if not isinstance(event, Accepted | Refused):
        return
    for check in event.checks:
        for label, value in (told(check, language), *evidence(check, language)):
            yield f"{shown(label)}: {shown(value, MAX_TOLD)}"
    if event.replay is not None:
        label, value = replays.told(event.replay, language)
        yield f"{label}: {shown(value)}"


_DEMAND = {"required", "dane", "sts-enforce"}


def _encryption(one: Attempt | Opened, name: str, language: str) -> str:
    """Version and cipher, and what the certificate proved."""
    if not one.tls:
        return LABELS[language]["plain"]
    if not one.policy:
        return one.tls  # Of before this was written down.
    proof = PROOFS[language].get(one.proof, one.proof)
    return f"{one.tls}; {proof.format(name=shown(name))}"


def _certificate(event: Opened) -> str:
    digest = f"SHA-256 {event.certificate}" if event.certificate else ""
    return ", ".join(filter(None, (event.certificate_name, digest)))


def _undemanded(event: Opened, language: str) -> str:
    """What had come of the certificate, had anybody demanded one."""
    sentences = UNDEMANDED[language]
    if not event.certificate_check:
        return ""
    if event.certificate_check == "valid":
        return sentences["valid"].format(name=shown(event.name))
    lacks = (_lack(flaw, language) for flaw in event.certificate_check.split(","))
    return sentences["refused"].format(why="; ".join(lacks))


def _lacking(event: Opened, language: str) -> str:
    """What its domain wanted of TLS and it had not; what only we wished for is not worth a line."""
    if not event.tls_failure or event.policy in ("none", "opportunistic"):
        return ""
    return _lack(event.tls_failure, language)


def _lack(flaw: str, language: str) -> str:
    words = LACKING[language].get(flaw, "")
    return f"{words} ({flaw})" if words else flaw


def _login(event: LoggedIn | LoginFailed, language: str) -> list[tuple[str, str]]:
    """Who vouched for it, and for whom."""
    labels = LABELS[language]
    if isinstance(event, LoggedIn):
        first = (labels["by"], WITNESSES[language].get(event.by, event.by))
    else:
        first = (labels["detail"], event.detail)
    return [first, (labels["issuer"], event.issuer), (labels["holder"], event.subject)]


def _refused(event: Refused, labels: Mapping[str, str]) -> list[tuple[str, str]]:
    """Who was refused what."""
    client = " ".join(one for one in (event.helo, event.ip) if one)
    recipients = (event.address,) if event.address else event.recipients
    return [
        (labels["client"], client),
        (labels["login"], event.login),
        (labels["sender"], event.sender),
        (labels["recipients"], _word(recipients)),
        (labels["line"], event.line),
    ]


def _dialogue(event: Event) -> Sequence[Exchange]:
    if isinstance(event, Opened):
        return event.dialogue
    attempt = _attempt(event)
    return attempt.dialogue if attempt else ()


def _lines(event: Event, language: str) -> Iterator[Line]:
    """The answer that decided means what was made of it then, which knew more than its words."""
    refusal, cause = ("", "")
    if isinstance(event, Deferred | Failed):
        refusal, cause = event.reply, event.cause
    for exchange in _dialogue(event):
        decided = cause if exchange.reply == refusal else ""
        yield Line(
            sent=shown(exchange.sent),
            reply=shown(exchange.reply),
            meaning=annotate(exchange.sent, exchange.reply, language, decided),
            seconds=exchange.seconds,
        )


def _advice(event: Event, language: str) -> Advice | None:
    cause = _cause(event)
    if not cause:
        return None
    return _advised(explain(cause, language))


def _advised(told: Diagnosis) -> Advice:
    return Advice(
        cause=told.cause, fault=told.fault.value, summary=told.summary, advice=told.advice
    )


def _cause(event: Event) -> str:
    if isinstance(event, Accepted):
        return forwards.cause(event.forwards)
    if isinstance(event, Expired):
        return "expired"
    if isinstance(event, Refused):
        return cause_of_rule(event.rule, event.reply)
    if isinstance(event, LoginFailed):
        return LOGINS.get(event.why, "our-login")
    if isinstance(event, Deferred | Failed):
        return _cause_of_reply(event)
    return "damaged-here" if isinstance(event, Held) and event.by == BY_ITSELF else ""


def _cause_of_reply(event: Deferred | Failed) -> str:
    if event.cause or not event.reply:
        return event.cause
    code, status, text = reply_parts(event.reply)
    return classify(Stage.BODY, code, status, text).cause


def _time(at: float) -> str:
    # RFC 3339; a stored time that no calendar has is shown as it is.
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return str(at)


def _text(chapter: Chapter, language: str) -> str:
    labels = LABELS[language]
    lines = [f"{_time(chapter.at)}  {chapter.told}"]
    lines += [f"    {detail}" for detail in chapter.details]
    for line in chapter.dialogue:
        if line.sent:
            lines.append(f"      > {line.sent}")
        lines += [f"      < {line.reply}"] if line.reply else []
        lines.append(f"          {line.meaning}")
    if chapter.diagnosis:
        words = WORDINGS[language]
        lines += [
            f"    {labels['why']}: {chapter.diagnosis.summary}",
            f"    {words.fault}: {words.operator_faults[Fault(chapter.diagnosis.fault)]}",
            f"    {labels['next']}: {chapter.diagnosis.advice}",
        ]
    return "\n".join(lines)
