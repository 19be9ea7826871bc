"""Which hosts take mail for a domain: its MX records, in the order to try them (RFC 5321 §5.1).

Finding the host names and finding their addresses are two steps: the names decide the site, and are
asked for once a message; the addresses are asked for when a connection is opened.

A **site** is all domains that name exactly the same hosts in the same order of preference: what is
learned about one of them is true for all, and a connection made for one serves all. (Joining hosts
by the look of their names would be wrong twice: `co.uk` is no operator, and a host of one customer
of a large provider refuses the mail of another.)
"""

import ipaddress
import math
from collections.abc import Callable, Iterable, MutableSequence, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import chain, groupby, zip_longest
from typing import Protocol, TypeVar

from merpati.delivery.backing import UNBACKED, Backing
from merpati.delivery.outcome import Result
from merpati.delivery.transaction import Host
from merpati.dns.errors import DnsBogus, DnsError
from merpati.dns.resolver import Answer, Found, Mx, Resolver

DNS_FAILING = "dns-failing"
"""The cause of what waits since the DNS gave no answer."""
T = TypeVar("T")
Shuffle = Callable[[MutableSequence[str]], None]
"""Put in random order, in place: `random.shuffle`."""


@dataclass(frozen=True, slots=True)
class MxSettings:
    """How hosts are looked for."""

    hostname: str = ""
    """Our own name: in an MX list it means that mail for the domain would come back to us."""
    own: frozenset[tuple[str, int]] = frozenset()
    """(IP, port) where we listen; an MX host that leads there is us under another name."""
    port: int = 25
    ipv6: bool = True
    """False: this machine has no way to IPv6 hosts."""
    max_hosts: int = 10
    """MX hosts that are looked at; more would let a stranger's zone keep us busy."""
    max_addresses: int = 20
    """Addresses tried for one connection."""
    max_name: int = 180
    """Longer names of sites end in a digest."""


@dataclass(frozen=True, slots=True)
class Exchanges:
    """The hosts of a domain: names in groups of equal preference, best first."""

    groups: tuple[tuple[str, ...], ...]
    port: int = 25
    from_dns: bool = True
    """False: named by a route, so a host that leads to ourselves is meant."""
    backing: Backing = UNBACKED
    alias: str = ""
    """The end of the domain's alias, where it is one."""
    ttl: float = field(default=math.inf, compare=False)
    """Seconds for which the answer that named them holds."""

    @property
    def name(self) -> str:
        """`a.test,b.test/backup.test`: equals by comma, worse ones behind a slash."""
        return "/".join(",".join(sorted(group)) for group in self.groups)


@dataclass(frozen=True, slots=True)
class NoHosts:
    """Why there is nobody to talk to: what becomes of the mail, in words and as a code."""

    result: Result
    status: str
    reply: str
    cause: str


class Demands(Protocol):
    """Knows what domains demand of their hosts."""

    async def __call__(
        self, domain: str, found: Exchanges, *, is_ours: bool
    ) -> Exchanges | NoHosts:
        """Those that may take its mail, and what they must prove. Whether the mail is that of our
        own people decides how well it is remembered, and nothing else."""
        ...


