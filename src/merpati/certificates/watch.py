"""Keeps what clients are shown in step with the files, while connections stand.

Files are looked at every other second: renewals replace them by renaming, on any file system, and
nobody tells us. Certificate and key change one after the other, so that for a moment they do not
fit; the pair from before is shown until they do, and only if that lasts somebody is told.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from merpati.certificates.chooser import Chooser
from merpati.certificates.pair import Pair, make_pair, read_pair, unreadable
from merpati.certificates.source import OwnReader, Reader, Signature, Source
from merpati.clock import Clock
from merpati.wire.errors import TlsError
from merpati.wire.tls import TlsContext, server_context

INTERVAL = 2.0
TICKETS = 43_200.0
"""Seconds that a key of session tickets is used; a ticket is good for two hours."""
PATIENCE = 10.0
"""Seconds that the files of a pair may not fit before that is told."""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a source."""

    source: Source
    pair: Pair | None
    """The pair that is shown from now on; None for one that cannot be used."""
    why: str = ""
    kept: bool = False
    """Whether an earlier pair of it is still shown."""


@dataclass(slots=True)
class _Watched:
    """One source, as it was at the last look."""

    signature: Signature | None = None
    pair: Pair | None = None
    broken_since: float | None = None
    is_told: bool = False


@dataclass(slots=True)
class Watch:
    """One for each process. Made before the workers are, so that they inherit what was read."""

    clock: Clock
    fallback: Source | None = None
    """Shown while nothing else can be."""
    reader: Reader = field(default_factory=OwnReader)
    tls: TlsContext = field(default_factory=server_context)
    """What the doors show."""
    _watched: dict[Source, _Watched] = field(default_factory=dict)
    _shown: tuple[Pair, ...] = ()

    def check(self, sources: Iterable[Source]) -> None:
        """Raise TlsError for the first of them that cannot be used now; changes nothing. Blocks."""
        for source in sources:
            read_pair(source, self.reader)

    def look(self, sources: Sequence[Source]) -> list[Told]:
        """Show what is there now, in this order of precedence.

        What cannot be used any more is shown as it was. Answers what changed, and what has been at
        fault for long. Blocks.
        """
        for gone in self._watched.keys() - {*sources, self.fallback}:
            del self._watched[gone]
        told = [one for source in sources for one in self._look_at(source)]
        pairs = self._pairs(sources)
        if not pairs and self.fallback is not None:
            told += self._look_at(self.fallback)
            pairs = self._pairs([self.fallback])
        if pairs and pairs != self._shown:
            self._shown = pairs
            self.tls.offer(Chooser(pairs, self.clock.now()).choose)
        return told

    @property
    def shown(self) -> tuple[Pair, ...]:
        """What clients are shown; the first to those that ask for no name."""
        return self._shown

    @property
    def is_on_fallback(self) -> bool:
        """Whether there is nothing better to show."""
        return [pair.source for pair in self._shown] == [self.fallback]

    async def run(
        self, sources: Callable[[], Sequence[Source]], tell: Callable[[Told], None]
    ) -> None:
        """Look again and again until cancelled. `sources` blocks.

        The key of session tickets that was inherited is written by nobody: each worker has one of
        its own, and a new one twice a day.
        """
        ends = 0.0
        while True:
            # Not in the thread: a reload may exchange the authorities meanwhile.
            if (now := self.clock.monotonic()) >= ends:
                self.tls.renew()
                ends = now + TICKETS
            for told in await asyncio.to_thread(lambda: self.look(sources())):
                tell(told)
            await self.clock.sleep(INTERVAL)

    def _pairs(self, sources: Iterable[Source]) -> tuple[Pair, ...]:
        watched = (self._watched.get(source) for source in sources)
        return tuple(one.pair for one in watched if one is not None and one.pair is not None)

    def _look_at(self, source: Source) -> list[Told]:
        watched = self._watched.setdefault(source, _Watched())
        try:
            files = self.reader.read(source, watched.signature)
            if files is None and watched.broken_since is None:
                return []
            files = files or self.reader.read(source, None)
            pair = None if files is None else make_pair(source, files)
        except OSError as error:
            watched.signature = None
            return self._broken(source, watched, unreadable(source, error))
        except TlsError as error:
            return self._broken(source, watched, error.cause)
        if files is None or pair is None:
            return []
        was, watched.pair = watched.pair, pair
        watched.signature, watched.broken_since, watched.is_told = files.signature, None, False
        # A file that was only touched is no news.
        return [] if was is not None and _same(was, pair) else [Told(source, pair)]

    def _broken(self, source: Source, watched: _Watched, why: str) -> list[Told]:
        now = self.clock.monotonic()
        if watched.broken_since is None:
            watched.broken_since, watched.is_told = now, False
        # What was never whole is told at once: nobody is in the middle of writing it.
        if watched.is_told or (watched.pair and now < watched.broken_since + PATIENCE):
            return []
        watched.is_told = True
        return [Told(source, None, why, kept=watched.pair is not None)]


def _same(one: Pair, other: Pair) -> bool:
    return one.shown == other.shown and one.identity.end_point == other.identity.end_point
