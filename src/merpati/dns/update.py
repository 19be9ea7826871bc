"""Changes of a zone at its primary: DNS UPDATE (RFC 2136), signed by TSIG (RFC 8945), over TCP.

A change is made whole or not at all. What it expects of the zone goes with it, so that the server
itself refuses when somebody else was quicker:

    zone = await updater.zone_of("_dmarc.a.test")
    await updater.apply(Change(zone, expected=(before,), replaced=(after,)))
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.tsig
import dns.update
from dns.rdatatype import RdataType

from merpati.dns.errors import (
    DnsError,
    DnsTimeout,
    UpdateConflict,
    UpdateError,
    UpdateFailed,
    UpdateRefused,
)
from merpati.dns.exchange import Server, connect, converse
from merpati.dns.key import TsigKey
from merpati.dns.resolver import PORT, addresses_of
from merpati.dns.zone import Zones, zone_of

_ADDRESSES = 8
"""Addresses of a primary that are tried."""


@dataclass(frozen=True, slots=True)
class RecordSet:
    """All records of one type at one name, as a zone file has them: names end in a dot, texts stand
    in quotes. Without values: none."""

    name: str
    kind: str
    values: tuple[str, ...] = ()
    ttl: int = 3600
    """Seconds; nobody compares them."""

    @property
    def texts(self) -> tuple[str, ...]:
        """Of TXT records: the strings of each joined."""
        return tuple(map(_joined, self.values))


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one zone. A name that is an alias takes no other records: the server passes
    over them without a word (RFC 2136 §3.4.2.2)."""

    zone: str
    expected: tuple[RecordSet, ...] = ()
    """What has to be in the zone before, exactly; without values: no such records."""
    deleted: tuple[RecordSet, ...] = ()
    """Records that go; without values: all of that type at that name."""
    replaced: tuple[RecordSet, ...] = ()
    """What is there afterwards, instead of whatever was."""
    added: tuple[RecordSet, ...] = ()
    """What comes to what is there."""


@dataclass(frozen=True, slots=True)
class UpdateSettings:
    """Where changes go, and who signs them."""

    key: TsigKey
    zone: str = ""
    """The zone of all names below it; empty: the DNS says."""
    server: Server | None = None
    """None: the primary that the zone's SOA record names."""
    port: int = PORT
    """Of that primary."""
    seconds: float = 10.0
    """For the whole of a change."""


class Updater:
    """Changes zones by one key. Where a server is set, the resolver best asks that one: it may
    serve another view of the zone than the world sees."""

    def __init__(self, resolver: Zones, settings: UpdateSettings) -> None:
        self._resolver = resolver
        self._settings = settings

    @property
    def names_zone(self) -> bool:
        """Whether the key is for one zone, which was named."""
        return bool(self._settings.zone)

    async def zone_of(self, name: str) -> str:
        """The zone that a name lies in. Raises DnsError."""
        if self._settings.zone:
            return self._settings.zone
        try:
            async with asyncio.timeout(self._settings.seconds):
                return (await zone_of(self._resolver, name))[0]
        except TimeoutError:
            raise DnsTimeout(f"{name}: its zone was not found in time") from None

    async def apply(self, change: Change) -> None:
        """Returns when the primary has made the change. Raises UpdateError, and DnsError where
        the primary cannot be found."""
        message = _message(change, self._settings.key)
        try:
            async with asyncio.timeout(self._settings.seconds):
                servers = await self.servers(change.zone)
                _judge(await self._told(message, servers))
        except TimeoutError:
            raise UpdateFailed("no answer in time; the change may have been made") from None

    async def servers(self, zone: str) -> tuple[Server, ...]:
        """Addresses of the zone's primary. Raises DnsError and UpdateRefused (there is none)."""
        if self._settings.server:
            return (self._settings.server,)
        primary = (await self._resolver.soa(zone)).records
        if not primary:
            raise UpdateRefused(f"{zone} is no zone that the DNS knows")
        addresses = await addresses_of(self._resolver, primary[0].primary)
        if not addresses:
            raise UpdateRefused(f"{primary[0].primary}, the primary of {zone}, has no address")
        return tuple((address, self._settings.port) for address in addresses[:_ADDRESSES])

    async def _told(
        self, message: dns.update.UpdateMessage, servers: tuple[Server, ...]
    ) -> dns.message.Message:
        """The answer of the first server that can be reached. Who took the message is the last:
        to say it to another would be to say it twice."""
        failure = UpdateFailed("no server")
        for server in servers:
            try:
                stream = await connect(server, self._settings.seconds / len(servers))
            except (OSError, dns.exception.Timeout) as error:
                failure = UpdateFailed(f"{_shown(server)}: no connection ({_named(error)})")
                continue
            async with stream:
                return await self._converse(message, stream, server)
        raise failure

    async def _converse(
        self, message: dns.update.UpdateMessage, stream: object, server: Server
    ) -> dns.message.Message:
        try:
            return await converse(message, stream, self._settings.seconds)
        except dns.tsig.PeerError as error:
            raise _refusal(_PEER.get(type(error), "BADSIG")) from error
        except (dns.tsig.BadSignature, dns.tsig.BadTime, dns.message.UnknownTSIGKey) as error:
            raise UpdateFailed(
                f"{_shown(server)}: an answer that is not signed with our key; the change may have "
                "been made"
            ) from error
        except (dns.exception.DNSException, DnsError, OSError, EOFError, ValueError) as error:
            raise UpdateFailed(
                f"{_shown(server)}: no usable answer ({_named(error)}); the change may have been "
                "made"
            ) from error


