"""Where zones begin: at the names that have an SOA record (RFC 1035 §4.3.5, RFC 2308)."""

from typing import Protocol

from merpati.dns.errors import DnsFailure
from merpati.dns.resolver import Answer, Resolver, Soa

MAX_LABELS = 128  # RFC 1035 §3.1: a name of 255 octets has no more.


class Zones(Resolver, Protocol):
    """A resolver that knows where zones begin."""

    async def soa(self, name: str) -> Answer[Soa]:
        """The SOA record, if a zone begins at the name. Raises DnsError."""
        ...


async def zone_of(resolver: Zones, name: str) -> tuple[str, Soa]:
    """The zone that a name lies in and its SOA record: the next name upwards that has one.

    Raises DnsError, also where no name has.
    """
    labels = name.rstrip(".").split(".")[-MAX_LABELS:]
    for start in range(len(labels)):
        zone = ".".join(labels[start:])
        answer = await resolver.soa(zone)
        if answer.records and not answer.alias:
            return zone, answer.records[0]
    raise DnsFailure(f"{name} lies in no zone that the DNS knows")
