"""When the jobs that wait leave for the writer as one batch: group commit, decided on the loop.

Alone, a job leaves at once. Under load it waits for company: for as many jobs as came together
lately, or `hold` seconds. Sessions send nothing while they wait for their commits, so once as many
are there as lately, nobody else is worth waiting for. One batch is with the writer at a time; what
comes meanwhile makes the next. Jobs that ride wait for a commit to travel with, at most `ride`
seconds or until `riders` of them are there.

The thread is woken once a batch, and so is the loop: handing over each job by itself cost more
than storing it.
"""

import asyncio
from collections.abc import Callable

from merpati.storage.connection import StorageSettings
from merpati.storage.job import Job

_FADES = 7 / 8
"""What is left of the expected company after a batch that had less."""
_FOR_EVER = float("inf")


class Group:
    """Jobs between `submit` and the end of their commit. Used on the event loop alone."""

    def __init__(
        self, settings: StorageSettings, send: Callable[[list[Job[object]]], None]
    ) -> None:
        """`send` takes a batch to the writer; its end is told to `arrived`."""
        self._settings = settings
        self._send = send
        self._waiting: list[Job[object]] = []
        self._riders = 0
        self._expected = 1.0
        self._patience = _FOR_EVER
        self._departure: asyncio.Handle | None = None
        self._is_under_way = False
        self._is_due = False

    def add(self, job: Job[object]) -> None:
        """Take a job along with the next batch."""
        self._waiting.append(job)
        self._riders += job.rides
        patience = self._wanted_patience()
        if patience < self._patience:
            self._patience = patience
            self._plan(patience, job.future.get_loop())

    def arrived(self, jobs: list[Job[object]]) -> None:
        """The writer is done with a batch: tell each its end, and send what is due."""
        self._is_under_way = False
        for job in jobs:
            job.finish()
        if self._is_due:
            self._depart()

    def send_all(self) -> None:
        """Send whatever waits, in as many batches as it takes: the file is about to be closed."""
        while self._waiting:
            self._is_under_way = False
            self._depart()

    def _wanted_patience(self) -> float:
        """Seconds that the newest job lets the batch stay."""
        company = len(self._waiting) - self._riders
        if company >= self._expected or self._riders >= self._settings.riders:
            return 0.0
        return self._settings.hold if company else self._settings.ride

    def _plan(self, patience: float, loop: asyncio.AbstractEventLoop) -> None:
        if self._departure is not None:
            self._departure.cancel()
        # "At once" is behind whatever the loop has ready: that may bring more jobs.
        later = loop.call_later(patience, self._depart) if patience else None
        self._departure = later or loop.call_soon(self._depart)

    def _depart(self) -> None:
        if self._is_under_way:
            self._is_due = True
            return
        batch = self._waiting[: self._settings.batch]
        del self._waiting[: len(batch)]
        riders = sum(job.rides for job in batch)
        self._expect(len(batch) - riders)
        self._riders -= riders
        self._patience, self._departure = _FOR_EVER, None
        self._is_due = bool(self._waiting)
        if batch:
            self._is_under_way = True
            self._send(batch)

    def _expect(self, company: int) -> None:
        if company:
            self._expected = max(float(company), self._expected * _FADES, 1.0)
