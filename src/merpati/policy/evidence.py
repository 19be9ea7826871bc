"""What the journal keeps of a judgement: each check, and why it came out as it did."""

from collections.abc import Iterator
from dataclasses import dataclass

from msgspec import structs

from merpati.authenticity.arc.verifier import ArcVerdict, SetFound
from merpati.authenticity.dkim.result import Result
from merpati.authenticity.dkim.result import Verdict as Signature
from merpati.authenticity.dmarc.verdict import Method, Verdict
from merpati.authenticity.judgement import UNSIGNED, Judgement, SpfFound
from merpati.authenticity.seen import Seen
from merpati.journal.events import MAX_TEXT, Check, RecordSeen, SealSeen
from merpati.policy.exhibit import Exhibit, Rank, fit

_MAX_SIGNATURES = 5
"""What a stranger can make the journal grow by is bounded; those that pass stand first."""
_MAX_NAME = 255
_MAX_WHY = 300
_RECORDS = 2048
"""Characters of the records of SPF and of keys with their names, and of seals, together: a key of
RSA with 2,048 bits has 400, so that mail with two signatures keeps them whole, and what SPF was led
to besides. That of DMARC has `MAX_TEXT` of its own, since reports are written by it."""
_SEALS = 600
"""Of these, for seals: any one has room, or ten of honest hosts."""
_SEAL = 20
"""What a seal counts beside its names."""


@dataclass(frozen=True, slots=True)
class _Draft:
    """A check, and what is still to be made fit."""

    check: Check
    exhibits: tuple[Exhibit, ...] = ()


def checks_of(judgement: Judgement) -> tuple[Check, ...]:
    """In the order in which they are told in Authentication-Results. Of bounded size: a record that
    is cut says how long it was, and a check how many there was no room for."""
    drafts = list(_drafts(judgement))
    seals = sum(_size(seal) for draft in drafts for seal in draft.check.seals)
    exhibits = [one for draft in drafts for one in draft.exhibits]
    kept = iter(fit(exhibits, _RECORDS - seals))
    return tuple(_finished(draft, kept) if draft.exhibits else draft.check for draft in drafts)


def _finished(draft: _Draft, kept: Iterator[str | None]) -> Check:
    record, seen, left_off = "", [], draft.check.left_off
    for exhibit in draft.exhibits:
        text = next(kept)
        if text is None:
            left_off += 1
        elif exhibit.is_named:
            seen.append(RecordSeen(exhibit.seen.name, text, exhibit.seen.is_answered))
        else:
            record = text
    return structs.replace(draft.check, record=record, seen=tuple(seen), left_off=left_off)


def _drafts(judgement: Judgement) -> Iterator[_Draft]:
    reverse, spf, dmarc = judgement.reverse, judgement.spf, judgement.dmarc
    about = reverse.name[:_MAX_NAME]
    yield _Draft(Check(method="iprev", result=reverse.result.value, about=about))
    if spf is not None:
        yield _spf(spf, alignment=_alignment(dmarc, Method.SPF, spf.domain))
    if judgement.helo is not None and judgement.helo.result != "none":
        yield _spf(judgement.helo, identity="helo")
    yield from _signatures(judgement)
    if judgement.chain.result is not Result.NONE:
        yield _arc(judgement.chain, judgement.is_vouched_for)
    if dmarc is not None:
        yield _Draft(_dmarc(dmarc))


def _spf(spf: SpfFound, *, identity: str = "", alignment: str = "") -> _Draft:
    check = Check(
        method="spf",
        identity=identity,
        result=spf.result,
        about=spf.domain[:_MAX_NAME],
        why=spf.why[:_MAX_WHY],
        mechanism=spf.mechanism[:_MAX_WHY],
        lookups=spf.lookups,
        void_lookups=spf.void_lookups,
        alignment=alignment,
    )
    own = tuple(Exhibit(Rank.DECISIVE, one, is_named=False) for one in spf.seen[:1])
    others = tuple(Exhibit(_rank(one, spf, identity), one) for one in spf.seen[1:])
    return _Draft(check, own + others)


def _rank(seen: Seen, spf: SpfFound, identity: str) -> Rank:
    if identity:
        return Rank.SECOND
    if seen.name not in spf.path:
        return Rank.BESIDE
    return Rank.DECISIVE if seen.name == spf.path[-1] else Rank.ON_THE_WAY


