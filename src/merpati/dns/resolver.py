"""What we may ask the DNS, and what an answer is."""

from dataclasses import dataclass
from enum import Enum
from socket import AF_INET, AF_INET6, inet_pton
from typing import Generic, Protocol, TypeVar

from merpati.dns.errors import DnsError

PORT = 53  # RFC 1035 §4.2
# https://dnsflagday.net/2020: what passes every path unfragmented.
EDNS_PAYLOAD = 1232
MAX_ANSWER = 16 * 1024
"""Octets of a response over TCP. To read one of 64 KiB takes 200 ms in which nothing else is done,
and whoever sends mail chooses what is asked; all that honest domains have is less than 10 KiB."""
RECORD_LIMIT = MAX_ANSWER // 16
"""Records of one answer that are kept: no answer has room for more addresses, each of them at least
a name's pointer, ten octets and its own four (RFC 1035 §4.1.3, §4.1.4)."""
T = TypeVar("T")


class Found(Enum):
    """How a question was answered; no answer at all raises DnsError instead."""

    RECORDS = "records"
    NO_DATA = "no data"
    NO_NAME = "no such name"


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """Records of one type at one name."""

    found: Found
    records: tuple[T, ...] = ()
    ttl: float = 0.0
    secure: bool = False
    """The AD bit from a resolver that is trusted to validate (RFC 7672 §2.1)."""
    alias: str = ""
    """The name at the end of a chain of CNAMEs, where the name that was asked for begins one."""
    octets: int = 0
    """Of the last response."""


@dataclass(frozen=True, slots=True)
class Mx:
    """One MX record; host `.` or empty with preference 0 is a null MX (RFC 7505)."""

    preference: int
    host: str


@dataclass(frozen=True, slots=True)
class Soa:
    """The record at the top of a zone (RFC 1035 §3.3.13), as far as anybody asks for it."""

    primary: str
    """Host that has the zone's original, to which changes go (RFC 2136 §1)."""
    serial: int


class Resolver(Protocol):
    """Questions with one answer each. Names are A-labels without a final dot.

    Every method raises DnsError when no usable answer came: time-out, SERVFAIL, bogus, nonsense.
    That is always temporary. Answers are cached within a bound and asked for once at a time.
    """

    async def mx(self, domain: str) -> Answer[Mx]:
        """MX records, unsorted."""
        ...

    async def ipv4(self, host: str) -> Answer[str]:
        """A records, CNAMEs followed."""
        ...

    async def ipv6(self, host: str) -> Answer[str]:
        """AAAA records, CNAMEs followed."""
        ...

    async def txt(self, name: str) -> Answer[bytes]:
        """TXT records, the strings of each joined."""
        ...

    async def ptr(self, ip: str) -> Answer[str]:
        """Names of an address."""
        ...

    async def tlsa(self, port: int, host: str) -> Answer[tuple[int, int, int, bytes]]:
        """TLSA records of `_port._tcp.host` as (usage, selector, matching, association)."""
        ...


def packed(ip: str) -> bytes:
    """The octets of the address in an A or AAAA record; `ipaddress` takes ten times as long."""
    return inet_pton(AF_INET6 if ":" in ip else AF_INET, ip)


async def addresses_of(resolver: Resolver, host: str) -> tuple[str, ...]:
    """Addresses of both families. DnsError when neither gave an answer."""
    found: list[str] = []
    failures: list[DnsError] = []
    for ask in (resolver.ipv4, resolver.ipv6):
        try:
            found += (await ask(host)).records
        except DnsError as error:
            failures.append(error)
    if failures and not found:
        raise failures[0]
    return tuple(found)
