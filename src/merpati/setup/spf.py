"""The SPF record of a domain: ours put into what is there, and what it costs to look up."""

import re
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address
from itertools import takewhile

from merpati.authenticity.spf.check import MAX_LOOKUPS
from merpati.authenticity.spf.macro import MacroString
from merpati.authenticity.spf.record import MAX_RECORD, Kind, Record, read_record
from merpati.authenticity.spf.result import SpfError
from merpati.dns.errors import DnsError
from merpati.dns.resolver import Resolver

_FRESH = "v=spf1 mx ~all"
_ASKING = frozenset({Kind.INCLUDE, Kind.A, Kind.MX, Kind.PTR, Kind.EXISTS})
_ALL = re.compile(r"[-+~?]?all", re.I)
# Softest first: where two records disagree, nobody's mail may be lost by a guess.
_ALLS = ("+all", "all", "?all", "~all", "-all")


def spf_records(texts: Iterable[str]) -> tuple[str, ...]:
    """Those of a domain's TXT records that are SPF's (RFC 7208 §4.5)."""
    return tuple(text for text in texts if text[:7].lower().rstrip(" ") == "v=spf1")


async def publishable(
    records: Sequence[str], domain: str, hostname: str, addresses: Iterable[str], resolver: Resolver
) -> str:
    """One record that has the terms of all, and that receivers look up to its end; empty: there is
    none. Where a term more that asks the DNS is too much, our addresses are named, which ask
    nothing."""
    networks = [f"ip{ip_address(one).version}:{one}" for one in addresses]
    for ours in filter(None, (["mx"], networks)):
        text = merged(records, domain, hostname, ours)
        # What does not answer now may lead to any number.
        if _read(text) and await lookups(text, resolver, unanswered=MAX_LOOKUPS) <= MAX_LOOKUPS:
            return text
    return ""


def merged(
    records: Sequence[str], domain: str, hostname: str, naming: Sequence[str] = ("mx",)
) -> str:
    """One record that has the terms of all, and that our host may send by.

    Left out are records that are too long, and terms that no receiver can read.
    """
    readable = [one for one in records if len(one) <= MAX_RECORD]
    if not readable:
        return _FRESH
    terms = [term for one in readable for term in one.split()[1:] if _read(f"v=spf1 {term}")]
    if len(readable) > 1:
        terms = _joined(terms)
    terms = list(_once(terms))
    ours = [] if _has_us(terms, domain, hostname) else naming
    return " ".join(["v=spf1", *ours, *terms])


def names_us(record: str, domain: str, hostname: str) -> bool:
    """Whether a record without a fault says in its own words that the domain's hosts may send."""
    return _read(record) is not None and _has_us(record.split()[1:], domain, hostname)


def _read(text: str) -> Record | None:
    try:
        return read_record(text.encode())
    except SpfError:
        return None


def _has_us(terms: Iterable[str], domain: str, hostname: str) -> bool:
    ours = {"mx", f"mx:{domain}", f"a:{hostname}"} | ({"a"} if domain == hostname else set())
    # What stands behind `all` is never looked at (RFC 7208 §5.1).
    before = takewhile(lambda term: not _ALL.fullmatch(term), terms)
    return any(term.lower().removeprefix("+") in ours for term in before)


def _joined(terms: Sequence[str]) -> list[str]:
    """Terms of several records as of one: each once, one `all` at the end, no redirect."""
    included = [re.sub("^redirect=", "include:", term, flags=re.I) for term in terms]
    kept = [term for term in dict.fromkeys(included) if not _ALL.fullmatch(term)]
    ends = {term.lower() for term in terms if _ALL.fullmatch(term)}
    return [*kept, next((one for one in _ALLS if one in ends), "~all")]


def _once(terms: Iterable[str]) -> Iterator[str]:
    """Without what would break the record: these two may be there once (RFC 7208 §6)."""
    met: set[str] = set()
    for term in terms:
        name = term.partition("=")[0].lower()
        if name not in met:
            yield term
        if name in ("redirect", "exp"):
            met.add(name)


async def lookups(record: str, resolver: Resolver, *, unanswered: int = 0) -> int:
    """How many terms of a record ask the DNS, with what it includes; never above MAX_LOOKUPS + 1.

    Asks at most MAX_LOOKUPS questions, and never raises: what has no answer counts as itself and
    `unanswered` more.
    """
    waiting, count = [record], 0
    while waiting and count <= MAX_LOOKUPS:
        for leads in _asking(waiting.pop(0)):
            count += 1
            if count > MAX_LOOKUPS:
                break
            if leads:
                try:
                    waiting += await _records_at(leads, resolver)
                except DnsError:
                    count += unanswered
    return min(count, MAX_LOOKUPS + 1)


def _asking(text: str) -> Iterator[str]:
    """Of each term that asks the DNS the name of the record that it leads to, or nothing.

    Names with macros are different for every message: nobody can follow them here.
    """
    record = _read(text)
    if record is None:
        return
    for directive in record.directives:
        if directive.kind is Kind.ALL:
            return  # RFC 7208 §6.1: with it a redirect means nothing.
        if directive.kind in _ASKING:
            yield _name(directive.domain) if directive.kind is Kind.INCLUDE else ""
    if record.redirect:
        yield _name(record.redirect)


def _name(macros: MacroString) -> str:
    plain = [each for each in macros if isinstance(each, str)]
    return "".join(plain) if len(plain) == len(macros) else ""


async def _records_at(name: str, resolver: Resolver) -> tuple[str, ...]:
    answer = await resolver.txt(name)
    texts = (octets.decode("ascii", "backslashreplace") for octets in answer.records)
    return spf_records(texts)[:1]
