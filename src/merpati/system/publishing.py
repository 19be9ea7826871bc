"""What is told to the world about this server: a domain's records depend on it."""

import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from ipaddress import ip_address

from merpati.certificates.source import OwnReader
from merpati.certificates.tlsa import Identity, identity_of
from merpati.config.certificates import fallback, named, orders, policy_fault, sources
from merpati.config.settings import Settings
from merpati.dns.resolver import PORT
from merpati.reception.port import Role
from merpati.setup.autoconfig import MailHosts
from merpati.setup.plan import Subject
from merpati.setup.sts import OwnPolicy, policy_host
from merpati.wire.certificates import UNREADABLE


def subject_of(settings: Settings, domain: str, keys: tuple[tuple[str, str], ...]) -> Subject:
    """A domain here with its DKIM records."""
    return Subject(
        domain,
        settings.hostname.lower().rstrip("."),
        sts_policy(settings),
        keys,
        _identity(settings),
        _port(settings, Role.SUBMISSION),
        _port(settings, Role.SUBMISSIONS),
        settings.document.mta_sts is not None,
        next(iter(settings.document.reports.names), ""),
        tuple(_sources()),
        settings.document.autoconfig is not None,
        policy_fault(settings),
    )


def mail_hosts(settings: Settings, domain: str, domains: Iterable[str]) -> MailHosts | None:
    """What mail programs of people of a domain are told; None where that is nothing."""
    if (told := settings.document.autoconfig) is None or domain not in domains:
        return None
    return MailHosts(
        domain,
        settings.hostname.lower().rstrip("."),
        _port(settings, Role.SUBMISSIONS),
        _port(settings, Role.SUBMISSION),
        told.imap or "",
    )


# One of each family, far away: nothing is sent, the kernel says by which address it would be.
_FAR = ((socket.AF_INET, "198.41.0.4"), (socket.AF_INET6, "2001:503:ba3e::2:30"))


def _sources() -> Iterator[str]:
    """Addresses that this machine sends from, if they are public: behind NAT nobody here knows."""
    for family, far in _FAR:
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((far, PORT))
            address = str(probe.getsockname()[0])
            if ip_address(address).is_global:
                yield address


def sts_policy(settings: Settings) -> OwnPolicy:
    """The policy of MTA-STS of every domain here; as it would be where there is no `[mta_sts]`."""
    host = settings.hostname.lower().rstrip(".")
    if (told := settings.document.mta_sts) is None:
        return OwnPolicy((host,))
    return OwnPolicy(tuple(dict.fromkeys([host, *told.mx])), told.mode, int(told.max_age))


def served_policy(settings: Settings, host: str, domains: Iterable[str]) -> str:
    """The text that a client is given who asks a host for it; empty where there is none."""
    if settings.document.mta_sts is None:
        return ""
    name = host.lower().partition(":")[0].rstrip(".")
    is_ours = any(name == policy_host(domain) for domain in domains)
    return sts_policy(settings).text if is_ours else ""


def _identity(settings: Settings) -> Identity | None:
    """What clients are shown that ask for no name; None where nobody here can say.

    The server may read files that we may not: a record of another certificate than the one that it
    shows would keep all mail of those out who go by it.
    """
    tls = settings.document.tls
    first = next((source for _, source in named(settings)), None)
    folder = settings.path(tls.directory) if tls is not None and tls.directory else None
    if first is None and folder and not os.access(folder, os.R_OK | os.X_OK):
        return None
    first = first or next(iter(sources(settings, OwnReader())), None)
    if first is None and orders(settings):
        # The one of a CA is on its way and has another key than ours of the first start.
        return None
    first = first or fallback(settings)
    with suppress(OSError, *UNREADABLE):
        return identity_of(first.chain.read_bytes())
    return None


def _port(settings: Settings, role: Role) -> int:
    """The first TCP port of a role; 0 where there is none."""
    ports = (port.listen.port for port in settings.document.port if port.role is role)
    return next((port for port in ports if port), 0)
