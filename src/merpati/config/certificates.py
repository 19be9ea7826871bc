"""Which certificates a merpati.toml speaks of, in the order of their precedence."""

from collections.abc import Iterator

from merpati.certificates.source import Reader, Source
from merpati.config.locate import Path as KeyPath
from merpati.config.places import Places
from merpati.config.settings import Settings


def named(settings: Settings) -> Iterator[tuple[KeyPath, Source]]:
    """Those that stand there by their files, and where."""
    if (tls := settings.document.tls) is None:
        return
    if tls.certificate:
        yield ("tls",), Source(settings.path(tls.certificate), settings.path(tls.key))
    for n, host in enumerate(tls.host):
        source = Source(settings.path(host.certificate), settings.path(host.key))
        yield ("tls", "host", n), source


def sources(settings: Settings, reader: Reader) -> tuple[Source, ...]:
    """All that are in files of the operator's. Blocks."""
    told = [source for _, source in named(settings)]
    if (tls := settings.document.tls) and tls.directory:
        told += reader.sources_in(settings.path(tls.directory))
    return tuple(dict.fromkeys(told))


def fallback(settings: Settings) -> Source:
    """The one of our own making."""
    places = Places(settings.data)
    return Source(places.certificate, places.key)
