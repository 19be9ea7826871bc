"""`merpati serve`: from the command to a running worker and back.

The order matters: what needs root (ports below 1024, a key that only root reads) comes first, then
privileges are dropped, and only then is anything opened that strangers' octets reach.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

import uvloop

from merpati.clock import SystemClock
from merpati.config.errors import ConfigError
from merpati.config.files import look
from merpati.config.places import Places
from merpati.config.settings import Settings, load
from merpati.errors import MerpatiError
from merpati.storage.lock import Lock
from merpati.supervisor.descriptors import raise_limit, shortage
from merpati.supervisor.notify import Notifier
from merpati.supervisor.privileges import PrivilegeError, drop, give
from merpati.supervisor.sockets import listen
from merpati.system.certificate import open_certificate
from merpati.system.log import Log
from merpati.system.server import Server, Surroundings, opened
from merpati.wire.endpoint import Endpoint
from merpati.wire.tls import TlsContext


def run(settings: Settings, *, use_uvloop: bool = True) -> None:
    """Serve until SIGTERM or SIGINT. Raises a MerpatiError when it cannot start."""
    if flaws := look(settings):
        raise ConfigError(str(settings.file), flaws)
    # Mail and keys are nobody else's business, whatever the caller's umask is.
    os.umask(0o077)
    process = Process(settings)
    try:
        tls = process.prepare()
        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop if use_uvloop else None)
        with runner:
            runner.run(process.work(tls))
    except ExceptionGroup as defects:
        process.tell(defects)
        raise MerpatiError("the server ended by a defect of its own; its log says where") from None
    finally:
        process.release()


class Process:
    """One server process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._places = Places(settings.data)
        self._clock = SystemClock()
        self._log = Log(self._clock)
        self._lock = Lock(self._places.lock)
        self._notifier = Notifier(os.environ, os.getpid())
        self._sockets: Sequence[socket.socket] = ()
        self._early: set[int] = set()

    def prepare(self) -> TlsContext:
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
        self._lock.take()
        configured = self._settings.document.tls and open_certificate(self._settings, self._clock)
        self._sockets = listen(self._endpoints(), self._settings.base, os.environ, os.getpid())
        give(self._places.lock, user)
        drop(user)
        return configured or open_certificate(self._settings, self._clock)

    def tell(self, defects: ExceptionGroup[Exception]) -> None:
        """What ended us, with its trace, for the log."""
        self._log.defect("defect", defects)

    def _remember(self, name: int, _: object) -> None:
        """A signal before the event loop runs: the ports are open already, so it is early."""
        self._early.add(name)

    def release(self) -> None:
        """Close what is still open; right after a failed start, too."""
        for listening in self._sockets:
            listening.close()
        self._lock.release()

    async def work(self, tls: TlsContext) -> None:
        """The worker, with the signals that reach it."""
        ports = len(self._settings.document.port)
        given = Surroundings(
            ports=self._sockets[:ports],
            web=next(iter(self._sockets[ports:]), None),
            tls=tls,
            clock=self._clock,
            log=self._log,
            ready=self._notifier.ready,
            stopping=self._notifier.stopping,
        )
        async with opened(self._settings, given) as server, asyncio.TaskGroup() as tasks:
            self._listen_to_signals(server)
            watchdog = tasks.create_task(self._live())
            await server.run()
            watchdog.cancel()
        self._log.info("stopped", "everything is stored")

    def _listen_to_signals(self, server: Server) -> None:
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, server.begin_stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload, server)
        if signal.SIGHUP in self._early:
            self._reload(server)
        if self._early - {signal.SIGHUP}:
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
        web = [document.http.listen] if document.http else []
        return [*(port.listen for port in document.port), *web]

    def _make(self, folder: Path, user: str) -> None:
        if not folder.exists():
            try:
                folder.mkdir(mode=0o700, parents=True)
            except OSError as error:
                raise PrivilegeError(f"cannot make {folder}: {error.strerror}") from error
            give(folder, user)

    def _warn(self) -> None:
        document = self._settings.document
        if document.workers > 1:
            self._log.warning(
                "workers", f"workers = {document.workers}: this version uses one worker"
            )
        if self._settings.is_inbox:
            self._introduce_inbox()
            return
        if os.geteuid() == 0 and not document.user:
            self._log.warning("root", "running as root: set user in merpati.toml")

    def _warn_of_shortage(self, limit: int) -> None:
        document = self._settings.document
        general = document.limits.connections
        wanted = [port.connections or general for port in document.port]
        if text := shortage(limit, wanted):
            self._log.warning("descriptors", text)

    def _introduce_inbox(self) -> None:
        """To somebody who has just started it for the first time."""
        (port,) = self._settings.document.port
        self._log.info(
            "inbox",
            f"no merpati.toml: a developer's inbox on {port.listen}. It takes every message, keeps "
            f"it in {self._settings.data} and sends none. To see them: merpati inbox list",
        )
