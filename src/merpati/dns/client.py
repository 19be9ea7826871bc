"""A stub resolver over dnspython.

A question goes through the cache, then waits for the same question if one is under way, then for
a place, then goes through the servers in turn until one gives an answer that can be used. Strangers
write the answers: what has the wrong id or question is passed over as if it had not come, and
everything that cannot be used ends as DnsError.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar, cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.resolver
import dns.reversename
from dns.rdatatype import RdataType

from merpati.clock import Clock
from merpati.dns.cache import Cache
from merpati.dns.errors import DnsBogus, DnsError, DnsFailure, DnsNonsense, DnsTimeout
from merpati.dns.exchange import exchange
from merpati.dns.places import Places
from merpati.dns.resolver import EDNS_PAYLOAD, RECORD_LIMIT, Answer, Found, Mx, Soa

CNAME_LIMIT = 8
"""Links of a chain of aliases that are followed."""
ROUNDS = 2
"""How often each server is asked."""
_PIECE = 512
_NO_TTL = 2**31 - 1  # What dnspython says when nothing in an answer bounds its life.

T = TypeVar("T")
Key = tuple[dns.name.Name, RdataType]
Records = Answer[dns.rdata.Rdata]


@dataclass(frozen=True, slots=True)
class DnsSettings:
    """How the DNS is asked."""

    servers: tuple[tuple[str, int], ...] = ()
    """(IP, port) in the order they are asked; none: those of the system's resolv.conf."""
    trusted: bool = False
    """Believe the AD bit: the servers validate, and nobody sits between them and us."""
    server_seconds: float = 5.0
    """How long one server is waited for, by UDP and TCP each."""
    total_seconds: float = 20.0
    """How long one question may take, whatever it leads to and whatever it waits for."""
    concurrency: int = 100
    """Questions under way at a time that are not late."""
    late: int = 1000
    """Questions beside them that have waited for a `moment`; the oldest ends beyond that, as one
    that nobody answered. With 0 every question is among the others until its end."""
    moment: float = 0.2
    """Seconds in which healthy names are mostly answered (unbound's `jostle-timeout` too)."""
    cache_size: int = 20_000
    """Pieces of 512 octets that the kept answers take in all, each at least one: few take more."""
    min_ttl: float = 5.0
    max_ttl: float = 86_400.0
    max_negative_ttl: float = 3600.0
    """Seconds for "no such name" and "no data", whatever the SOA record says (RFC 2308 §5)."""
    authoritative: bool = False
    """The servers are asked for what they have themselves, and believed that alone. An alias that
    leads out of it has no records here."""
    failure_ttl: float = 5.0
    """Seconds that a failure is remembered (RFC 9520 §3.2 wants at least one)."""


def system_servers() -> tuple[tuple[str, int], ...]:
    """The servers of the system's resolv.conf; this host's own where there is none."""
    try:
        system = dns.resolver.Resolver()
    except dns.resolver.NoResolverConfiguration:
        return (("127.0.0.1", 53),)
    return tuple((str(server), system.port) for server in system.nameservers)


