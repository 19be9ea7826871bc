"""Who owns a store: one process at a time, by flock, so that a dead owner frees it by dying."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from merpati.storage.errors import StorageError

# Root may open it in a directory that is not root's: no link there may lead it elsewhere.
_OPEN = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class Lock:
    """The owner lock of a data directory. Usable as a context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def take(self) -> None:
        """Own it until `release` or the end of the process. StorageError when it is owned."""
        if not self.try_take():
            raise StorageError(f"{self._path} is locked: another Merpati works on this data")

    def try_take(self) -> bool:
        """Own it if nobody does; False tells that the server runs."""
        if self._descriptor is not None:
            return True
        try:
            descriptor = os.open(self._path, _OPEN, 0o600)
        except OSError as error:
            raise StorageError(f"cannot open {self._path}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give it up. Idempotent. The file stays: removing it would let two owners in."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> "Lock":
        self.take()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """One process at a time; the others wait. Blocks, so call it off the loop."""
    descriptor = os.open(path, _OPEN, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
