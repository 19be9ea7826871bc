"""Records compared with what the DNS says: pure, one finding for each record."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from ipaddress import ip_address

from merpati.authenticity.bimi.record import enforces, is_record, read_assertion
from merpati.authenticity.dmarc.record import read_record
from merpati.authenticity.spf.check import MAX_LOOKUPS
from merpati.authenticity.spf.record import MAX_RECORD
from merpati.certificates.tlsa import counts, record_of
from merpati.setup.caveat import Caveat, Harm, caveats_of, leads_here
from merpati.setup.dkim import published
from merpati.setup.following import Followed
from merpati.setup.plan import Subject, published_policy, tls_places
from merpati.setup.record import Kind, Purpose, Record
from merpati.setup.seen import Seen
from merpati.setup.spf import names_us, spf_records


class State(Enum):
    """What became of a record."""

    THERE = "there"
    WARNING = "warning"
    """It is good; with what stands beside it somebody should look whether it is as wanted."""
    MISSING = "missing"
    WRONG = "wrong"
    DUPLICATE = "duplicate"
    TOO_LONG = "too long"
    TOO_LARGE = "too large"
    """It is good, but with what else stands there the answer is too long for UDP."""
    UNKNOWN = "unknown"
    """Nobody answered."""
    ADVICE = "advice"
    """There is nothing to compare."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A record and how it is."""

    record: Record
    state: State
    seen: tuple[str, ...] = ()
    """What stands there for this purpose."""
    caveats: tuple[Caveat, ...] = ()
    """What all of it together does, though one of it may be good."""
    alone: State | None = None
    """How it would be without the caveats; None: no other than `state`."""

    @property
    def is_unsure(self) -> bool:
        """Whether something of it is not known, since nobody answered."""
        is_open = any(one.harm is Harm.UNANSWERED for one in self.caveats)
        return self.state is State.UNKNOWN or is_open

    @property
    def is_fault(self) -> bool:
        """Whether somebody has to do something: what is optional may be missing."""
        if self.state is State.MISSING:
            return self.record.is_required
        return self.state in _FAULTS


_FAULTS = (State.WRONG, State.DUPLICATE, State.TOO_LONG, State.TOO_LARGE)


def judge(
    subject: Subject, records: Iterable[Record], seen: Seen, followed: Followed
) -> tuple[Finding, ...]:
    """How each record is."""
    return tuple(_judged(subject, record, seen, followed) for record in records)


def _judged(subject: Subject, record: Record, seen: Seen, followed: Followed) -> Finding:
    if not record.value:
        is_needed = record.is_required and _host_is_known(record, subject, seen)
        return Finding(record, State.MISSING if is_needed else _unsaid(record))
    there = seen.at(record.kind, record.name)
    if there is None:
        return Finding(record, State.UNKNOWN)
    found = tuple(text for text in there if is_for(record, text))
    state = _state(subject, record, found, followed)
    if record.purpose is Purpose.PTR and not _leads_back(record, subject, seen):
        state = State.WRONG
    if record.purpose is Purpose.BIMI and state is State.THERE and not _is_enforced(subject, seen):
        state = State.WRONG
    if state is State.THERE and (record.kind, record.name) in seen.large:
        state = State.TOO_LARGE
    known = [*caveats_of(subject, record, found, seen), *followed.of(record.purpose)]
    return _with_caveats(Finding(record, state, found), known)


_TOLD_ANYWAY = (Harm.ANYBODY, Harm.OPEN, Harm.FULL)


def _with_caveats(finding: Finding, caveats: Iterable[Caveat]) -> Finding:
    """Of a record that is wrong by itself only those that are no other words for that."""
    alone = finding.state
    is_good = alone in (State.THERE, State.TOO_LARGE)
    told = tuple(one for one in caveats if is_good or one.harm in _TOLD_ANYWAY)
    if not told:
        return finding
    state = alone
    if is_good and any(one.harm.is_fault for one in told):
        state = State.WRONG
    elif alone is State.THERE:
        state = State.WARNING
    return replace(finding, state=state, caveats=told, alone=alone)


def _is_enforced(subject: Subject, seen: Seen) -> bool:
    """Whether DMARC keeps forgers from the logo; also where nobody answers."""
    there = seen.at(Kind.TXT, subject.dmarc_name)
    return there is None or any(enforces(read_record(text.encode())) for text in there)


def _host_is_known(record: Record, subject: Subject, seen: Seen) -> bool:
    """Whether it is certain that a host without addresses has none, and not that nobody answers."""
    if record.purpose is not Purpose.PTR:
        return True
    return all(seen.at(*place) is not None for place in subject.host_places)


