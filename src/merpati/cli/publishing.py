"""`merpati domain setup --apply`: what differs is shown, asked about, and written into the zone."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from pathlib import Path

import click

from merpati.cli.context import NotNow, Refused
from merpati.cli.records import say_steps
from merpati.clock import Clock, SystemClock
from merpati.config.settings import Settings
from merpati.dns.client import DnsClient
from merpati.dns.errors import DnsError, UpdateConflict, UpdateFailed
from merpati.dns.exchange import Server
from merpati.dns.key import key_of
from merpati.dns.update import Updater, UpdateSettings
from merpati.setup.difference import Difference, difference
from merpati.setup.plan import Subject
from merpati.setup.survey import survey
from merpati.setup.texts import writing
from merpati.system.publisher import Publisher
from merpati.system.updating import updater, updater_of
from merpati.wire.endpoint import Endpoint
from merpati.wire.errors import WireError


@dataclass(frozen=True, slots=True)
class Means:
    """By which key zones are changed, and where."""

    clock: Clock
    updater_of: Callable[[str], Updater | None]

    @classmethod
    def of(cls, settings: Settings, server: str, file: Path | None) -> "Means":
        """As the options say, else as the configuration does. Raises Refused and KeyFileError.

        A key's file is read here, while we are still who was called.
        """
        clock = SystemClock()
        if file is None and server:
            raise Refused("--server needs --key; without both, [[dns.update]] says where and how")
        if file is None:
            return cls(clock, cache(lambda name: updater_of(settings, name, clock)))
        there = _server(server, settings.document.dns.authority_port) if server else None
        told = updater(settings, UpdateSettings(key_of(file), server=there), clock)
        return cls(clock, lambda _: told)


def _server(text: str, port: int) -> Server:
    try:
        return (str(ip_address(text)), port)
    except ValueError:
        pass
    try:
        endpoint = Endpoint.parse(text)
    except WireError as error:
        raise Refused(f"--server: {error}") from error
    if endpoint.path:
        raise Refused("--server: a name server has an address")
    return (endpoint.ip, endpoint.port)


@dataclass(frozen=True, slots=True)
class Publication:
    """What is written of one domain."""

    means: Means
    subject: Subject
    resolver: DnsClient
    language: str

    async def make(self, *, is_asked: bool, is_tried: bool) -> bool:
        """Whether the zone is as it should be now: written, or with nothing to write. Raises
        Refused, NotNow, DnsError and UpdateError."""
        publisher = Publisher(self.means.clock, self.means.updater_of)
        found = await self._difference(publisher)
        say_steps(found, self.language)
        if is_tried:
            return False
        if not found.steps:
            return True
        if is_asked and not click.confirm(writing("ask", self.language), err=True):
            click.echo(writing("refused", self.language), err=True)
            return False
        await _write(publisher, found)
        click.echo(writing("done", self.language), err=True)
        return True

    async def _difference(self, publisher: Publisher) -> Difference:
        try:
            witness = await publisher.witness(self.subject.domain, self.resolver)
        except DnsError as error:
            raise NotNow(f"the zone and its primary cannot be found: {error}") from error
        findings = await survey(self.subject, witness, self.resolver)
        there = await publisher.there(one.record for one in findings if one.record.value)
        return difference(self.subject, findings, there)


async def _write(publisher: Publisher, found: Difference) -> None:
    try:
        await publisher.publish(found.steps)
    except UpdateConflict as error:
        raise NotNow(f"somebody else changed the zone meanwhile ({error}); try again") from error
    except (UpdateFailed, DnsError) as error:
        raise NotNow(str(error)) from error