def _joined(value: str) -> str:
    record: Any = dns.rdata.from_text(dns.rdataclass.IN, RdataType.TXT, value)
    return b"".join(record.strings).decode("ascii", "backslashreplace")


def _message(change: Change, key: TsigKey) -> dns.update.UpdateMessage:
    message = dns.update.UpdateMessage(_absolute(change.zone))
    try:
        for one in change.expected:
            _expect(message, one)
        for one in change.deleted:
            message.delete(_absolute(one.name), one.kind, *one.values)
        for one in change.replaced:
            message.delete(_absolute(one.name), one.kind)
            _add(message, one)
        for one in change.added:
            _add(message, one)
        signing = dns.tsig.Key(_absolute(key.name), key.secret, key.algorithm.value)
    except (dns.exception.DNSException, ValueError) as error:
        raise UpdateError(f"this cannot be written as a change of a zone: {error}") from error
    message.use_tsig(signing)
    return message


def _expect(message: dns.update.UpdateMessage, one: RecordSet) -> None:
    name = _absolute(one.name)
    if one.values:
        message.present(name, one.kind, *one.values)
    else:
        message.absent(name, one.kind)


def _add(message: dns.update.UpdateMessage, one: RecordSet) -> None:
    if one.values:
        message.add(_absolute(one.name), one.ttl, one.kind, *one.values)


def _absolute(name: str) -> dns.name.Name:
    return dns.name.from_text(name)


def _judge(answer: dns.message.Message) -> None:
    """Nothing where the change was made."""
    rcode = answer.rcode()
    if rcode != dns.rcode.NOERROR:
        raise _refusal(dns.rcode.to_text(rcode))
    if not answer.had_tsig:
        # RFC 8945 §5.4: whoever sits between can say that all is well.
        raise UpdateFailed("the answer is not signed; the change may have been made")


_PEER: Mapping[type[dns.tsig.PeerError], str] = {
    dns.tsig.PeerBadKey: "BADKEY",
    dns.tsig.PeerBadSignature: "BADSIG",
    dns.tsig.PeerBadTime: "BADTIME",
    dns.tsig.PeerBadTruncation: "BADTRUNC",
}
_CONFLICTS = {  # RFC 2136 §2.2
    "NXDOMAIN": "a name that was there is gone",
    "YXDOMAIN": "a name is there that was not",
    "NXRRSET": "records are not there any more, or others are",
    "YXRRSET": "records are there that were not",
}
_REFUSALS = {
    "REFUSED": "this key may not make this change (BIND: update-policy)",
    "NOTAUTH": "the server has no such zone, or does not know the key",
    "NOTZONE": "a name does not lie in the zone",
    "NOTIMP": "the server takes no changes",
    "FORMERR": "the server does not understand the change",
    "BADKEY": "the server does not know a key of this name and algorithm",
    "BADSIG": "the server has another secret for the key",
    "BADTIME": "the server's clock and ours are more than five minutes apart",
    "BADTRUNC": "the server wants a longer signature",
}


def _refusal(code: str) -> UpdateError:
    if code in _CONFLICTS:
        return UpdateConflict(f"{code}: {_CONFLICTS[code]}", code)
    if code in _REFUSALS:
        return UpdateRefused(f"{code}: {_REFUSALS[code]}", code)
    return UpdateFailed(f"{code}: the server failed", code)


def _shown(server: Server) -> str:
    return f"{server[0]} port {server[1]}"


def _named(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
