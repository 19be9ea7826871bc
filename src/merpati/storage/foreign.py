"""apsw's exceptions as ours: the seam where SQLite's words end."""

import apsw

from merpati.storage.errors import StorageError

_DAMAGED = (apsw.CorruptError, apsw.NotADBError, apsw.FormatError)
_FATAL = (apsw.IOError, apsw.CantOpenError, apsw.ProtocolError, *_DAMAGED)


def translate(error: apsw.Error, path: str) -> StorageError:
    """What an operator should read about an error of SQLite."""
    if _is_full(error):
        return StorageError(f"{path}: no space left on the disk ({error})", is_full=True)
    return StorageError(
        f"{path}: {error}",
        is_damaged=isinstance(error, _DAMAGED),
        is_busy=isinstance(error, apsw.BusyError),
    )


def _is_full(error: apsw.Error) -> bool:
    if isinstance(error, apsw.FullError):
        return True
    # The index of the log lies in shared memory beside the file: where that cannot grow, SQLite
    # says no more than "disk I/O error", and it is the first thing that is made at a start.
    # apsw's type stubs do not know the attribute.
    return bool(getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_SHMSIZE)


def loses_trust(error: BaseException) -> bool:
    """Whether the handle must not be used again.

    After a failed fsync the kernel may have dropped the dirty pages and report success the next
    time, so only what recovery reads back from the file can be believed.
    """
    return isinstance(error, _FATAL)
