"""The SPF record of a domain: ours put into what is there, and what it costs to look up."""

import re
from collections.abc import Iterable, Sequence

from merpati.dns.errors import DnsError
from merpati.dns.resolver import Resolver

MAX_LOOKUPS = 10
"""RFC 7208 §4.6.4: terms that ask the DNS, in a record and all that it includes."""
MAX_RECORD = 8192
"""Octets of a record that is read; honest ones have up to about 4,000."""
_FRESH = "v=spf1 mx ~all"
_ASKS = re.compile(r"[-+~?]?(?:(?:a|mx|ptr)(?:[:/].*)?|(?:include|exists):.+)|redirect=.+", re.I)
_LEADS = re.compile(r"(?:[-+~?]?include:|redirect=)([A-Za-z0-9._-]{1,253})", re.I)
_ALL = re.compile(r"[-+~?]?all", re.I)
# Softest first: where two records disagree, nobody's mail may be lost by a guess.
_ALLS = ("+all", "all", "?all", "~all", "-all")


def spf_records(texts: Iterable[str]) -> tuple[str, ...]:
    """Those of a domain's TXT records that are SPF's (RFC 7208 §4.5)."""
    return tuple(text for text in texts if text[:7].lower().rstrip(" ") == "v=spf1")


def merged(records: Sequence[str], domain: str, hostname: str) -> str:
    """One record that has the terms of all, and that our host may send by.

    Records that are too long or no ASCII are left out.
    """
    readable = [one for one in records if len(one) <= MAX_RECORD and one.isascii()]
    if not readable:
        return _FRESH
    if len(readable) == 1 and names_us(readable[0], domain, hostname):
        return readable[0]
    terms = [term for one in readable for term in one.split()[1:]]
    if len(readable) > 1:
        terms = _joined(terms)
    ours = [] if _has_us(terms, domain, hostname) else ["mx"]
    return " ".join(["v=spf1", *ours, *terms])


def names_us(record: str, domain: str, hostname: str) -> bool:
    """Whether a record says in its own words that the domain's hosts may send."""
    return _has_us(record.split()[1:], domain, hostname)


def _has_us(terms: Iterable[str], domain: str, hostname: str) -> bool:
    ours = {"mx", f"mx:{domain}", f"a:{hostname}"} | ({"a"} if domain == hostname else set())
    return any(term.lower().removeprefix("+") in ours for term in terms)


def _joined(terms: Sequence[str]) -> list[str]:
    """Terms of several records as of one: each once, one `all` at the end, no redirect."""
    included = [re.sub("^redirect=", "include:", term, flags=re.I) for term in terms]
    kept = [term for term in dict.fromkeys(included) if not _ALL.fullmatch(term)]
    ends = {term.lower() for term in terms if _ALL.fullmatch(term)}
    return [*kept, next((one for one in _ALLS if one in ends), "~all")]


async def lookups(record: str, resolver: Resolver) -> int:
    """How many terms of a record ask the DNS, with what it includes; never above MAX_LOOKUPS + 1.

    Asks at most MAX_LOOKUPS questions, and never raises: what has no answer counts as itself.
    """
    waiting, count = [record], 0
    while waiting and count <= MAX_LOOKUPS:
        terms = waiting.pop(0)[:MAX_RECORD].split()[1:]
        asking = [term for term in terms if _ASKS.fullmatch(term)]
        for term in asking[: MAX_LOOKUPS + 1 - count]:
            count += 1
            if (leads := _LEADS.fullmatch(term)) and count <= MAX_LOOKUPS:
                waiting += await _records_at(leads[1], resolver)
    return count


async def _records_at(name: str, resolver: Resolver) -> tuple[str, ...]:
    try:
        answer = await resolver.txt(name)
    except DnsError:
        return ()
    texts = (octets.decode("ascii", "backslashreplace") for octets in answer.records)
    return spf_records(texts)[:1]
