"""The ARC sets of a message, taken together as the chain that they must be (RFC 8617 §4, §5.2)."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from merpati.authenticity.dkim.canonical import Canonicalization, canonical_field
from merpati.authenticity.dkim.fields import SignedFields, unsigned_field
from merpati.authenticity.tags import TagError, Tags, parse_tags
from merpati.errors import MerpatiError

T = TypeVar("T")
MAX_SETS = 50
"""RFC 8617 §4.2.1: the greatest instance."""
RESULTS, MESSAGE, SEAL = "arc-authentication-results", "arc-message-signature", "arc-seal"
_RELAXED = Canonicalization.RELAXED

# RFC 8617 §4.1.1: arc-info = instance [CFWS] ";" authres-payload; §4.2.1: position = 1*2DIGIT.
_INSTANCE = re.compile(rb"[ \t\r\n]*+i[ \t\r\n]*+=[ \t\r\n]*+([0-9]{1,2})[ \t\r\n]*+;")
_is_instance = re.compile(r"[0-9]{1,2}").fullmatch


class ChainError(MerpatiError):
    """Sets that are no chain; the message says why."""


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
        fields = (self.results, self.message.raw, self.seal.raw)
        return b"".join(canonical_field(raw, _RELAXED) for raw in fields)

    @property
    def sealed(self) -> bytes:
        """The set as its own seal signs it."""
        fields = canonical_field(self.results, _RELAXED) + canonical_field(
            self.message.raw, _RELAXED
        )
        return fields + unsigned_field(self.seal.raw, _RELAXED)


@dataclass(frozen=True, slots=True)
class Chain:
    """The sets of a message, the first of them first; none if it never met ARC."""

    sets: tuple[ArcSet, ...] = ()

    @classmethod
    def read(cls, fields: SignedFields) -> "Chain":
        """Raises ChainError: a gap, a part that lacks or is there twice, a cv= out of place."""
        results = _by_instance(fields.raw(RESULTS), _of_results, lambda raw: raw)
        messages = _by_instance(fields.raw(MESSAGE), _of_tagged, _tagged)
        seals = _by_instance(fields.raw(SEAL), _of_tagged, _tagged)
        instances = list(range(1, len(seals) + 1))
        if not sorted(results) == sorted(messages) == sorted(seals) == instances:
            raise ChainError("a part of a set lacks")
        chain = cls(tuple(ArcSet(results[i], messages[i], seals[i]) for i in instances))
        chain._check_validations()
        return chain

    @classmethod
    def highest(cls, fields: SignedFields) -> tuple[int, bool]:
        """The greatest instance that any part names, also of sets that are no chain; and whether
        the seal of it says that the chain failed. (0, False): no part names one."""
        raws = [raw for name in (RESULTS, MESSAGE, SEAL) for raw in fields.raw(name)]
        found = [_instance(raw) for raw in raws]
        greatest = max((number for number, _ in found), default=0)
        return greatest, (greatest, "fail") in found

    @property
    def is_broken(self) -> bool:
        """The newest host found it broken, and nobody may mend it (§5.2)."""
        return bool(self.sets) and self.sets[-1].validation == "fail"

    def signed(self, instance: int) -> bytes:
        """The octets that the seal of a set signs: all sets before it, and its own (§5.1.1)."""
        before = b"".join(each.octets for each in self.sets[: instance - 1])
        return before + self.sets[instance - 1].sealed

    def _check_validations(self) -> None:
        for before, each in enumerate(self.sets):
            if "h" in each.seal.tags:
                raise ChainError("a seal has h=, which it must not")
            expected = "pass" if before else "none"
            is_newest = before == len(self.sets) - 1
            if each.validation != expected and not (is_newest and each.validation == "fail"):
                raise ChainError("a seal does not say what it must of the chain before it")


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
        if not _is_instance(number):
            raise ChainError("a part of a set has no number")
        if int(number) in found:
            raise ChainError("a part of a set is there twice")
        found[int(number)] = part
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
