"""Standard error as the server writes on it: at once or not at all.

Who reads the log may stop reading: a container's runtime whose disk is full, a pager, a terminal
after Ctrl-S. A pipe holds 64 KiB; then whoever writes waits, and with it all mail. The descriptor
itself must not be made non-blocking: others have the same one, the shell among them.

A file on a disk that hangs makes us wait all the same: Linux has no other way to write to one.
"""

import errno
import io
import os
import select
import socket
import stat
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial

# open(2): a description of our own, so that O_NONBLOCK is nobody else's.
_OWN = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Outlet(io.TextIOBase):
    """A text stream over a descriptor, which stays the caller's."""

    def __init__(self, descriptor: int) -> None:
        """Before privileges are dropped: a pipe may be another user's."""
        self._descriptor = descriptor
        self._own = ExitStack()
        self._put = self._way_to(descriptor)
        self._rest = b""
        """Of a line that was longer than what there was room for. Its end comes with the next one,
        and lines of other processes may come between."""

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Hand it to the kernel. Never waits: OSError when that takes nothing of it."""
        self.flush()
        octets = text.encode("utf-8", "backslashreplace")
        self._rest = octets[self._put(octets) :]
        with suppress(OSError):
            self.flush()
        return len(text)

    def flush(self) -> None:
        """The same with what is left of the line before."""
        while self._rest:
            self._rest = self._rest[self._put(self._rest) :]

    def close(self) -> None:
        """What was made for it goes; whatever nobody took by now is lost."""
        with suppress(OSError):
            super().close()
        self._own.close()

    def _way_to(self, descriptor: int) -> Callable[[bytes], int]:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISSOCK(mode):
            line = self._own.enter_context(socket.socket(fileno=os.dup(descriptor)))
            return lambda octets: line.send(octets, socket.MSG_DONTWAIT)
        if stat.S_ISREG(mode):
            return partial(os.write, descriptor)
        try:
            own = os.open(f"/proc/self/fd/{descriptor}", _OWN)
        except OSError:  # It is not ours, or there is no /proc.
            return partial(_write_where_there_is_room, descriptor)
        self._own.callback(os.close, own)
        return partial(os.write, own)


def _write_where_there_is_room(descriptor: int, octets: bytes) -> int:
    """The next best: it waits only where another process fills the last page of a pipe just now."""
    looked = select.poll()
    looked.register(descriptor, select.POLLOUT)
    if not looked.poll(0):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    # poll(2) of a pipe says that so much can be written without waiting.
    return os.write(descriptor, octets[: select.PIPE_BUF])
