"""Verifying the chain of a message while it arrives (RFC 8617 §5.2)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from merpati.authenticity.arc.chain import SEAL, Chain, ChainError
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
from merpati.authenticity.questions import Asking
from merpati.authenticity.tags import Tags
from merpati.mail.headers import Headers

_CLIPPED = 4096

Keys = dict[tuple[str, str], tuple[PublishedKey, ...]]


@dataclass(frozen=True, slots=True)
class ArcVerdict:
    """What the check of a chain found, with the evidence."""

    result: Result
    """none, pass or fail; temperror where a key could not be asked for now."""
    why: str = ""
    sealers: tuple[str, ...] = ()
    """Domains of the seals, the first host's first, as far as they are proved or claimed."""
    message: Verdict | None = None
    """Of the newest host's signature of the message."""
    trusted_from: int = 0
    """The first instance from which on all sealers are trusted; 0: not even the newest is."""
    found: str = ""
    """What the host of that instance found, as in Authentication-Results; clipped."""


class ChainVerification:
    """Of one message: made from its header section.

    It needs one hash of the body: `wanted`, to be computed by `BodyHashes` or along with DKIM's by
    `Verification`. No input makes it raise. It asks for a key of each different sealer and for one
    of the message, 51 at most; whoever drives it sets a limit of time.
    """

    def __init__(self, headers: Headers) -> None:
        fields = SignedFields(headers)
        self._chain = Chain()
        self._candidate: Candidate | None = None
        self._fault = ""
        try:
            self._chain = Chain.read(fields)
            self._candidate = _newest(self._chain, fields)
        except ChainError as error:
            self._fault = str(error)
        except SignatureError as error:
            self._fault = f"the newest signature of the message: {error.why}"

    @property
    def wanted(self) -> Collection[Wanted]:
        """Hashes of the body that the verdict needs."""
        return [self._candidate.wanted] if self._candidate else []

    def verdict(
        self, hashed: Mapping[Wanted, Hashed], now: float, trusted: Collection[str] = ()
    ) -> Asking[ArcVerdict]:
        """`now` in seconds since 1970 UTC; `trusted` are domains in A-labels and lower case."""
        if self._fault:
            return ArcVerdict(Result.FAIL, self._fault)
        if self._candidate is None:
            return ArcVerdict(Result.NONE)
        sealers = tuple(each.seal.tags.get("d") or "" for each in self._chain.sets)
        sealers = tuple(domain[:254].lower() for domain in sealers)
        if self._chain.is_broken:
            return ArcVerdict(Result.FAIL, "the newest host found the chain broken", sealers)
        message = yield from check(self._candidate, hashed[self._candidate.wanted], now)
        if message.result is not Result.PASS:
            return ArcVerdict(
                _failed(message.result), f"the message: {message.why}", sealers, message
            )
        try:
            yield from self._check_seals()
        except SignatureError as error:
            return ArcVerdict(_failed(error.result), f"a seal: {error.why}", sealers, message)
        first = _trusted_from(sealers, trusted)
        found = self._chain.sets[first - 1].found if first else b""
        text = found[:_CLIPPED].decode("utf-8", "replace")
        return ArcVerdict(Result.PASS, "", sealers, message, first, text)

    def _check_seals(self) -> Asking[None]:
        """From the newest to the first. Raises SignatureError for one that is not good."""
        keys: Keys = {}
        for instance in range(len(self._chain.sets), 0, -1):
            tags = self._chain.sets[instance - 1].seal.tags
            value = read_base64(tags, "b")
            known = yield from _keys(tags, keys)
            if choose_key(known, value, self._chain.signed(instance)) is None:
                raise SignatureError(Result.FAIL, f"number {instance} was altered")


def _newest(chain: Chain, fields: SignedFields) -> Candidate | None:
    if not chain.sets:
        return None
    newest = chain.sets[-1].message
    signature = read_arc_signature(newest.tags)
    if SEAL in map(str.lower, signature.signed):
        raise ChainError("a signature of the message covers seals, which it must not")
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