class DnsClient:
    """Implements Resolver."""

    def __init__(self, clock: Clock, settings: DnsSettings | None = None) -> None:
        self._clock = clock
        self._settings = settings or DnsSettings()
        self._servers = self._settings.servers or system_servers()
        self._cache: Cache[Key, Records | DnsError] = Cache(self._settings.cache_size)
        self._flights: dict[Key, asyncio.Event] = {}
        mine = self._settings
        self._places = Places(mine.concurrency, mine.late, mine.moment)

    async def mx(self, domain: str) -> Answer[Mx]:
        """MX records, unsorted. The host of a null MX is empty (RFC 7505)."""
        answer = await self._ask(domain, RdataType.MX)
        return _mapped(answer, lambda rr: Mx(rr.preference, _text(rr.exchange)))

    async def ipv4(self, host: str) -> Answer[str]:
        """A records, CNAMEs followed."""
        return _mapped(await self._ask(host, RdataType.A), lambda rr: rr.address)

    async def ipv6(self, host: str) -> Answer[str]:
        """AAAA records, CNAMEs followed."""
        return _mapped(await self._ask(host, RdataType.AAAA), lambda rr: rr.address)

    async def txt(self, name: str) -> Answer[bytes]:
        """TXT records, the strings of each joined."""
        return _mapped(await self._ask(name, RdataType.TXT), lambda rr: b"".join(rr.strings))

    async def ptr(self, ip: str) -> Answer[str]:
        """Names of an address."""
        try:
            name = str(dns.reversename.from_address(ip))
        except dns.exception.SyntaxError:
            return Answer(Found.NO_NAME)
        return _mapped(await self._ask(name, RdataType.PTR), lambda rr: _text(rr.target))

    async def tlsa(self, port: int, host: str) -> Answer[tuple[int, int, int, bytes]]:
        """TLSA records of `_port._tcp.host` as (usage, selector, matching, association)."""
        answer = await self._ask(f"_{port}._tcp.{host}", RdataType.TLSA)
        return _mapped(answer, lambda rr: (rr.usage, rr.selector, rr.mtype, rr.cert))

    async def srv(self, name: str) -> Answer[tuple[int, int, int, str]]:
        """SRV records as (priority, weight, port, target)."""
        answer = await self._ask(name, RdataType.SRV)
        return _mapped(answer, lambda rr: (rr.priority, rr.weight, rr.port, _text(rr.target)))

    async def ns(self, zone: str) -> Answer[str]:
        """Hosts that answer for a zone, as the zone itself says."""
        return _mapped(await self._ask(zone, RdataType.NS), lambda rr: _text(rr.target))

    async def soa(self, name: str) -> Answer[Soa]:
        """The SOA record, if a zone begins at the name."""
        answer = await self._ask(name, RdataType.SOA)
        return _mapped(answer, lambda rr: Soa(_text(rr.mname), rr.serial))

    async def records(self, name: str, kind: str) -> Answer[str]:
        """Records of a type by its name, as a zone file has them."""
        answer = await self._ask(name, RdataType.make(kind))
        return _mapped(answer, lambda rr: rr.to_text())

    async def _ask(self, text: str, kind: RdataType) -> Records:
        name = _name(text)
        if name is None:
            return Answer(Found.NO_NAME)
        key = (name, kind)
        while (known := self._cache.get(key, self._clock.monotonic())) is None:
            if flight := self._flights.get(key):
                await flight.wait()
            else:
                await self._fly(key)
        if isinstance(known, DnsError):
            raise type(known)(known.cause)
        return known

    async def _fly(self, key: Key) -> None:
        """Ask for all who want to know, and leave the answer or the failure in the cache.

        If the one who asks is cancelled, the next of those who wait asks anew.
        """
        flight = self._flights[key] = asyncio.Event()
        try:
            known, octets = await self._resolve(*key)
            ttl = known.ttl if isinstance(known, Answer) else self._settings.failure_ttl
            expires = self._clock.monotonic() + ttl
            self._cache.put(key, known, expires, weight=1 + octets // _PIECE)
        finally:
            del self._flights[key]
            flight.set()

    async def _resolve(
        self, name: dns.name.Name, kind: RdataType
    ) -> tuple[Records | DnsError, int]:
        """What came, and how many octets it took."""
        try:
            async with (
                asyncio.timeout(self._settings.total_seconds) as deadline,
                self._places.place(deadline),
            ):
                return await self._follow(name, kind)
        except TimeoutError:
            return DnsTimeout(f"{_text(name)} {kind.name}: no answer in time"), 0
        except DnsError as error:
            return type(error)(f"{_text(name)} {kind.name}: {error.cause}"), 0

    async def _follow(self, name: dns.name.Name, kind: RdataType) -> tuple[Records, int]:
        """Ask, and ask on where an alias leads out of what the answer holds."""
        asked, links = name, 0
        secure, ttl = self._settings.trusted, float(_NO_TTL)
        while True:
            response = await self._query(name, kind)
            chain = _chain(response)
            links += len(chain.cnames)
            if links > CNAME_LIMIT:
                raise DnsNonsense(f"more than {CNAME_LIMIT} aliases in a row")
            secure = secure and bool(response.flags & dns.flags.AD)
            ttl = min(ttl, chain.minimum_ttl)
            if self._settings.authoritative or not _leads_on(response, chain):
                end = chain.canonical_name
                alias = "" if end == asked else _text(end)
                answer = self._answer(response, chain, ttl)
                octets = len(response.wire or b"")
                return replace(answer, secure=secure, alias=alias, octets=octets), octets
            name = chain.canonical_name

    def _answer(
        self, response: dns.message.Message, chain: dns.message.ChainingResult, ttl: float
    ) -> Records:
        settings = self._settings
        if chain.answer is not None:
            records = tuple(list(chain.answer)[:RECORD_LIMIT])
            bounded = max(settings.min_ttl, min(ttl, settings.max_ttl))
            return Answer(Found.RECORDS, records, bounded)
        found = Found.NO_NAME if response.rcode() == dns.rcode.NXDOMAIN else Found.NO_DATA
        # RFC 2308 §5: without a SOA record there is nothing that says how long "no" holds.
        ttl = settings.min_ttl if ttl == _NO_TTL else ttl
        return Answer(found, (), max(settings.min_ttl, min(ttl, settings.max_negative_ttl)))

    async def _query(self, name: dns.name.Name, kind: RdataType) -> dns.message.QueryMessage:
        """The first usable response of any server."""
        failure: DnsError = DnsTimeout("no server answered in time")
        for server in self._servers * ROUNDS:
            try:
                return await self._query_one(name, kind, server)
            except DnsError as error:
                failure = error
        if type(failure) is DnsFailure and await self._is_bogus(name, kind):
            raise DnsBogus("the answer is not what its zone signed (DNSSEC: bogus)")
        raise failure

    async def _is_bogus(self, name: dns.name.Name, kind: RdataType) -> bool:
        """Whether a server that validates has an answer, which it does not believe."""
        if not self._settings.trusted:
            return False
        try:
            # RFC 4035 §3.2.2: with CD it says what it has, unchecked. That is looked at no further.
            await self._query_one(name, kind, self._servers[0], dns.flags.CD)
        except DnsError:
            return False
        return True

    async def _query_one(
        self,
        name: dns.name.Name,
        kind: RdataType,
        server: tuple[str, int],
        # RFC 6840 §5.7: tell us whether you have validated this.
        flags: dns.flags.Flag = dns.flags.AD,
    ) -> dns.message.QueryMessage:
        query = dns.message.make_query(name, kind, use_edns=0, payload=EDNS_PAYLOAD)
        query.flags = dns.flags.Flag(0) if self._settings.authoritative else query.flags | flags
        try:
            response = await exchange(query, server, self._settings.server_seconds)
        except dns.exception.Timeout as error:
            raise DnsTimeout("no server answered in time") from error
        except (dns.exception.DNSException, OSError, EOFError, ValueError) as error:
            raise DnsNonsense(f"no usable answer ({type(error).__name__})") from error
        if self._settings.authoritative and not response.flags & dns.flags.AA:
            raise DnsFailure(f"the server does not answer for {_text(name)} ({_rcode(response)})")
        return _usable(response)


def _rcode(response: dns.message.Message) -> str:
    return dns.rcode.to_text(response.rcode())


def _usable(response: dns.message.Message) -> dns.message.QueryMessage:
    rcode = response.rcode()
    if rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        raise DnsFailure(f"the server says {_rcode(response)}")
    if not isinstance(response, dns.message.QueryMessage):
        raise DnsNonsense("no answer to a question")
    return response


def _chain(response: dns.message.QueryMessage) -> dns.message.ChainingResult:
    try:
        return response.resolve_chaining()
    except dns.exception.DNSException as error:
        raise DnsNonsense(f"an answer that makes no sense ({type(error).__name__})") from error


def _leads_on(response: dns.message.Message, chain: dns.message.ChainingResult) -> bool:
    """An alias whose end is neither answered nor denied here (RFC 2308 §2.2: denial has a SOA)."""
    return (
        bool(chain.cnames)
        and chain.answer is None
        and response.rcode() == dns.rcode.NOERROR
        and not any(rrset.rdtype == RdataType.SOA for rrset in response.authority)
    )


def _name(text: str) -> dns.name.Name | None:
    """The name, or None for text that no name can be: it does not exist, now or later."""
    if not text.isascii() or "\\" in text:
        return None
    try:
        return dns.name.from_text(text.lower())
    except dns.exception.DNSException:
        return None


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower().removesuffix(".")


def _mapped(answer: Records, value: Callable[..., T]) -> Answer[T]:
    records = tuple(value(record) for record in answer.records)
    return replace(cast(Answer[T], answer), records=records)
