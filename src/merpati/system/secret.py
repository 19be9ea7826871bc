"""The secret of an installation: made once, kept in the data directory, never shown."""

import contextlib
import os
import secrets
from pathlib import Path

from merpati.errors import MerpatiError

_OCTETS = 32


def installation_secret(file: Path) -> bytes:
    """Read it, or make it: invented salts must be the same after every restart.

    MerpatiError when neither is possible.
    """
    try:
        return _read(file) or _make(file)
    except OSError as error:
        raise MerpatiError(f"cannot keep {file}: {error.strerror}") from error


def _read(file: Path) -> bytes:
    with contextlib.suppress(FileNotFoundError):
        found = file.read_bytes()
        if len(found) == _OCTETS:
            return found
    return b""


def _make(file: Path) -> bytes:
    made = secrets.token_bytes(_OCTETS)
    beside = file.with_suffix(".new")
    with contextlib.suppress(FileNotFoundError):
        beside.unlink()
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as target:
        target.write(made)
        target.flush()
        os.fsync(descriptor)
    beside.rename(file)
    return made
