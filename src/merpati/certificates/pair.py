"""A certificate with the key that fits it, as it was read."""

from dataclasses import dataclass

from merpati.certificates.source import Files, Reader, Source
from merpati.wire.certificates import Shown, shown_of
from merpati.wire.errors import TlsError
from merpati.wire.tls import Identity, load_identity


@dataclass(frozen=True, slots=True)
class Pair:
    """Ready to be shown."""

    source: Source
    shown: Shown
    identity: Identity


def make_pair(source: Source, files: Files) -> Pair:
    """TlsError says why the two cannot be used together."""
    name = f"{source.chain} with key {source.key}"
    identity = load_identity(files.chain, files.key, name)
    return Pair(source, shown_of(files.chain, str(source.chain)), identity)


def read_pair(source: Source, reader: Reader) -> Pair:
    """What is there now; TlsError says why it cannot be used. Blocks."""
    try:
        files = reader.read(source, None)
    except OSError as error:
        raise TlsError(unreadable(source, error)) from error
    if files is None:
        raise TlsError(f"{source}: cannot be read")
    return make_pair(source, files)


def unreadable(source: Source, error: OSError) -> str:
    """Why, for people."""
    return f"{error.filename or source}: {error.strerror or error}"
