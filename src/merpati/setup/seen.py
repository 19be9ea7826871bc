"""What the DNS says now about a domain: asked at once, never raising, every answer bounded."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from merpati.dns.errors import DnsError
from merpati.dns.resolver import Answer, Resolver
from merpati.setup.record import Kind

MAX_RECORDS = 50
"""Of one name and type that are looked at."""
Place: TypeAlias = tuple[Kind, str]


class Lookups(Resolver, Protocol):
    """A resolver that knows services, too."""

    async def srv(self, name: str) -> Answer[tuple[int, int, int, str]]:
        """SRV records as (priority, weight, port, target). Raises DnsError."""
        ...


@dataclass(frozen=True, slots=True)
class Seen:
    """Values by type and name, written as in Record.value."""

    values: Mapping[Place, tuple[str, ...] | None] = field(default_factory=dict)
    """None, or no such key: nobody answered."""

    def at(self, kind: Kind, name: str) -> tuple[str, ...] | None:
        """What is there; empty: nothing is; None: nobody knows."""
        return self.values.get((kind, name))


async def look(resolver: Lookups, places: Iterable[Place]) -> Seen:
    """Ask for all of these at once."""
    async with asyncio.TaskGroup() as group:
        asked = {
            place: group.create_task(_values(resolver, *place)) for place in dict.fromkeys(places)
        }
    return Seen({place: task.result() for place, task in asked.items()})


async def _values(resolver: Lookups, kind: Kind, name: str) -> tuple[str, ...] | None:
    try:
        return tuple(await _written(resolver, kind, name))[:MAX_RECORDS]
    except DnsError:
        return None


async def _written(resolver: Lookups, kind: Kind, name: str) -> Iterable[str]:
    if kind is Kind.MX:
        return (f"{one.preference} {one.host}" for one in (await resolver.mx(name)).records)
    if kind is Kind.TXT:
        records = (await resolver.txt(name)).records
        return (octets.decode("ascii", "backslashreplace") for octets in records)
    if kind is Kind.TLSA:
        port, _, host = name.removeprefix("_").partition("._tcp.")
        found = (await resolver.tlsa(int(port), host)).records
        return (f"{use} {what} {how} {octets.hex()}" for use, what, how, octets in found)
    if kind is Kind.SRV:
        return (" ".join(map(str, one)) for one in (await resolver.srv(name)).records)
    return await _plain(resolver, kind, name)


async def _plain(resolver: Lookups, kind: Kind, name: str) -> Iterable[str]:
    if kind is Kind.PTR:
        return (await resolver.ptr(_address(name))).records
    ask = resolver.ipv4 if kind is Kind.IPV4 else resolver.ipv6
    return (await ask(name)).records


def _address(reverse: str) -> str:
    """The address whose PTR record stands at a name (RFC 1035 §3.5, RFC 3596 §2.5)."""
    labels = reverse.split(".")[:-2][::-1]
    if reverse.endswith(".in-addr.arpa"):
        return ".".join(labels)
    return ":".join("".join(labels[start : start + 4]) for start in range(0, 32, 4))
