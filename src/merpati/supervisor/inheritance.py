"""What every worker has from the process that the command started, made before any of them."""

import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from merpati.certificates.watch import Watch
from merpati.clock import SystemClock
from merpati.node.memory import SharedMemory
from merpati.supervisor.notify import Notifier
from merpati.system.log import Log
from merpati.system.server import Assignment, Superior, Surroundings
from merpati.wire.handover import Handover


@dataclass(frozen=True, slots=True, kw_only=True)
class Inheritance:
    """Sockets, keys, memory; one for all."""

    ports: Sequence[socket.socket]
    web: Sequence[socket.socket]
    challenges: socket.socket | None
    control: socket.socket
    local: socket.socket
    watch: Watch
    memory: SharedMemory
    handover: Handover | None
    clock: SystemClock
    log: Log
    notifier: Notifier

    def surroundings(
        self,
        assignment: Assignment,
        superior: Superior,
        pid: int,
        told: tuple[Callable[[str], None], Callable[[], None]],
        log: Log | None = None,
    ) -> Surroundings:
        """The same for one worker; `told` are called when it is ready, and when it stops."""
        return Surroundings(
            ports=self.ports,
            web=self.web,
            challenges=self.challenges,
            control=self.control,
            local=self.local,
            watch=self.watch,
            memory=self.memory,
            handover=self.handover,
            assignment=assignment,
            superior=superior,
            pid=pid,
            clock=self.clock,
            log=log or self.log,
            ready=told[0],
            stopping=told[1],
        )

    def sockets(self) -> Iterator[socket.socket]:
        """Everything that listens."""
        yield from (*self.ports, *self.web, self.control, self.local)
        if self.challenges is not None:
            yield self.challenges
