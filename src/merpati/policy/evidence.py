"""What the journal keeps of a judgement: each check, and why it came out as it did."""

from collections.abc import Iterator

from merpati.authenticity.dkim.result import Result
from merpati.authenticity.dkim.result import Verdict as Signature
from merpati.authenticity.dmarc.verdict import Method, Verdict
from merpati.authenticity.judgement import Judgement, SpfFound
from merpati.journal.events import MAX_TEXT, Check

_MAX_SIGNATURES = 5
"""What a stranger can make the journal grow by is bounded; those that pass stand first."""
_MAX_NAME = 255
_MAX_RECORD = 300
_MAX_KEY = 100
"""Octets of a DKIM key's record that are kept: what it is for, and which key it is."""


def checks_of(judgement: Judgement) -> tuple[Check, ...]:
    """In the order in which they are told in Authentication-Results. Of bounded size."""
    return tuple(_checks(judgement))


def _checks(judgement: Judgement) -> Iterator[Check]:
    reverse, spf, chain = judgement.reverse, judgement.spf, judgement.chain
    yield Check(method="iprev", result=reverse.result.value, about=reverse.name[:_MAX_NAME])
    if spf is not None:
        yield _spf(spf, alignment=_alignment(judgement.dmarc, Method.SPF, spf.domain))
    if judgement.helo is not None and judgement.helo.result != "none":
        yield _spf(judgement.helo, identity="helo")
    for signature in _foremost(judgement):
        evidence = signature.evidence
        yield Check(
            method="dkim",
            result=signature.result.value,
            about=evidence.domain[:_MAX_NAME],
            selector=evidence.selector[:_MAX_NAME],
            why=signature.why[:_MAX_RECORD],
            record=evidence.record[:_MAX_KEY],
            alignment=_alignment(judgement.dmarc, Method.DKIM, evidence.domain),
        )
    if chain.sealers:
        vouched = chain.sealers[chain.trusted_from - 1] if judgement.is_vouched_for else ""
        sealer = chain.sealers[-1][:_MAX_NAME]
        why = chain.why[:_MAX_RECORD]
        yield Check(method="arc", result=chain.result.value, about=sealer, why=why, vouched=vouched)
    if judgement.dmarc is not None:
        yield _dmarc(judgement.dmarc)


def _spf(spf: SpfFound, *, identity: str = "", alignment: str = "") -> Check:
    return Check(
        method="spf",
        identity=identity,
        result=spf.result,
        about=spf.domain[:_MAX_NAME],
        why=spf.why[:_MAX_RECORD],
        mechanism=spf.mechanism[:_MAX_RECORD],
        lookups=spf.lookups,
        void_lookups=spf.void_lookups,
        record=spf.record[:_MAX_RECORD],
        alignment=alignment,
    )


def _foremost(judgement: Judgement) -> list[Signature]:
    """RFC 9990 §2.1.5: those of the author's domain, then others that pass, then the rest."""
    author = judgement.author.domain

    def rank(verdict: Signature) -> tuple[bool, bool]:
        passes = verdict.result is Result.PASS
        return not passes, verdict.evidence.domain != author

    return sorted(judgement.signatures, key=rank)[:_MAX_SIGNATURES]


def _dmarc(dmarc: Verdict) -> Check:
    found = dmarc.published
    return Check(
        method="dmarc",
        result=dmarc.result.value,
        about=dmarc.author,
        why="; ".join((dmarc.why, *dmarc.flaws))[:_MAX_RECORD],
        record=f"{found.name}: {found.record.text}"[:MAX_TEXT] if found else "",
        asks=dmarc.disposition.value if found else "",
    )


def _alignment(dmarc: Verdict | None, method: Method, domain: str) -> str:
    """Nothing where nobody asked: without a record, or where it could not count."""
    for one in dmarc.checked if dmarc else ():
        if one.identifier.method is method and one.identifier.domain == domain:
            return one.alignment.value
    return ""
