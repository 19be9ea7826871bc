"""All that is found of one message taken together, and told in Authentication-Results."""

import ipaddress
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

from merpati.authenticity import iprev
from merpati.authenticity.arc.verifier import ArcVerdict, ChainVerification
from merpati.authenticity.dkim.fields import SignedFields
from merpati.authenticity.dkim.result import Result as DkimResult
from merpati.authenticity.dkim.result import Verdict as DkimVerdict
from merpati.authenticity.dkim.verifier import Verification
from merpati.authenticity.dmarc.author import Author, AuthorFlaw, find_author
from merpati.authenticity.dmarc.evaluation import Evaluation
from merpati.authenticity.dmarc.record import Policy
from merpati.authenticity.dmarc.verdict import Identifier, Method
from merpati.authenticity.dmarc.verdict import Result as DmarcResult
from merpati.authenticity.dmarc.verdict import Verdict as DmarcVerdict
from merpati.authenticity.questions import Allowance, Asking, Inquiry, Together
from merpati.authenticity.results import (
    AuthenticationResults,
    Finding,
    Property,
    ResultsError,
    parse_results,
)
from merpati.authenticity.seen import Seen
from merpati.mail.address import Address
from merpati.mail.headers import Headers

UNSIGNED = "the message has no signature: nothing in it proves who wrote it"
"""What DKIM has to say of it, for people who do not know its words."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a message comes from, as the client said it; what SPF judges."""

    ip: str
    helo: str
    sender: Address | None
    """MAIL FROM; None: the null reverse-path."""


@lru_cache(maxsize=1024)
def is_here(ip: str) -> bool:
    """Whether a client is this machine, of which the DNS knows nothing."""
    return not ip or ipaddress.ip_address(ip).is_loopback


@dataclass(frozen=True, slots=True)
class SpfFound:
    """What SPF found of an identity, with the evidence."""

    result: str
    """The word of RFC 8601 §2.7.2."""
    domain: str = ""
    """Whose record was asked for: the sender's, or of the null reverse-path the HELO name's
    (RFC 7208 §2.4). In A-labels and lower case."""
    why: str = ""
    """For people, without a stranger's words."""
    mechanism: str = ""
    """The directive that decided, with the domain in whose record it stands where that is another
    one: `-all`, `ip4:192.0.2.0/24 of b.test`."""
    lookups: int = 0
    """Of the ten terms that may ask the DNS (RFC 7208 §4.6.4)."""
    void_lookups: int = 0
    seen: tuple[Seen, ...] = ()
    """What was found at `domain`, then at each name that records refer to."""
    path: tuple[str, ...] = ()
    """The names of the records that led to the result; see `spf.result.Verdict`."""


