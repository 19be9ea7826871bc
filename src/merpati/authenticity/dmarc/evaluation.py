"""Evaluating a message by DMARC (RFC 9989 §5.3)."""

from collections.abc import Iterable
from dataclasses import replace

from merpati.authenticity.dmarc.author import Author
from merpati.authenticity.dmarc.record import Policy
from merpati.authenticity.dmarc.verdict import (
    Alignment,
    Checked,
    Identifier,
    Method,
    Result,
    Verdict,
)
from merpati.authenticity.dmarc.walk import Published, Walk, Walks
from merpati.authenticity.questions import Asking, ipv4
from merpati.dns.errors import DnsError
from merpati.dns.resolver import Found

MAX_IDENTIFIERS = 20
"""Identifiers that are looked at; of those beyond, none can make a message pass."""


def evaluate(author: Author, identifiers: Iterable[Identifier]) -> Asking[Verdict]:
    """The verdict about a message by its author (`find_author`) and what SPF and DKIM found.

    Asks at most eight questions for each of author and identifiers, and one more. Never raises:
    what the DNS does not answer is in the verdict.
    """
    if author.flaw is not None:
        return Verdict(Result.PERMERROR, author.flaw.value, flaw=author.flaw)
    walks = Walks()
    try:
        published, tag, policy = yield from _policy(author.domain, walks)
    except DnsError:
        why = "the record could not be asked for"
        return Verdict(Result.TEMPERROR, why, author.domain, flaws=tuple(walks.flaws))
    verdict = Verdict(Result.NONE, "no record", author.domain, flaws=tuple(walks.flaws))
    if published is None:
        return verdict
    flaws = (*walks.flaws, *(f"the tag {name} is void" for name in published.record.flaws))
    verdict = replace(verdict, published=published, tag=tag, policy=policy, flaws=flaws)
    if not published.record.applies:
        why = "the record has no policy that can be read"
        return replace(verdict, result=Result.PERMERROR, why=why)
    checking = _Checking(author.domain, published, walks)
    checked = []
    for identifier in list(identifiers)[:MAX_IDENTIFIERS]:
        alignment = yield from checking.alignment(identifier)
        checked.append(Checked(identifier, alignment))
    result, why = _result(checked)
    return replace(verdict, result=result, why=why, checked=tuple(checked))


def _policy(domain: str, walks: Walks) -> Asking[tuple[Published | None, str, Policy]]:
    published = yield from walks.look(domain)
    if published is None:
        # RFC 9989 §4.10.1: only then it is worth to go further.
        walk = yield from walks.walk(domain)
        published = walk.policy
    if published is None:
        return None, "", Policy.NONE
    below, record = published.domain != domain, published.record
    exists = True
    if below and record.missing is not None:
        exists = yield from _exists(domain)
    return published, *record.policy_for(below=below, exists=exists)


def _exists(domain: str) -> Asking[bool]:
    """RFC 9989 §3.2.12: NXDOMAIN means that it does not; no answer means nothing."""
    try:
        answer = yield from ipv4(domain)
    except DnsError:
        return True
    return answer.found is not Found.NO_NAME


class _Checking:
    """Whether identifiers are aligned with one author domain (RFC 9989 §4.10.2)."""

    def __init__(self, author: str, published: Published, walks: Walks) -> None:
        self._author = author
        self._walks = walks
        record = published.record
        self._strict = {Method.SPF: record.strict_spf, Method.DKIM: record.strict_dkim}
        self._walk: Walk | None = None

    def alignment(self, identifier: Identifier) -> Asking[Alignment]:
        domain = identifier.domain
        if domain == self._author:
            return Alignment.STRICT
        if self._strict[identifier.method]:
            return Alignment.NOT_STRICT
        if domain.rpartition(".")[2] != self._author.rpartition(".")[2]:
            return Alignment.ELSEWHERE
        try:
            is_same = yield from self._is_relaxed(domain)
        except DnsError:
            return Alignment.UNKNOWN
        return Alignment.RELAXED if is_same else Alignment.ELSEWHERE

    def _is_relaxed(self, domain: str) -> Asking[bool]:
        if self._walk is None:
            self._walk = yield from self._walks.walk(self._author)
        organizational = self._walk.organizational
        # A domain outside of it has another one, whatever its own servers say or fail to say: so
        # that nobody can make a forgery undecidable by a signature of a domain whose DNS is broken.
        if domain != organizational and not domain.endswith("." + organizational):
            return False
        walk = yield from self._walks.walk(domain)
        return walk.organizational == organizational


def _result(checked: list[Checked]) -> tuple[Result, str]:
    counting = [each for each in checked if each.counts]
    if counting:
        methods = sorted({each.identifier.method.value.upper() for each in counting})
        return Result.PASS, f"{' and '.join(methods)} passed for {counting[0].alignment.value}"
    if any(each.alignment is Alignment.UNKNOWN for each in checked if _may_count(each)):
        return Result.TEMPERROR, "whether a domain is aligned could not be asked for"
    if any(each.is_aligned and each.identifier.result == "temperror" for each in checked):
        return Result.TEMPERROR, "SPF or DKIM of the domain could not be checked now"
    if any(each.is_aligned for each in checked):
        return Result.FAIL, "SPF and DKIM of the domain did not pass"
    if any(each.identifier.result == "pass" for each in checked):
        return Result.FAIL, "what passed is of other domains"
    return Result.FAIL, "neither SPF nor DKIM passed"


def _may_count(checked: Checked) -> bool:
    return checked.identifier.result in ("pass", "temperror")
