"""Several workers: made from this process, watched, replaced when they die, and ended in order.

The supervisor touches no mail. It has no event loop and no threads, so that a worker can be made by
fork at any time; everything that a worker inherits was opened before. Each worker has the shard of
its own number, and those of workers that are not there any more are shared out among them.

A worker that dies is made again at once, and after ever longer pauses when it dies right after its
start or before it is ready; the others go on meanwhile. Only when the very first start fails does
everything end. A worker whose loop does not turn is killed and made again like one that dies, from
its start on: it may take hours to recover a long queue, but has to show that it lives.

Connections that were passed on to a worker that does not take them are given to the others.
"""

import os
import select
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass, field

from merpati.config.errors import ConfigError
from merpati.config.files import look
from merpati.config.places import Places
from merpati.config.settings import Settings, load
from merpati.errors import MerpatiError
from merpati.storage.errors import StorageError
from merpati.supervisor import bus
from merpati.supervisor.inheritance import Inheritance
from merpati.supervisor.subordinate import NewLoop, Subordinate
from merpati.system.certificate import take_up
from merpati.system.full import turn_away
from merpati.system.reload import unchangeable
from merpati.system.server import Assignment
from merpati.system.stores import make_shared

_STOP = 75.0
"""Seconds after which a worker that was told to stop is killed: sessions and deliveries have 30
each, and the stores have to close."""
_HUNG = 60.0
"""A worker whose loop has not turned for so long is killed, and made anew."""
_LONG_START = 60.0
"""Seconds after which an operator is told that a worker lives and is still not ready."""
_LOOK = 1.0
_ASLEEP = 5.0
"""The supervisor itself has not looked for so long: all were stopped together (`docker pause`, a
machine that is moved), and nobody hangs who could not run."""
_SHORT_LIFE = 10.0
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0


@dataclass(slots=True)
class _Worker:
    """One of them, as the supervisor knows it."""

    number: int
    pid: int = 0
    """0: there is none now."""
    line: bus.Line | None = None
    started: float = 0.0
    is_ready: bool = False
    told_to_stop: float = 0.0
    """When; 0.0 for not."""
    is_killed: bool = False
    told_of_start: bool = False
    """That it takes long."""
    short_lives: int = 0
    start_at: float = 0.0
    why: str = ""
    """What it said when it could not start."""


