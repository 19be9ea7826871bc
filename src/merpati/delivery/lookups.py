"""Look-ups of domains whose hosts are not known, and the mail that waits for them.

Thousands of names may be dead at once, and who waits for an answer that does not come waits long.
So the number of look-ups has bounds of its own, and mail stays in hand for a late answer only while
the hand has room to spare. Else it goes back to the queue, where it costs no memory and operators
can reach it, as if it had never left. Its look-up goes on; with the answer its mail is due at once,
and a "no" is remembered until it has come. A kill forgets look-ups and answers, and the mail is due
soon all the same.

Names wait to be looked up by the turns of their mail: single messages before bulk mail, tenant by
tenant. Names that gave no answer before stand with bulk mail. Of one tenant's, the first and the
last that came go on by turns, as in `dns/places`.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from merpati.clock import Clock
from merpati.delivery.mx import DNS_FAILING, Exchanges, NoHosts
from merpati.delivery.outcome import Outcome, Result
from merpati.delivery.route import Route
from merpati.delivery.settling import end
from merpati.delivery.siting import Siting
from merpati.delivery.transaction import Transaction
from merpati.queue.flow import Flow, flow_of
from merpati.queue.turns import Turns
from merpati.queue.way import Way, way_of

Key = tuple[str, Route]
_SPANS = 20
"""Of one name that are remembered: each is a statement when the answer comes, and mail that keeps
coming for a late name makes eight of them a second."""


@dataclass(frozen=True, slots=True)
class LookupSettings:
    """How many, and how long mail waits for them. Times in seconds."""

    at_once: int = 1100
    """Under way: as many as the DNS may be asked at a time, with those that are late there. More
    would wait in its line, where what is asked for mail that knows its hosts comes by."""
    names: int = 10_000
    """Under way or waiting for it. One more, and one of the tenant with most is given up: its mail
    comes again."""
    patience: float = 0.25
    """An answer that takes longer is late. Healthy names mostly answer sooner."""
    again: float = 30.0
    """When mail that went back is due if no answer comes before: more than most look-ups take."""


class Asker(Protocol):
    """Whose mail it is: the dispatcher."""

    @property
    def surplus(self) -> int:
        """Recipients in hand that should rather make room."""
        ...

    def send_to(
        self, route: Route, domain: str, exchanges: Exchanges, transactions: list[Transaction]
    ) -> None:
        """These are the hosts. Raises nothing."""
        ...

    def settle_all(
        self, transaction: Transaction, outcome: Outcome, done: Callable[[], None]
    ) -> None:
        """Write the same down for all recipients, then call `done`."""
        ...

    def wait_for_us(self, doing: str, transactions: list[Transaction], error: Exception) -> None:
        """Put off what a defect of ours, or a store that fails, keeps from being looked up."""
        ...

    def start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Run this as a task that a stop may end."""
        ...


@dataclass(eq=False, slots=True)
class _Name:
    """One that is looked up, or waits for it."""

    key: Key
    begun: float
    asked: float
    """The same by the time of day."""
    flow: Flow
    waiting: list[Transaction] = field(default_factory=list)
    """In hand."""
    ways: dict[Way, None] = field(default_factory=dict)
    """Of mail that went back."""
    spans: list[tuple[float, float]] = field(default_factory=list)
    """When that is due. Nothing else is due in the same instants."""
    absent: int = 0
    """Recipients that went back."""
    leaving: int = 0
    """Transactions whose way back is being written."""
    is_answered: bool = False
    is_ours: bool = False
    """Mail of our own people waited for it: neither strangers', nor what they made us write."""

    def take(self) -> list[Transaction]:
        """Everything that waits in hand."""
        taken, self.waiting = self.waiting, []
        return taken


@dataclass(slots=True)
class _Refusal:
    """An answer without hosts, until the mail that went back has come for it."""

    outcome: Outcome
    asked: float
    """By the time of day: mail that came later has the right to a question of its own."""
    absent: int
    until: float


