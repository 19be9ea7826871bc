"""Connections that one worker accepted and another, who has fewer, should serve.

All workers accept on the same sockets, and whoever wakes first gets the connection: busy ones get
fewer, but nothing keeps it even. Who is clearly ahead passes a new connection on before anything
was read from it, as a descriptor over a Unix socket. Only who is ready and has just shown that it
lives is given any; what waits for one that died or hangs since, the supervisor gives to the others.
"""

import array
import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence
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
        if port >= _PORTS:
            return False
        to = self._lightest() if leaving else self._clearly_lighter()
        return to is not None and self._give(to, port, connection)

    def take_back(self, worker: int) -> int:
        """Give what waits for a worker that is dead, hangs or stops to the others; how much it was.

        For whoever watches over the workers: what was passed on in the moment of a death would
        wait for whoever has this number next, with nobody greeting the clients meanwhile.
        """
        if self._takes(worker) or not self._taking():
            return 0
        moved = 0
        for port, given in self._given_to(worker):
            with given:
                if not any(self._give(to, port, given) for to in self._taking()):
                    self._give(worker, port, given)  # They are full just now: it waits on.
                    break
            moved += 1
        return moved

    def _give(self, to: int, port: int, connection: socket.socket) -> bool:
        # A full channel, or a worker that has just died: whoever gives keeps it.
        with contextlib.suppress(OSError):
            descriptors = array.array("i", [connection.fileno()])
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)]
            self.channels[to][1].sendmsg([bytes([port])], rights)
            return True
        return False

    def _clearly_lighter(self) -> int | None:
        board = self.board
        mine = board.connections(board.worker)
        if mine < _SLACK or (to := self._lightest()) is None:
            return None
        return to if mine - board.connections(to) >= max(_SLACK, mine // 4) else None

    def _lightest(self) -> int | None:
        """Of the others."""
        return next((n for n in self._taking() if n != self.board.worker), None)

    def _taking(self) -> list[int]:
        """Who takes connections now, those with the fewest first."""
        workers = filter(self._takes, range(self.board.workers))
        return sorted(workers, key=self.board.connections)

    def _takes(self, worker: int) -> bool:
        is_fresh = self.board.alive(worker) > self.clock.monotonic() - _FRESH
        return is_fresh and self.board.serves(worker)

    def fileno(self) -> int:
        """To wait on for what others give."""
        return self.channels[self.board.worker][0].fileno()

    def take(self, serve: Callable[[int, socket.socket], None]) -> None:
        """Serve everything that was given, by the number of its port."""
        for port, given in self._given_to(self.board.worker):
            serve(port, given)

    def _given_to(self, worker: int) -> Iterator[tuple[int, socket.socket]]:
        inbox = self.channels[worker][0]
        with contextlib.suppress(BlockingIOError):
            while True:
                port, given, _, _ = socket.recv_fds(inbox, 1, 1)
                for descriptor in given:
                    yield port[0], socket.socket(fileno=descriptor)
