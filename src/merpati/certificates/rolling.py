"""A change of a certificate's key, in the order that TLSA records want, so that no mail stays out.

RFC 7671 §8.1: the new record is published beside the old one; twice the time that resolvers keep
what they know (TTL) everybody has both; then the new key is shown; then the old record may go. What
cannot be written by ourselves is told, and nothing goes on before it is seen in the DNS.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from msgspec import structs

from merpati.certificates.cabinet import Rolling
from merpati.certificates.errors import ProofError
from merpati.certificates.zone import ZoneWriter
from merpati.dns.errors import DnsError
from merpati.dns.resolver import Answer, Found
from merpati.dns.update import RecordSet

Tlsa = tuple[int, int, int, bytes]
PORT = 25
"""Of the hosts that other servers hold against their TLSA records (RFC 7672)."""
_EE, _SPKI, _SHA256 = 3, 1, 1
_TTL = 3600
"""Of a record that we add where none says another."""


class Step(Enum):
    """What comes next."""

    WAIT = "wait"
    SWITCH = "switch"
    DONE = "done"


def owner_of(host: str) -> str:
    """The name of a host's TLSA records."""
    return f"_{PORT}._tcp.{host}"


def line_of(host: str, digest: str) -> str:
    """A record for a key, as a zone file has it."""
    return f"{owner_of(host)}. IN TLSA 3 1 1 {digest}"


def hosts_in(names: Sequence[str]) -> list[str]:
    """Those that can have records: a wildcard is no host."""
    return [name for name in names if not name.startswith("*.")]


@dataclass(frozen=True, slots=True)
class _Published:
    """What the DNS has of one host."""

    pins: bool
    """Whether some record holds the key or the certificate itself, so that a new one has to be
    announced; records of authorities (usage 2) do not."""
    digests: frozenset[str]
    ttl: float
    is_certain: bool
    """There is something, or the zone proves that there is nothing (DNSSEC)."""


@dataclass(frozen=True, slots=True)
class Roller:
    """Takes one step at a time; blocks."""

    tlsa: Callable[[str], Answer[Tlsa]]
    """TLSA records of a host's port; raises DnsError."""
    writer: ZoneWriter
    now: Callable[[], float]

    def step(self, names: Sequence[str], rolling: Rolling) -> tuple[Rolling, Step]:
        """Do what can be done now; how it stands then, and what comes next."""
        try:
            told = {host: _published(self.tlsa(host)) for host in hosts_in(names)}
            found = {host: one for host, one in told.items() if one.pins}
            if rolling.switched:
                return self._take_out(found, rolling)
            doubtful = [host for host, one in told.items() if not one.is_certain]
            return self._announce(found, doubtful, rolling)
        except (DnsError, ProofError) as error:
            goes_on = rolling.hurried and not rolling.switched
            rolling = structs.replace(rolling, trouble=str(error))
            return rolling, Step.SWITCH if goes_on else Step.WAIT

    def _announce(
        self, found: dict[str, _Published], doubtful: list[str], rolling: Rolling
    ) -> tuple[Rolling, Step]:
        if missing := [host for host, one in found.items() if rolling.digest not in one.digests]:
            told = "; ".join(self._add(host, found[host], rolling.digest) for host in missing)
            # Whoever took it out again meanwhile begins the time anew.
            step = Step.SWITCH if rolling.hurried else Step.WAIT
            return structs.replace(rolling, seen=0.0, trouble=told), step
        now = self.now()
        rolling = structs.replace(
            rolling,
            seen=(rolling.seen or now) if found else 0.0,
            ttl=max([rolling.ttl, *(one.ttl for one in found.values())]),
            absent=(rolling.absent or now) if doubtful else 0.0,
        )
        is_safe = rolling.hurried or now >= safe_at(rolling)
        why = "" if is_safe else "; ".join(map(_doubt, doubtful))
        return structs.replace(rolling, trouble=why), Step.SWITCH if is_safe else Step.WAIT

    def _take_out(self, found: dict[str, _Published], rolling: Rolling) -> tuple[Rolling, Step]:
        missing = []
        if rolling.hurried:  # Who waited has seen the new record: what is gone, somebody took out.
            missing = [host for host, one in found.items() if rolling.digest not in one.digests]
        left = [host for host, one in found.items() if rolling.old in one.digests]
        if not (missing or left):
            return rolling, Step.DONE
        told = [self._add(host, found[host], rolling.digest) for host in missing]
        told += [self._remove(host, rolling.old) for host in left]
        return structs.replace(rolling, trouble="; ".join(told)), Step.WAIT

    def _add(self, host: str, there: _Published, digest: str) -> str:
        if not self.writer.may_write(owner_of(host)):
            return f"publish beside what is there: {line_of(host, digest)}"
        self.writer.add(_record(host, digest, int(there.ttl) or _TTL))
        return f"was written, and is not seen yet: {line_of(host, digest)}"

    def _remove(self, host: str, digest: str) -> str:
        if not self.writer.may_write(owner_of(host)):
            return f"take out of the DNS: {line_of(host, digest)}"
        self.writer.remove(_record(host, digest, 0))
        return f"was taken out, and is still seen: {line_of(host, digest)}"


def safe_at(rolling: Rolling) -> float:
    """When everybody who asks the DNS knows of the new key; 0.0 while that is not known.

    That there is no record, which nothing proves, is believed after as long: a resolver may not
    have heard yet of one that was just published, or may not pass on what it does not know.
    """
    known = rolling.seen + 2 * rolling.ttl if rolling.seen else 0.0
    return max(known, rolling.absent + 2 * _TTL if rolling.absent else 0.0)


def _doubt(host: str) -> str:
    return f"no TLSA record of {host} is seen, and no DNSSEC proves that there is none: waits"


def _record(host: str, digest: str, ttl: int) -> RecordSet:
    return RecordSet(owner_of(host), "TLSA", (f"3 1 1 {digest}",), ttl)


def _published(answer: Answer[Tlsa]) -> _Published:
    pins = [one for one in answer.records if one[0] == _EE]
    is_certain = answer.found is Found.RECORDS or answer.secure
    return _Published(bool(pins), frozenset(_digests(pins)), answer.ttl, is_certain)


def _digests(records: list[Tlsa]) -> Iterator[str]:
    for usage, selector, matching, octets in records:
        if (usage, selector, matching) == (_EE, _SPKI, _SHA256):
            yield octets.hex()