class Lookups:
    """Finds the hosts of domains. `run` once; `stop` gives back what waits in hand."""

    def __init__(
        self, settings: LookupSettings, siting: Siting, clock: Clock, asker: Asker
    ) -> None:
        self._settings = settings
        self._siting = siting
        self._clock = clock
        self._asker = asker
        self._names: dict[Key, _Name] = {}
        self._next: Turns[_Name] = Turns()
        """Those of them that are not under way yet."""
        self._took_first: set[Flow] = set()
        """Of these the last that came is the next."""
        self._awaited: dict[Key, _Name] = {}
        """Those for which mail waits in hand."""
        self._is_awaited = asyncio.Event()
        self._leaving = 0
        """Recipients whose way back is being written."""
        self._refusals: OrderedDict[Key, _Refusal] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    def __len__(self) -> int:
        return len(self._names)

    def ask(self, route: Route, domain: str, transactions: list[Transaction]) -> None:
        """Send these when the hosts are found, settle them when there are none."""
        key = (domain, route)
        refusal = self._refusals.get(key)
        if refusal is not None and self._clock.monotonic() < refusal.until:
            transactions = self._refuse(key, refusal, transactions)
            if not transactions:
                return
        name = self._names.get(key)
        if name is None:
            name = self._begin(key, transactions[0])
        name.waiting += transactions
        name.is_ours = name.is_ours or any(map(_is_ours, transactions))
        # These have come again, or stand in for some who will: a "no" is kept for the others.
        name.absent = max(0, name.absent - _recipients(transactions))
        self._awaited[key] = name
        self._is_awaited.set()
        if len(self._names) > self._settings.names:
            # Behind all of the above, since it may be the one that has just come.
            other = self._next.shed()
            self._put_back(other)
            self._forget(other)

    def _refuse(
        self, key: Key, refusal: _Refusal, transactions: list[Transaction]
    ) -> list[Transaction]:
        """Tell those of the answer that came before it was asked for; the others."""
        meant = [one for one in transactions if one.entry.received <= refusal.asked]
        refusal.absent -= _recipients(meant)
        if refusal.absent <= 0:
            del self._refusals[key]
        self._settle(meant, refusal.outcome)
        return [one for one in transactions if one.entry.received > refusal.asked]

    def _begin(self, key: Key, first: Transaction) -> _Name:
        flow = _flow(first)
        name = _Name(key, self._clock.monotonic(), self._clock.now(), flow)
        self._names[key] = name
        self._next.add(name, flow, is_urgent=first.entry.envelope.priority > 0)
        self._go_on()
        return name

    def _go_on(self) -> None:
        """Look up as many as may be under way."""
        while self._next and len(self._names) - len(self._next) < self._settings.at_once:
            task = self._asker.start(self._find(self._take_next()))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _take_next(self) -> _Name:
        flow = self._next.first().flow
        name = self._next.pop(last=flow in self._took_first)
        self._took_first ^= {flow}
        if not self._next:
            self._took_first.clear()
        return name

    async def run(self) -> None:
        """Look after mail that waits in hand, until cancelled."""
        while True:
            await self._is_awaited.wait()
            await self._clock.sleep(self._settings.patience / 2)
            self._relieve()
            if not self._awaited:
                self._is_awaited.clear()

    def stop(self) -> None:
        """Nothing is sent any more: what waits goes back as it came."""
        self._stopping = True
        self._next = Turns()
        for task in self._tasks:
            task.cancel()
        for name in self._awaited.values():
            self._settle(name.take(), Outcome(0, Result.UNTOUCHED))
        self._awaited.clear()
        self._names.clear()

    def _relieve(self) -> None:
        """What waits for a late answer goes by an old one, or makes room if the hand needs it, what
        waits for longest first."""
        before = self._clock.monotonic() - self._settings.patience
        surplus = self._asker.surplus - self._leaving
        for key, name in list(self._awaited.items()):
            if name.begun > before:
                continue
            domain, route = key
            old = self._siting.old(domain, route.heeds)
            if old is not None:
                del self._awaited[key]
                self._asker.send_to(route, domain, old, name.take())
            elif surplus > 0:
                surplus -= _recipients(name.waiting)
                self._put_back(name)

    def _put_back(self, name: _Name) -> None:
        """Nothing was tried for it: as if it had never been taken out, but due a little later."""
        self._awaited.pop(name.key, None)
        now = self._clock.now()

        def written(recipients: int) -> None:
            self._leaving -= recipients
            name.leaving -= 1
            if name.is_answered and not name.leaving and not self._stopping:
                self._asker.start(self._hasten(name))

        for transaction in name.take():
            recipients = len(transaction.recipients)
            name.ways |= ways_of([transaction])
            name.absent += recipients
            name.leaving += 1
            self._leaving += recipients
            wait = max(0.0, min(self._settings.again, end(transaction.entry) - now))
            outcome = Outcome(0, Result.UNTOUCHED, retry_after=wait)
            self._asker.settle_all(transaction, outcome, partial(written, recipients))
        again = self._settings.again
        name.spans.append((now + again, self._clock.now() + again))
        if len(name.spans) > _SPANS:
            # The oldest falls due by itself first.
            del name.spans[0]

    async def _find(self, name: _Name) -> None:
        domain, route = name.key
        try:
            found = await self._siting.look_up(domain, route.heeds, is_ours=name.is_ours)
        except asyncio.CancelledError:
            self._settle(name.take(), Outcome(0, Result.UNTOUCHED))
            raise
        except Exception as error:
            self._forget(name)
            self._asker.wait_for_us(f"looking up {domain}", name.take(), error)
        else:
            if isinstance(found, NoHosts):
                self._forget(name)
                self._deny(name, found)
            else:
                await self._assign(name, found)
                self._forget(name)
                self._asker.send_to(route, domain, found, name.take())
        name.is_answered = True
        self._go_on()
        if not name.leaving:
            await self._hasten(name)

    def _forget(self, name: _Name) -> None:
        self._names.pop(name.key, None)
        self._awaited.pop(name.key, None)

    def _deny(self, name: _Name, found: NoHosts) -> None:
        outcome = Outcome(0, found.result, found.reply, found.status, found.cause)
        self._settle(name.take(), outcome)
        if name.absent:
            until = self._clock.monotonic() + 2 * self._settings.again
            self._refusals[name.key] = _Refusal(outcome, name.asked, name.absent, until)
            self._refusals.move_to_end(name.key)
            if len(self._refusals) > self._settings.names:
                self._refusals.popitem(last=False)

    async def _assign(self, name: _Name, found: Exchanges) -> None:
        """Let the queue know which site the domain's mail hangs on."""
        site = self._siting.site(name.key[1], found)
        for lane, forced in {**name.ways, **ways_of(name.waiting)}:
            await self._siting.try_assign(lane, site, forced)

    async def _hasten(self, name: _Name) -> None:
        """The answer is here, and its mail due as if it had never gone back."""
        spans, name.spans = name.spans, []
        for way in name.ways:
            for span in spans:
                await self._siting.try_hasten(way, name.asked, span)

    def _settle(self, transactions: Iterable[Transaction], outcome: Outcome) -> None:
        for transaction in transactions:
            self._asker.settle_all(transaction, outcome, _nothing)


def ways_of(transactions: Iterable[Transaction]) -> dict[Way, None]:
    """The ways that these recipients go."""
    # In their order, which a set of text would leave to chance.
    return dict.fromkeys(
        way_of(transaction.entry, waiting.recipient.address.domain, waiting.route)
        for transaction in transactions
        for waiting in transaction.recipients
    )


def _flow(transaction: Transaction) -> Flow:
    """With what its name waits."""
    flow = flow_of(transaction.entry)
    has_failed = transaction.recipients[0].cause == DNS_FAILING
    return flow._replace(is_bulk=True) if has_failed else flow


def _is_ours(transaction: Transaction) -> bool:
    return transaction.entry.is_ours and not transaction.entry.is_notice


def _recipients(transactions: Sequence[Transaction]) -> int:
    return sum(len(transaction.recipients) for transaction in transactions)


def _nothing() -> None:
    """Its places are given back by the asker."""
