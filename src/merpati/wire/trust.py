"""Whom our questions to the web believe. The authorities are read again when their files change:
to read those of a system takes 27 ms, and a client is made for each set of settings."""

import ssl
from functools import lru_cache
from pathlib import Path

from merpati.wire.tls import client_context

_FILES = 8
"""How many are kept: the system's, and a few of an operator's own."""
State = tuple[tuple[int, int, int] | None, ...]
"""What changes with files of authorities."""


def trusting(authorities: Path | None = None) -> ssl.SSLContext:
    """For a client that believes certificates of these authorities (PEM); None: the system's.

    It is shared, so nobody may change it. OSError or ssl.SSLError for a file that cannot be read.
    """
    return _read(authorities, state_of(authorities))


def state_of(authorities: Path | None) -> State:
    """The state of such a file; None: of the system's file and folder."""
    if authorities is not None:
        return (_state(authorities),)
    known = ssl.get_default_verify_paths()
    places = (known.cafile, known.capath)
    return tuple(_state(Path(place)) for place in places if place)


@lru_cache(_FILES)
def _read(authorities: Path | None, state: State) -> ssl.SSLContext:
    """`state` is part of what is asked for: other files are another context."""
    return client_context(authorities=authorities).context


def _state(place: Path) -> tuple[int, int, int] | None:
    try:
        found = place.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
