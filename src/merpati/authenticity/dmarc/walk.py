"""The walk up the DNS that finds records and organizational domains (RFC 9989 §4.10)."""

from dataclasses import dataclass

from merpati.authenticity.dmarc.record import Record, Suffix, find_records, read_record
from merpati.authenticity.questions import Asking, txt
from merpati.mail.address import MAX_DOMAIN

MAX_QUESTIONS = 8
"""Of one walk, however many labels a name has."""
_PREFIX = "_dmarc."


@dataclass(frozen=True, slots=True)
class Published:
    """A record and the domain that it was found for."""

    domain: str
    record: Record

    @property
    def name(self) -> str:
        """Where it stands in the DNS."""
        return _PREFIX + self.domain


@dataclass(frozen=True, slots=True)
class Walk:
    """What was found on the way up from a domain."""

    start: str
    found: tuple[Published, ...] = ()
    """The longest domain first."""

    @property
    def organizational(self) -> str:
        """The organizational domain of where the walk began (RFC 9989 §4.10.2)."""
        for each in self.found:
            if each.record.psd is Suffix.NO:
                return each.domain
            if each.record.psd is Suffix.YES and each.domain != self.start:
                return _one_below(each.domain, self.start)
        return self.found[-1].domain if self.found else self.start

    @property
    def policy(self) -> Published | None:
        """The record that applies to the domain itself (RFC 9989 §4.10.1).

        Its own, else its organizational domain's, else that of the public suffix above it.
        """
        by_domain = {each.domain: each for each in self.found}
        own = by_domain.get(self.start) or by_domain.get(self.organizational)
        suffixes = (each for each in self.found if each.record.psd is Suffix.YES)
        return own or next(suffixes, None)


class Walks:
    """Walks that go the same ways ask only once. For one evaluation; forget it then."""

    def __init__(self) -> None:
        self._known: dict[str, Published | None] = {}
        self.flaws: list[str] = []
        """Names with several records, which is as if there were none."""

    def look(self, domain: str) -> Asking[Published | None]:
        """The record of this very domain. Raises DnsError."""
        if domain not in self._known:
            self._known[domain] = yield from self._ask(domain)
        return self._known[domain]

    def walk(self, start: str) -> Asking[Walk]:
        """From a domain (A-labels, lower case) up to the top. Raises DnsError."""
        found: list[Published] = []
        for domain in steps(start):
            published = yield from self.look(domain)
            if published is not None:
                found.append(published)
                if published.record.psd is not Suffix.UNKNOWN:
                    break
        return Walk(start, tuple(found))

    def _ask(self, domain: str) -> Asking[Published | None]:
        name = _PREFIX + domain
        if len(name) > MAX_DOMAIN:
            return None  # no such name can be
        answer = yield from txt(name)
        found = find_records(answer.records)
        if len(found) > 1:
            # RFC 9989 §4.10, steps 2 and 6: which of them counts, nobody knows.
            self.flaws.append(f"{len(found)} records at {name}, where there must be one")
            return None
        record = read_record(found[0]) if found else None
        return Published(domain, record) if record else None


def steps(start: str) -> tuple[str, ...]:
    """The domains that a walk asks about, in order: at most eight."""
    labels = start.split(".")
    tops = labels[-(MAX_QUESTIONS - 1) :] if len(labels) >= MAX_QUESTIONS else labels[1:]
    return (start, *(".".join(tops[n:]) for n in range(len(tops))))


def _one_below(suffix: str, domain: str) -> str:
    above = domain.removesuffix("." + suffix)
    return f"{above.rpartition('.')[2]}.{suffix}"
