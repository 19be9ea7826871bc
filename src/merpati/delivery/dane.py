"""DANE (RFC 7672): the certificates that a host's zone vouches for, found and compared.

Whether a host has TLSA records is asked only where its own addresses were validated: the name
servers of unsigned zones are known to fail at such questions (RFC 7672 §2.1.2). No usable answer
is then temporary, and the host is left alone: an attacker could bring that about. An alias that
leads from a signed zone into an unsigned one is taken as insecure as a whole.

No second opinion by a public authority is asked: usages 0 and 1 are unusable (RFC 7672 §3.1.3).
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from hmac import compare_digest

from merpati.delivery.transaction import Host
from merpati.dns.errors import DnsBogus, DnsError
from merpati.dns.resolver import Answer, Resolver
from merpati.errors import MerpatiError
from merpati.wire.chain import Certificate, descent, read_chain

MAX_RECORDS = 50
"""Of one host that are looked at."""


class Usage(IntEnum):
    """Whose certificate a record is of (RFC 7218 §2.1); the two that SMTP uses."""

    TRUST_ANCHOR = 2
    """DANE-TA: an authority's above the host's, which must be for the host's name and in time."""
    END_ENTITY = 3
    """DANE-EE: the host's own, whatever names and times it tells."""


_WHOLE, _KEY = 0, 1
"""Selectors: the certificate, or its public key (RFC 6698 §2.1.2)."""
_MATCHING: Mapping[int, tuple[int, Callable[[bytes], bytes]]] = {
    0: (0, lambda octets: octets),
    1: (32, lambda octets: hashlib.sha256(octets).digest()),
    2: (64, lambda octets: hashlib.sha512(octets).digest()),
}
"""By matching type: the length of the data, and how it is made (RFC 6698 §2.1.3)."""


@dataclass(frozen=True, slots=True)
class Tlsa:
    """One TLSA record."""

    usage: int
    selector: int
    matching: int
    association: bytes

    def __str__(self) -> str:
        """As zone files have it (RFC 6698 §2.2)."""
        return f"{self.usage} {self.selector} {self.matching} {self.association.hex()}"

    @property
    def is_usable(self) -> bool:
        """Whether SMTP can do something with it (RFC 7672 §3.1, RFC 7671 §4.1)."""
        if self.usage not in tuple(Usage) or self.selector not in (_WHOLE, _KEY):
            return False
        length, _ = _MATCHING.get(self.matching, (-1, None))
        return bool(self.association) and length in (0, len(self.association))

    def is_of(self, certificate: Certificate) -> bool:
        """Whether this usable record names that certificate or its key."""
        octets = certificate.der if self.selector == _WHOLE else certificate.key
        _, made = _MATCHING[self.matching]
        return compare_digest(made(octets), self.association)


@dataclass(frozen=True, slots=True)
class Tlsas:
    """What a zone says of one host."""

    base: str
    """The name that the records stand at, and that the certificate must be for (usage 2)."""
    usable: tuple[Tlsa, ...]
    """None: the host must encrypt, and there is nothing to check (RFC 7672 §2.2)."""


class Undecided(MerpatiError):
    """The DNS does not say now what a host must prove. Temporary, and no reason to prove less."""

    def __init__(self, why: str, *, bogus: bool = False) -> None:
        super().__init__(why)
        self.bogus = bogus
        """Its signatures are wrong."""


class Dane:
    """Asks a resolver whose word is trusted."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def of(self, host: Host) -> Tlsas | None:
        """The records of a host whose name is vouched for; None: no DANE. Raises Undecided."""
        for base in await self._bases(host.name):
            answer = await self._tlsa(host.port, base)
            if answer.secure and answer.records:
                found = [Tlsa(*record) for record in answer.records[:MAX_RECORDS]]
                return Tlsas(base, tuple(one for one in found if one.is_usable))
        return None

    async def _bases(self, name: str) -> tuple[str, ...]:
        """Names to ask at, the end of an alias first (RFC 7672 §2.2.2); none: insecure."""
        answers: list[Answer[str]] = []
        failure: DnsError | None = None
        for ask in (self._resolver.ipv6, self._resolver.ipv4):
            try:
                answers.append(await ask(name))
            except DnsError as error:
                failure = error  # Where the other family is told, this one is not missed.
        if failure and not answers:
            raise _undecided(name, failure) from failure
        if not all(answer.secure for answer in answers):
            return ()
        ends = dict.fromkeys(answer.alias for answer in answers if answer.alias)
        return (*ends, name)

    async def _tlsa(self, port: int, base: str) -> Answer[tuple[int, int, int, bytes]]:
        try:
            return await self._resolver.tlsa(port, base)
        except DnsError as error:
            raise _undecided(base, error) from error


def _undecided(name: str, error: DnsError) -> Undecided:
    why = f"the DNS does not say what certificate {name} must have: {error.cause}"
    return Undecided(why, bogus=isinstance(error, DnsBogus))


def prove(records: Sequence[Tlsa], chain: Iterable[bytes], name: str, now: float) -> Usage | None:
    """Which kind of record the certificates of a host match; None: it is not the host.

    `chain` as the host sent it (DER), its own first; `now` in seconds since 1970.
    """
    certificates = read_chain(chain)
    if not certificates:
        return None
    own = certificates[0]
    if any(one.usage == Usage.END_ENTITY and one.is_of(own) for one in records):
        return Usage.END_ENTITY
    anchors = [one for one in records if one.usage == Usage.TRUST_ANCHOR]
    if not anchors or not own.is_for(name):
        return None
    # RFC 7671 §5.2.2: a record with the whole certificate may stand in for one that is not sent.
    published = [one.association for one in anchors if (one.selector, one.matching) == (_WHOLE, 0)]
    above = descent(certificates, read_chain(published), now)
    if any(one.is_of(authority) for authority in above for one in anchors):
        return Usage.TRUST_ANCHOR
    return None
