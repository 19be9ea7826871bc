"""Which certificates a merpati.toml speaks of, in the order of their precedence."""

from collections.abc import Iterator

from merpati.certificates.cabinet import Cabinet
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


def orders(settings: Settings) -> tuple[tuple[str, ...], ...]:
    """The names of each certificate that a CA is asked for; the first is what it is called."""
    if (acme := settings.document.acme) is None:
        return ()
    first = acme.names or (settings.hostname.lower().rstrip("."),)
    return tuple(
        tuple(map(str, names)) for names in (first, *(one.names for one in acme.certificate))
    )


def cabinet(settings: Settings) -> Cabinet:
    """Where those are kept."""
    return Cabinet(Places(settings.data).certificates)


def operators(settings: Settings, reader: Reader) -> tuple[Source, ...]:
    """Those in files of the operator's. Blocks."""
    told = [source for _, source in named(settings)]
    if (tls := settings.document.tls) and tls.directory:
        told += reader.sources_in(settings.path(tls.directory))
    return tuple(dict.fromkeys(told))


def from_ca(settings: Settings) -> tuple[Source, ...]:
    """Those that were got from a CA. Blocks."""
    kept = cabinet(settings)
    got = (kept.source(names[0]) for names in orders(settings))
    return tuple(one for one in got if one.chain.exists())


def sources(settings: Settings, reader: Reader) -> tuple[Source, ...]:
    """All that there are, but for the one of our own making. Blocks."""
    return (*operators(settings, reader), *from_ca(settings))


def fallback(settings: Settings) -> Source:
    """The one of our own making."""
    places = Places(settings.data)
    return Source(places.certificate, places.key)
