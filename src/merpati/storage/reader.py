"""A thread for questions, so that an operator's search never holds up a commit.

Each question is one short read; nobody keeps a snapshot across an await, which would grow the WAL.
"""

import asyncio
import threading
from queue import SimpleQueue

import apsw

from merpati.storage.connection import StorageSettings, abandon, connect_reader
from merpati.storage.errors import StorageError
from merpati.storage.foreign import loses_trust, translate
from merpati.storage.job import Job, finish_all


class Reader:
    """Answers questions in order, over a connection of its own."""

    def __init__(self, settings: StorageSettings) -> None:
        self._settings = settings
        self._queue: SimpleQueue[Job[object] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._connection: apsw.Connection | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin; the file is opened with the first question."""
        name = f"reader {self._settings.path.name}"
        # An owner that fails before it closes must not keep the process from ending: what was
        # acknowledged is synced, and the next start recovers.
        self._thread = threading.Thread(target=self._work, args=(loop,), name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Job[object]) -> None:
        """Hand over a question; its answer is told on the loop."""
        self._queue.put(job)

    def stop(self) -> None:
        """Answer what was asked, close, return. Blocks; call it off the loop."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        while (job := self._queue.get()) is not None:
            self._answer(job)
            loop.call_soon_threadsafe(finish_all, [job])
        self._close()

    def _answer(self, job: Job[object]) -> None:
        try:
            if self._connection is None:
                self._connection = connect_reader(self._settings)
            job.result = job.work(self._connection)
        except StorageError as error:
            job.error = error
        except apsw.Error as error:
            job.error = translate(error, str(self._settings.path))
            if loses_trust(error):
                self._close()
        except Exception as error:
            job.error = error

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            abandon(connection)
