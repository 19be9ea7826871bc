"""What a set of records does beside its best member: loses mail, or shows it to others. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address

from merpati.authenticity.dmarc.record import read_record
from merpati.certificates.tlsa import record_of, text_of
from merpati.setup.dkim import published
from merpati.setup.plan import Subject
from merpati.setup.record import Kind, Purpose, Record
from merpati.setup.seen import Seen


class Harm(Enum):
    """What it does."""

    ELSEWHERE = "elsewhere first"
    """A stranger's host comes before ours."""
    BESIDE = "elsewhere too"
    """A stranger's host comes beside or behind ours, which may be as somebody wants it."""
    ALIAS = "alias"
    ANYBODY = "anybody"
    """SPF lets everybody send."""
    OPEN = "open"
    """SPF says nothing of strangers."""
    BROKEN = "broken"
    """SPF ends in a permerror, for our mail or for that of others."""
    NOT_US = "not us"
    """What stands before the term that names us, says no."""
    VOID = "void"
    """A tag of DMARC beside the policy says something that receivers cannot read."""
    TESTING = "testing"
    """Our DKIM key is published, and as one that is only tested."""
    STRONGER = "stronger"
    """By a stronger digest another key than ours is demanded."""
    FULL = "full"
    """Another term in SPF, or two records made one, would take more lookups than receivers make."""
    REFUSED = "refused"
    """Reports are ordered to who has not agreed."""
    UNANSWERED = "unanswered"
    """Nobody can say, since the DNS of others does not answer."""

    @property
    def is_fault(self) -> bool:
        """False: somebody may want it so, or it is not known."""
        return self not in _NOTICES


_NOTICES = (
    *(Harm.BESIDE, Harm.OPEN, Harm.VOID, Harm.TESTING),
    *(Harm.REFUSED, Harm.UNANSWERED),
)


@dataclass(frozen=True, slots=True)
class Caveat:
    """One harm, and what shows it."""

    harm: Harm
    detail: str = ""


def caveats_of(
    subject: Subject, record: Record, found: tuple[str, ...], seen: Seen
) -> list[Caveat]:
    """Of the records that stand at one place; only worth something where one of them is good."""
    if record.purpose is Purpose.MX:
        return [*_strangers(subject, record, found), *_alias(subject, seen)]
    if record.purpose is Purpose.SUBMISSION:
        return [*_strangers(subject, record, found)]
    if record.purpose is Purpose.DKIM:
        return [*_testing(record, found)]
    if record.purpose is Purpose.DMARC:
        return [*_void(found)]
    if record.purpose is Purpose.TLSA:
        return [*_stronger(subject, found)]
    return []


def _strangers(subject: Subject, record: Record, found: Iterable[str]) -> Iterator[Caveat]:
    ranks = [(int(text.split()[0]), text) for text in found]
    best = min((rank for rank, text in ranks if leads_here(record, text)), default=0)
    for rank, text in sorted(ranks):
        if not leads_here(record, text) and not _is_ours(subject, record, text):
            yield Caveat(Harm.ELSEWHERE if rank < best else Harm.BESIDE, text)


def leads_here(record: Record, text: str) -> bool:
    """Preference, priority and weight are the owner's to choose: the end counts."""
    count = 1 if record.purpose is Purpose.MX else 2
    return _end(text, count) == _end(record.value, count)


def _end(text: str, count: int) -> list[str]:
    return text.lower().rstrip(".").split()[-count:]


def _is_ours(subject: Subject, record: Record, text: str) -> bool:
    """Whether a host is, as its name says, of the same people: in the domain, beside this host, or
    named by the policy of MTA-STS. At this host itself another port is none of ours."""
    (host,) = _end(text, 1)
    if host == subject.hostname:
        return record.purpose is Purpose.MX
    parent = subject.hostname.partition(".")[2]
    within = (subject.domain, *([parent] if "." in parent else []))
    named = {host, f"*.{host.partition('.')[2]}"} & {*subject.policy.mx}
    return bool(named) or any(f".{host}".endswith(f".{one}") for one in within)


def _alias(subject: Subject, seen: Seen) -> Iterator[Caveat]:
    """RFC 2181 §10.3, RFC 5321 §5.1: the host of an MX record has addresses, and is no alias."""
    for end in seen.at(Kind.CNAME, subject.hostname) or ():
        if not _is_address(end):
            yield Caveat(Harm.ALIAS, f"{subject.hostname} CNAME {end}")


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _testing(record: Record, found: Iterable[str]) -> Iterator[Caveat]:
    for text in found:
        key = published(text, record.value)
        if key and key.testing:
            yield Caveat(Harm.TESTING, "t=y")


def _void(found: Iterable[str]) -> Iterator[Caveat]:
    records = (read_record(text.encode()) for text in found)
    flaws = (flaw for record in records if record for flaw in record.flaws)
    yield from (Caveat(Harm.VOID, f"{flaw}=") for flaw in flaws)


def _stronger(subject: Subject, found: Iterable[str]) -> Iterator[Caveat]:
    """RFC 7671 §9: of records of one usage and selector only those with the strongest digest count.
    Both digests may be of several keys, one of them ours."""
    if subject.identity:
        hiding = subject.identity.hidden_by([record_of(text) for text in found])
        yield from (Caveat(Harm.STRONGER, text_of(one)) for one in hiding)
