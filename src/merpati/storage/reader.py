"""Threads for questions, so that an operator's search never holds up a commit, nor delivery.

Each question is one short read; nobody keeps a snapshot across an await, which would grow the WAL.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from queue import SimpleQueue

import apsw

from merpati.storage.connection import StorageSettings, abandon, connect_reader
from merpati.storage.errors import StorageError
from merpati.storage.foreign import loses_trust, translate
from merpati.storage.job import Job, finish_all

_THREADS = 2
"""One that a long search may have, and one that goes on with the bodies of mail."""


class Reader:
    """Begins questions in order, each on the first thread that is free."""

    def __init__(self, settings: StorageSettings) -> None:
        self._settings = settings
        self._queue: SimpleQueue[Job[object] | None] = SimpleQueue()
        self._asked = [_Asked(settings, self._queue) for _ in range(_THREADS)]
        self._threads: list[threading.Thread] = []

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin; the file is opened with the first question of a thread."""
        for number, asked in enumerate(self._asked):
            name = f"reader {number} {self._settings.path.name}"
            # An owner that fails before it closes must not keep the process from ending: what was
            # acknowledged is synced, and the next start recovers.
            thread = threading.Thread(target=asked.work, args=(loop,), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def submit(self, job: Job[object]) -> None:
        """Hand over a question; its answer is told on the loop."""
        self._queue.put(job)

    def stop(self) -> None:
        """Answer what was asked, close, return. Blocks; call it off the loop."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    @contextmanager
    def shut(self) -> Iterator[None]:
        """Within the block the file is not open here, and questions wait. Blocks until those that
        were begun are answered; call it off the loop."""
        with ExitStack() as stack:
            for asked in self._asked:
                stack.enter_context(asked.shut())
            yield


class _Asked:
    """One thread, over a connection of its own."""

    def __init__(
        self, settings: StorageSettings, questions: "SimpleQueue[Job[object] | None]"
    ) -> None:
        self._settings = settings
        self._queue = questions
        self._connection: apsw.Connection | None = None
        self._turn = threading.Lock()

    def work(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answer until it is told to stop."""
        while (job := self._queue.get()) is not None:
            with self._turn:
                self._answer(job)
            loop.call_soon_threadsafe(finish_all, [job])
            del job  # Its error may hold on to what failed.
        with self._turn:
            self._close()

    @contextmanager
    def shut(self) -> Iterator[None]:
        """See `Reader.shut`."""
        with self._turn:
            self._close()
            yield

    def _answer(self, job: Job[object]) -> None:
        try:
            job.result = self._ask(job)
        except StorageError as error:
            job.error = error
        except apsw.Error as error:
            job.error = translate(error, str(self._settings.path))
            if loses_trust(error):
                self._close()
        except Exception as error:
            job.error = error

    def _ask(self, job: Job[object]) -> object:
        try:
            return job.work(self._opened())
        except apsw.CorruptError:
            # A disk that failed to read once can look like a damaged file, and a message that is
            # damaged is held: only what a fresh handle finds damaged as well is.
            self._close()
            return job.work(self._opened())

    def _opened(self) -> apsw.Connection:
        if self._connection is None:
            self._connection = connect_reader(self._settings)
        return self._connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            abandon(connection)
