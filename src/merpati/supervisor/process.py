"""`merpati serve`: from the command to running workers and back.

The order matters: what needs root (ports below 1024, a key that only root reads) comes first, then
privileges are dropped, and only then is anything opened that strangers' octets reach. One worker
runs in this process; several are children of it (`fleet`).
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import uvloop

from merpati.api.errors import Mistaken
from merpati.certificates.watch import Watch
from merpati.clock import SystemClock
from merpati.config.errors import ConfigError
from merpati.config.files import look
from merpati.config.places import Places
from merpati.config.settings import Settings, load
from merpati.errors import MerpatiError
from merpati.node.memory import SharedMemory, share
from merpati.storage.errors import StorageError
from merpati.storage.lock import Lock
from merpati.supervisor.descriptors import raise_limit, shortage
from merpati.supervisor.fleet import Fleet
from merpati.supervisor.inheritance import Inheritance
from merpati.supervisor.keeper import Keeper, is_needed
from merpati.supervisor.notify import Notifier
from merpati.supervisor.privileges import PrivilegeError, drop, find_user, give
from merpati.supervisor.sockets import listen
from merpati.system.aside import set_aside
from merpati.system.certificate import open_configured, open_own
from merpati.system.log import Log
from merpati.system.outlet import Outlet
from merpati.system.server import Assignment, Server, bind_private, opened
from merpati.wire.endpoint import Endpoint
from merpati.wire.handover import Handover, channels
from merpati.wire.tls import unraisable

# Workers whose supervisor was killed own the data until they have stopped.
_PATIENCE = 3.0
_PAUSE = 0.1


def run(settings: Settings, *, use_uvloop: bool = True) -> None:
    """Serve until SIGTERM or SIGINT. Raises a MerpatiError when it cannot start."""
    if flaws := look(settings):
        raise ConfigError(str(settings.file), flaws)
    # Mail and keys are nobody else's business, whatever the caller's umask is.
    os.umask(0o077)
    sys.unraisablehook = unraisable
    with _standard_error_that_never_waits():
        _serve(settings, use_uvloop)


@contextlib.contextmanager
def _standard_error_that_never_waits() -> Iterator[None]:
    """For our log, and for what the interpreter and libraries write there."""
    before = sys.stderr
    if before is not None:
        with contextlib.suppress(OSError):  # A stream without a descriptor, as tests have one.
            sys.stderr = Outlet(before.fileno())
    try:
        yield
    finally:
        sys.stderr = before


def _serve(settings: Settings, use_uvloop: bool) -> None:
    process = Process(settings)
    try:
        inheritance = process.prepare()
        new_loop = uvloop.new_event_loop if use_uvloop else None
        if settings.workers > 1:
            Fleet(settings, inheritance, process.early, new_loop).run()
            return
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(process.work(inheritance))
    except ExceptionGroup as defects:
        process.tell(defects)
        raise MerpatiError("the server ended by a defect of its own; its log says where") from None
    finally:
        process.release()


class Process:
    """The process that the command started."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._places = Places(settings.data)
        self._clock = SystemClock()
        self._log = Log(self._clock)
        self._lock = Lock(self._places.lock)
        self._notifier = Notifier(os.environ, os.getpid())
        self._open = contextlib.ExitStack()
        self.early: set[int] = set()
        """Signals that came before anybody listened."""

    def prepare(self) -> Inheritance:
        """Own the data, open the ports, load the key, then become an ordinary user.

        The user owns the data directory and may have put anything there. Root opens nothing in it
        but the lock, and follows no link there.
        """
        for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(name, self._remember)
        self._warn()
        self._warn_of_shortage(raise_limit())
        user = self._settings.document.user
        self._make(self._places.data, user)
        self._take_lock()
        watch = self._watch(user)
        open_configured(watch, self._settings)
        sockets = listen(self._endpoints(), self._settings.base, os.environ, os.getpid())
        self._close_at_end(sockets)
        give(self._places.lock, user)
        drop(user)
        open_own(watch, self._settings, self._clock)
        set_aside(self._places, self._clock, self._log)
        return self._inheritance(sockets, watch)

    def _watch(self, user: str) -> Watch:
        """Who reads certificates: with the help of a process that stays root, where we do not and
        the keys are root's alone."""
        if os.geteuid() != 0 or not user or not is_needed(self._settings, find_user(user)):
            return Watch(self._clock)
        keeper = Keeper(self._settings)
        self._open.callback(keeper.close)
        return Watch(self._clock, reader=keeper)

    def _inheritance(self, sockets: Sequence[socket.socket], watch: Watch) -> Inheritance:
        """What no worker can make for itself."""
        own = [bind_private(self._places.control), bind_private(self._places.smtp)]
        self._close_at_end(own)
        document, workers = self._settings.document, self._settings.workers
        ports = len(document.port)
        others = list(sockets[ports:])
        doors = len(document.http.doors()) if document.http else 0
        memory = share(workers)
        return Inheritance(
            ports=sockets[:ports],
            web=others[:doors],
            challenges=others[doors] if others[doors:] else None,
            control=own[0],
            local=own[1],
            watch=watch,
            memory=memory,
            handover=self._handover(memory) if workers > 1 else None,
            clock=self._clock,
            log=self._log,
            notifier=self._notifier,
        )

    def _handover(self, memory: SharedMemory) -> Handover:
        made = channels(memory.board.workers)
        for ends in made:
            self._close_at_end(ends)
        return Handover(memory.board, made, self._clock)

    def _close_at_end(self, sockets: Sequence[socket.socket]) -> None:
        for one in sockets:
            self._open.callback(one.close)

    def _take_lock(self) -> None:
        end = self._clock.monotonic() + _PATIENCE
        while not self._lock.try_take():
            if self._clock.monotonic() >= end:
                raise StorageError(
                    f"{self._places.lock} is locked: another Merpati works on this data"
                )
            self._clock.pause(_PAUSE)

    def tell(self, defects: ExceptionGroup[Exception]) -> None:
        """What ended us, with its trace, for the log."""
        self._log.defect("defect", defects)

    def _remember(self, name: int, _: object) -> None:
        """A signal before anybody listens: the ports are open already, so it is early."""
        self.early.add(name)

    def release(self) -> None:
        """Close what is still open; right after a failed start, too."""
        self._open.close()
        self._lock.release()

    async def work(self, given: Inheritance) -> None:
        """The only worker, with the signals that reach it."""
        shards = tuple(self._places.shards() or [0])
        others = tuple(shard for shard in shards if shard)
        assignment = Assignment(own=0, adopted=others, node=(0, *others))
        alone = _Alone()
        surroundings = given.surroundings(
            assignment, alone, os.getpid(), (self._started, self._stopping)
        )
        async with opened(self._settings, surroundings) as server, asyncio.TaskGroup() as tasks:
            alone.server = server
            self._listen_to_signals(server)
            watchdog = tasks.create_task(self._live())
            await server.run()
            watchdog.cancel()
        self._log.info("stopped", "everything is stored")

    def _started(self, ports: str) -> None:
        self._log.info("started", ports)
        self._notifier.ready(ports)

    def _stopping(self) -> None:
        self._notifier.stopping()
        self._log.info("stopping", "no more connections; sessions end")

    def _listen_to_signals(self, server: Server) -> None:
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, server.begin_stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload, server)
        if signal.SIGHUP in self.early:
            self._reload(server)
        if self.early - {signal.SIGHUP}:
            server.begin_stop()

    def _reload(self, server: Server) -> None:
        """SIGHUP. A file with a mistake is refused: the server goes on with what it has."""
        if self._settings.file is None:
            return
        self._notifier.reloading(self._clock.monotonic())
        try:
            server.take_up(load(self._settings.file))
        except MerpatiError as error:
            self._log.error("reload refused", str(error))
        self._notifier.ready("running")

    async def _live(self) -> None:
        """Tell systemd's watchdog that the loop turns."""
        while (interval := self._notifier.watchdog_interval) is not None:
            self._notifier.alive()
            await self._clock.sleep(interval)

    def _endpoints(self) -> list[Endpoint]:
        document = self._settings.document
        web = [end for _, end in document.http.doors()] if document.http else []
        ca = [document.acme.listen] if document.acme and document.acme.listen else []
        return [*(port.listen for port in document.port), *web, *ca]

    def _make(self, folder: Path, user: str) -> None:
        if not folder.exists():
            try:
                folder.mkdir(mode=0o700, parents=True)
            except OSError as error:
                raise PrivilegeError(f"cannot make {folder}: {error.strerror}") from error
            give(folder, user)

    def _warn(self) -> None:
        if self._settings.is_inbox:
            self._introduce_inbox()
            return
        if os.geteuid() == 0 and not self._settings.document.user:
            self._log.warning("root", "running as root: set user in merpati.toml")

    def _warn_of_shortage(self, limit: int) -> None:
        document = self._settings.document
        general = document.limits.connections
        wanted = [port.connections or general for port in document.port]
        if document.http:
            wanted += [document.http.connections for _ in document.http.doors()]
        if text := shortage(limit, wanted):
            self._log.warning("descriptors", text)

    def _introduce_inbox(self) -> None:
        """To somebody who has just started it for the first time."""
        (port,) = self._settings.document.port
        self._log.info(
            "inbox",
            f"a developer's inbox on {port.listen}. It takes every message, keeps "
            f"it in {self._settings.data} and sends none. To see them: merpati inbox list",
        )


class _Alone:
    """The superior of a worker that has this process to itself."""

    def __init__(self) -> None:
        self.server: Server | None = None

    def stop(self) -> None:
        if self.server is not None:
            self.server.begin_stop()

    def restart(self) -> None:
        raise Mistaken(
            "there is one worker, and nobody would serve meanwhile: set workers in merpati.toml to "
            "2 or more, or restart the service"
        )

    def reloaded(self) -> None:
        """Nobody else has to know."""