class SpfCheck(Protocol):
    """The check of SPF that a judgement is made with."""

    def __call__(self, origin: Origin) -> Asking[SpfFound]:
        """Never raises; bounded in questions and in time, as RFC 7208 §4.6.4 wants it."""
        ...


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was found, each with its evidence."""

    origin: Origin
    author: Author
    reverse: iprev.ReverseName
    spf: SpfFound | None
    """Of MAIL FROM, or of the HELO name under the null reverse-path. None: there was no check."""
    signatures: tuple[DkimVerdict, ...]
    chain: ArcVerdict
    dmarc: DmarcVerdict | None
    """None: without SPF it would find honest mail to fail, so it was not evaluated."""
    helo: SpfFound | None = None
    """Of the HELO name beside a sender (RFC 7208 §2.3); nothing is decided by it."""

    @property
    def flaw(self) -> AuthorFlaw | None:
        """Why nobody can say whose the message claims to be."""
        return self.author.flaw

    @property
    def is_vouched_for(self) -> bool:
        """A trusted sealer found the author's domain authentic before the message was altered.

        That is: ARC passes, everybody from some host on is trusted, and that host says that DMARC
        passed, or a signature of this very domain.
        """
        if self.chain.result is not DkimResult.PASS or not self.chain.trusted_from:
            return False
        try:
            found = parse_results(self.chain.found).findings
        except ResultsError:
            return False
        return any(_vouches(each, self.author.domain) for each in found)

    @property
    def disposition(self) -> Policy:
        """What is to be done by what the author's domain asks and by whom we trust."""
        if self.dmarc is None or self.is_vouched_for:
            return Policy.NONE
        return self.dmarc.disposition

    @property
    def disproves_sender(self) -> bool:
        """Whether whoever MAIL FROM names has not sent this, as far as can be told: SPF says so, or
        DMARC of the very domain, and no signature of it says otherwise. What nothing is known of
        is not disproved."""
        sender = self.origin.sender
        if sender is None or self.spf is None or self.spf.result == "pass":
            return False
        domain = sender.domain
        signed = {one.evidence.domain for one in self.signatures if one.result is DkimResult.PASS}
        if any(_is_within(domain, signer) for signer in signed):
            return False
        if self.spf.result in ("fail", "softfail"):
            return True
        failed = self.dmarc is not None and self.dmarc.result is DmarcResult.FAIL
        return failed and _is_within(domain, self.author.domain)

    @property
    def brought_by_others(self) -> tuple[DkimVerdict, ...]:
        """Good signatures that came from hosts which, as far as can be told, are not their
        signer's: forwarded by somebody, or replayed. Whom we trust to seal does neither."""
        if self.chain.result is DkimResult.PASS and self.chain.trusted_from:
            return ()
        good = [one for one in self.signatures if one.result is DkimResult.PASS]
        return tuple([one for one in good if not self._is_from_host_of(one.evidence.domain)])

    def _is_from_host_of(self, signer: str) -> bool:
        if self.reverse.result is iprev.Result.PASS and _is_within(self.reverse.name, signer):
            return True
        for found in (self.spf, self.helo):
            # What cannot be told now is not held against the domain that was asked.
            if found is None or found.result not in ("pass", "temperror"):
                continue
            if _is_within(found.domain, signer) or _is_within(signer, found.domain):
                return True
        return self._is_of_one_organization(signer)

    def _is_of_one_organization(self, signer: str) -> bool:
        """With the sender, whom SPF lets pass: DMARC has compared both to the author's domain."""
        if self.dmarc is None or not self.dmarc.aligned(Method.SPF):
            return False
        return any(one.is_aligned and one.identifier.domain == signer for one in self.dmarc.checked)

    def results(self, id_: str, suspect: DkimVerdict | None = None) -> AuthenticationResults:
        """To be written on top of the message; `id_` is our authserv-id. `suspect`: a signature
        that came too often from others, to be told of so that filters find it."""
        findings = [_reverse(self.origin, self.reverse)]
        if self.spf is not None:
            findings.append(_spf(self.origin, self.spf))
        if self.helo is not None and self.helo.result != "none":
            findings.append(_spf(replace(self.origin, sender=None), self.helo))
        findings += [_dkim(each, each is suspect) for each in self.signatures] or [
            Finding("dkim", DkimResult.NONE.value, comment=UNSIGNED)
        ]
        if self.chain.result is not DkimResult.NONE:
            findings.append(_arc(self.chain))
        if self.dmarc is not None:
            findings.append(_dmarc(self.dmarc))
        return AuthenticationResults(id_, tuple(findings))


