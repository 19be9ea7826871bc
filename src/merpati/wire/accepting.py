"""Takes connections off one listening socket, and waits where the system has no room for more.

The loops' own servers do neither well: uvloop's asks again at once when `accept` fails, without
end and without a turn of the loop, and where files have run out it closes connections unsaid.
Here they stay in the kernel's backlog, in order, until there is room.
"""

import asyncio
import errno
import socket
from collections.abc import Callable

PAUSE = 0.1
"""Seconds until a socket that could not be accepted from is looked at again."""
_TURN = 64
"""Connections taken in one turn of the loop: sessions that run come to their turn in a flood."""
# accept(2): what became of a single connection; the next one may be sound.
_PASSING = frozenset(
    {
        errno.EINTR,
        errno.ECONNABORTED,
        errno.EPROTO,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENONET,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
        errno.ETIMEDOUT,
        errno.EPERM,  # Linux: a rule of the firewall forbids it.
    }
)


class Accepting:
    """Hands each connection to `take`, whose own it is from then on, until `close`."""

    def __init__(
        self,
        listener: socket.socket,
        take: Callable[[socket.socket], None],
        starved: Callable[[OSError], None],
    ) -> None:
        """`listener` does not block from here on. `starved` is told each time that the system
        refused a connection for want of something: descriptors, memory."""
        listener.setblocking(False)  # Else one that came from elsewhere could stop the loop.
        self._listener = listener
        self._take = take
        self._starved = starved
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._watch()

    def close(self) -> None:
        """Take no more and close the socket."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener)
        self._listener.close()

    def _watch(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        for _ in range(_TURN):
            try:
                accepted, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _PASSING:
                    continue
                self._wait(error)
                return
            self._take(accepted)

    def _wait(self, error: OSError) -> None:
        self._loop.remove_reader(self._listener)
        self._pause = self._loop.call_later(PAUSE, self._watch)
        self._starved(error)
