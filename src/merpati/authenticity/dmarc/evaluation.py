"""Evaluating a message by DMARC (RFC 9989 §5.3)."""

from collections.abc import Iterable
from contextlib import suppress
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
    evaluation = Evaluation(author)
    yield from evaluation.ask_policy()
    return (yield from evaluation.verdict(identifiers))


class Evaluation:
    """The same in two steps, for who has to ask what the author wants before anything else.

    What a forger can make slow (the names of SPF, DKIM and ARC are his own) must not use up the
    time for it: a policy that is not known refuses nothing.
    """

    def __init__(self, author: Author) -> None:
        self._author = author
        self._walks = Walks()
        self._verdict = Verdict(Result.NONE, "no record", author.domain)

    def ask_policy(self) -> Asking[None]:
        """First; once. What is asked here is known later, whatever becomes of the time."""
        flaw = self._author.flaw
        if flaw is not None:
            self._verdict = Verdict(Result.PERMERROR, flaw.value, flaw=flaw)
            return
        try:
            published, tag, policy = yield from _policy(self._author.domain, self._walks)
        except DnsError:
            self._conclude(Result.TEMPERROR, "the record could not be asked for")
            return
        self._verdict = replace(self._verdict, published=published, tag=tag, policy=policy)
        if published and not published.record.applies:
            self._conclude(Result.PERMERROR, "the record has no policy that can be read")

    def ask_organization(self) -> Asking[None]:
        """What it takes to tell that a name is another organization's; where something hangs on
        it. At most seven questions, mostly about a top level, which is in any cache."""
        if self._verdict.policy is not Policy.NONE:
            with suppress(DnsError):
                yield from self._walks.walk(self._author.domain)

    def verdict(self, identifiers: Iterable[Identifier]) -> Asking[Verdict]:
        """By what SPF and DKIM found, as `evaluate` says it."""
        published = self._verdict.published
        if published is not None and published.record.applies:
            checking = _Checking(self._author.domain, published, self._walks)
            checked = []
            for identifier in list(identifiers)[:MAX_IDENTIFIERS]:
                alignment = yield from checking.alignment(identifier)
                checked.append(Checked(identifier, alignment))
            self._conclude(*_result(checked))
            self._verdict = replace(self._verdict, checked=tuple(checked))
        return replace(self._verdict, flaws=self._flaws)

    @property
    def _flaws(self) -> tuple[str, ...]:
        published = self._verdict.published
        void = published.record.flaws if published else ()
        return (*self._walks.flaws, *(f"the tag {name} is void" for name in void))

    def _conclude(self, result: Result, why: str) -> None:
        self._verdict = replace(self._verdict, result=result, why=why)


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