@dataclass(slots=True)
class Fleet:
    """The workers of this node. `run` once."""

    settings: Settings
    given: Inheritance
    early: set[int]
    """Signals that came before."""
    new_loop: NewLoop | None
    _workers: list[_Worker] = field(default_factory=list)
    _replacing: list[int] = field(default_factory=list)
    """Workers that a rolling restart has still to replace."""
    _is_complete: bool = False
    _stopping: bool = False
    _failure: str = ""
    _ports: str = ""
    _looked: float = 0.0
    _awake_since: float = 0.0

    def run(self) -> None:
        """Until SIGTERM or SIGINT; MerpatiError when a worker cannot start at first."""
        if not self._make_shared():
            return
        self._workers = [_Worker(number) for number in range(self.settings.workers)]
        reading, writing = socket.socketpair()
        reading.setblocking(False)
        writing.setblocking(False)
        signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(name, self._heard)
        with reading, writing:
            while not self._stopping or any(worker.pid for worker in self._workers):
                self._obey_signals()
                self._reap()
                self._tend()
                self._wait(reading)
            signal.set_wakeup_fd(-1)
        if self._failure:
            raise MerpatiError(self._failure)
        self.given.log.info("stopped", "everything is stored")

    def _make_shared(self) -> bool:
        """What no worker can make for itself, as soon as there is room on the disk; False when it
        was told to stop before."""
        told = False
        while not self.early & {signal.SIGTERM, signal.SIGINT}:
            try:
                make_shared(Places(self.settings.data))
            except StorageError as error:
                if not error.is_full:
                    raise
                if not told:
                    text = f"{error}; nothing is taken until there is room"
                    self.given.log.error("full", text)
                    told = True
                turn_away(self.given.ports, self.given.clock)
            else:
                return True
        return False

    def _heard(self, name: int, _: object) -> None:
        self.early.add(name)

    def _obey_signals(self) -> None:
        heard, self.early = self.early, set()
        if signal.SIGHUP in heard:
            self._reload()
        if heard & {signal.SIGTERM, signal.SIGINT}:
            self._stop()

    def _wait(self, signals: socket.socket) -> None:
        """Until something happens, or for a moment."""
        waiting: list[socket.socket | bus.Line] = [signals]
        waiting += [worker.line for worker in self._workers if worker.line is not None]
        readable, _, _ = select.select(waiting, [], [], self._patience())
        with suppress(BlockingIOError):
            signals.recv(4096)
        for worker in self._workers:
            if worker.line in readable:
                self._listen(worker)

    def _patience(self) -> float:
        interval = self.given.notifier.watchdog_interval or _LOOK
        now = self.given.clock.monotonic()
        missing = [] if self._stopping else [one for one in self._workers if not one.pid]
        starts = [worker.start_at - now for worker in missing]
        return 0.0 if self.early else max(0.0, min(_LOOK, interval, *starts))

    def _tend(self) -> None:
        """Start what is missing, end what hangs, go on with replacing."""
        now = self.given.clock.monotonic()
        self.given.notifier.alive()
        # Steps of the time of day are followed: a worker that is made in a year begins with ours.
        self.given.clock.now()
        self.given.log.catch_up()
        if now > self._looked + _ASLEEP:
            self._awake_since = now
        self._looked = now
        for worker in self._workers:
            if worker.pid:
                self._watch(worker, now)
            elif not self._stopping and now >= worker.start_at:
                self._start(worker)
            if self.given.handover is not None:
                self.given.handover.take_back(worker.number)
        if self._replacing and all(one.is_ready and not one.told_to_stop for one in self._workers):
            self._tell_to_stop(self._workers[self._replacing.pop(0)])

    def _watch(self, worker: _Worker, now: float) -> None:
        if worker.is_ready and not worker.told_to_stop and not self._serves(worker):
            worker.told_to_stop = now  # By somebody else, with SIGTERM: it has left the board.
        if worker.told_to_stop:
            if now > max(worker.told_to_stop, self._awake_since) + _STOP:
                self._kill(worker, "did not stop in time")
            return
        last = max(self.given.memory.board.alive(worker.number), worker.started)
        if now > max(last, self._awake_since) + _HUNG:
            self._kill(worker, f"has not moved for {now - last:.0f} s")
        elif not worker.is_ready and not worker.told_of_start:
            self._watch_start(worker, now - worker.started)

    def _watch_start(self, worker: _Worker, seconds: float) -> None:
        if seconds > _LONG_START:
            worker.told_of_start = True
            text = f"worker {worker.number} is not ready after {seconds:.0f} s, and works on it"
            self.given.log.warning("worker", text)

    def _serves(self, worker: _Worker) -> bool:
        return self.given.memory.board.serves(worker.number)

    def _kill(self, worker: _Worker, why: str) -> None:
        self.given.log.error("worker", f"worker {worker.number} {why}: it is killed")
        os.kill(worker.pid, signal.SIGKILL)
        worker.told_to_stop, worker.is_killed = self.given.clock.monotonic(), True

    def _start(self, worker: _Worker) -> None:
        worker.started = self.given.clock.monotonic()
        worker.is_ready, worker.told_to_stop, worker.why = False, 0.0, ""
        worker.is_killed = worker.told_of_start = False
        try:
            worker.pid, worker.line = self._make(worker.number)
        except OSError as error:  # No room for a process, or for its line: the others go on.
            self._lost(worker, f"cannot be made: {error.strerror}")

    def _make(self, number: int) -> tuple[int, bus.Line]:
        """A process, and our end of its line."""
        assignment = self._assignment(number)
        mine, theirs = bus.lines()
        try:
            pid = os.fork()
        except OSError:
            mine.close()
            theirs.close()
            raise
        if not pid:
            others = [one.line for one in self._workers if one.line is not None]
            for line in (mine, *others):
                line.close()
            Subordinate(self.settings, self.given, theirs, assignment).live(self.new_loop)
        theirs.close()
        return pid, mine

    def _assignment(self, number: int) -> Assignment:
        count = len(self._workers)
        left = [shard for shard in Places(self.settings.data).shards() if shard >= count]
        return Assignment(
            own=number,
            adopted=tuple(shard for shard in left if shard % count == number),
            node=(*range(count), *left),
        )

    def _reap(self) -> None:
        """Learn who has ended: in a container the first process inherits all orphans."""
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                for worker in self._workers:
                    if worker.pid == ended[0]:
                        self._ended(worker, os.waitstatus_to_exitcode(ended[1]))

    def _ended(self, worker: _Worker, status: int) -> None:
        if worker.line is not None:
            self._listen(worker)
        if worker.line is not None:
            worker.line.close()
            worker.line = None
        worker.pid = 0
        self.given.memory.forget(worker.number)
        if self._stopping:
            return
        if worker.told_to_stop:
            self._plan_start(worker)
        else:
            how = f"by signal {-status}" if status < 0 else f"with status {status}"
            self._lost(worker, f"ended {how}")

    def _lost(self, worker: _Worker, how: str) -> None:
        """It is not there, and nobody wanted that."""
        self.given.log.error("worker", f"worker {worker.number}: {worker.why or how}")
        if self._is_complete:
            self._plan_start(worker)
        else:
            self._failure = worker.why or f"worker {worker.number} {how} at its start"
            self._stop()

    def _plan_start(self, worker: _Worker) -> None:
        now = self.given.clock.monotonic()
        in_order = worker.told_to_stop and not worker.is_killed
        if in_order or (worker.is_ready and now - worker.started > _SHORT_LIFE):
            worker.short_lives, worker.start_at = 0, now
        else:
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0**worker.short_lives)
            worker.short_lives = min(worker.short_lives + 1, 10)
            worker.start_at = now + pause
        worker.is_ready = False

    def _listen(self, worker: _Worker) -> None:
        heard = worker.line.hear() if worker.line is not None else None
        if heard is None and worker.line is not None:
            worker.line.close()
            worker.line = None
        for message in heard or ():
            self._understand(worker, message)

    def _understand(self, worker: _Worker, message: bus.Message) -> None:
        if isinstance(message, bus.Ready):
            worker.is_ready = True
            self._ports = message.ports
            self._see_whether_complete()
        elif isinstance(message, bus.Failed):
            worker.why = message.why
        elif isinstance(message, bus.StopAll):
            self._stop()
        elif isinstance(message, bus.RestartAll):
            self._replacing = list(range(len(self._workers)))
            self.given.log.info("restarting", "the workers are replaced one after the other")
        elif isinstance(message, bus.Reloaded):
            self._take_up()

    def _see_whether_complete(self) -> None:
        if not self._is_complete and all(worker.is_ready for worker in self._workers):
            self._is_complete = True
            self.given.log.info("started", f"{self._ports}; {len(self._workers)} workers")
            self.given.notifier.ready(self._ports)

    def _reload(self) -> None:
        """SIGHUP. A file with a mistake is refused: the server goes on with what it has."""
        if self._is_complete:
            self.given.notifier.reloading(self.given.clock.monotonic())
        try:
            if self._take_up():
                for worker in self._workers:
                    if worker.line is not None:
                        worker.line.say(bus.Reload())
        finally:
            if self._is_complete:  # Else it would be taken for the end of the start.
                self.given.notifier.ready(self._ports)

    def _take_up(self) -> bool:
        """Workers that are made from now on use the file as it is; False when it is refused."""
        if self.settings.file is None:
            return False
        try:
            settings = load(self.settings.file)
            if flaws := [
                *look(settings, self.given.watch.reader),
                *unchangeable(self.settings, settings),
            ]:
                raise ConfigError(str(settings.file), flaws)
            take_up(self.given.watch, settings)
        except MerpatiError as error:
            self.given.log.error("reload refused", str(error))
            return False
        self.settings = settings
        return True

    def _stop(self) -> None:
        if self._stopping:
            return
        self._stopping = True
        self.given.notifier.stopping()
        self.given.log.info("stopping", "no more connections; sessions end")
        # Whoever connects from now on is refused, and not kept waiting for nobody.
        for one in self.given.sockets():
            one.close()
        for worker in self._workers:
            self._tell_to_stop(worker)

    def _tell_to_stop(self, worker: _Worker) -> None:
        worker.told_to_stop = self.given.clock.monotonic()
        if worker.line is not None:
            worker.line.say(bus.Stop())
