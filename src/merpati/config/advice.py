"""What does not stop a server and yet should be seen to: `config check` says it, `serve` starts.

A certificate that has run out still encrypts, and most mail servers do not look at it; people's
programs do.
"""

import importlib.util
import os
import pwd
from collections.abc import Iterator
from pathlib import Path

from merpati.certificates.pair import read_pair
from merpati.certificates.source import OwnReader, Source
from merpati.config.certificates import cabinet, from_ca, named, orders, policy_fault, sources
from merpati.config.doubts import doubts
from merpati.config.errors import Flaw
from merpati.config.locate import Path as KeyPath
from merpati.config.read import say
from merpati.config.settings import Settings
from merpati.extras import how_to_get
from merpati.wire.certificates import Shown
from merpati.wire.endpoint import Endpoint
from merpati.wire.errors import TlsError, WireTaken
from merpati.wire.sockets import bind

_DAY = 86_400.0
SOON = 14 * _DAY
"""Seconds before its end when a certificate is spoken of: renewal had its chance by then."""

Found = Iterator[tuple[KeyPath, str, str]]


def advise(settings: Settings, now: float, *, is_running: bool) -> list[Flaw]:
    """Everything worth a word. `is_running`: the ports are taken by this very server."""
    lines = settings.lines
    found = [
        *_certificates(settings, now),
        *_acme(settings),
        *_policy(settings),
        *_user(settings),
        *doubts(settings),
    ]
    if not is_running:
        found += _ports(settings)
    return [
        Flaw(say(path), lines.of(path) if lines else 0, what, hint) for path, what, hint in found
    ]


def _certificates(settings: Settings, now: float) -> Found:
    standing: dict[Source, KeyPath] = {
        source: (*place, "certificate") for place, source in named(settings)
    }
    ours: KeyPath = ("acme", "names")
    places = standing | dict.fromkeys(from_ca(settings), ours)
    covered = []
    for source in sources(settings, OwnReader()):
        place = places.get(source, ("tls", "directory"))
        try:
            shown = read_pair(source, OwnReader()).shown
        except TlsError as error:
            if source not in standing:  # Of the others it is said as a flaw.
                yield place, f"{error}, so it is not shown", ""
            continue
        covered.append(shown)
        which = "" if source in standing else f"{source} "
        yield from ((place, which + what, hint) for place, what, hint in _age(shown, now, place))
    if covered and not any(shown.covers(settings.hostname) for shown in covered):
        names = ", ".join(name for shown in covered for name in shown.names) or "none"
        yield (
            next(iter(places.values()), ("tls", "directory")),
            f"is not for {settings.hostname}, as programs will say that check it",
            f"It is for: {names}",
        )


def _acme(settings: Settings) -> Found:
    """What keeps a CA from giving a certificate; the server runs without."""
    if (acme := settings.document.acme) is None:
        return
    if importlib.util.find_spec("acme") is None:
        yield ("acme",), "needs a library that is not here", how_to_get("acme")
    if acme.authorities and not os.access(settings.path(acme.authorities), os.R_OK):
        yield ("acme", "authorities"), f"{acme.authorities} cannot be read", ""
    if acme.hook and not os.access(acme.hook[0], os.X_OK):
        yield ("acme", "hook"), f"{acme.hook[0]} cannot be run", "Its whole path, executable"
    for names in orders(settings):
        if error := cabinet(settings).state(names[0]).error:
            yield ("acme", "names"), f"{names[0]} was not got: {error}", ""


def _policy(settings: Settings) -> Found:
    if fault := policy_fault(settings):
        yield ("mta_sts", "mode"), fault, 'Say "testing" until there is one (docs/certificates.md)'


def _age(shown: Shown, now: float, place: KeyPath) -> Found:
    left = (shown.ends - now) / _DAY
    if left < 0:
        yield place, f"expired {-left:.0f} days ago", "Renew it"
    elif shown.ends - now < SOON:
        yield place, f"expires in {left:.0f} days", "Renew it"
    elif now < shown.begins:
        yield place, "is not valid yet", "Is the clock of this machine right?"


def _user(settings: Settings) -> Found:
    """Ports are opened and files first read as root; a reload reads them as `user`, all but
    certificates, for which a process stays root."""
    try:
        user = pwd.getpwnam(settings.document.user)
    except KeyError:
        return
    document = settings.document
    files: list[tuple[KeyPath, str]] = [
        (("route", n, "password_file"), route.password_file)
        for n, route in enumerate(document.route)
        if route.password_file
    ]
    for place, name in files:
        file = settings.path(name)
        if file.is_file() and not may_read(user, file):
            yield (
                place,
                f"{user.pw_name} cannot read {file}, so a reload would fail",
                f"Run: chgrp {user.pw_name} {file} && chmod g+r {file}",
            )


def may_read(user: pwd.struct_passwd, file: Path) -> bool:
    """By owner, group and mode alone; access lists may say more."""
    absolute = file.resolve()
    groups = os.getgrouplist(user.pw_name, user.pw_gid)
    return user.pw_uid == 0 or (
        _may(user.pw_uid, groups, absolute, 0o4)
        and all(_may(user.pw_uid, groups, folder, 0o1) for folder in absolute.parents)
    )


def _may(uid: int, groups: list[int], path: Path, wish: int) -> bool:
    status = path.stat()
    shift = 6 if status.st_uid == uid else 3 if status.st_gid in groups else 0
    return bool(status.st_mode >> shift & wish)


def _ports(settings: Settings) -> Found:
    document = settings.document
    doors: list[tuple[KeyPath, Endpoint]] = [
        (("port", n, "listen"), port.listen) for n, port in enumerate(document.port)
    ]
    if document.http:
        doors += [(("http", name), end) for name, end in document.http.doors()]
    for place, end in doors:
        if not end.ip:
            continue  # A Unix socket is replaced by binding it, which is not for a look.
        try:
            bind(end).close()
        except WireTaken as error:
            # Who may not open a port below 1024 is not who will.
            if not isinstance(error.__cause__, PermissionError):
                yield place, str(error), "Who has it: ss -ltnp (systemd may, for us)"
