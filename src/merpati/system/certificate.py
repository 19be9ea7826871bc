"""The certificates that all ports show: those of the operator, and one of our own making."""

from collections.abc import Sequence
from pathlib import Path

from merpati.certificates.source import Source
from merpati.certificates.watch import Watch
from merpati.clock import Clock
from merpati.config.certificates import fallback, named, operators, sources
from merpati.config.places import Places
from merpati.config.settings import Settings
from merpati.wire.certificates import make_self_signed


def open_configured(watch: Watch, settings: Settings) -> None:
    """Read what the operator has put somewhere, and whose certificates clients may show.

    Opens nothing in the data directory. TlsError names the file that is at fault.
    """
    watch.tls.trust(_authorities(settings))
    watch.check(source for _, source in named(settings))
    watch.look(operators(settings, watch.reader))


def open_own(watch: Watch, settings: Settings, clock: Clock) -> None:
    """Read what is in the data directory; where there is nothing to show at all, make it first."""
    watch.look(all_sources(watch, settings))
    watch.fallback = fallback(settings)
    if not watch.shown:
        _make(settings, clock)
        watch.look(all_sources(watch, settings))


def all_sources(watch: Watch, settings: Settings) -> Sequence[Source]:
    """Everything that could be shown now. Blocks."""
    return sources(settings, watch.reader)


def take_up(watch: Watch, settings: Settings) -> None:
    """Show what the settings name now; TlsError leaves all as it was."""
    watch.check(source for _, source in named(settings))
    watch.tls.trust(_authorities(settings))
    told = all_sources(watch, settings)
    if not told:
        _make(settings, watch.clock)
    watch.look(told)


def _make(settings: Settings, clock: Clock) -> None:
    places = Places(settings.data)
    if not (places.certificate.exists() and places.key.exists()):
        places.certificate.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = list(dict.fromkeys([settings.hostname, "localhost"]))
        make_self_signed(places.certificate, places.key, clock, names, ["127.0.0.1", "::1"])


def _authorities(settings: Settings) -> Path | None:
    """Whose certificates clients may show."""
    told = settings.document.login.certificates
    return settings.path(told.authorities) if told else None
