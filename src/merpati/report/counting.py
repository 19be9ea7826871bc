"""Counts what accounts sent, out of one shard's journal, where each accepted message stands once.

What was counted is written with how far the journal was read, in one transaction, some seconds
after the fact and at the end: a crash counts nothing twice and loses nothing. Of a journal that
nobody counted yet, the newest part is: who was written to before is no stranger after an upgrade.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from merpati.clock import Clock
from merpati.directory.usage import Sent, Usage
from merpati.errors import MerpatiError
from merpati.journal.events import Accepted, Event, Failed, Refused
from merpati.journal.journal import Journal
from merpati.mail.address import Address, AddressError
from merpati.policy.guard import Guard
from merpati.policy.rules.recipients import NAME as RECIPIENTS
from merpati.report.reader import LOOK_AGAIN, PAGE, Reader

_UNKNOWN = "unknown-user"
_HOUR = 3600.0
_LISTED = 100
"""Members of lists of one message, at most, of which it is known that they are; nothing is followed
of a message with more."""


@dataclass(frozen=True, slots=True)
class CountingSettings:
    """Times in seconds."""

    interval: float = 5.0
    """Between two writes, and only when somebody who logged in has sent."""
    messages: int = 1_000
    """In memory; with as many they are written at once."""
    unwritten: int = 10_000
    """Events of nobody who logged in that are read again after a crash, at most."""
    back: int = 200_000
    """Events of a journal that nobody has counted yet."""
    followed: int = 10_000
    """Messages on their way of which it is known who sent them, so that failures count."""


@dataclass(frozen=True, slots=True)
class CountingParts:
    """What is read, where it is written, and who is told."""

    journal: Journal
    usage: Usage
    guard: Guard
    clock: Clock


class Counting:
    """Follows one shard's journal."""

    def __init__(self, shard: int, settings: CountingSettings, parts: CountingParts) -> None:
        self._shard = shard
        self._settings = settings
        self._journal, self._usage = parts.journal, parts.usage
        self._guard, self._clock = parts.guard, parts.clock
        self._reader = Reader(parts.journal, [self], parts.clock)
        self._alone = asyncio.Lock()
        self._sent: list[Sent] = []
        self._senders: OrderedDict[str, tuple[Address, frozenset[str]]] = OrderedDict()
        """Who sent a message, and whom of its recipients only a list here names."""
        self._written = 0.0
        self._cursor = 0
        self._noticed = 0
        """Failures up to here were told to the guard, who forgets nothing when storage fails."""
        self._has_noticed = False
        """Some of them since the last write."""

    async def run(self) -> None:
        """Count until cancelled. Raises StorageError; begin again then."""
        async with self._alone:
            await self._begin()
        while True:
            async with self._alone:
                read = await self._reader.read()
            if read < PAGE:
                await self._clock.sleep(LOOK_AGAIN)

    async def finish(self) -> None:
        """When `run` has ended: count what is there and write it."""
        # What cannot be read or written now is counted after the next start.
        with suppress(MerpatiError):
            async with self._alone:
                await self._begin()
            await self.gather()

    async def gather(self) -> None:
        """Write all that has happened until now."""
        async with self._alone:
            while await self._reader.read():
                pass
            await self._write()

    async def _begin(self) -> None:
        self._sent.clear()
        last = await self._journal.last()
        written = await self._usage.cursor(self._shard)
        if written is None or written > last:
            written = max(0, last - self._settings.back)
        self._reader.cursor = self._cursor = written
        self._written = self._clock.monotonic()

    def take(self, event: Event) -> None:
        """Count one event; most are passed over."""
        count = _COUNTS.get(type(event))
        if count is not None:
            count(self, event)
        # The reader stands at the event before this one until it was taken.
        self._noticed = max(self._noticed, self._reader.cursor + 1)

    async def pause(self) -> None:
        """Write, if it is time."""
        elapsed = self._clock.monotonic() - self._written
        has_news = self._sent or self._has_noticed
        is_time = elapsed >= self._settings.interval and has_news
        is_far = self._reader.cursor - self._cursor >= self._settings.unwritten
        if is_time or is_far or len(self._sent) >= self._settings.messages:
            await self._write()

    async def _write(self) -> None:
        self._written = self._clock.monotonic()
        sent, cursor = self._sent.copy(), self._reader.cursor
        if cursor == self._cursor:
            return
        await self._usage.add(self._shard, cursor, sent)
        self._cursor = cursor
        self._has_noticed = False
        self._sent.clear()
        for account in {one.account for one in sent}:
            self._guard.learn(account)

    def _on_accepted(self, event: Accepted) -> None:
        account = _address(event.login) if event.login else None
        user = account and self._guard.directory.user(account)
        if not user:
            return
        named = _named(event)
        known: tuple[int, ...] = ()
        if self._guard.quotas(user)[2]:
            hashes = [self._guard.hash_of(user.address, one) for one in map(_address, named) if one]
            known = tuple(one for one in hashes if one)
        self._sent.append(Sent(user.address, event.at, len(named), known))
        if len(event.aliases) <= _LISTED:
            listed = frozenset(target for _, target in event.aliases)
            self._senders[event.message] = user.address, listed
        if len(self._senders) > self._settings.followed:
            self._senders.popitem(last=False)

    def _on_refused(self, event: Refused) -> None:
        if event.login and event.rule == RECIPIENTS and event.stage == "rcpt":
            self._fail(_address(event.login), event.at)

    def _on_failed(self, event: Failed) -> None:
        if event.cause == _UNKNOWN:
            account, listed = self._senders.get(event.message, (None, ()))
            # Who writes to a list here does not know who is on it.
            if event.address not in listed:
                self._fail(account, event.at)

    def _fail(self, account: Address | None, at: float) -> None:
        is_new = self._reader.cursor >= self._noticed
        if account is not None and is_new and self._clock.now() - at < _HOUR:
            self._has_noticed = True
            self._guard.failed(account)


_COUNTS: Mapping[type, Callable[[Counting, Any], None]] = {
    Accepted: Counting._on_accepted,
    Refused: Counting._on_refused,
    Failed: Counting._on_failed,
}


def _named(event: Accepted) -> list[str]:
    """The recipients as the client named them: a list here is one, however many are on it."""
    if not event.aliases:
        return list(event.recipients)
    targets = {target for _, target in event.aliases}
    lists = dict.fromkeys(alias for alias, _ in event.aliases if alias not in targets)
    return [one for one in event.recipients if one not in targets] + list(lists)


def _address(text: str) -> Address | None:
    try:
        return Address.parse(text)
    except AddressError:
        return None
