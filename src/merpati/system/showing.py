"""The certificates of one worker: what it shows, what a CA gives it, and what is told of both."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol

from merpati.api import questions as ask
from merpati.api.certificates import certificate_line
from merpati.certificates.desk import Kept, Origin
from merpati.certificates.renewal import News, Renewal
from merpati.certificates.source import Source
from merpati.certificates.watch import Told, Watch
from merpati.clock import Clock
from merpati.config.certificates import cabinet, orders
from merpati.config.settings import Settings
from merpati.journal.events import MAX_TEXT, Lifecycle
from merpati.report.metrics import MAX_SERIES, Gauge
from merpati.system.certificate import all_sources
from merpati.system.chores import keep_on
from merpati.system.log import Log
from merpati.system.renewing import acme_settings, desk_of
from merpati.wire.errors import TlsError

_DAY = 86_400.0


class Given(Protocol):
    """What the process has for it."""

    @property
    def watch(self) -> Watch: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def log(self) -> Log: ...


class Showing:
    """Of one worker."""

    def __init__(
        self,
        given: Given,
        settings: Callable[[], Settings],
        note: Callable[[Lifecycle], None],
    ) -> None:
        """`settings` are those in force; `note` puts into the journal what happened."""
        self._watch, self._clock, self._log = given.watch, given.clock, given.log
        self._settings = settings
        self._journal_note = note
        self.desk = desk_of(settings, self._clock, self._watch.reader)

    def chores(self) -> list[Coroutine[None, None, None]]:
        """What runs beside the mail."""
        watching = partial(self._watch.run, self._sources, self._changed)
        return [
            keep_on("certificates", watching, self._clock, self._log),
            keep_on("acme", self._renewal().run, self._clock, self._log),
        ]

    def announce(self) -> None:
        """Say it where there is nothing that anybody could verify."""
        if self._watch.is_on_fallback and not self._settings().is_inbox:
            text = "what is shown is of our own making, which nobody can verify: no other is there"
            self._log.info("certificate", text)

    async def challenge(self, token: str) -> str:
        """What a CA is to be answered that asks for this; empty where nobody asked one."""
        settings = self._settings()
        if settings.document.acme is None:
            return ""
        return await asyncio.to_thread(cabinet(settings).answer, token)

    async def ailing(self) -> tuple[ask.CertificateLine, ...]:
        """Certificates that somebody should look at."""
        found = [one for one in await self._kept() if one.trouble or one.state.rolling]
        return tuple(map(certificate_line, found[: ask.MAX_LISTED]))

    def gauges(self) -> dict[tuple[str, str, str], Gauge]:
        """For the metrics."""
        left = ("certificate_days_left", "Days until a certificate that is shown ends.", "name")
        failed = ("certificate_failures", "Attempts in a row that the CA gave none.", "name")
        return {left: self._days_left, failed: self._failures}

    async def _days_left(self) -> dict[str, float]:
        now = self._clock.now()
        # Of two with one name the first is shown.
        shown = reversed(self._watch.shown[:MAX_SERIES])
        return {pair.shown.name: (pair.shown.ends - now) / _DAY for pair in shown}

    async def _failures(self) -> dict[str, float]:
        kept = await self._kept()
        return {one.name: float(one.state.failures) for one in kept if one.origin is Origin.CA}

    async def _kept(self) -> list[Kept]:
        try:
            return await asyncio.to_thread(self.desk.all)
        except TlsError:
            return []  # Whoever watches the same files has told it; all else is to be seen.

    def _sources(self) -> Sequence[Source]:
        return all_sources(self._watch, self._settings())

    def _renewal(self) -> Renewal:
        """Who gets certificates from a CA, if this worker comes first."""
        kept, loop = cabinet(self._settings()), asyncio.get_running_loop()
        return Renewal(
            kept,
            self._clock,
            settings=lambda: acme_settings(self._settings(), kept, self._clock),
            tell=lambda news: _later(loop, partial(self._got, news)),
            draw=random.SystemRandom().random,
            names=lambda: tuple(names[0] for names in orders(self._settings())),
        )

    def _got(self, news: News) -> None:
        say = self._log.error if news.is_bad else self._log.info
        say("acme", news.text)
        self._note("certificate-failed" if news.is_bad else "certificate-got", news.text)

    def _changed(self, told: Told) -> None:
        if told.pair is None:
            kept = "; the one from before is shown" if told.kept else ""
            text, say = f"{told.why}{kept}", self._log.error
        else:
            text, say = f"{told.source} is shown: {told.pair.shown}", self._log.info
        say("certificate", text)
        self._note("certificate", text)

    def _note(self, what: str, detail: str) -> None:
        self._journal_note(Lifecycle(at=self._clock.now(), what=what, detail=detail[:MAX_TEXT]))


def _later(loop: asyncio.AbstractEventLoop, told: Callable[[], None]) -> None:
    """Call in the loop's own thread, if it is still there."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(told)
