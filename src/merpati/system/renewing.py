"""What merpati.toml says of certificates from a CA, for who gets them."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from merpati.certificates.cabinet import Cabinet
from merpati.certificates.desk import Desk
from merpati.certificates.errors import IssueError
from merpati.certificates.keys import KeyType
from merpati.certificates.proof import HookProver, HttpProver, Prover
from merpati.certificates.renewal import AcmeSettings
from merpati.certificates.rolling import Roller
from merpati.certificates.source import Reader
from merpati.certificates.tlsa import PORT, Tlsa
from merpati.certificates.zone import DnsProver, ZoneWriter
from merpati.clock import Clock
from merpati.config.certificates import cabinet, fallback, operators, orders
from merpati.config.errors import ConfigError, Flaw
from merpati.config.settings import Settings
from merpati.config.tls import AcmeTable, Challenge
from merpati.dns.client import DnsClient
from merpati.dns.resolver import Answer
from merpati.system.blueprint import Blueprint
from merpati.system.updating import updater_of

_LONGEST_TTL = 7 * 86_400.0
"""RFC 8767 §4: resolvers keep nothing for longer than a week."""


def acme_settings(settings: Settings, kept: Cabinet, clock: Clock) -> AcmeSettings:
    """Of a document that has `[acme]`. Reads a file; ConfigError where that cannot be used."""
    acme = settings.document.acme or AcmeTable()
    return AcmeSettings(
        directory=acme.directory,
        orders=orders(settings),
        prover=_prover(settings, acme, kept, clock),
        roller=Roller(partial(_tlsa, settings, clock), zone_writer(settings, clock), clock.now),
        contact=tuple(map(str, acme.contact)),
        binding=_binding(settings, acme),
        authorities=settings.path(acme.authorities) if acme.authorities else None,
        key_type=acme.key_type,
    )


def desk_of(settings: Callable[[], Settings], clock: Clock, reader: Reader) -> Desk:
    """Where operators ask about certificates."""

    def key_type() -> KeyType:
        acme = settings().document.acme
        return acme.key_type if acme else KeyType.P256

    def acme() -> AcmeSettings:
        if settings().document.acme is None:
            raise IssueError("no certificate is got from a CA by this server ([acme])")
        return acme_settings(settings(), cabinet(settings()), clock)

    return Desk(
        cabinet(settings()),
        clock,
        reader,
        orders=lambda: orders(settings()),
        sources=lambda: operators(settings(), reader),
        fallback=lambda: fallback(settings()),
        key_type=key_type,
        acme=acme,
        tlsa=lambda host: tlsa_of(settings(), clock, host),
    )


async def tlsa_of(settings: Settings, clock: Clock, host: str) -> Answer[Tlsa]:
    """What the DNS has of a host's keys; raises DnsError.

    Asked anew each time, since what we remember is older than what others may; with the time that
    the record has, since others may keep it for longer than we would."""
    dns = replace(Blueprint(settings).dns(), min_ttl=1.0, max_ttl=_LONGEST_TTL)
    return await DnsClient(clock, dns).tlsa(PORT, host)


def _tlsa(settings: Settings, clock: Clock, host: str) -> Answer[Tlsa]:
    return asyncio.run(tlsa_of(settings, clock, host))


def zone_writer(settings: Settings, clock: Clock) -> ZoneWriter:
    """Who changes our zones."""
    return ZoneWriter(lambda name: updater_of(settings, name, clock))


def _prover(settings: Settings, acme: AcmeTable, kept: Cabinet, clock: Clock) -> Prover:
    settle = float(acme.settle)
    if acme.challenge is Challenge.HOOK:
        return HookProver(acme.hook, settle)
    if acme.challenge is Challenge.DNS:
        return DnsProver(zone_writer(settings, clock), settle)
    return HttpProver(kept)


def _binding(settings: Settings, acme: AcmeTable) -> tuple[str, str] | None:
    if not acme.eab_id:
        return None
    file = settings.path(acme.eab_key_file)
    try:
        return acme.eab_id, file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(file), [Flaw("", 0, f"cannot be read: {error}")]) from None
