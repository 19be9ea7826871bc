"""What is told to the world about this server: a domain's records depend on it."""

from collections.abc import Iterable
from contextlib import suppress

from merpati.certificates.source import OwnReader
from merpati.config.certificates import fallback, sources
from merpati.config.settings import Settings
from merpati.reception.port import Role
from merpati.setup.plan import Subject
from merpati.setup.sts import OwnPolicy, policy_host
from merpati.wire.certificates import key_digest
from merpati.wire.errors import TlsError


def subject_of(settings: Settings, domain: str, keys: tuple[tuple[str, str], ...]) -> Subject:
    """A domain here with its DKIM records."""
    return Subject(
        domain,
        settings.hostname.lower().rstrip("."),
        sts_policy(settings),
        keys,
        _key_digest(settings),
        _port(settings, Role.SUBMISSION),
        _port(settings, Role.SUBMISSIONS),
        settings.document.mta_sts is not None,
        next(iter(settings.document.reports.names), ""),
    )


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


def _key_digest(settings: Settings) -> str:
    """Of what clients are shown that ask for no name; empty where there is no certificate yet."""
    for source in (*sources(settings, OwnReader()), fallback(settings)):
        with suppress(TlsError):
            return key_digest(source.chain)
    return ""


def _port(settings: Settings, role: Role) -> int:
    """The first TCP port of a role; 0 where there is none."""
    ports = (port.listen.port for port in settings.document.port if port.role is role)
    return next((port for port in ports if port), 0)
