"""Zones and the servers that answer for them: found from the resolver downwards, asked themselves.

Strangers write all of it, so everything is counted: the hosts of a zone, their addresses, and the
seconds that one may take.
"""

import asyncio
import socket
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.name
from dns.rdatatype import RdataType

from merpati.clock import Clock
from merpati.dns.client import DnsClient, DnsSettings
from merpati.dns.errors import DnsError
from merpati.dns.exchange import exchange
from merpati.dns.resolver import PORT, addresses_of
from merpati.dns.zone import zone_of

MAX_HOSTS = 13
"""Of one zone that are asked; the root itself has no more."""
_ADDRESSES = 4
"""Of one host."""


@dataclass(frozen=True, slots=True)
class AuthoritySettings:
    """How servers of zones are asked."""

    port: int = PORT
    server_seconds: float = 1.5
    """For one question over UDP and TCP each; it is asked twice."""
    total_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class NameServer:
    """One address of one host."""

    host: str
    address: str


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone as its own records and its parent have it."""

    name: str
    servers: tuple[NameServer, ...]
    """What can be asked from here, of both lists."""
    named: frozenset[str]
    """Hosts that the zone names."""
    delegated: frozenset[str] | None
    """Hosts that the parent names; None: nobody said."""
    without_address: frozenset[str]
    """Hosts that the DNS has no address of."""


class Authorities:
    """Finds zones, each once."""

    def __init__(
        self, resolver: DnsClient, clock: Clock, settings: AuthoritySettings | None = None
    ) -> None:
        self._resolver = resolver
        self._clock = clock
        self._settings = settings or AuthoritySettings()
        self._clients: dict[str, DnsClient] = {}

    async def zone_name(self, name: str) -> str:
        """The zone that a name lies in. Raises DnsError."""
        return (await zone_of(self._resolver, name))[0]

    async def zone(self, name: str) -> Zone:
        """A zone by its own name. Raises DnsError where the resolver does not know its servers."""
        named = frozenset((await self._resolver.ns(name)).records)
        delegated = await self._delegated(name)
        hosts = sorted(named | (delegated or frozenset()))[:MAX_HOSTS]
        found = await asyncio.gather(*(self._addresses(host) for host in hosts))
        servers = [
            NameServer(host, address)
            for host, addresses in zip(hosts, found, strict=True)
            for address in addresses or ()
            if _can_reach(address)
        ]
        nowhere = frozenset(host for host, one in zip(hosts, found, strict=True) if one == ())
        return Zone(name, tuple(servers), named, delegated, nowhere)

    def at(self, address: str) -> DnsClient:
        """Who asks the server at an address for what it has itself."""
        if address not in self._clients:
            mine = self._settings
            settings = DnsSettings(
                ((address, mine.port),),
                server_seconds=mine.server_seconds,
                total_seconds=mine.total_seconds,
                concurrency=8,
                late=0,  # Who is slow is not asked for more.
                authoritative=True,
            )
            self._clients[address] = DnsClient(self._clock, settings)
        return self._clients[address]

    async def _addresses(self, host: str) -> tuple[str, ...] | None:
        try:
            return (await addresses_of(self._resolver, host))[:_ADDRESSES]
        except DnsError:
            return None

    async def _delegated(self, zone: str) -> frozenset[str] | None:
        """What a server of the parent zone says; the first that says anything."""
        _, _, above = zone.partition(".")
        try:
            parent, soa = await zone_of(self._resolver, above)
            hosts = (soa.primary, *(await self._resolver.ns(parent)).records)
        except DnsError:
            return None
        for host in dict.fromkeys(hosts[:3]):
            for address in await self._addresses(host) or ():
                if _can_reach(address) and (said := await self._referral(address, zone)):
                    return said
        return None

    async def _referral(self, address: str, zone: str) -> frozenset[str]:
        """NS records of the zone anywhere in a server's answer; nothing where it has none."""
        name = dns.name.from_text(zone)
        query = dns.message.make_query(name, RdataType.NS, use_edns=0)
        query.flags = dns.flags.Flag(0)
        mine = self._settings
        try:
            response = await exchange(query, (address, mine.port), mine.server_seconds)
        except (dns.exception.DNSException, DnsError, OSError, EOFError, ValueError):
            return frozenset()
        return frozenset(
            rr.target.to_text(omit_final_dot=True).lower()
            for section in (response.answer, response.authority)
            for rrset in section
            if rrset.name == name and rrset.rdtype == RdataType.NS
            for rr in rrset
        )


def _can_reach(address: str) -> bool:
    """Whether this machine has a way there at all; nothing is sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, PORT))
        except OSError:
            return False
    return True
