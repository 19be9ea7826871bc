"""A change of a certificate's key, in the order that TLSA records want, so that no mail stays out.

RFC 7671 §8.1: the new record is published beside the old one; twice the time that resolvers keep
what they know (TTL) everybody has both; then the new key is shown; then the old record may go. What
cannot be written by ourselves is told, and nothing goes on before it is seen in the DNS.

RFC 7671 §9: of records of one usage and selector a sender looks only at those with the strongest
digest that it knows. So the new key is announced in every form that any key stands there in, or a
`3 1 2` of the old key would hide a `3 1 1` of the new.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from cryptography import x509
from msgspec import structs

from merpati.certificates.cabinet import Rolling
from merpati.certificates.errors import ProofError
from merpati.certificates.tlsa import (
    Identity,
    Published,
    Tlsa,
    hosts_in,
    line_of,
    owner_of,
    public_of,
    published,
    text_of,
)
from merpati.certificates.zone import ZoneWriter
from merpati.dns.errors import DnsError
from merpati.dns.resolver import Answer
from merpati.dns.update import RecordSet

_TTL = 3600
"""Of a record that we add where none says another."""


class Step(Enum):
    """What comes next."""

    WAIT = "wait"
    SWITCH = "switch"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Roller:
    """Takes one step at a time; blocks."""

    tlsa: Callable[[str], Answer[Tlsa]]
    """TLSA records of a host's port; raises DnsError."""
    writer: ZoneWriter
    now: Callable[[], float]

    def step(
        self, names: Sequence[str], rolling: Rolling, key: bytes, shown: Identity
    ) -> tuple[Rolling, Step]:
        """Do what can be done now; how it stands then, and what comes next.

        `key` is the new public key, `shown` what is in use now: after the switch that is the new.
        """
        try:
            told = [published(host, self.tlsa(host)) for host in hosts_in(names)]
            found = [one for one in told if one.wants(shown)]
            if rolling.switched:
                return self._take_out(found, rolling, key)
            doubtful = [one.host for one in told if not one.is_certain]
            return self._announce(found, doubtful, rolling, key)
        except (DnsError, ProofError) as error:
            goes_on = rolling.hurried and not rolling.switched
            rolling = structs.replace(rolling, trouble=str(error))
            return rolling, Step.SWITCH if goes_on else Step.WAIT

    def _announce(
        self, found: list[Published], doubtful: list[str], rolling: Rolling, key: bytes
    ) -> tuple[Rolling, Step]:
        if told := [*map(_forbidden, _unmade(found)), *self._add_missing(found, key)]:
            # Whoever took it out again meanwhile begins the time anew.
            step = Step.SWITCH if rolling.hurried else Step.WAIT
            return structs.replace(rolling, seen=0.0, trouble="; ".join(told)), step
        now = self.now()
        rolling = structs.replace(
            rolling,
            # A time that lies ahead was noted by a clock that was wrong.
            seen=min(rolling.seen or now, now) if found else 0.0,
            ttl=max([rolling.ttl, *(one.ttl for one in found)]),
            absent=min(rolling.absent or now, now) if doubtful else 0.0,
        )
        is_safe = rolling.hurried or now >= safe_at(rolling)
        why = "" if is_safe else "; ".join(map(_doubt, doubtful))
        return structs.replace(rolling, trouble=why), Step.SWITCH if is_safe else Step.WAIT

    def _take_out(
        self, found: list[Published], rolling: Rolling, key: bytes
    ) -> tuple[Rolling, Step]:
        told = [*map(_forbidden, _unmade(found)), *self._add_missing(found, key)]
        told += [
            self._remove(there.host, record)
            for there in found
            for record in there.pins
            if _is_stale(record, rolling)
        ]
        if not told:
            return rolling, Step.DONE
        return structs.replace(rolling, trouble="; ".join(told)), Step.WAIT

    def _add_missing(self, found: list[Published], key: bytes) -> list[str]:
        # One in a form that cannot be made may be all that counts there: nothing is put beside it.
        return [
            self._add(there, record)
            for there in found
            if not there.unmade
            for record in there.missing(key)
        ]

    def _add(self, there: Published, record: Tlsa) -> str:
        line = line_of(there.host, record)
        if not self.writer.may_write(owner_of(there.host)):
            return f"publish beside what is there: {line}"
        self.writer.add(_record(there.host, record, int(there.ttl) or _TTL))
        return f"was written, and is not seen yet: {line}"

    def _remove(self, host: str, record: Tlsa) -> str:
        line = line_of(host, record)
        if not self.writer.may_write(owner_of(host)):
            return f"take out of the DNS: {line}"
        self.writer.remove(_record(host, record, 0))
        return f"was taken out, and is still seen: {line}"


def safe_at(rolling: Rolling) -> float:
    """When everybody who asks the DNS knows of the new key; 0.0 while that is not known.

    That there is no record, which nothing proves, is believed after as long: a resolver may not
    have heard yet of one that was just published, or may not pass on what it does not know.
    """
    known = rolling.seen + 2 * rolling.ttl if rolling.seen else 0.0
    return max(known, rolling.absent + 2 * _TTL if rolling.absent else 0.0)


def _doubt(host: str) -> str:
    return f"no TLSA record of {host} is seen, and no DNSSEC proves that there is none: waits"


def _forbidden(place: tuple[str, Tlsa]) -> str:
    return f"take out first, its form hides the new key and cannot be made here: {line_of(*place)}"


def _unmade(found: Sequence[Published]) -> list[tuple[str, Tlsa]]:
    return [(there.host, record) for there in found for record in there.unmade]


def _is_stale(record: Tlsa, rolling: Rolling) -> bool:
    """Whether a record is of the key or the certificate that was in use before."""
    if rolling.certificate:
        before = x509.load_der_x509_certificate(rolling.certificate)
        return Identity(public_of(before), (rolling.certificate,)).matches(record)
    return False


def _record(host: str, record: Tlsa, ttl: int) -> RecordSet:
    return RecordSet(owner_of(host), "TLSA", (text_of(record),), ttl)
