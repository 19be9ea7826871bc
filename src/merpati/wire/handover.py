"""Connections that one worker accepted and another, who has fewer, should serve.

All workers accept on the same sockets, and whoever wakes first gets the connection: busy ones get
fewer, but nothing keeps it even. Who is clearly ahead passes a new connection on before anything
was read from it, as a descriptor over a Unix socket.
"""

import array
import contextlib
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from merpati.clock import Clock
from merpati.node.board import Board

_SLACK = 4
"""Connections that a worker may be ahead by, or a quarter of its own where that is more."""
_FRESH = 3.0
"""Seconds since the last sign of life of whoever is to get a connection."""
_PORTS = 256
Channel = tuple[socket.socket, socket.socket]
"""Where a worker takes connections, and where the others give them."""


def channels(workers: int) -> tuple[Channel, ...]:
    """One for each worker; made before they are, and kept when one is made anew."""
    made = []
    for _ in range(workers):
        pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for end in pair:
            end.setblocking(False)
        made.append(pair)
    return tuple(made)


@dataclass(frozen=True, slots=True)
class Handover:
    """What a worker gives to the others and takes from them."""

    board: Board
    channels: Sequence[Channel]
    clock: Clock

    def connected(self, amount: int) -> None:
        """This worker serves so many connections more, or fewer."""
        self.board.connected(amount)

    def offer(self, port: int, connection: socket.socket, *, leaving: bool = False) -> bool:
        """Give it to the worker with the fewest, if that is clearly fewer or we are `leaving`;
        whether it was given.

        The caller closes its own descriptor then, and says nothing on it.
        """
        to = self._lightest(leaving)
        if to is None or port >= _PORTS:
            return False
        # A full channel, or a worker that has just died: we keep it.
        with contextlib.suppress(OSError):
            descriptors = array.array("i", [connection.fileno()])
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)]
            self.channels[to][1].sendmsg([bytes([port])], rights)
            return True
        return False

    def _lightest(self, leaving: bool) -> int | None:
        board, now = self.board, self.clock.monotonic()
        mine = board.connections(board.worker)
        if mine < _SLACK and not leaving:
            return None
        # 0.0 is who has not begun, or has stopped, however soon after the machine's start.
        others = [n for n in range(board.workers) if board.alive(n) > max(0.0, now - _FRESH)]
        lightest = min(others, key=board.connections, default=board.worker)
        if leaving:
            return lightest if lightest != board.worker else None
        behind = mine - board.connections(lightest)
        return lightest if behind >= max(_SLACK, mine // 4) else None

    def fileno(self) -> int:
        """To wait on for what others give."""
        return self.channels[self.board.worker][0].fileno()

    def take(self, serve: Callable[[int, socket.socket], None]) -> None:
        """Serve everything that was given, by the number of its port."""
        inbox = self.channels[self.board.worker][0]
        with contextlib.suppress(BlockingIOError):
            while True:
                port, given, _, _ = socket.recv_fds(inbox, 1, 1)
                for descriptor in given:
                    serve(port[0], socket.socket(fileno=descriptor))
