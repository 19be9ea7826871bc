"""A worker's own side: a process that was made by fork, and listens to who made it.

It ends when its supervisor says so, and when that is gone: another server may be waiting for the
data, whose lock lives as long as the last worker does.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from merpati.config.settings import Settings, load
from merpati.errors import MerpatiError
from merpati.supervisor import bus
from merpati.supervisor.inheritance import Inheritance
from merpati.system.log import Log
from merpati.system.server import Assignment, Server, opened

NewLoop = Callable[[], asyncio.AbstractEventLoop]
_ORPHAN = 1.0
"""Seconds that sessions get when the supervisor is gone: another may be waiting for the data."""
_BEAT = 1.0
"""Seconds between two signs of life."""
_ORPHANED = "the supervisor is gone: this worker stops"


@dataclass(frozen=True, slots=True)
class Subordinate:
    """A worker's own side, in its own process. It is the `Superior` that the worker knows."""

    settings: Settings
    given: Inheritance
    line: bus.Line
    assignment: Assignment

    def live(self, new_loop: NewLoop | None) -> None:
        """The whole life of the process; does not return."""
        status = 1
        log = Log(self.given.clock, worker=self.assignment.own)
        try:
            self._begin()
            with asyncio.Runner(loop_factory=new_loop) as runner:
                runner.run(self._work(log))
            status = 0
        except MerpatiError as error:
            self.line.say(bus.Failed(str(error)[: bus.MAX_TEXT]))
        except BaseException as error:
            log.defect("defect", error)
            self.line.say(bus.Failed("it ended by a defect of its own; its log says where"))
        finally:
            os._exit(status)

    def _begin(self) -> None:
        signal.set_wakeup_fd(-1)
        # Ctrl-C and a hang-up reach every process of a terminal: the supervisor decides.
        for name in (signal.SIGINT, signal.SIGHUP):
            signal.signal(name, signal.SIG_IGN)
        # Until it serves, an end loses nothing: a service manager tells every process at once.
        for name in (signal.SIGTERM, signal.SIGCHLD):
            signal.signal(name, signal.SIG_DFL)
        self.given.memory.become(self.assignment.own)
        with suppress(OSError):
            Path("/proc/self/comm").write_text(f"merpati {self.assignment.own}")

    async def _work(self, log: Log) -> None:
        told = (lambda ports: self.line.say(bus.Ready(ports[: bus.MAX_TEXT])), _nothing)
        given = self.given.surroundings(self.assignment, self, os.getppid(), told, log)
        loop, early = asyncio.get_running_loop(), list[bus.Message]()
        self._live(loop)
        loop.add_reader(self.line.fileno(), self._listen_early, early, log)
        async with opened(self.settings, given) as server:
            loop.add_signal_handler(signal.SIGTERM, server.begin_stop)
            loop.add_reader(self.line.fileno(), self._listen, server, log)
            self._obey(early, server, log)
            await server.run()
            loop.remove_reader(self.line.fileno())

    def _live(self, loop: asyncio.AbstractEventLoop) -> None:
        """Show that the loop turns, from its first turn on: to open a long queue may take minutes,
        and whoever shows nothing for so long hangs."""
        self.given.memory.board.live(self.given.clock.monotonic())
        loop.call_later(_BEAT, self._live, loop)

    def _listen_early(self, early: list[bus.Message], log: Log) -> None:
        """Before it serves: it may be waiting for room on the disk, for as long as that takes."""
        heard = self.line.hear()
        if heard is None:
            log.error("orphaned", _ORPHANED)
        if heard is None or bus.Stop() in heard:
            os._exit(0)  # Nothing was taken yet that an end could lose.
        early += heard

    def _listen(self, server: Server, log: Log) -> None:
        heard = self.line.hear()
        if heard is None:
            asyncio.get_running_loop().remove_reader(self.line.fileno())
            log.error("orphaned", _ORPHANED)
            server.begin_stop(_ORPHAN)
        self._obey(heard or (), server, log)

    def _obey(self, messages: Iterable[bus.Message], server: Server, log: Log) -> None:
        for message in messages:
            if isinstance(message, bus.Stop):
                server.begin_stop()
            elif isinstance(message, bus.Reload):
                self._reload(server, log)

    def _reload(self, server: Server, log: Log) -> None:
        if self.settings.file is None:
            return
        try:
            server.take_up(load(self.settings.file))
        except MerpatiError as error:
            log.error("reload refused", str(error))

    def stop(self) -> None:
        self.line.say(bus.StopAll())

    def restart(self) -> None:
        self.line.say(bus.RestartAll())

    def reloaded(self) -> None:
        self.line.say(bus.Reloaded())


def _nothing() -> None:
    """The supervisor has told it."""