def _signatures(judgement: Judgement) -> Iterator[_Draft]:
    if not judgement.signatures:
        yield _Draft(Check(method="dkim", result=Result.NONE.value, why=UNSIGNED))
    kept = _foremost(judgement)
    for at, signature in enumerate(kept, 1):
        alignment = _alignment(judgement.dmarc, Method.DKIM, signature.evidence.domain)
        left_off = len(judgement.signatures) - at if at == len(kept) else 0
        yield _dkim(signature, alignment, left_off)


def _dkim(signature: Signature, alignment: str, left_off: int) -> _Draft:
    evidence = signature.evidence
    check = Check(
        method="dkim",
        result=signature.result.value,
        about=evidence.domain[:_MAX_NAME],
        selector=evidence.selector[:_MAX_NAME],
        why=signature.why[:_MAX_WHY],
        alignment=alignment,
        left_off=left_off,
    )
    if evidence.key is None:
        return _Draft(check)
    return _Draft(check, (Exhibit(Rank.DECISIVE, evidence.key, is_named=False),))


def _arc(chain: ArcVerdict, is_vouched_for: bool) -> _Draft:
    seals = _seals(chain.sets)
    check = Check(
        method="arc",
        result=chain.result.value,
        about=chain.sealers[-1][:_MAX_NAME] if chain.sets else "",
        why=chain.why[:_MAX_WHY],
        vouched=chain.sealers[chain.trusted_from - 1] if is_vouched_for else "",
        seals=seals,
        left_off=len(chain.sets) - len(seals),
    )
    keys: dict[str, Exhibit] = {}
    for one in chain.sets:
        if one.key and (_is_bad(one) or one.key.name not in keys):
            rank = Rank.DECISIVE if _is_bad(one) else Rank.PROVED
            keys[one.key.name] = Exhibit(rank, one.key)
    return _Draft(check, tuple(keys.values()))


def _is_bad(one: SetFound) -> bool:
    return one.result not in (None, Result.PASS)


def _seals(sets: tuple[SetFound, ...]) -> tuple[SealSeen, ...]:
    """Those there is room for: the one at fault, then the newest."""
    room, kept = _SEALS, []
    for one in sorted(sets, key=lambda one: (_is_bad(one), one.claim.instance), reverse=True):
        claim = one.claim
        seal = SealSeen(
            claim.instance,
            claim.sealer[:_MAX_NAME],
            claim.selector[:_MAX_NAME],
            claim.validation[:_SEAL],
            one.result.value if one.result else "",
        )
        room -= _size(seal)
        if room < 0:
            break
        kept.append(seal)
    return tuple(sorted(kept, key=lambda seal: seal.instance))


def _size(seal: SealSeen) -> int:
    return len(seal.sealer) + len(seal.selector) + _SEAL


def _foremost(judgement: Judgement) -> list[Signature]:
    """RFC 9990 §2.1.5: those of the author's domain, then others that pass, then the rest."""
    author = judgement.author.domain

    def rank(verdict: Signature) -> tuple[bool, bool]:
        passes = verdict.result is Result.PASS
        return not passes, verdict.evidence.domain != author

    return sorted(judgement.signatures, key=rank)[:_MAX_SIGNATURES]


def _dmarc(dmarc: Verdict) -> Check:
    found = dmarc.published
    why = "; ".join((dmarc.why, *dmarc.flaws))[:_MAX_WHY]
    record = f"{found.name}: {found.record.text}" if found else ""
    if len(record) > MAX_TEXT:  # No mark in it: reports are written by what it says.
        why += f"; the record is longer than the {MAX_TEXT} characters that are kept"
    return Check(
        method="dmarc",
        result=dmarc.result.value,
        about=dmarc.author,
        why=why,
        record=record[:MAX_TEXT],
        asks=dmarc.disposition.value if found else "",
    )


def _alignment(dmarc: Verdict | None, method: Method, domain: str) -> str:
    """Nothing where nobody asked: without a record, or where it could not count."""
    for one in dmarc.checked if dmarc else ():
        if one.identifier.method is method and one.identifier.domain == domain:
            return one.alignment.value
    return ""
