"""What records lead to in other domains: asked for as receivers do, who may send and who may have
reports. Never raises for anything that the DNS says, and asks a bounded number of questions."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from merpati.authenticity.dmarc.destination import find_destinations
from merpati.authenticity.dmarc.record import read_record
from merpati.authenticity.dmarc.walk import Published
from merpati.authenticity.questions import Asking, Question, by_way_of, drive
from merpati.authenticity.questions import Kind as Asked
from merpati.authenticity.spf.check import MAX_LOOKUPS, Client, check_host
from merpati.authenticity.spf.result import Identity, Result, Verdict
from merpati.dns.resolver import Answer, Found, Mx, Resolver
from merpati.setup.caveat import Caveat, Harm
from merpati.setup.plan import PREFERENCE, Subject
from merpati.setup.record import Kind, Purpose
from merpati.setup.seen import Seen
from merpati.setup.spf import lookups, names_us, publishable, spf_records

T = TypeVar("T")
# RFC 5737, RFC 3849: nobody has these, so who lets them send lets everybody.
_STRANGERS = {4: "203.0.113.254", 6: "2001:db8:ffff:ffff:ffff:ffff:ffff:fffe"}
_MAX_HOSTS = 4
"""Addresses of ours that are tried."""
SECONDS = 20.0
"""RFC 7208 §4.6.4 allows a check no less; here for all of SPF, and for all of DMARC."""


@dataclass(frozen=True, slots=True)
class Followed:
    """What was found."""

    spf_record: str = ""
    """To publish: what is there, if we pass by it."""
    spf_passes: bool | None = None
    """Whether each address of ours passes, and not by what lets everybody; None: nobody knows."""
    spf_lookups: int = 0
    """Of the domain's SPF record as it stands in the DNS; never above MAX_LOOKUPS + 1."""
    spf: tuple[Caveat, ...] = ()
    dmarc: tuple[Caveat, ...] = ()

    @property
    def spf_is_open(self) -> bool:
        """Whether nobody can say if we pass, since the DNS of others does not answer."""
        return self.spf_passes is None and any(one.harm is Harm.UNANSWERED for one in self.spf)

    def of(self, purpose: Purpose) -> tuple[Caveat, ...]:
        """What is to be said of a record."""
        return {Purpose.SPF: self.spf, Purpose.DMARC: self.dmarc}.get(purpose, ())


async def follow(subject: Subject, seen: Seen, resolver: Resolver) -> Followed:
    """Ask at the resolver for what was not seen at the domain itself."""
    there = spf_records(seen.at(Kind.TXT, subject.domain) or ())
    followed = Followed(spf_lookups=await lookups(there[0], resolver) if there else 0)
    if len(there) == 1:
        passes, caveats = await _in_time(_senders(subject, seen, resolver), (None, _UNANSWERED))
        followed = replace(followed, spf_passes=passes, spf=caveats)
    followed = await _with_record(followed, there, subject, seen, resolver)
    dmarc = await _in_time(_reporters(subject, seen, resolver), _UNANSWERED)
    return replace(followed, dmarc=dmarc)


async def _with_record(
    followed: Followed, there: Sequence[str], subject: Subject, seen: Seen, resolver: Resolver
) -> Followed:
    """With what to publish for SPF; what is there, where nothing that names us can be."""
    domain, hostname = subject.domain, subject.hostname
    if len(there) == 1 and (followed.spf_passes or names_us(there[0], domain, hostname)):
        return replace(followed, spf_record=there[0])
    addresses = subject.addresses(seen)
    if text := await publishable(there, domain, hostname, addresses, resolver):
        return replace(followed, spf_record=text)
    followed = replace(followed, spf_record=there[0])
    if followed.spf_lookups > MAX_LOOKUPS or followed.spf_is_open:
        return followed
    return replace(followed, spf=(*followed.spf, Caveat(Harm.FULL)))


_UNANSWERED = (Caveat(Harm.UNANSWERED),)


async def _in_time(asked: Awaitable[T], otherwise: T) -> T:
    try:
        async with asyncio.timeout(SECONDS):
            return await asked
    except TimeoutError:
        return otherwise


