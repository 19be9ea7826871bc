"""DANE (RFC 7672): the certificates that a host's zone vouches for, found and compared.

Whether a host has TLSA records is asked only where its own addresses were validated: the name
servers of unsigned zones are known to fail at such questions (RFC 7672 §2.1.2). No usable answer
is then temporary, and the host is left alone: an attacker could bring that about. An alias in a
signed zone is vouched for there, wherever it leads.

No second opinion by a public authority is asked: usages 0 and 1 are unusable (RFC 7672 §3.1.3).
"""

import asyncio
import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Protocol

from merpati.delivery.mx import Exchanges
from merpati.delivery.transaction import Host
from merpati.dns.errors import DnsBogus, DnsError
from merpati.dns.resolver import Answer, Resolver
from merpati.errors import MerpatiError
from merpati.wire.chain import Certificate, Descent, read_chain, read_key

_PATIENCE = 2.0
"""Seconds in which the zones of a domain's hosts say whose certificates theirs are."""
MAX_RECORDS = 50
"""Usable ones of one host that are looked at."""


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

    @property
    def is_whole(self) -> bool:
        """Whether it has all of what it names, and not a digest."""
        return self.matching == 0


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


class ZoneReader(Resolver, Protocol):
    """A Resolver that also tells what stands at a name itself."""

    async def records(self, name: str, kind: str) -> Answer[str]:
        """Records of a type by its name, as a zone file has them. Raises DnsError."""
        ...


class Dane:
    """Asks a resolver whose word is trusted."""

    def __init__(self, resolver: ZoneReader) -> None:
        self._resolver = resolver

    async def of(self, host: Host) -> Tlsas | None:
        """The records of a host whose name is vouched for; None: no DANE. Raises Undecided."""
        for base in await self._bases(host.name):
            answer = await self._tlsa(host.port, base)
            if answer.secure and answer.records:
                found = (Tlsa(*record) for record in answer.records)
                usable = tuple(
                    itertools.islice((one for one in found if one.is_usable), MAX_RECORDS)
                )
                return Tlsas(base, _strongest(usable))
        return None

    async def backed(self, domain: str, found: Exchanges) -> Exchanges:
        """The hosts of a domain, with the names that they may show a certificate for.

        RFC 7672 §3.2.2: below an anchor a certificate for the domain, or for the end of its alias,
        is as good as one for the host. Such a proof is for that domain alone. So a domain that
        one of whose hosts has an anchor shares its connections with no other; hosts that vouch for
        their own certificates, as nearly all do, stay shared. Who does not say in time may
        have one: a domain by itself loses no more than the sharing.
        """
        if not found.backing.dnssec:
            return found
        async with asyncio.TaskGroup() as group:
            asked = [
                group.create_task(self._may_be_anchored(Host(name, "", found.port)))
                for name in dict.fromkeys(itertools.chain(*found.groups))
            ]
        if not any(one.result() for one in asked):
            return found
        names = tuple(dict.fromkeys(filter(None, (domain, found.alias))))
        return replace(found, backing=replace(found.backing, names=names))

    async def _may_be_anchored(self, host: Host) -> bool:
        try:
            async with asyncio.timeout(_PATIENCE):
                told = await self.of(host)
        except (Undecided, TimeoutError):
            return True
        return told is not None and any(one.usage == Usage.TRUST_ANCHOR for one in told.usable)

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
        ends = dict.fromkeys(answer.alias for answer in answers if answer.alias)
        if all(answer.secure for answer in answers):
            return (*ends, name)
        # RFC 7672 §2.2.2: of an alias that leads into an unsigned zone, the first link decides.
        return (name,) if ends and await self._is_signed(name) else ()

    async def _is_signed(self, alias: str) -> bool:
        try:
            return (await self._resolver.records(alias, "CNAME")).secure
        except DnsError as error:
            raise _undecided(alias, error) from error

    async def _tlsa(self, port: int, base: str) -> Answer[tuple[int, int, int, bytes]]:
        try:
            return await self._resolver.tlsa(port, base)
        except DnsError as error:
            raise _undecided(base, error) from error


def _undecided(name: str, error: DnsError) -> Undecided:
    why = f"the DNS does not say what certificate {name} must have: {error.cause}"
    return Undecided(why, bogus=isinstance(error, DnsBogus))


def _strongest(usable: Sequence[Tlsa]) -> tuple[Tlsa, ...]:
    """Those that are not said again by a stronger digest (RFC 7671 §9); SHA-512 has the higher
    number, too."""
    best: dict[tuple[int, int], int] = {}
    for one in usable:
        kind = (one.usage, one.selector)
        best[kind] = max(best.get(kind, 0), one.matching)
    return tuple(
        one for one in usable if one.is_whole or one.matching == best[one.usage, one.selector]
    )


def prove(
    records: Sequence[Tlsa], chain: Sequence[bytes], names: Sequence[str], now: float
) -> Usage | None:
    """Which kind of record the certificates of a host match; None: it is not the host.

    `chain` as the host sent it (DER), its own first; `now` in seconds since 1970. Below an anchor
    the host's own has to be for one of `names`.
    """
    own = [one for one in records if one.usage == Usage.END_ENTITY]
    if own and chain and _named(chain[0], read_key(chain[0]), own):
        return Usage.END_ENTITY
    anchors = [one for one in records if one.usage == Usage.TRUST_ANCHOR]
    certificates = read_chain(chain) if anchors else []
    if not any(one.is_for(name) for one in certificates[:1] for name in names):
        return None
    return Usage.TRUST_ANCHOR if _anchored(certificates, anchors, now) else None


def _anchored(chain: Sequence[Certificate], anchors: Sequence[Tlsa], now: float) -> bool:
    whole = [one for one in anchors if one.is_whole]
    # RFC 7671 §5.2.2: a record with the whole certificate may stand in for one that is not sent.
    published = [read_chain((one.association,)) for one in whole if one.selector == _WHOLE]
    descent = Descent(chain, [*itertools.chain(*published)], now)
    if any(_named(one.der, one.key, anchors) for one in descent.path[1:]):
        return True
    # RFC 7671 §5.2.3: so may a bare key, which has no name and no limits of its own. Whom it signed
    # it vouches for, wherever that stands in the path.
    return any(descent.ends_at(one.association) for one in whole if one.selector == _KEY)


def _named(der: bytes, key: bytes, records: Sequence[Tlsa]) -> bool:
    """Whether one of these usable records names that certificate or its key; of one whose key is
    empty only the certificate can be named."""
    made: dict[tuple[int, int], bytes] = {}
    for one in records:
        kind = (one.selector, one.matching)
        if one.selector == _KEY and not key:
            continue
        if kind not in made:
            made[kind] = _MATCHING[one.matching][1](der if one.selector == _WHOLE else key)
        if made[kind] == one.association:
            return True
    return False
