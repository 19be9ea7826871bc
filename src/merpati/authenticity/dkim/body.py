"""Hashes of a body while it arrives, each computed once however many signatures want it."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from merpati.authenticity.dkim.canonical import CanonicalBody, Canonicalization, Take


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a signature says of the body that it signs. The hash is SHA-256, always (RFC 8301)."""

    canon: Canonicalization
    length: int | None = None
    """l=: octets of the canonical body from its beginning; None for all of it."""


@dataclass(frozen=True, slots=True)
class Hashed:
    """The hash of a body, and how much of it that is."""

    digest: bytes
    size: int
    """Octets of the whole canonical body, whatever l= said."""


class BodyHashes:
    """Feed it the body with `update`, then `finish` it once."""

    def __init__(self, wanted: Iterable[Wanted]) -> None:
        self._hashes = {each: _Hash(each.length) for each in wanted}
        forms = {each.canon for each in self._hashes}
        self._bodies = [CanonicalBody(canon, self._take(canon)) for canon in forms]

    def update(self, part: bytes) -> None:
        """The next octets of the body."""
        for body in self._bodies:
            body.update(part)

    def finish(self) -> dict[Wanted, Hashed]:
        """What everybody wanted; there is no more of the body."""
        for body in self._bodies:
            body.finish()
        return {each: hash_.result() for each, hash_ in self._hashes.items()}

    def _take(self, canon: Canonicalization) -> Take:
        takers = [hash_.take for each, hash_ in self._hashes.items() if each.canon is canon]
        if len(takers) == 1:
            return takers[0]

        def take(octets: bytes) -> None:
            for each in takers:
                each(octets)

        return take


class _Hash:
    """One hash over the beginning of a canonical body."""

    def __init__(self, length: int | None) -> None:
        self._sha256 = hashlib.sha256()
        self._length = length
        self._size = 0

    def take(self, octets: bytes) -> None:
        if self._length is None:
            self._sha256.update(octets)
        elif self._size < self._length:
            self._sha256.update(octets[: self._length - self._size])
        self._size += len(octets)

    def result(self) -> Hashed:
        return Hashed(self._sha256.digest(), self._size)
