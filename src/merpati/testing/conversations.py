"""A conversation with a scripted server over streams in memory, on a clock that jumps."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from msgspec import structs

from merpati.delivery.conversation import Conversation, Surroundings
from merpati.delivery.dane import Tlsas
from merpati.delivery.ending import End
from merpati.delivery.lesson import Lesson, SiteMemory
from merpati.delivery.link import ConversationSettings
from merpati.delivery.outcome import Outcome, Result
from merpati.delivery.security import decide
from merpati.delivery.transaction import Host, TlsDemand, Transaction, Way
from merpati.journal.events import Event, Opened
from merpati.mail.envelope import Body
from merpati.queue.entry import State, Waiting
from merpati.testing.clock import VirtualClock
from merpati.testing.deliveries import an_entry
from merpati.testing.pipes import PipeStream, Split, stream_pair, whole
from merpati.testing.plain_server import Ledger, PlainServer
from merpati.wire.errors import WireError
from merpati.wire.stream import Stream

HOST = Host("mx.b.test", "192.0.2.1")
WAY = Way("b.test", "mx", tls=TlsDemand.OFF)


class Serves(Protocol):
    """The far end of one connection."""

    async def serve(self, stream: Stream) -> None:
        """Until either side ends it."""
        ...


def a_message(
    n: int, *to: str, body: bytes = b"Subject: hi\r\n\r\nhi\r\n", **changes: object
) -> Transaction:
    """A transaction; `changes` are fields of its entry."""
    to = to or (f"bob{n}@b.test",)
    entry = structs.replace(an_entry(n, *to, size=len(body)), **changes)
    waiting = tuple(
        Waiting(at, recipient, State.IN_HAND, 0.0)
        for at, recipient in enumerate(entry.envelope.recipients)
    )
    return Transaction(entry, waiting, Body((body,)))


class PatientClock(VirtualClock):
    """Jumps only when no octet moves any more: a busy connection does not age by being busy."""

    def __init__(self) -> None:
        super().__init__()
        self.streams: list[PipeStream] = []
        self.pieces = 0
        """That were written."""

    async def _settle(self) -> None:
        seen = None
        while seen != (seen := self._activity()):
            await super()._settle()

    def _activity(self) -> list[int]:
        return [self.pieces, *(stream.pending for stream in self.streams)]


class ListSource:
    """A Source over a list. Whatever is not finished exactly once fails the test."""

    def __init__(self, clock: VirtualClock, transactions: Sequence[Transaction]) -> None:
        self.waiting = deque(transactions)
        self.taken: list[Transaction] = []
        self.outcomes: dict[str, list[Outcome]] = {}
        self.permits = asyncio.Semaphore(64)
        self.permits_taken = 0
        self.on_finished: Callable[[Transaction], None] = lambda transaction: None
        self._clock = clock

    def next(self) -> Transaction | None:
        """From the front of the list."""
        if not self.waiting:
            return None
        self.taken.append(self.waiting.popleft())
        return self.taken[-1]

    async def wait_next(self, seconds: float) -> Transaction | None:
        """The same; None after `seconds` without one."""
        if not self.waiting:
            await self._clock.sleep(seconds)
        return self.next()

    async def permit(self) -> None:
        """One of `permits`."""
        await self.permits.acquire()
        self.permits_taken += 1

    def finished(self, transaction: Transaction, outcomes: Sequence[Outcome]) -> None:
        """Once for each, with one outcome for each recipient."""
        assert any(one is transaction for one in self.taken)
        if transaction.entry.id in self.outcomes:
            raise AssertionError("finished twice")
        assert [one.n for one in outcomes] == [one.n for one in transaction.recipients]
        self.outcomes[transaction.entry.id] = list(outcomes)
        self.on_finished(transaction)

    def results(self) -> list[list[Result]]:
        """What became of each transaction that was taken, in order."""
        return [[one.result for one in self.outcomes[taken.entry.id]] for taken in self.taken]


@dataclass
class Scene:
    """What a conversation is held with. Change it, then `play` once or more."""

    server: Callable[[Ledger], Serves] = PlainServer
    way: Way = WAY
    memory: SiteMemory = field(default_factory=SiteMemory)
    settings: ConversationSettings = field(
        default_factory=lambda: ConversationSettings("us.test", connect=5.0)
    )
    tlsa: Tlsas | None = None
    """What the host's zone says of its certificates."""
    split: Split = whole
    ledger: Ledger = field(default_factory=Ledger)
    clock: PatientClock = field(default_factory=PatientClock)
    lessons: list[Lesson] = field(default_factory=list)
    notes: list[Event] = field(default_factory=list)
    refuses: WireError | None = None
    """Why no connection is made."""
    prepare: Callable[[PipeStream], None] = lambda stream: None
    """Done to our end before it is used."""
    host: Host = HOST

    def __post_init__(self) -> None:
        self.opened: End | None = None
        """Why it did not open."""
        self.source = ListSource(self.clock, ())
        self.streams: list[PipeStream] = []
        self.servers: asyncio.TaskGroup

    @property
    def opening(self) -> Opened:
        """The event of the first connection."""
        (event, *_) = self.notes
        assert isinstance(event, Opened)
        return event

    def conversation(self) -> Conversation:
        """One that was not opened."""
        security = decide(self.way, self.host, self.memory, tlsa=self.tlsa)
        surroundings = Surroundings(
            self.settings,
            self._dial,
            self.clock,
            lambda count: b"e" * count,
            self.notes.append,
            self.lessons.append,
        )
        return Conversation(self.way, self.host, security, surroundings, self.memory)

    async def play(self, *transactions: Transaction) -> End | None:
        """Open and run to the end; None when it did not open (`opened` says why)."""
        self.source = ListSource(self.clock, transactions)
        return await self.during(lambda conversation: conversation.run(self.source))

    async def during(self, act: Callable[[Conversation], Awaitable[End]]) -> End | None:
        """Open a conversation and do something with it while its server runs."""
        async with asyncio.TaskGroup() as self.servers, self.clock.running():
            conversation = self.conversation()
            self.opened = await conversation.open()
            if self.opened is not None:
                return None
            return await act(conversation)

    async def _dial(self, host: Host, seconds: float) -> Stream:
        if self.refuses is not None:
            raise self.refuses
        ours, theirs = stream_pair(self.clock, self._counted)
        self.clock.streams += [ours, theirs]
        self.prepare(ours)
        self.streams.append(ours)
        self.servers.create_task(self.server(self.ledger).serve(theirs))
        return ours

    def _counted(self, octets: bytes) -> Iterable[bytes]:
        self.clock.pieces += 1
        return self.split(octets)
