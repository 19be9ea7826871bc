"""The ARC sets of a message, taken together as the chain that they must be (RFC 8617 §4, §5.2)."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeVar

from merpati.authenticity.dkim.canonical import Canonicalization, canonical_field
from merpati.authenticity.dkim.fields import SignedFields, unsigned_field
from merpati.authenticity.tags import TagError, Tags, parse_tags
from merpati.errors import MerpatiError

T = TypeVar("T")
MAX_SETS = 50
"""RFC 8617 §4.2.1: the greatest instance."""
MAX_TAGS = 1000
"""Of all sets; fifty honest ones have about 900. What a stranger could write took 18 ms to read."""
RESULTS, MESSAGE, SEAL = "arc-authentication-results", "arc-message-signature", "arc-seal"
_RELAXED = Canonicalization.RELAXED
_CLIPPED = 254

# RFC 8617 §4.1.1: arc-info = instance [CFWS] ";" authres-payload; §4.2.1: position = 1*2DIGIT.
_INSTANCE = re.compile(rb"[ \t\r\n]*+i[ \t\r\n]*+=[ \t\r\n]*+([0-9]{1,2})[ \t\r\n]*+;")
_is_instance = re.compile(r"[0-9]{1,2}").fullmatch


class ChainError(MerpatiError):
    """Sets that are no chain; the message says why."""

    def __init__(self, why: str, instance: int = 0) -> None:
        super().__init__(why)
        self.instance = instance
        """Of the set that is at fault; 0: it is none, or it does not say its number."""


@dataclass(frozen=True, slots=True)
class Tagged:
    """A field that is a list of tags."""

    raw: bytes
    tags: Tags


@dataclass(frozen=True, slots=True)
class ArcSet:
    """What one host added: what it found, its signature of the message, its seal on both."""

    results: bytes
    """The field as it came."""
    message: Tagged
    seal: Tagged

    @property
    def validation(self) -> str:
        """cv=: how the host found the chain as it came to it: none, pass or fail."""
        return self.seal.tags.get("cv") or ""

    @property
    def found(self) -> bytes:
        """What the host found, as in an Authentication-Results field."""
        value = self.results.partition(b":")[2]
        opening = _INSTANCE.match(value)
        return value[opening.end() if opening else 0 :].strip()

    @property
    def octets(self) -> bytes:
        """The set as later seals sign it."""
        return self.unsealed + canonical_field(self.seal.raw, _RELAXED)

    @property
    def unsealed(self) -> bytes:
        """The set without its seal, as all seals sign it."""
        fields = (self.results, self.message.raw)
        return b"".join(canonical_field(raw, _RELAXED) for raw in fields)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a seal says of itself, proved or not. Every text is of bounded length."""

    instance: int
    sealer: str
    """d= in lower case."""
    selector: str
    validation: str
    """cv=."""

    @classmethod
    def of(cls, tags: Tags) -> "Claim":
        """Instance 0: it has no number."""
        number = tags.get("i") or ""
        domain, selector, validation = (
            (tags.get(name) or "")[:_CLIPPED].lower() for name in ("d", "s", "cv")
        )
        return cls(int(number) if _is_instance(number) else 0, domain, selector, validation)


