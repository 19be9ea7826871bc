"""Who changes our zones in the DNS, as `[[dns.update]]` says."""

from dataclasses import replace

from merpati.clock import Clock
from merpati.config.settings import Settings
from merpati.config.tables.dns import UpdateTable
from merpati.dns.client import DnsClient
from merpati.dns.key import key_of
from merpati.dns.update import Updater, UpdateSettings
from merpati.system.blueprint import Blueprint

_PATIENCE = 1.5
"""Seconds for one question to a primary, which is asked twice: it is asked for its own alone."""


def updater_of(settings: Settings, name: str, clock: Clock) -> Updater | None:
    """Who may change the zone that a name lies in; None: nobody is named.

    Raises KeyFileError.
    """
    table = update_table(settings, name)
    if table is None:
        return None
    server = (table.server.ip, table.server.port) if table.server else None
    key = key_of(settings.path(table.key))
    return updater(settings, UpdateSettings(key, table.zone or "", server), clock)


def updater(settings: Settings, update: UpdateSettings, clock: Clock) -> Updater:
    """Of these settings. A server that is named is asked itself where its zones begin."""
    dns = Blueprint(settings).dns()
    if update.server:
        dns = replace(dns, servers=(update.server,), trusted=False, server_seconds=_PATIENCE)
    port = settings.document.dns.authority_port
    return Updater(DnsClient(clock, dns), replace(update, port=port))


def update_table(settings: Settings, name: str) -> UpdateTable | None:
    """The table with the longest zone that a name lies in."""
    fitting = [
        one
        for one in settings.document.dns.update
        if not one.zone or f".{name.lower()}".endswith(f".{one.zone}")
    ]
    return max(fitting, key=lambda one: len(one.zone or ""), default=None)