def _leads_back(record: Record, subject: Subject, seen: Seen) -> bool:
    """Whether the host has the address that a PTR record is of; nobody believes one alone."""
    there = [seen.at(*place) for place in subject.host_places]
    known = {ip_address(one).reverse_pointer for each in there for one in each or ()}
    return record.name in known or None in there


def _unsaid(record: Record) -> State:
    return State.UNKNOWN if record.is_required else State.ADVICE


_MARKS: Mapping[Purpose, Callable[[str], bool]] = {
    Purpose.SPF: lambda text: bool(spf_records([text])),
    Purpose.DMARC: lambda text: "".join(text.split()).lower().startswith("v=dmarc1"),
    Purpose.STS: lambda text: text.startswith("v=STSv1"),
    Purpose.TLS_REPORTS: lambda text: text.startswith("v=TLSRPTv1"),
    Purpose.BIMI: lambda text: is_record(text.encode()),
    Purpose.TLSA: lambda text: counts(record_of(text)),
}


def is_for(record: Record, text: str) -> bool:
    """Whether a text at the record's name is of its purpose, well or badly written."""
    is_for = _MARKS.get(record.purpose)
    return is_for is None or is_for(text)


_ALONE = frozenset(
    {Purpose.SPF, Purpose.DMARC, Purpose.STS, Purpose.TLS_REPORTS, Purpose.DKIM, Purpose.BIMI}
)
"""Two of these are as good as none."""


def _state(subject: Subject, record: Record, found: tuple[str, ...], followed: Followed) -> State:
    if not found:
        return State.MISSING
    if record.purpose in _ALONE and len(found) > 1:
        return State.DUPLICATE
    if record.purpose is Purpose.SPF:
        return _spf_state(subject, found[0], followed)
    good = any(_is_good(subject, record, text) for text in found)
    return State.THERE if good else State.WRONG


def _spf_state(subject: Subject, text: str, followed: Followed) -> State:
    if followed.spf_lookups > MAX_LOOKUPS or len(text) > MAX_RECORD:
        return State.TOO_LONG
    # One that names us and that we do not pass has a caveat, which says what decides first.
    if followed.spf_passes or names_us(text, subject.domain, subject.hostname):
        return State.THERE
    return State.UNKNOWN if followed.spf_is_open else State.WRONG


def _is_good(subject: Subject, record: Record, text: str) -> bool:
    if record.purpose is Purpose.TLSA:
        return subject.identity is not None and subject.identity.matches(record_of(text))
    if record.purpose is Purpose.STS and subject.serves_policy:
        # RFC 8461 §3.1: only another id makes senders look for another text.
        return _tags(text) == _tags(record.value)
    return _GOOD.get(record.purpose, _is_same)(record, text)


def _is_same(record: Record, text: str) -> bool:
    return text.lower().rstrip(".") == record.value.lower()


def _has_id(_: Record, text: str) -> bool:
    """Where another program serves the policy, the id is that program's."""
    return any(_ID.fullmatch(field.strip(" \t")) for field in text.split(";")[1:])


def _is_assertion(text: str) -> bool:
    found = read_assertion(text.encode())
    return found is not None and not found.flaws


_ID = re.compile(r"id[ \t]*=[ \t]*[A-Za-z0-9]{1,32}")  # RFC 8461 §3.1
_GOOD: Mapping[Purpose, Callable[[Record, str], bool]] = {
    Purpose.MX: leads_here,
    Purpose.SUBMISSION: leads_here,
    # On the web server in front, if there is one.
    Purpose.AUTODISCOVER: lambda _, text: text.split()[-1] != ".",
    Purpose.AUTOCONFIG: lambda _, __: True,
    Purpose.STS_HOST: lambda _, __: True,
    Purpose.DKIM: lambda record, text: published(text, record.value) is not None,
    Purpose.DMARC: lambda _, text: bool(published_policy(text)),
    Purpose.STS: _has_id,
    Purpose.TLS_REPORTS: lambda _, text: bool(tls_places(text)),
    Purpose.BIMI: lambda _, text: _is_assertion(text),
}


def has_tag(text: str, name: str) -> bool:
    """Whether one of the tags has this name."""
    return any(tag.partition("=")[0].strip() == name for tag in text.split(";"))


def _tags(text: str) -> set[str]:
    """With their values, without the white space that people put between."""
    return {"".join(tag.split()) for tag in text.split(";") if tag.strip()}
