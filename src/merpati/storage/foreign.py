"""apsw's exceptions as ours: the seam where SQLite's words end."""

import apsw

from merpati.storage.errors import StorageError

_DAMAGED = (apsw.CorruptError, apsw.NotADBError, apsw.FormatError)
_FATAL = (apsw.IOError, apsw.CantOpenError, apsw.ProtocolError, *_DAMAGED)


def translate(error: apsw.Error, path: str) -> StorageError:
    """What an operator should read about an error of SQLite."""
    is_full = isinstance(error, apsw.FullError)
    is_damaged = isinstance(error, _DAMAGED)
    return StorageError(f"{path}: {error}", is_full=is_full, is_damaged=is_damaged)


def loses_trust(error: BaseException) -> bool:
    """Whether the handle must not be used again.

    After a failed fsync the kernel may have dropped the dirty pages and report success the next
    time, so only what recovery reads back from the file can be believed.
    """
    return isinstance(error, _FATAL)
