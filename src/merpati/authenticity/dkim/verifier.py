"""Verifying the signatures of a message while it arrives (RFC 6376 §6)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from merpati.authenticity.dkim.body import BodyHashes, Hashed, Wanted
from merpati.authenticity.dkim.content import Content
from merpati.authenticity.dkim.fields import SignedFields, unsigned_field
from merpati.authenticity.dkim.published import PublishedKey, choose_key, find_keys
from merpati.authenticity.dkim.result import Evidence, Result, Verdict
from merpati.authenticity.dkim.signature import (
    Signature,
    SignatureError,
    claimed,
    evidence_of,
    read_signature,
)
from merpati.authenticity.questions import Asking
from merpati.authenticity.tags import TagError, Tags, parse_tags
from merpati.mail.headers import Headers

MAX_SIGNATURES = 10
"""Signatures of one message that are looked at, from the top."""
NAME = "dkim-signature"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A signature that is worth checking, and what it needs to be checked."""

    signature: Signature
    raw: bytes
    """Its own field."""
    fields: SignedFields

    @property
    def signed(self) -> bytes:
        """The octets that are signed; made when they are needed, so that ten keep no copies."""
        form = self.signature.header
        fields = self.fields.canonical(self.signature.signed, form)
        return fields + unsigned_field(self.raw, form)

    @property
    def wanted(self) -> Wanted:
        """The hash of the body that it needs."""
        return Wanted(self.signature.body, self.signature.length)


class Verification:
    """Of one message: made from its header section, fed its body, then asked for the verdicts.

    No input makes it raise. Memory is constant, and time linear in the body for each different
    (canonicalization, l=) of at most ten signatures.
    """

    def __init__(
        self, headers: Headers, also: Iterable[Wanted] = (), fields: SignedFields | None = None
    ) -> None:
        """`also`: hashes of the body that others want, so that it is read once for all; `fields` of
        the same headers, where somebody has them."""
        fields = fields or SignedFields(headers)
        raws = fields.raw(NAME)
        self.ignored = max(0, len(raws) - MAX_SIGNATURES)
        """Signatures that are too many to be looked at."""
        self._found = [_candidate(raw, fields) for raw in raws[:MAX_SIGNATURES]]
        candidates = [each for each in self._found if isinstance(each, Candidate)]
        self._hashes = BodyHashes({*also, *(each.wanted for each in candidates)})
        self._hashed: Mapping[Wanted, Hashed] | None = None

    def update(self, part: bytes) -> None:
        """The next octets of the body."""
        self._hashes.update(part)

    def hashed(self) -> Mapping[Wanted, Hashed]:
        """All that was wanted; there is no more of the body."""
        if self._hashed is None:
            self._hashed = self._hashes.finish()
        return self._hashed

    def verdicts(self, now: float) -> Asking[tuple[Verdict, ...]]:
        """One for each signature, from the top; none where there is none. Ask at the end.

        `now` in seconds since 1970 UTC.
        """
        verdicts: tuple[Verdict, ...] = ()
        for asking in self.askings(now):
            verdicts += ((yield from asking),)
        return verdicts

    def askings(self, now: float) -> tuple[Asking[Verdict], ...]:
        """The same as a check for each signature, which know nothing of one another."""
        hashes = self.hashed()
        return tuple(_verdict(found, hashes, now) for found in self._found)


def verify(content: Sequence[bytes], now: float) -> Asking[tuple[Verdict, ...]]:
    """The verdicts about a message in memory, in parts."""
    begun: list[Verification] = []

    def begin(headers: Headers) -> Verification:
        begun.append(Verification(headers))
        return begun[0]

    splitting = Content(lambda headers: begin(headers).update)
    for part in content:
        splitting.update(part)
    splitting.finish()
    return begun[0].verdicts(now)


def _verdict(
    found: Candidate | Verdict, hashes: Mapping[Wanted, Hashed], now: float
) -> Asking[Verdict]:
    if isinstance(found, Verdict):
        return found
    return (yield from check(found, hashes[found.wanted], now))


def check(candidate: Candidate, body: Hashed, now: float) -> Asking[Verdict]:
    """One signature against the body that came and the keys that the DNS has."""
    signature = candidate.signature
    evidence = _seen(evidence_of(signature), body, now)
    try:
        name, algorithm = signature.key_name, signature.algorithm
        keys = yield from find_keys(name, algorithm, of_reports=True)
    except SignatureError as error:
        return Verdict(error.result, error.why, replace(evidence, key=error.key))
    chosen = choose_key(keys, signature.value, sha256(candidate.signed).digest())
    shown = chosen or keys[0]
    evidence = replace(evidence, key_bits=shown.key.bits, key=shown.seen, testing=shown.key.testing)
    result, why = _judge(signature, evidence, chosen, body)
    if result is Result.PASS and shown.key.for_reports:
        # It proves a report about TLS, and no other mail (RFC 8460 §3).
        result, why = Result.POLICY, "the key is for reports about TLS alone"
        evidence = replace(evidence, for_reports=True)
    if result is Result.FAIL and evidence.testing:
        # RFC 6376 §3.6.1: of a domain that tests, nothing is held against the message.
        result = Result.NEUTRAL
    return Verdict(result, why, evidence)


def _candidate(raw: bytes, fields: SignedFields) -> Candidate | Verdict:
    tags = Tags()
    try:
        tags = parse_tags(raw.partition(b":")[2])
        return Candidate(read_signature(tags), raw, fields)
    except TagError as error:
        return Verdict(Result.NEUTRAL, f"the signature cannot be read: {error}", Evidence())
    except SignatureError as error:
        return Verdict(error.result, error.why, claimed(tags))


def _seen(evidence: Evidence, body: Hashed, now: float) -> Evidence:
    length, expires = evidence.length, evidence.expires
    return replace(
        evidence,
        covers_body=length is None or length >= body.size,
        expired=expires is not None and expires < now,
    )


def _judge(
    signature: Signature, evidence: Evidence, chosen: PublishedKey | None, body: Hashed
) -> tuple[Result, str]:
    is_same = body.digest == signature.body_hash
    if chosen is None:
        why = "the header was altered" if is_same else "header and body were altered"
        return Result.FAIL, f"{why}, or the key is another one"
    if not is_same:
        return Result.FAIL, "the body was altered; the header is as it was signed"
    if signature.length is not None and signature.length > body.size:
        return Result.FAIL, "the body is shorter than what was signed"
    return _accept(signature, evidence, chosen)


def _accept(signature: Signature, evidence: Evidence, key: PublishedKey) -> tuple[Result, str]:
    """Whether a signature that is true is one to go by."""
    if key.key.strict and signature.identity_domain != signature.domain:
        return Result.PERMERROR, "the key is not for domains below"
    if not evidence.covers_body:
        return Result.POLICY, "the end of the body is not signed"
    if evidence.expired:
        return Result.POLICY, "the signature has expired"
    return Result.PASS, ""