@dataclass(frozen=True, slots=True)
class Chain:
    """The sets of a message, the first of them first; none if it never met ARC."""

    sets: tuple[ArcSet, ...] = ()

    @classmethod
    def read(cls, fields: SignedFields) -> "Chain":
        """Raises ChainError: a gap, a part that lacks or is there twice, a cv= out of place, more
        than can be read in a turn of the loop."""
        _check_tags(fields)
        results = _by_instance(fields.raw(RESULTS), _of_results, lambda raw: raw)
        messages = _by_instance(fields.raw(MESSAGE), _of_tagged, _tagged)
        seals = _by_instance(fields.raw(SEAL), _of_tagged, _tagged)
        instances = range(1, max((*results, *messages, *seals), default=0) + 1)
        for instance in instances:
            for name, found in (
                ("ARC-Authentication-Results", results),
                ("ARC-Message-Signature", messages),
                ("ARC-Seal", seals),
            ):
                if instance not in found:
                    raise ChainError(f"set {instance} lacks its {name}", instance)
        chain = cls(tuple(ArcSet(results[i], messages[i], seals[i]) for i in instances))
        chain._check_validations()
        return chain

    @classmethod
    def highest(cls, fields: SignedFields) -> tuple[int, bool]:
        """The greatest instance that any part names, also of sets that are no chain; and whether
        the seal of it says that the chain failed. (0, False): no part names one. Raises ChainError:
        more than can be read."""
        _check_tags(fields)
        raws = [raw for name in (RESULTS, MESSAGE, SEAL) for raw in fields.raw(name)]
        found = [_instance(raw) for raw in raws]
        greatest = max((number for number, _ in found), default=0)
        return greatest, (greatest, "fail") in found

    @property
    def claims(self) -> tuple[Claim, ...]:
        """What each seal says, the first host's first."""
        return tuple(Claim.of(each.seal.tags) for each in self.sets)

    @classmethod
    def claimed(cls, fields: SignedFields) -> tuple[Claim, ...]:
        """The same of sets that are no chain, as far as their seals can be read; of two with one
        number the upper. At most MAX_SETS, and none where they are too long to be read."""
        found: dict[int, Claim] = {}
        if _has_many_tags(fields):
            return ()
        for raw in fields.raw(SEAL)[:MAX_SETS]:
            try:
                claim = Claim.of(_tagged(raw).tags)
            except ChainError:
                continue
            if claim.instance:
                found.setdefault(claim.instance, claim)
        return tuple(found[instance] for instance in sorted(found))

    @property
    def is_broken(self) -> bool:
        """The newest host found it broken, and nobody may mend it (§5.2)."""
        return bool(self.sets) and self.sets[-1].validation == "fail"

    def digests(self) -> Iterator[bytes]:
        """SHA-256 of what the seal of each set signs, the first host's first: all sets before it,
        and its own (§5.1.1). A step for each set, and each is canonicalized and hashed once."""
        before = sha256()
        for each in self.sets:
            unsealed = each.unsealed
            before.update(unsealed)
            own = before.copy()
            own.update(unsigned_field(each.seal.raw, _RELAXED))
            yield own.digest()
            before.update(canonical_field(each.seal.raw, _RELAXED))

    def _check_validations(self) -> None:
        for instance, each in enumerate(self.sets, 1):
            if "h" in each.seal.tags:
                raise ChainError(f"the seal of set {instance} has h=, which it must not", instance)
            expected = "pass" if instance > 1 else "none"
            is_newest = instance == len(self.sets)
            if each.validation != expected and not (is_newest and each.validation == "fail"):
                why = f"the seal of set {instance} does not say what it must of the chain before it"
                raise ChainError(why, instance)


def _check_tags(fields: SignedFields) -> None:
    if _has_many_tags(fields):
        raise ChainError("the sets have more tags than are read")


def _has_many_tags(fields: SignedFields) -> bool:
    raws = (raw for name in (RESULTS, MESSAGE, SEAL) for raw in fields.raw(name))
    return sum(raw.count(b";") for raw in raws) > MAX_TAGS


def _by_instance(
    raws: Sequence[bytes],
    number_of: Callable[[T], str],
    read: Callable[[bytes], T],
) -> dict[int, T]:
    if len(raws) > MAX_SETS:
        raise ChainError(f"more than {MAX_SETS} sets")
    found: dict[int, T] = {}
    for raw in raws:
        part = read(raw)
        number = number_of(part)
        instance = int(number) if _is_instance(number) else 0
        if not instance:
            raise ChainError("a part of a set has no number")
        if instance in found:
            raise ChainError(f"a part of set {instance} is there twice", instance)
        found[instance] = part
    return found


def _instance(raw: bytes) -> tuple[int, str]:
    """The number of any part and its cv=; 0 and nothing where they cannot be read."""
    try:
        tags = parse_tags(raw.partition(b":")[2])
        number, validation = tags.get("i") or "", tags.get("cv") or ""
    except TagError:
        number, validation = _of_results(raw), ""
    return int(number) if _is_instance(number) else 0, validation


def _of_results(raw: bytes) -> str:
    found = _INSTANCE.match(raw.partition(b":")[2])
    return found[1].decode() if found else ""


def _of_tagged(field: Tagged) -> str:
    return field.tags.get("i") or ""


def _tagged(raw: bytes) -> Tagged:
    try:
        return Tagged(raw, parse_tags(raw.partition(b":")[2]))
    except TagError as error:
        raise ChainError(f"a part of a set cannot be read: {error}") from None
