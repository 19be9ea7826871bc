"""Which certificates a merpati.toml speaks of, in the order of their precedence."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from merpati.certificates.cabinet import Cabinet
from merpati.certificates.source import OwnReader, Reader, Source
from merpati.config.locate import Path as KeyPath
from merpati.config.places import Places
from merpati.config.settings import Settings
from merpati.setup.sts import Mode
from merpati.wire.certificates import is_self_signed, read_shown
from merpati.wire.errors import TlsError


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


def why_unverifiable(settings: Settings) -> str:
    """Why nobody who checks certificates can trust the one for our name; empty: as far as we can
    tell here, they can. Blocks.

    Of an authority it is not asked whether others know it.
    """
    tls = settings.document.tls
    folder = settings.path(tls.directory) if tls is not None and tls.directory else None
    if folder is not None and not os.access(folder, os.R_OK | os.X_OK):
        return ""
    found = sources(settings, OwnReader())
    if found:
        try:
            return _flaw_of([one.chain for one in found], settings.hostname)
        except TlsError:
            return ""  # It is said of the file itself, or nobody may read it here.
    if orders(settings):
        return "there is no certificate of the CA yet"
    return "there is no certificate but one of this server's own making"


def _flaw_of(chains: Sequence[Path], hostname: str) -> str:
    covering = [chain for chain in chains if read_shown(chain).covers(hostname)]
    if not covering:
        return f"no certificate is for {hostname}"
    if all(is_self_signed(chain) for chain in covering):
        return f"the certificate for {hostname} is signed by itself"
    return ""


def policy_fault(settings: Settings) -> str:
    """What a policy of MTA-STS that is enforced costs without a certificate that others can verify;
    empty for nothing. Blocks."""
    told = settings.document.mta_sts
    if told is None or told.mode is not Mode.ENFORCE or not (why := why_unverifiable(settings)):
        return ""
    return f"senders that obey MTA-STS would deliver nothing: {why}"


def fallback(settings: Settings) -> Source:
    """The one of our own making."""
    places = Places(settings.data)
    return Source(places.certificate, places.key)
