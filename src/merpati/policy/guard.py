"""Watches over accounts, so that a stolen password is noticed before it has done much harm.

What an account used today stands in a table that all workers of a node share, and is counted there
before anything is answered. What lasts is counted from the journals (`report.counting`), which have
each message that was accepted exactly once: the table begins with it after a start, and is raised
to it whenever it was written. So the table never stays below the truth, and is above it only by
recipients elsewhere who were named and then got no message. Two workers that count at the same
instant may lose one of both until then.

A day is the clock's in UTC, and each day has rows of its own: a clock that is set over midnight and
back finds the counts of both days as they were.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from merpati.clock import Clock
from merpati.directory.directory import Directory, User
from merpati.directory.usage import DAY, Usage, hash_of
from merpati.mail.address import Address
from merpati.node.table import Seat, Table, TableSettings
from merpati.policy.limit import Limit
from merpati.policy.meters import Meters

_LOADED, _MESSAGES, _RECIPIENTS, _STRANGERS = range(4)
_REMEMBERED = 50_000
"""Recipients who are known to be known, of all accounts: 5 MB at most."""
_FOUND = 1_000
"""Accounts whose rows are not looked for again."""
_SUSPECTS = 1_000
"""Accounts that wait to be suspended."""


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """What an account may do that has no quotas of its own; 0: any number."""

    messages: int = 2000
    """A day. As Google has it for whoever pays; people send tens."""
    recipients: int = 5000
    """A day, each as often as it is named. Half of what Google and Microsoft have."""
    strangers: int = 200
    """A day: recipients elsewhere that the account never wrote to before. Google gives new accounts
    500 different ones, known or not. Whoever writes to 200 new people in a day is no single
    person; a stolen password writes to thousands in its first hour."""
    unknown: int = 50
    """Recipients in an hour whom nobody knows (550 5.1.1). Lists that are bought have a fifth."""
    suspends: bool = True
    """Whether `strangers` and `unknown` suspend an account."""


class Row:
    """What one account used in one day."""

    __slots__ = ("values",)

    def __init__(self, values: "memoryview[float]") -> None:
        self.values = values

    @property
    def messages(self) -> int:
        return int(self.values[_MESSAGES])

    @property
    def recipients(self) -> int:
        return int(self.values[_RECIPIENTS])

    @property
    def strangers(self) -> int:
        return int(self.values[_STRANGERS])

    def take(self, messages: int, recipients: int) -> None:
        """Count a message; less than nothing gives it back."""
        self.values[_MESSAGES] += messages
        self.values[_RECIPIENTS] += recipients

    def meet(self) -> None:
        """Count a stranger."""
        self.values[_STRANGERS] += 1


@dataclass(frozen=True, slots=True)
class _Found:
    """A row that was found."""

    of: tuple[int, float]
    """Its day, and since when its user is counted."""
    seat: Seat
    row: Row


class Guard:
    """Of one worker; the counts are those of all."""

    def __init__(
        self,
        settings: GuardSettings,
        books: tuple[Directory, Usage],
        clock: Clock,
        secret: bytes,
        table: Table | None = None,
    ) -> None:
        """`secret` is of this installation and lasting; `table` is shared by all workers."""
        self.settings = settings
        self.directory, self._usage = books
        self._clock = clock
        self._secret = secret
        self._table = table or Table(TableSettings())
        self._unknown = Meters(0.0, self._table, "unknown")
        self.hit: Callable[[Limit], None] | None = None
        """Who counts limits that no session can: its messages were taken long before."""
        self._known: set[int] = set()
        self._found: dict[Address, _Found] = {}
        self._suspects: dict[Address, str] = {}
        self._woken = asyncio.Event()

    @property
    def today(self) -> int:
        """Since 1970, UTC."""
        return int(self._clock.now() // DAY)

    @property
    def next_day(self) -> float:
        """When the counts begin anew, as a time."""
        return float((self.today + 1) * DAY)

    def quotas(self, user: User) -> tuple[int, int, int]:
        """Messages, recipients and strangers that an account may have in a day; 0: any number."""
        own, usual = user.quotas, self.settings
        return (
            usual.messages if own.messages is None else own.messages,
            usual.recipients if own.recipients is None else own.recipients,
            usual.strangers if own.strangers is None else own.strangers,
        )

    def row(self, user: User) -> Row | None:
        """What it used today. StorageError where that has to be looked up and cannot be."""
        row = self._row(user)
        if row is None:
            return None  # Nobody counts in these rows, so there is always one to have.
        if not row.values[_LOADED]:
            used = self._usage.used(user.address, self.today)
            row.values[_MESSAGES] = used.messages
            row.values[_RECIPIENTS] = used.recipients
            row.values[_STRANGERS] = used.strangers
            row.values[_LOADED] = 1.0
        return row

    def _row(self, user: User) -> Row | None:
        """Asked for thrice a message, so it is not looked for each time."""
        now, name, of = self._clock.monotonic(), user.address, (self.today, user.since)
        found = self._found.get(name)
        if found is not None and found.of == of and self._table.renew(found.seat, now):
            return found.row
        seat = self._table.seat(self._key(user, of[0]), now)
        if seat is None:
            return None
        if len(self._found) >= _FOUND:
            self._found.clear()
        row = Row(seat.row.values)
        self._found[name] = _Found(of, seat, row)
        return row

    def learn(self, account: Address) -> None:
        """More is counted of it in storage: what this table has is no less."""
        user = self.directory.user(account)
        row = user and self._table.find(self._key(user, self.today))
        if not user or not row or not row.values[_LOADED]:
            return
        used = self._usage.used(account, self.today)
        counts = used.messages, used.recipients, used.strangers
        for place, count in enumerate(counts, _MESSAGES):
            row.values[place] = max(row.values[place], count)

    def is_stranger(self, user: User, recipient: Address) -> int:
        """A recipient elsewhere that it never wrote to, by its hash; 0 for who is known or here."""
        if self.directory.is_local(recipient.domain):
            return 0
        hashed = hash_of(user.address, recipient, self._secret)
        if hashed in self._known or self._table.find(f"met {hashed}") is not None:
            return 0
        if self._usage.knows(user.address, hashed):
            self.remember(hashed)
            return 0
        return hashed

    def meet(self, row: Row, stranger: int) -> None:
        """Count a stranger; from now on known to all workers."""
        row.meet()
        self._table.row(f"met {stranger}", self._clock.monotonic())
        self.remember(stranger)

    def remember(self, hashed: int) -> None:
        """Not to be looked up again."""
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known.add(hashed)

    def hash_of(self, account: Address, recipient: Address) -> int:
        """As it is kept of a recipient elsewhere; 0 for one here."""
        if self.directory.is_local(recipient.domain):
            return 0
        return hash_of(account, recipient, self._secret)

    def failed(self, account: Address) -> None:
        """A recipient that it wrote to is unknown."""
        user, limit = self.directory.user(account), self.settings.unknown
        # Who may write to any number of strangers may have old addresses among them.
        if user is None or not limit or not self.quotas(user)[2] or user.suspension:
            return
        self._unknown.drain = limit / 3600
        key = f"{user.address} {user.since}"
        if self._unknown.add(key, self._clock.monotonic()) > limit:
            if self.hit is not None:
                self.hit(Limit.UNKNOWN_RECIPIENTS_PER_HOUR)
            self._suspect(user.address, f"more than {limit} unknown recipients in an hour")

    def too_many_strangers(self, user: User, limit: int) -> None:
        """It wanted to write to one more than it may."""
        self._suspect(user.address, f"more than {limit} recipients in a day that were new to it")

    def _suspect(self, account: Address, why: str) -> None:
        if self.settings.suspends and len(self._suspects) < _SUSPECTS:
            self._suspects.setdefault(account, why)
            self._woken.set()

    def suspects(self) -> dict[Address, str]:
        """Who is to be suspended and why, since this was asked last."""
        suspects, self._suspects = self._suspects, {}
        return suspects

    async def wait_for_suspects(self) -> None:
        """Until there are some."""
        await self._woken.wait()
        self._woken.clear()

    def _key(self, user: User, day: int) -> str:
        # Resumed, it begins anew.
        return f"used {user.address.local.lower()}@{user.address.domain} {day} {user.since}"