class Examination:
    """Of one message: made from its header section, fed its body, then judged.

    No input makes it raise. Memory is constant; see `Verification` for the time.
    """

    def __init__(self, origin: Origin, headers: Headers) -> None:
        self._origin = origin
        self._author = find_author(headers)
        fields = SignedFields(headers)
        self._chain = ChainVerification(headers, fields)
        self._verification = Verification(headers, self._chain.wanted, fields)

    def update(self, part: bytes) -> None:
        """The next octets of the body."""
        self._verification.update(part)

    def judge(
        self, check_spf: SpfCheck | None, now: float, trusted_sealers: Collection[str] = ()
    ) -> Inquiry[Judgement]:
        """The body is complete. `now` in seconds since 1970 UTC. Never raises."""
        origin = self._origin
        evaluation = Evaluation(self._author)
        # What the author wants is asked for from the first moment on, and at nobody's cost: the
        # rest is asked of servers that a forger may own. His slow answers delay only themselves,
        # and however many they are, questions are left for the policy that he fears.
        others = Allowance(_QUESTIONS)
        hashed = self._verification.hashed()
        found = yield Together(
            (
                _asked_first(evaluation) if check_spf else _nothing(),
                others.of(check_spf(origin)) if check_spf else _nothing(),
                others.of(self._chain.verdict(hashed, now, trusted_sealers)),
                others.of(iprev.check(origin.ip)),
                others.of(check_spf(replace(origin, sender=None)))
                if check_spf and origin.sender
                else _nothing(),
                *(others.of(each) for each in self._verification.askings(now)),
            )
        )
        _, spf, chain, reverse, helo, *signatures = found
        verdicts: tuple[DkimVerdict, ...] = tuple(signatures)
        dmarc = None
        if spf is not None:
            dmarc = yield from evaluation.verdict(_identifiers(spf, verdicts))
        return Judgement(origin, self._author, reverse, spf, verdicts, chain, dmarc, helo)


_QUESTIONS = 80
"""For all checks but DMARC's: of a hundred about one message that `ExaminerSettings` allows, what
the author wants needs sixteen at most."""


def _asked_first(evaluation: Evaluation) -> Asking[None]:
    yield from evaluation.ask_policy()
    yield from evaluation.ask_organization()


def _nothing() -> Asking[None]:
    yield from ()


def _identifiers(spf: SpfFound, signatures: tuple[DkimVerdict, ...]) -> list[Identifier]:
    found = [Identifier(Method.SPF, spf.domain, spf.result)] if spf.domain else []
    return found + [
        Identifier(Method.DKIM, each.evidence.domain, each.result.value)
        for each in signatures
        if each.evidence.domain
    ]


def _is_within(domain: str, other: str) -> bool:
    domain = domain.lower()
    return bool(other) and (domain == other or domain.endswith("." + other))


def _vouches(finding: Finding, author: str) -> bool:
    if finding.result != "pass" or not author:
        return False
    about = ("header", "from") if finding.method == "dmarc" else ("header", "d")
    domain = (finding.get(*about) or "").lower()
    return finding.method in ("dmarc", "dkim") and domain == author


def _reverse(origin: Origin, found: iprev.ReverseName) -> Finding:
    about = (Property("policy", "iprev", origin.ip),)
    return Finding("iprev", found.result.value, about, comment=found.name)


def _spf(origin: Origin, found: SpfFound) -> Finding:
    # RFC 8601 §2.7.2.
    if origin.sender is None:
        about = Property("smtp", "helo", origin.helo)
    else:
        about = Property("smtp", "mailfrom", str(origin.sender))
    return Finding("spf", found.result, (about,), comment=found.why)


def _dkim(verdict: DkimVerdict, is_suspect: bool) -> Finding:
    evidence = verdict.evidence
    told = (("d", evidence.domain), ("s", evidence.selector), ("a", evidence.algorithm))
    about = tuple(Property("header", name, value) for name, value in told if value)
    if evidence.for_reports:
        about += (Property("policy", "service", "tlsrpt"),)
    if is_suspect:
        about += (Property("policy", "replay", "suspected"),)
    return Finding("dkim", verdict.result.value, about, comment=verdict.why)


def _arc(verdict: ArcVerdict) -> Finding:
    about = (Property("header", "d", verdict.sealers[-1]),) if verdict.sealers else ()
    return Finding("arc", verdict.result.value, about, comment=verdict.why)


def _dmarc(verdict: DmarcVerdict) -> Finding:
    # RFC 9989 §9.1: header.from, and policy.dmarc is the policy after sp, np and t.
    about = [Property("header", "from", verdict.author)] if verdict.author else []
    if verdict.published and verdict.result is DmarcResult.FAIL:
        about.append(Property("policy", "dmarc", verdict.disposition.value))
    return Finding("dmarc", verdict.result.value, tuple(about), comment=verdict.why)
