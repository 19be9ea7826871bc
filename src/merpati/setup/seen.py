"""What the DNS says now about a domain: asked at once, never raising, every answer bounded."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, TypeVar

from merpati.dns.errors import DnsError
from merpati.dns.resolver import EDNS_PAYLOAD, Answer, Resolver
from merpati.setup.record import Kind

MAX_RECORDS = 50
"""Of one name and type that are looked at."""
Place: TypeAlias = tuple[Kind, str]
T = TypeVar("T")


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
    large: frozenset[Place] = frozenset()
    """Where the answer is too long for UDP."""
    aliases: frozenset[Place] = frozenset()
    """Where an alias leads to nothing that who was asked knows."""

    def at(self, kind: Kind, name: str) -> tuple[str, ...] | None:
        """What is there; empty: nothing is; None: nobody knows."""
        return self.values.get((kind, name))

    def with_more(self, more: "Seen") -> "Seen":
        """Both."""
        return Seen(
            {**self.values, **more.values}, self.large | more.large, self.aliases | more.aliases
        )


class Witness(Protocol):
    """Who looks at the DNS, of one resolver or of many servers."""

    async def look(self, places: Iterable[Place]) -> Seen:
        """What is at these places; never raises, and ends in bounded time."""
        ...


class ResolverWitness:
    """What a resolver says."""

    def __init__(self, resolver: Lookups) -> None:
        self._resolver = resolver

    async def look(self, places: Iterable[Place]) -> Seen:
        """Ask for all of these at once."""
        return await look(self._resolver, places)


class PrimaryWitness:
    """What one server has, and for what it does not answer, what a resolver says."""

    def __init__(self, primary: Lookups, resolver: Lookups) -> None:
        self._primary = primary
        self._resolver = resolver

    async def look(self, places: Iterable[Place]) -> Seen:
        """Ask for all of these at once."""
        seen = await look(self._primary, places)
        rest = [place for place, one in seen.values.items() if one is None or place in seen.aliases]
        return seen.with_more(await look(self._resolver, rest))


async def look(resolver: Lookups, places: Iterable[Place]) -> Seen:
    """Ask for all of these at once."""
    async with asyncio.TaskGroup() as group:
        asked = {
            place: group.create_task(_answer(resolver, *place)) for place in dict.fromkeys(places)
        }
    found = {place: task.result() for place, task in asked.items()}
    return Seen(
        {place: one.records[:MAX_RECORDS] if one else None for place, one in found.items()},
        frozenset(place for place, one in found.items() if one and one.octets > EDNS_PAYLOAD),
        frozenset(place for place, one in found.items() if one and one.alias and not one.records),
    )


async def _answer(resolver: Lookups, kind: Kind, name: str) -> Answer[str] | None:
    try:
        return await _ASK[kind](resolver, name)
    except DnsError:
        return None


def _written(answer: Answer[T], write: Callable[[T], str]) -> Answer[str]:
    records = tuple(write(record) for record in answer.records)
    return Answer(answer.found, records, alias=answer.alias, octets=answer.octets)


async def _mx(resolver: Lookups, name: str) -> Answer[str]:
    return _written(await resolver.mx(name), lambda one: f"{one.preference} {_host(one.host)}")


async def _txt(resolver: Lookups, name: str) -> Answer[str]:
    return _written(
        await resolver.txt(name), lambda octets: octets.decode("ascii", "backslashreplace")
    )


async def _tlsa(resolver: Lookups, name: str) -> Answer[str]:
    port, _, host = name.removeprefix("_").partition("._tcp.")
    answer = await resolver.tlsa(int(port), host)
    return _written(answer, lambda one: f"{one[0]} {one[1]} {one[2]} {one[3].hex()}")


async def _srv(resolver: Lookups, name: str) -> Answer[str]:
    return _written(
        await resolver.srv(name), lambda one: f"{one[0]} {one[1]} {one[2]} {_host(one[3])}"
    )


def _host(name: str) -> str:
    """The root, which says that there is none (RFC 7505, RFC 2782), has a name on paper, too."""
    return name or "."


async def _cname(resolver: Lookups, name: str) -> Answer[str]:
    """Where a name leads to: a host, or addresses of its own."""
    answer = await resolver.ipv4(name)
    if not answer.records and not answer.alias:
        answer = await resolver.ipv6(name)
    return Answer(answer.found, (answer.alias,) if answer.alias else answer.records)


_ASK: Mapping[Kind, Callable[[Lookups, str], Awaitable[Answer[str]]]] = {
    Kind.MX: _mx,
    Kind.TXT: _txt,
    Kind.TLSA: _tlsa,
    Kind.SRV: _srv,
    Kind.CNAME: _cname,
    Kind.PTR: lambda resolver, name: resolver.ptr(_address(name)),
    Kind.IPV4: lambda resolver, name: resolver.ipv4(name),
    Kind.IPV6: lambda resolver, name: resolver.ipv6(name),
}


def _address(reverse: str) -> str:
    """The address whose PTR record stands at a name (RFC 1035 §3.5, RFC 3596 §2.5)."""
    labels = reverse.split(".")[:-2][::-1]
    if reverse.endswith(".in-addr.arpa"):
        return ".".join(labels)
    return ":".join("".join(labels[start : start + 4]) for start in range(0, 32, 4))
