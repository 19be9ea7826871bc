"""What is told to the world about this server: a domain's records depend on it."""

from merpati.config.places import Places
from merpati.config.settings import Settings
from merpati.reception.port import Role
from merpati.setup.plan import Subject
from merpati.wire.certificates import key_digest
from merpati.wire.errors import TlsError


def subject_of(settings: Settings, domain: str, keys: tuple[tuple[str, str], ...]) -> Subject:
    """A domain here with its DKIM records."""
    return Subject(
        domain,
        settings.hostname.lower().rstrip("."),
        keys,
        _key_digest(settings),
        _port(settings, Role.SUBMISSION),
        _port(settings, Role.SUBMISSIONS),
    )


def _key_digest(settings: Settings) -> str:
    """Empty where there is no certificate yet."""
    tls = settings.document.tls
    file = settings.path(tls.certificate) if tls else Places(settings.data).certificate
    try:
        return key_digest(file)
    except TlsError:
        return ""


def _port(settings: Settings, role: Role) -> int:
    """The first TCP port of a role; 0 where there is none."""
    ports = (port.listen.port for port in settings.document.port if port.role is role)
    return next((port for port in ports if port), 0)
