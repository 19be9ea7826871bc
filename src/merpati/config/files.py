"""What a merpati.toml names on this machine, looked at before a server depends on it.

`serve` looks before it starts and `config check` looks for a person: both refuse the same.
"""

import os
import pwd
import ssl
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from merpati.certificates.pair import read_pair
from merpati.certificates.source import OwnReader, Reader, Source
from merpati.config.certificates import named
from merpati.config.errors import ConfigError, Flaw
from merpati.config.locate import Path as KeyPath
from merpati.config.logins import read_secret
from merpati.config.read import say
from merpati.config.routes import configured, read_certificate, read_password
from merpati.config.settings import Settings
from merpati.config.tables.route import RouteTable
from merpati.delivery.route import RouteError
from merpati.dns.key import KeyFileError, key_of
from merpati.extras import how_to_get
from merpati.wire.errors import TlsError


def look(settings: Settings, reader: Reader | None = None) -> list[Flaw]:
    """What would stop a server: no door, no such user, files that are missing, unusable, or open
    to others.

    `reader` is that of a server which runs: it may have its way to certificates that this process
    cannot read.
    """
    lines = settings.lines
    found = [
        *_doors(settings),
        *_user(settings),
        *_tls(settings, reader),
        *_authorities(settings),
        *_logins(settings),
        *_acme(settings),
        *_passwords(settings),
        *_update_keys(settings),
        *_data(settings),
    ]
    return [
        Flaw(say(path), lines.of(path) if lines else 0, what, hint) for path, what, hint in found
    ]


Found = Iterator[tuple[KeyPath, str, str]]


def _doors(settings: Settings) -> Found:
    if not settings.document.port:
        # A server that nobody can reach is the remains of a file, not somebody's wish.
        yield (
            ("port",),
            "there is none, so nobody could connect",
            'Write [[port]] with role = "mx" and listen = "[::]:25", say',
        )


def _user(settings: Settings) -> Found:
    name = settings.document.user
    try:
        pwd.getpwnam(name or "root")
    except KeyError:
        yield ("user",), f'there is no user "{name}" on this machine', f"Run: useradd -r {name}"


def _tls(settings: Settings, reader: Reader | None) -> Found:
    for place, source in named(settings):
        found = [] if reader else list(_pair_files(source, place))
        yield from found
        if not found:
            yield from _pair(source, place, reader or OwnReader())
    if (tls := settings.document.tls) and tls.directory and not reader:
        folder = settings.path(tls.directory)
        if not folder.is_dir():
            yield ("tls", "directory"), f"{folder} is no directory", ""


def _pair_files(source: Source, place: KeyPath) -> Found:
    yield from _readable(source.chain, (*place, "certificate"))
    yield from _secret(source.key, (*place, "key"))


def _pair(source: Source, place: KeyPath, reader: Reader) -> Found:
    try:
        read_pair(source, reader)
    except TlsError as error:
        hint = "Both must be PEM files, and the key that of the first certificate"
        yield (*place, "certificate"), str(error), hint


def _authorities(settings: Settings) -> Found:
    login = settings.document.login
    for name in ("certificates", "http", "ldap", "oauth"):
        told = getattr(login, name)
        if told is not None and told.authorities:
            place: KeyPath = ("login", name, "authorities")
            yield from _trusted(settings.path(told.authorities), place)


def _trusted(file: Path, place: KeyPath) -> Found:
    found = list(_readable(file, place))
    yield from found
    if not found:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(file)
        except ssl.SSLError:
            yield place, f"{file} has no certificate", "It is a PEM file"


def _logins(settings: Settings) -> Found:
    login = settings.document.login
    if login.http and login.http.secret_file:
        yield from _first_line(settings, login.http.secret_file, ("login", "http", "secret_file"))
    if login.oauth and find_spec("joserfc") is None:
        yield (
            ("login", "oauth"),
            "needs a library that is not here",
            how_to_get("oauth"),
        )
    if login.oauth and login.oauth.client_secret_file:
        place: KeyPath = ("login", "oauth", "client_secret_file")
        yield from _first_line(settings, login.oauth.client_secret_file, place)
    if login.ldap and login.ldap.bind_password_file:
        place = ("login", "ldap", "bind_password_file")
        yield from _first_line(settings, login.ldap.bind_password_file, place)


def _first_line(settings: Settings, name: str, place: KeyPath) -> Found:
    file = settings.path(name)
    found = list(_secret(file, place))
    yield from found
    if not found:
        try:
            read_secret(file)
        except ConfigError as error:
            yield from ((place, f"{error.file} {flaw.what}", flaw.allowed) for flaw in error.flaws)


def _acme(settings: Settings) -> Found:
    acme = settings.document.acme
    if acme and acme.eab_key_file:
        yield from _secret(settings.path(acme.eab_key_file), ("acme", "eab_key_file"))


def _passwords(settings: Settings) -> Found:
    for n, route in enumerate(settings.document.route):
        yield from _client_certificate(settings, n, route)
        if not route.password_file:
            continue
        place: KeyPath = ("route", n, "password_file")
        found = list(_secret(settings.path(route.password_file), place))
        yield from found
        if found:
            continue
        try:
            configured(route, read_password(route, settings.base))
        except ConfigError as error:
            yield from ((place, f"{error.file} {flaw.what}", flaw.allowed) for flaw in error.flaws)
        except RouteError as error:
            yield place, str(error), ""


def _update_keys(settings: Settings) -> Found:
    for n, table in enumerate(settings.document.dns.update):
        try:
            key_of(settings.path(table.key))
        except KeyFileError as error:
            yield ("dns", "update", n, "key"), str(error), ""


def _client_certificate(settings: Settings, n: int, route: RouteTable) -> Found:
    if not route.client_certificate:
        return
    place: KeyPath = ("route", n, "client_certificate")
    found = [
        *_readable(settings.path(route.client_certificate), place),
        *_secret(settings.path(route.client_key), ("route", n, "client_key")),
    ]
    yield from found
    if not found:
        try:
            read_certificate(route, settings.base)
        except ConfigError as error:
            yield from ((place, f"{error.file} {flaw.what}", flaw.allowed) for flaw in error.flaws)


def _data(settings: Settings) -> Found:
    """An existing ancestor must let us write, or the directory itself."""
    folder = settings.data
    if folder.exists() and not folder.is_dir():
        yield ("data",), f"{folder} is not a directory", ""
        return
    if folder.exists() and folder.stat().st_mode & 0o002:
        # Whoever can rename there can put a queue and passwords of their own in place of ours.
        yield (
            ("data",),
            f"every user of this machine can change {folder}",
            f"Run: chmod o-w {folder}",
        )
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        yield ("data",), f"{folder} cannot be written to", "Run as its owner, or change it"


def _readable(file: Path, path: KeyPath) -> Found:
    if not file.is_file():
        yield path, f"{file} does not exist", ""
    elif not os.access(file, os.R_OK):
        yield path, f"{file} cannot be read", "Run as its owner, or change its permissions"


def _secret(file: Path, path: KeyPath) -> Found:
    yield from _readable(file, path)
    if file.is_file() and file.stat().st_mode & 0o007:
        yield path, f"every user of this machine can use {file}", f"Run: chmod o= {file}"
