"""What to change in the DNS so that a domain's records are as they should be: pure.

Only what was understood is replaced: other texts at the same name stay, and where somebody has led
mail or mail programs to other hosts, it is for people to decide.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from merpati.dns.update import RecordSet
from merpati.setup.caveat import Harm
from merpati.setup.finding import Finding, State, has_tag, is_for
from merpati.setup.plan import Subject
from merpati.setup.record import TTL, Kind, Purpose, Record, zone_value


class Reason(Enum):
    """Why a record that is not there as it should be is not written."""

    UNSAID = "unsaid"
    """It cannot be said yet."""
    FOREIGN = "foreign"
    """It lies in no zone that we have a key for."""
    UNKNOWN = "unknown"
    """Nobody knows what is there."""
    ALIAS = "alias"
    """The name is an alias, which has no records of its own."""
    OTHERS = "others"
    """It leads to other hosts."""
    LONG = "long"
    """It is, or would be with what it lacks; shortening it is for people."""
    YOURS = "yours"
    """What is wrong is nothing that another value of ours puts right."""
    UNSERVED = "unserved"
    """The policy would have to be there first, and this server does not serve it."""


@dataclass(frozen=True, slots=True)
class Left:
    """A record that is left as it is."""

    record: Record
    reason: Reason


@dataclass(frozen=True, slots=True)
class Step:
    """One set of records before and after."""

    before: RecordSet
    after: RecordSet

    @property
    def gone(self) -> tuple[str, ...]:
        """Values that are not there afterwards."""
        return tuple(one for one in self.before.values if one not in self.after.values)

    @property
    def come(self) -> tuple[str, ...]:
        """Values that were not there before."""
        return tuple(one for one in self.after.values if one not in self.before.values)


@dataclass(frozen=True, slots=True)
class Difference:
    """Everything to write, and what is not written though it should be."""

    steps: tuple[Step, ...]
    left: tuple[Left, ...]


_UNWRITABLE = {State.UNKNOWN: Reason.UNKNOWN, State.TOO_LONG: Reason.LONG}
_WRITTEN = (State.MISSING, State.WRONG, State.DUPLICATE)
_ADDED = frozenset(
    {
        Purpose.MX,
        Purpose.SUBMISSION,
        Purpose.STS_HOST,
        Purpose.AUTOCONFIG,
        Purpose.AUTODISCOVER,
        Purpose.PTR,
        Purpose.BIMI,
    }
)
"""Written only where nothing is."""


def difference(
    subject: Subject, findings: Iterable[Finding], there: Mapping[Record, RecordSet | Reason]
) -> Difference:
    """`there`: what the primary has at a record's name, or why nobody can write there."""
    steps: dict[tuple[str, str], Step] = {}
    left: list[Left] = []
    for finding in findings:
        record, state = finding.record, finding.state
        before = there.get(record, Reason.FOREIGN)
        reason = _reason(subject, finding, before)
        if isinstance(before, Reason) or reason:
            if state in (*_WRITTEN, State.TOO_LONG, State.UNKNOWN) and reason:
                left.append(Left(record, reason))
        elif state in _WRITTEN:
            key = (before.name, before.kind)
            step = steps.get(key, Step(before, before))
            after = _written(record, step.after)
            if {*after.values} == {*step.after.values}:
                left.append(Left(record, Reason.YOURS))
            else:
                steps[key] = replace(step, after=after)
    return Difference(tuple(one for one in steps.values() if one.gone or one.come), tuple(left))


def _reason(subject: Subject, finding: Finding, before: RecordSet | Reason) -> Reason | None:
    record = finding.record
    if not record.value:
        return Reason.UNSAID
    if isinstance(before, Reason):
        return before
    if record.purpose in _ADDED and before.values:
        # The host that it leads to is ours, and only an alias.
        is_ours = {one.harm for one in finding.caveats} == {Harm.ALIAS}
        return Reason.YOURS if is_ours else Reason.OTHERS
    if record.purpose is Purpose.STS and not subject.serves_policy:
        return Reason.UNSERVED
    if any(one.harm is Harm.FULL for one in finding.caveats):
        return Reason.LONG
    return _UNWRITABLE.get(finding.state)


def _written(record: Record, before: RecordSet) -> RecordSet:
    """What is there with the record in it, and without what it stands for instead."""
    ours = zone_value(record)
    if record.kind is not Kind.TXT:
        # A TLSA record of another key may be of a certificate to come.
        kept = [one for one in before.values if one.lower() != ours.lower()]
        return replace(before, values=(*kept, ours), ttl=TTL)
    pairs = zip(before.values, before.texts, strict=True)
    kept = [value for value, text in pairs if not _is_replaced(record, text)]
    return replace(before, values=(*kept, ours), ttl=TTL)


def _is_replaced(record: Record, text: str) -> bool:
    if record.purpose is Purpose.DKIM:
        return has_tag(text, "p")
    return is_for(record, text)
