"""What each server of a zone has, and where they are not as servers of one zone should be.

Whoever sends mail to a domain asks any of them, so one that is wrong is wrong for some of the mail
some of the time, and a resolver that happens to ask another hides it.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from merpati.dns.authority import Authorities, NameServer, Zone
from merpati.dns.errors import DnsError, DnsTimeout
from merpati.setup.record import Kind
from merpati.setup.seen import Lookups, Place, Seen, look

SECONDS = 20.0
"""For one look at all servers; who has not answered by then is silent."""
_MAX_ZONES = 5
_HALF = 2**31


class Trouble(Enum):
    """What is wrong with a server, or between two."""

    SILENT = "silent"
    LAME = "lame"
    """It answers, but not for this zone."""
    OLD = "old"
    DIFFERENT = "different"
    """It has other records than the newest."""
    NOT_DELEGATED = "not delegated"
    """The zone names it, the parent does not."""
    NOT_NAMED = "not named"
    """The parent names it, the zone does not."""
    NOWHERE = "nowhere"
    """The host has no address."""
    UNSEEN = "unseen"
    """No server of the zone could be asked, so a resolver was believed."""


@dataclass(frozen=True, slots=True)
class ZoneFinding:
    """One trouble of one zone."""

    zone: str
    trouble: Trouble
    server: str = ""
    """Host and address."""
    detail: str = ""
    """In whose words: the serial, what is there instead."""

    @property
    def is_fault(self) -> bool:
        """Whether somebody has to do something; it may be we who cannot ask from here."""
        return self.trouble is not Trouble.UNSEEN


@dataclass(frozen=True, slots=True)
class _Voice:
    """A server and what it says of its zone."""

    server: NameServer
    serial: int | None = None
    """None: it does not answer for the zone."""
    silent: bool = False
    why: str = ""

    @property
    def shown(self) -> str:
        return f"{self.server.host} ({self.server.address})"


class ServersWitness:
    """What the servers of the zones themselves say, and a resolver where they cannot be asked.

    Reverse zones are whoever's who gave the address, and are asked for at the resolver.
    """

    def __init__(self, resolver: Lookups, authorities: Authorities) -> None:
        self._resolver = resolver
        self._authorities = authorities
        self._voices: dict[str, tuple[_Voice, ...]] = {}
        self.findings: dict[ZoneFinding, None] = {}
        """Of all that was looked at; the keys, in their order."""

    async def look(self, places: Iterable[Place]) -> Seen:
        """Ask every server for all of these at once, and let the newest speak."""
        places = list(dict.fromkeys(places))
        try:
            async with asyncio.timeout(SECONDS):
                zones = await self._zones(places)
                seen = Seen()
                for zone, within in zones.items():
                    seen = seen.with_more(await self._look_in(zone, within))
        except TimeoutError:
            seen = Seen()
            self._find(ZoneFinding("", Trouble.UNSEEN))
        # An alias that leads elsewhere, a zone that nobody can be asked of: a resolver goes on.
        rest = [one for one in places if seen.at(*one) is None or one in seen.aliases]
        return seen.with_more(await look(self._resolver, rest))

    async def _zones(self, places: list[Place]) -> Mapping[str, list[Place]]:
        names = {name for kind, name in places if kind is not Kind.PTR}
        found = dict(zip(names, await asyncio.gather(*map(self._zone_name, names)), strict=True))
        zones: dict[str, list[Place]] = {}
        for kind, name in places:
            zone = found.get(name, "")
            if zone and (zone in zones or len(zones) < _MAX_ZONES):
                zones.setdefault(zone, []).append((kind, name))
        return zones

    async def _zone_name(self, name: str) -> str:
        try:
            return await self._authorities.zone_name(name)
        except DnsError:
            self._find(ZoneFinding("", Trouble.UNSEEN))
            return ""

    async def _look_in(self, zone: str, places: list[Place]) -> Seen:
        serving = [one for one in await self._heard(zone) if one.serial is not None]
        if not serving:
            self._find(ZoneFinding(zone, Trouble.UNSEEN))
            return Seen()
        asked = (look(self._authorities.at(one.server.address), places) for one in serving)
        seen = dict(zip(serving, await asyncio.gather(*asked), strict=True))
        newest = _newest(serving)
        for voice, other in seen.items():
            for found in _differences(zone, voice, seen[newest], other):
                self._find(found)
        return seen[newest]

    async def _heard(self, zone: str) -> tuple[_Voice, ...]:
        """Who answers for a zone; asked once."""
        if zone not in self._voices:
            try:
                known = await self._authorities.zone(zone)
            except DnsError as error:
                self._find(ZoneFinding(zone, Trouble.UNSEEN, detail=error.cause))
                return ()
            voices = await asyncio.gather(*(self._voice(zone, one) for one in known.servers))
            self._voices[zone] = tuple(voices)
            for found in (*_delegation(known), *_standing(zone, voices)):
                self._find(found)
        return self._voices[zone]

    async def _voice(self, zone: str, server: NameServer) -> _Voice:
        try:
            answer = await self._authorities.at(server.address).soa(zone)
        except DnsError as error:
            return _Voice(server, silent=isinstance(error, DnsTimeout), why=error.cause)
        if not answer.records:
            return _Voice(server, why="it has no such zone")
        return _Voice(server, answer.records[0].serial)

    def _find(self, finding: ZoneFinding) -> None:
        self.findings.setdefault(finding)


def _newest(voices: Sequence[_Voice]) -> _Voice:
    """The first of those with the highest serial, which goes round (RFC 1982 §3.2)."""
    newest = voices[0]
    for voice in voices[1:]:
        if 0 < ((voice.serial or 0) - (newest.serial or 0)) % (2 * _HALF) < _HALF:
            newest = voice
    return newest


def _standing(zone: str, voices: Sequence[_Voice]) -> Iterator[ZoneFinding]:
    serving = [one for one in voices if one.serial is not None]
    if not serving and all(one.silent for one in voices):
        return  # It may be we who cannot ask: many networks let no questions out.
    newest = _newest(serving).serial if serving else None
    for voice in voices:
        if voice.serial is None:
            trouble = Trouble.SILENT if voice.silent else Trouble.LAME
            yield ZoneFinding(zone, trouble, voice.shown, voice.why)
        elif voice.serial != newest:
            detail = f"serial {voice.serial}, the newest has {newest}"
            yield ZoneFinding(zone, Trouble.OLD, voice.shown, detail)


def _delegation(zone: Zone) -> Iterator[ZoneFinding]:
    for host in sorted(zone.without_address):
        yield ZoneFinding(zone.name, Trouble.NOWHERE, host)
    if zone.delegated is None:
        return
    for host in sorted(zone.named - zone.delegated):
        yield ZoneFinding(zone.name, Trouble.NOT_DELEGATED, host)
    for host in sorted(zone.delegated - zone.named):
        yield ZoneFinding(zone.name, Trouble.NOT_NAMED, host)


def _differences(zone: str, voice: _Voice, newest: Seen, other: Seen) -> Iterator[ZoneFinding]:
    for (kind, name), there in other.values.items():
        if kind is Kind.CNAME and (Kind.IPV4, name) in other.values:
            continue  # The addresses tell it already.
        expected = newest.at(kind, name)
        if there is None or expected is None or sorted(there) == sorted(expected):
            continue
        detail = f"{name} {kind.value}: {', '.join(sorted(there)) or 'nothing'}"
        yield ZoneFinding(zone, Trouble.DIFFERENT, voice.shown, detail)