async def _senders(
    subject: Subject, seen: Seen, resolver: Resolver
) -> tuple[bool | None, tuple[Caveat, ...]]:
    """Whether we pass, and what else is to be said."""
    seen = _with_our_host(subject, seen)
    ours = subject.addresses(seen)[:_MAX_HOSTS]
    checked = [(ip, await _check(subject, ip, seen, resolver)) for ip in ours]
    caveats = [one for ip, verdict in checked for one in _of_ours(ip, verdict)]
    for family, ip in _STRANGERS.items():
        verdict = await _check(subject, ip, seen, resolver)
        # Terms that have no IPv6 are void for a stranger who has: only forgers see that.
        if family == 4 or verdict.result is Result.PASS:
            caveats += _of_stranger(verdict)
    results = {verdict.result for _, verdict in checked}
    is_known = bool(results) and Result.TEMPERROR not in results
    passes = results == {Result.PASS} and not any(one.harm is Harm.ANYBODY for one in caveats)
    return passes if is_known else None, tuple(dict.fromkeys(caveats))


def _with_our_host(subject: Subject, seen: Seen) -> Seen:
    """Where no MX record leads here, that is told at MX, and not at the term `mx` as well."""
    place = (Kind.MX, subject.domain)
    there = seen.at(*place)
    if there is None or any(text.split()[-1].lower() == subject.hostname for text in there):
        return seen
    return seen.with_more(Seen({place: (*there, f"{PREFERENCE} {subject.hostname}")}))


async def _check(subject: Subject, ip: str, seen: Seen, resolver: Resolver) -> Verdict:
    client = Client(ip, subject.hostname)
    check = check_host(Identity.MAIL_FROM, client, f"postmaster@{subject.domain}")
    return await drive(_informed(check, seen), resolver)


def _of_ours(ip: str, verdict: Verdict) -> list[Caveat]:
    if verdict.result is Result.PASS:
        return []
    if verdict.result in _UNDECIDED:
        return [_undecided(verdict)]
    return [Caveat(Harm.NOT_US, f"{ip}: {verdict.result.value} ({verdict.mechanism or 'no term'})")]


def _of_stranger(verdict: Verdict) -> list[Caveat]:
    if verdict.result is Result.PASS:
        return [Caveat(Harm.ANYBODY, f"{verdict.at}: {verdict.mechanism}")]
    if verdict.result is Result.NEUTRAL:
        return [Caveat(Harm.OPEN, verdict.mechanism)]
    return [_undecided(verdict)] if verdict.result in _UNDECIDED else []


_UNDECIDED = {
    Result.PERMERROR: Harm.BROKEN,
    Result.NONE: Harm.BROKEN,
    Result.TEMPERROR: Harm.UNANSWERED,
}


def _undecided(verdict: Verdict) -> Caveat:
    return Caveat(_UNDECIDED[verdict.result], f"{verdict.at or verdict.domain}: {verdict.why}")


async def _reporters(subject: Subject, seen: Seen, resolver: Resolver) -> tuple[Caveat, ...]:
    """Of who is to have reports in another domain; it has to have agreed (RFC 9990 §4)."""
    caveats: list[Caveat] = []
    for text in seen.at(Kind.TXT, subject.dmarc_name) or ():
        record = read_record(text.encode())
        if record is None:
            continue
        published = Published(subject.domain, record)
        for uris, failures in ((record.aggregate, False), (record.failure, True)):
            asking = find_destinations(published, uris, failures=failures)
            found = await drive(_informed(asking, seen), resolver)
            harm = Harm.REFUSED if found.is_settled else Harm.UNANSWERED
            caveats += [Caveat(harm, f"{uri}: {why}") for uri, why in found.refused]
    return tuple(dict.fromkeys(caveats))


def _informed(asking: Asking[T], seen: Seen) -> Asking[T]:
    """A check that is told what was seen already, and asks for the rest.

    The resolver may have older records than the servers of the zone.
    """

    def ask(question: Question) -> Asking[Answer[Any]]:
        known = _answer(question, seen)
        return known if known is not None else (yield question)

    return by_way_of(asking, ask)


def _answer(question: Question, seen: Seen) -> Answer[bytes] | Answer[Mx] | Answer[str] | None:
    """None: it was not seen, or only an alias that leads elsewhere."""
    if question.kind is Asked.PTR:
        return None
    place = (Kind(question.kind.value), question.name)
    there = seen.at(*place)
    if there is None or place in seen.aliases:
        return None
    found = Found.RECORDS if there else Found.NO_DATA
    if question.kind is Asked.TXT:
        texts = tuple(text.encode("ascii", "backslashreplace") for text in there)
        return Answer(found, texts)
    return Answer(found, _hosts(there)) if question.kind is Asked.MX else Answer(found, there)


def _hosts(there: Sequence[str]) -> tuple[Mx, ...]:
    pairs = (text.split() for text in there)
    return tuple(Mx(int(preference), host) for preference, host in pairs)