class HostFinder:
    """Looks up hosts and addresses. Never raises for anything the DNS says."""

    def __init__(self, settings: MxSettings, resolver: Resolver, shuffle: Shuffle) -> None:
        self._settings = settings
        self._resolver = resolver
        self._shuffle = shuffle
        self._ipv4_first = False

    def prefer(self, ipv6: bool) -> None:
        """Which family's address comes first from now on; the other takes the second place."""
        self._ipv4_first = not ipv6

    async def exchanges(self, domain: str) -> Exchanges | NoHosts:
        """The hosts for a recipient domain or address literal."""
        if domain.startswith("["):
            return self._literal(domain)
        try:
            answer = await self._resolver.mx(domain)
        except DnsError as error:
            return _dns_failing(domain, error)
        if answer.found is Found.NO_NAME:
            return self._no_name(domain)
        if answer.found is Found.NO_DATA or not answer.records:
            # RFC 5321 §5.1: without MX the domain is its own MX, of preference 0.
            return _told(self._without_us(domain, (Mx(0, domain),)), answer)
        if _is_null(answer.records):
            # RFC 7505 §4.1: no delivery is tried; 556 with 5.1.10.
            text = f"{domain} says in the DNS that it takes no mail (null MX)"
            return _failed("5.1.10", f"556 5.1.10 {text}", "null-mx")
        return _told(self._without_us(domain, answer.records), answer)

    def _no_name(self, domain: str) -> NoHosts:
        if domain.lower() == self._settings.hostname.lower():
            return _failed("5.1.1", f"{domain} is this server's own name", "own-name")
        # RFC 5321 §5.1: a name that does not exist is reported as an error.
        return _failed("5.1.2", f"the domain {domain} does not exist", "no-such-domain")

    def fixed(self, host: str, port: int) -> Exchanges:
        """The one host that a route names."""
        return Exchanges(((host,),), port, from_dns=False)

    def site(self, exchanges: Exchanges) -> str:
        """The site's name: readable, and different for different hosts."""
        name = exchanges.name
        if len(name) <= self._settings.max_name:
            return name
        digest = blake2b(name.encode(), digest_size=8).hexdigest()
        return f"{name[: self._settings.max_name]}~{digest}"

    async def addresses(self, exchanges: Exchanges) -> tuple[Host, ...] | NoHosts:
        """Addresses in the order to try them, both families in turn, at most `max_addresses`.

        A host that cannot be looked up now is passed over as long as another one can.
        """
        found: list[Host] = []
        failure: NoHosts | None = None
        for group in exchanges.groups:
            hosts = await self._group(group, exchanges.port)
            if isinstance(hosts, NoHosts):
                failure = _worse(failure, hosts)
                continue
            if exchanges.from_dns and any(self._is_own(host) for host in hosts):
                # RFC 5321 §5.1: this host and all of equal or worse preference are left out.
                failure = _worse(failure, _loops_back(exchanges.name))
                break
            found += hosts
            if len(found) >= self._settings.max_addresses:
                break
        return tuple(found[: self._settings.max_addresses]) or failure or _no_address(exchanges)

    async def _group(self, names: Sequence[str], port: int) -> list[Host] | NoHosts:
        order = list(names)
        # RFC 5321 §5.1: hosts of equal preference are tried in random order.
        self._shuffle(order)
        by_host: list[list[Host]] = []
        failure: NoHosts | None = None
        for name in order:
            try:
                by_host.append(await self._of_host(name, port))
            except DnsError as error:
                failure = _dns_failing(name, error)
        hosts = _in_turn(by_host)
        return hosts if hosts or failure is None else failure

    async def _of_host(self, name: str, port: int) -> list[Host]:
        if name.startswith("/"):
            return [Host("", name, 0)]
        if (ip := _ip(name)) is not None:
            return [Host(name, ip, port)]
        ipv6, ipv4 = await self._families(name)
        # One dead family never costs an attempt: the second address is of the other one.
        families = [ipv4, ipv6] if self._ipv4_first else [ipv6, ipv4]
        return [Host(name, ip, port) for ip in _in_turn(families)]

    async def _families(self, name: str) -> tuple[list[str], list[str]]:
        found: list[list[str]] = []
        failure: DnsError | None = None
        questions = [self._resolver.ipv6] if self._settings.ipv6 else []
        for ask in (*questions, self._resolver.ipv4):
            try:
                found.append(list((await ask(name)).records))
            except DnsError as error:
                failure = error
                found.append([])
        if failure and not any(found):
            raise failure
        for ips in found:
            self._shuffle(ips)
        return (found[0], found[1]) if len(found) > 1 else ([], found[0])

    def _literal(self, domain: str) -> Exchanges | NoHosts:
        # RFC 5321 §5.1: a literal is its own destination; no MX is asked for.
        text = domain[1:-1]
        ip = _ip(text.removeprefix("IPv6:").removeprefix("ipv6:"))
        if ip is None:
            return _failed("5.1.3", f"{domain} is no address literal", "address-syntax")
        return Exchanges(((ip,),), self._settings.port)

    def _without_us(self, domain: str, records: Iterable[Mx]) -> Exchanges | NoHosts:
        groups = self._groups(records)
        us = self._settings.hostname.lower()
        ours = next((n for n, group in enumerate(groups) if us in group), len(groups))
        if not groups:
            return _failed("5.4.4", f"the MX records of {domain} name no host", "no-address")
        if ours == 0:
            return _loops_back(domain)
        # RFC 5321 §5.1: hosts of our own preference or worse would only send it back to us.
        return Exchanges(tuple(groups[:ours]), self._settings.port)

    def _groups(self, records: Iterable[Mx]) -> list[tuple[str, ...]]:
        """Names in groups of equal preference, the best `max_hosts` of them."""
        best = sorted(records, key=lambda mx: mx.preference)[: self._settings.max_hosts]
        groups = (
            tuple(dict.fromkeys(name for mx in equals if (name := mx.host.rstrip(".").lower())))
            for _, equals in groupby(best, key=lambda mx: mx.preference)
        )
        return [group for group in groups if group]

    def _is_own(self, host: Host) -> bool:
        return (host.ip, host.port) in self._settings.own


def _told(found: Exchanges | NoHosts, answer: Answer[Mx]) -> Exchanges | NoHosts:
    if isinstance(found, NoHosts):
        return found
    return replace(found, backing=Backing(answer.secure), alias=answer.alias, ttl=answer.ttl)


def _ip(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def _is_null(records: Sequence[Mx]) -> bool:
    # RFC 7505 §3: null only when it stands alone.
    return len(records) == 1 and records[0].host in ("", ".")


def _in_turn(lists: Sequence[Sequence[T]]) -> list[T]:
    """The first of each, then the second of each."""
    return [one for one in chain.from_iterable(zip_longest(*lists)) if one is not None]


def _failed(status: str, reply: str, cause: str) -> NoHosts:
    return NoHosts(Result.FAILED, status, reply, cause)


def _dns_failing(name: str, error: DnsError) -> NoHosts:
    cause = "dnssec-bogus" if isinstance(error, DnsBogus) else DNS_FAILING
    text = f"the DNS gave no answer for {name}: {error}"
    return NoHosts(Result.DEFERRED, "4.4.3", text, cause)


def _loops_back(name: str) -> NoHosts:
    return _failed("5.4.6", f"mail for {name} loops back to myself", "loops-back")


def _no_address(exchanges: Exchanges) -> NoHosts:
    text = f"none of the mail hosts {exchanges.name} has an address"
    if not exchanges.from_dns:
        # Whoever wrote the route can mend it, or the DNS that is seen from here.
        return NoHosts(Result.DEFERRED, "4.4.4", text, "route-unreachable")
    return _failed("5.4.4", text, "no-address")


def _worse(one: NoHosts | None, other: NoHosts) -> NoHosts:
    """What may yet change decides: temporary wins over permanent."""
    return one if one and one.result is Result.DEFERRED else other
