"""Writes a domain's records into the zones that we have a key for, and reads what is there first.

What is read goes along as what the change expects, so that nothing is written over that somebody
else has changed in between.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from merpati.clock import Clock
from merpati.dns.client import DnsClient, DnsSettings
from merpati.dns.errors import DnsError, DnsTimeout, UpdateError
from merpati.dns.resolver import Answer
from merpati.dns.update import Change, RecordSet, Updater
from merpati.setup.difference import Reason, Step
from merpati.setup.record import Kind, Record
from merpati.setup.seen import Lookups, PrimaryWitness

_SERVER_SECONDS, _TOTAL_SECONDS = 2.0, 5.0


@dataclass(frozen=True, slots=True)
class _Ground:
    """Where a name lies."""

    zone: str
    updater: Updater
    reader: DnsClient
    """Asks the primary for what it has."""


class Publisher:
    """Of one domain, for one change."""

    def __init__(self, clock: Clock, updater_of: Callable[[str], Updater | None]) -> None:
        self._clock = clock
        self._updater_of = updater_of
        self._grounds: dict[str, _Ground] = {}
        self._of_names: dict[str, _Ground] = {}

    async def witness(self, domain: str, resolver: Lookups) -> PrimaryWitness:
        """What the primary of a domain has. Raises DnsError and UpdateError where it cannot be
        found."""
        ground = await self._ground(domain)
        if ground is None:
            raise UpdateError(
                f"there is no key that may change {domain}: name one in [[dns.update]] or by --key"
            )
        return PrimaryWitness(ground.reader, resolver)

    async def there(self, records: Iterable[Record]) -> Mapping[Record, RecordSet | Reason]:
        """What the primary of each has at its name."""
        records = tuple(records)
        found = await asyncio.gather(*map(self._there, records))
        return dict(zip(records, found, strict=True))

    async def publish(self, steps: Iterable[Step]) -> None:
        """Write all, in one change a zone. Raises UpdateError and DnsError; zones before it in the
        order of the steps are changed then."""
        of_zones: dict[str, list[Step]] = {}
        for step in steps:
            of_zones.setdefault(self._of_names[step.before.name].zone, []).append(step)
        for zone, within in of_zones.items():
            change = Change(
                zone,
                expected=tuple(one.before for one in within),
                replaced=tuple(one.after for one in within),
            )
            await self._grounds[zone].updater.apply(change)

    async def _there(self, record: Record) -> RecordSet | Reason:
        kind = record.kind.value
        try:
            ground = await self._ground_of(record)
            if ground is None:
                return Reason.FOREIGN
            answer = await ground.reader.records(record.name, kind)
            is_own = not answer.records or not await _is_wild(ground, record, answer)
        except DnsTimeout:
            return Reason.UNKNOWN
        except (DnsError, UpdateError):
            return Reason.FOREIGN  # A server refuses to speak of zones that it does not have.
        self._of_names[record.name] = ground
        if answer.alias:
            return Reason.ALIAS
        return RecordSet(record.name, kind, answer.records if is_own else ())

    async def _ground_of(self, record: Record) -> _Ground | None:
        """Reverse zones are somebody else's, unless there is a key for this very one."""
        updater = self._updater_of(record.name)
        if record.kind is Kind.PTR and not (updater and updater.names_zone):
            return None
        return await self._ground(record.name)

    async def _ground(self, name: str) -> _Ground | None:
        updater = self._updater_of(name)
        if updater is None:
            return None
        zone = await updater.zone_of(name)
        if zone not in self._grounds:
            self._grounds[zone] = _Ground(zone, updater, await self._reader(updater, zone))
        return self._grounds[zone]

    async def _reader(self, updater: Updater, zone: str) -> DnsClient:
        settings = DnsSettings(
            await updater.servers(zone),
            server_seconds=_SERVER_SECONDS,
            total_seconds=_TOTAL_SECONDS,
            authoritative=True,
        )
        return DnsClient(self._clock, settings)


async def _is_wild(ground: _Ground, record: Record, answer: Answer[str]) -> bool:
    """Whether an answer is that of a wildcard above the name (RFC 4592): a change cannot expect
    what is not there under this very name."""
    _, _, above = record.name.partition(".")
    while f".{above}".endswith(f".{ground.zone}"):
        wild = await ground.reader.records(f"*.{above}", record.kind.value)
        if sorted(wild.records) == sorted(answer.records):
            return True
        _, _, above = above.partition(".")
    return False
