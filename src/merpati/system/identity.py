"""Those outside who know passwords and tokens, as `[login]` names them."""

import secrets
from dataclasses import dataclass
from pathlib import Path

from merpati.clock import Clock
from merpati.config.logins import hook_settings, ldap_settings, read_secret
from merpati.config.settings import Settings
from merpati.config.tables.login import LoginHttpTable, LoginLdapTable
from merpati.identity.checker import PasswordChecker, TokenChecker
from merpati.identity.expected import Expected
from merpati.identity.gate import Gate, GateSettings
from merpati.identity.hook import Hook
from merpati.identity.ldap.checker import Ldap, Ways
from merpati.identity.remembering import Remembering
from merpati.wire.dial import SocketDialer
from merpati.wire.loop import Wire
from merpati.wire.names import places
from merpati.wire.tls import client_context
from merpati.wire.web import Web, WebSettings


@dataclass(frozen=True, slots=True)
class Outsiders:
    """What all doors of a worker ask; made anew with each reload."""

    passwords: PasswordChecker | None = None
    tokens: TokenChecker | None = None


def outsiders(settings: Settings, clock: Clock, wire: Wire) -> Outsiders:
    """Ready to be asked; nobody is asked yet. ConfigError names a secret that cannot be read."""
    return Outsiders(_passwords(settings, clock, wire), _tokens(settings, clock))


def _passwords(settings: Settings, clock: Clock, wire: Wire) -> PasswordChecker | None:
    login = settings.document.login
    checker: PasswordChecker
    if login.http:
        checker, cache = _hook(settings, login.http), float(login.http.cache)
    elif login.ldap:
        checker, cache = _ldap(settings, login.ldap, wire), float(login.ldap.cache)
    else:
        return None
    return Remembering(checker, clock, cache, secrets.token_bytes) if cache else checker


def _hook(settings: Settings, table: LoginHttpTable) -> Hook:
    seconds = float(table.timeout)
    web = Web(WebSettings(seconds=seconds, authorities=_authorities(settings, table.authorities)))
    return Hook(hook_settings(table, settings.base), web, Gate(GateSettings(seconds), table.url))


def _ldap(settings: Settings, table: LoginLdapTable, wire: Wire) -> Ldap:
    tls = client_context(authorities=_authorities(settings, table.authorities))
    ways = Ways(SocketDialer(wire), places, tls)
    gate = Gate(GateSettings(float(table.timeout)), ", ".join(table.servers))
    return Ldap(ldap_settings(table, settings.base), ways, gate)


def _tokens(settings: Settings, clock: Clock) -> TokenChecker | None:
    table = settings.document.login.oauth
    if table is None:
        return None
    # An extra that only these need; `config.files` has looked whether it is here.
    from merpati.identity.openid.checker import Introspection, OpenId
    from merpati.identity.openid.provider import Provider

    seconds = float(table.timeout)
    web = Web(WebSettings(seconds=seconds, authorities=_authorities(settings, table.authorities)))
    introspection = None
    if table.client_id:
        secret = read_secret(settings.path(table.client_secret_file))
        introspection = Introspection(table.client_id, secret)
    expected = Expected(table.issuer, table.audience, table.scope, table.claim)
    # Half of it for keys: who has others goes on with them when the provider is slow.
    provider = Provider(table.issuer, web, clock, seconds / 2)
    gate = Gate(GateSettings(seconds), table.issuer)
    return OpenId(expected, provider, clock, gate, introspection)


def _authorities(settings: Settings, file: str) -> Path | None:
    return settings.path(file) if file else None
