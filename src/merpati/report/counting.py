"""What accounts sent, counted from one shard's journal, where each accepted message stands once.

It is written some seconds after the fact. Of a journal that nobody counted yet, the newest part is
counted: who was written to before is no stranger after an upgrade.
"""

from collections import OrderedDict
from dataclasses import dataclass

from merpati.clock import Clock
from merpati.directory.usage import Sent, Usage
from merpati.journal.events import Accepted, Event, Failed, Refused
from merpati.journal.journal import Journal
from merpati.mail.address import Address, AddressError
from merpati.policy.guard import Guard
from merpati.policy.rules.recipients import NAME as RECIPIENTS

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
    """`Counter` for one shard."""

    def __init__(self, shard: int, settings: CountingSettings, parts: CountingParts) -> None:
        self._shard = shard
        self._settings = settings
        self._journal, self._usage = parts.journal, parts.usage
        self._guard, self._clock = parts.guard, parts.clock
        self._sent: list[Sent] = []
        self._senders: OrderedDict[str, tuple[Address, frozenset[str]]] = OrderedDict()
        """Who sent a message, and whom of its recipients only a list here names."""
        self._has_told = False
        """The guard of a failure, since the last write. It forgets nothing when storage fails."""

    async def begin(self) -> int:
        """See `Counter`."""
        self._sent.clear()
        last = await self._journal.last()
        written = await self._usage.cursor(self._shard)
        if written is None or written > last:
            return max(0, last - self._settings.back)
        return written

    def take(self, event: Event, is_new: bool) -> None:
        """See `Counter`."""
        if isinstance(event, Accepted):
            self._on_accepted(event)
        elif is_new and isinstance(event, Refused):
            self._on_refused(event)
        elif is_new and isinstance(event, Failed):
            self._on_failed(event)

    def is_due(self, elapsed: float, unwritten: int) -> bool:
        """See `Counter`."""
        has_news = bool(self._sent) or self._has_told
        is_time = elapsed >= self._settings.interval and has_news
        is_much = len(self._sent) >= self._settings.messages
        return is_time or is_much or unwritten >= self._settings.unwritten

    async def write(self, cursor: int) -> None:
        """See `Counter`."""
        await self._usage.add(self._shard, cursor, self._sent.copy())
        accounts = {one.account for one in self._sent}
        self._sent.clear()
        self._has_told = False
        for account in accounts:
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
        if account is not None and self._clock.now() - at < _HOUR:
            self._has_told = True
            self._guard.failed(account)


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
