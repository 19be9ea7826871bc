"""The certificate that all ports show: the configured one, or one of our own making."""

from pathlib import Path

from merpati.clock import Clock
from merpati.config.places import Places
from merpati.config.settings import Settings
from merpati.wire.certificates import make_self_signed
from merpati.wire.tls import TlsContext, server_context


def open_certificate(settings: Settings, clock: Clock) -> TlsContext:
    """Load it, or make it first. TlsError names the file that is at fault."""
    if tls := settings.document.tls:
        return server_context(
            settings.path(tls.certificate), settings.path(tls.key), _authorities(settings)
        )
    places = Places(settings.data)
    if not (places.certificate.exists() and places.key.exists()):
        places.certificate.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = list(dict.fromkeys([settings.hostname, "localhost"]))
        make_self_signed(places.certificate, places.key, clock, names, ["127.0.0.1", "::1"])
    return server_context(places.certificate, places.key, _authorities(settings))


def reload_certificate(context: TlsContext, settings: Settings) -> None:
    """Show the file's present content to new connections; TlsError leaves all as it was."""
    authorities = _authorities(settings)
    if tls := settings.document.tls:
        context.reload(settings.path(tls.certificate), settings.path(tls.key), authorities)
    elif authorities:
        places = Places(settings.data)
        context.reload(places.certificate, places.key, authorities)


def _authorities(settings: Settings) -> Path | None:
    """Whose certificates clients may show."""
    told = settings.document.login.certificates
    return settings.path(told.authorities) if told else None
