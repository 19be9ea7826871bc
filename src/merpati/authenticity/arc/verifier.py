"""Verifying the chain of a message while it arrives (RFC 8617 §5.2)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from merpati.authenticity.arc.chain import SEAL, Chain, ChainError, Claim
from merpati.authenticity.dkim.body import Hashed, Wanted
from merpati.authenticity.dkim.fields import SignedFields
from merpati.authenticity.dkim.published import PublishedKey, choose_key, find_keys
from merpati.authenticity.dkim.result import Result, Verdict
from merpati.authenticity.dkim.signature import (
    SignatureError,
    read_algorithm,
    read_arc_signature,
    read_base64,
    read_domain,
    read_key_name,
)
from merpati.authenticity.dkim.verifier import Candidate, check
from merpati.authenticity.questions import TURN, Asking
from merpati.authenticity.seen import Seen
from merpati.authenticity.tags import Tags
from merpati.mail.headers import Headers

_CLIPPED = 4096
_FEW = 3
"""Sets of most chains, for whose seals others need no turn between: less than 0.4 ms each."""

Keys = dict[tuple[str, str], tuple[PublishedKey, ...]]


@dataclass(frozen=True, slots=True)
class SetFound:
    """One set of a chain: what its seal says, and what came of it."""

    claim: Claim
    result: Result | None = None
    """Of its seal, and of the newest set's signature of the message. None: nobody looked, since the
    chain had failed before."""
    key: Seen | None = None
    """The record of the seal's key."""


@dataclass(frozen=True, slots=True)
class ArcVerdict:
    """What the check of a chain found, with the evidence."""

    result: Result
    """none, pass or fail; temperror where a key could not be asked for now."""
    why: str = ""
    sets: tuple[SetFound, ...] = ()
    """The first host's first; of what is no chain, as far as its seals can be read."""
    message: Verdict | None = None
    """Of the newest host's signature of the message."""
    trusted_from: int = 0
    """The first instance from which on all sealers are trusted; 0: not even the newest is."""
    found: str = ""
    """What the host of that instance found, as in Authentication-Results; clipped."""

    @property
    def sealers(self) -> tuple[str, ...]:
        """Domains of the seals, the first host's first, as far as they are proved or claimed."""
        return tuple(each.claim.sealer for each in self.sets)


class ChainVerification:
    """Of one message: made from its header section.

    It needs one hash of the body: `wanted`, to be computed by `BodyHashes` or along with DKIM's by
    `Verification`. No input makes it raise. It asks for a key of each different sealer and for one
    of the message, 51 at most; whoever drives it sets a limit of time. What it does is linear in
    the header section but for the seals, each of which is held against two keys at most; between
    them others have their turn.

    Seals are checked whoever is trusted: `arc=` is told to the mailbox, whose owner or filter may
    trust others than we do.
    """

    def __init__(self, headers: Headers, fields: SignedFields | None = None) -> None:
        """`fields` of the same headers, where somebody has them."""
        fields = fields or SignedFields(headers)
        self._chain = Chain()
        self._candidate: Candidate | None = None
        self._faulty = ArcVerdict(Result.NONE)
        try:
            self._chain = Chain.read(fields)
            self._candidate = _newest(self._chain, fields)
        except ChainError as error:
            self._faulty = _failed_at(error.instance, str(error), Chain.claimed(fields))
        except SignatureError as error:
            why = f"the newest signature of the message: {error.why}"
            self._faulty = _failed_at(len(self._chain.sets), why, self._chain.claims)

    @property
    def wanted(self) -> Collection[Wanted]:
        """Hashes of the body that the verdict needs."""
        return [self._candidate.wanted] if self._candidate else []

    def verdict(
        self, hashed: Mapping[Wanted, Hashed], now: float, trusted: Collection[str] = ()
    ) -> Asking[ArcVerdict]:
        """`now` in seconds since 1970 UTC; `trusted` are domains in A-labels and lower case."""
        if self._candidate is None:
            return self._faulty
        sets = [SetFound(claim) for claim in self._chain.claims]
        if self._chain.is_broken:
            return ArcVerdict(Result.FAIL, "the newest host found the chain broken", tuple(sets))
        message = yield from check(self._candidate, hashed[self._candidate.wanted], now)
        if message.result is not Result.PASS:
            result, key = _failed(message.result), message.evidence.key
            sets[-1] = SetFound(sets[-1].claim, result, key)
            return ArcVerdict(result, f"the message: {message.why}", tuple(sets), message)
        yield TURN
        result, why = yield from self._check_seals(sets)
        if result is not Result.PASS:
            return ArcVerdict(result, why, tuple(sets), message)
        first = _trusted_from(tuple(each.claim.sealer for each in sets), trusted)
        found = self._chain.sets[first - 1].found if first else b""
        text = found[:_CLIPPED].decode("utf-8", "replace")
        return ArcVerdict(Result.PASS, "", tuple(sets), message, first, text)

    def _check_seals(self, sets: list[SetFound]) -> Asking[tuple[Result, str]]:
        """From the newest to the first that is not good, and why it is not. What is found of each
        is put into `sets`."""
        keys: Keys = {}
        digests: list[bytes] = []
        for digest in self._chain.digests():
            digests.append(digest)
            if len(sets) > _FEW:
                yield TURN
        for at in reversed(range(len(sets))):
            claim = sets[at].claim
            try:
                key = yield from self._check_seal(claim.instance, digests[at], keys)
            except SignatureError as error:
                result = _failed(error.result)
                sets[at] = SetFound(claim, result, error.key)
                return result, f"the seal of set {claim.instance}: {error.why}"
            sets[at] = SetFound(claim, Result.PASS, key)
            if len(sets) > _FEW:
                yield TURN
        return Result.PASS, ""

    def _check_seal(self, instance: int, digest: bytes, keys: Keys) -> Asking[Seen]:
        """The key that it is good by. Raises SignatureError."""
        tags = self._chain.sets[instance - 1].seal.tags
        value = read_base64(tags, "b")
        known = yield from _keys(tags, keys)
        chosen = choose_key(known, value, digest)
        if chosen is None:
            why = "what it seals was altered, or the key is another one"
            raise SignatureError(Result.FAIL, why, known[0].seen)
        return chosen.seen


def _failed_at(instance: int, why: str, claims: tuple[Claim, ...]) -> ArcVerdict:
    sets = (SetFound(one, Result.FAIL if one.instance == instance else None) for one in claims)
    return ArcVerdict(Result.FAIL, why, tuple(sets))


def _newest(chain: Chain, fields: SignedFields) -> Candidate | None:
    if not chain.sets:
        return None
    newest = chain.sets[-1].message
    signature = read_arc_signature(newest.tags)
    if SEAL in map(str.lower, signature.signed):
        why = "a signature of the message covers seals, which it must not"
        raise ChainError(why, len(chain.sets))
    return Candidate(signature, newest.raw, fields)


def _keys(tags: Tags, known: Keys) -> Asking[tuple[PublishedKey, ...]]:
    algorithm = read_algorithm(tags)
    name = read_key_name(tags, read_domain(tags))
    if (name, algorithm) not in known:
        known[name, algorithm] = yield from find_keys(name, algorithm)
    return known[name, algorithm]


def _failed(result: Result) -> Result:
    return Result.TEMPERROR if result is Result.TEMPERROR else Result.FAIL


def _trusted_from(sealers: tuple[str, ...], trusted: Collection[str]) -> int:
    """Whoever is not trusted may have made the message, and all that was found before, itself."""
    first = len(sealers)
    while first and sealers[first - 1] in trusted:
        first -= 1
    return first + 1 if first < len(sealers) else 0
