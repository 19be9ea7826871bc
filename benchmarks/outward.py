"""A store and a dispatcher of the server's own making, to be measured without the rest."""

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from merpati.clock import SystemClock
from merpati.delivery.conversation import Conversation, Dial, Surroundings
from merpati.delivery.dispatcher import Dispatcher, DispatcherParts, DispatcherSettings
from merpati.delivery.lesson import Lesson, SiteMemory
from merpati.delivery.link import ConversationSettings
from merpati.delivery.mailboxes import MailboxParts
from merpati.delivery.maildir import Maildirs, MaildirSettings
from merpati.delivery.mx import HostFinder, MxSettings
from merpati.delivery.pacing import Paces, PacingSettings
from merpati.delivery.pool_parts import PoolParts
from merpati.delivery.route import Routes, parse_route
from merpati.delivery.security import decide
from merpati.delivery.settling import Settling, SettlingSettings
from merpati.delivery.signing import Signing, SigningParts
from merpati.delivery.siting import Siting, SitingSettings
from merpati.delivery.transaction import Host, Way
from merpati.journal.store import JournalStore
from merpati.mail.envelope import Body
from merpati.queue.store import QueueStore
from merpati.storage.connection import StorageSettings
from merpati.storage.database import Database
from merpati.testing.conformance.bench import accepted
from merpati.testing.deliveries import ScriptedDns, an_entry
from merpati.testing.memory_keys import MemoryKeys
from merpati.testing.residents import Residents

LINE = b"x" * 76 + b"\r\n"
BODY = Body((b"Received: from a by b\r\n\r\n", LINE * (10 * 1024 // len(LINE))))


@dataclass(frozen=True, slots=True)
class Destination:
    """Where everything goes, and how."""

    route: str
    dial: Dial
    pacing: PacingSettings = field(default_factory=PacingSettings)
    conversation: ConversationSettings = field(
        default_factory=lambda: ConversationSettings("bench.test")
    )


@dataclass(frozen=True, slots=True)
class Outward:
    """Mail that is stored and goes out as soon as `sending`."""

    queue: QueueStore
    journal: JournalStore
    clock: SystemClock
    folder: Path

    async def put(self, count: int) -> None:
        """Accept so many messages of 10 KB."""
        now = self.clock.now()
        entries = [
            an_entry(n, "sink@b.test", sender="load@a.test", size=BODY.size, now=now)
            for n in range(count)
        ]
        await asyncio.gather(*(self.queue.put(one, BODY, [accepted(one)]) for one in entries))

    @asynccontextmanager
    async def sending(self, way: Destination) -> AsyncIterator[None]:
        """Deliver; stopped in good order when it is left."""
        with ThreadPoolExecutor(1) as threads:
            dispatcher = self._dispatcher(way, threads)
            async with asyncio.TaskGroup() as group:
                group.create_task(dispatcher.run())
                yield
                dispatcher.stop()

    async def wait_empty(self) -> None:
        """Return when everything is settled."""
        while sum((await self.queue.count()).values()):  # noqa: ASYNC110 - the file is asked
            await asyncio.sleep(0.05)

    def _dispatcher(self, way: Destination, threads: ThreadPoolExecutor) -> Dispatcher:
        directory = Residents()
        finder = HostFinder(MxSettings("bench.test"), ScriptedDns(), lambda names: None)
        maildirs = Maildirs(MaildirSettings(self.folder / "mail", self.folder / "inbox", "h"))
        parts = DispatcherParts(
            queue=self.queue,
            sites=self.queue,
            routes=Routes(directory, [parse_route(way.route)]),
            siting=Siting(SitingSettings(), finder, self.queue, self.clock),
            paces=Paces(way.pacing, random.random),
            pools=PoolParts(finder, self._talker(way)),
            settling=Settling(SettlingSettings(), lambda attempts: 60.0),
            mailboxes=MailboxParts(maildirs, directory, threads, self.clock),
            signing=Signing(SigningParts(MemoryKeys(), directory, threads, lambda *_: None)),
            clock=self.clock,
            note=self.journal.note,
            log=lambda what, error: print(what, repr(error), file=sys.stderr),
        )
        return Dispatcher(DispatcherSettings(), parts)

    def _talker(self, way: Destination) -> Callable[..., Conversation]:
        def talk(
            to: Way, host: Host, memory: SiteMemory, learn: Callable[[Lesson], None]
        ) -> Conversation:
            around = Surroundings(
                settings=way.conversation,
                dial=way.dial,
                clock=self.clock,
                entropy=random.randbytes,
                note=self.journal.note,
                learn=learn,
            )
            security = decide(to, host, memory)
            return Conversation(to, host, security, around, memory)

        return talk


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Outward]:
    """An empty store in a folder."""
    clock = SystemClock()
    database = Database(StorageSettings(folder / "0.db"), clock)
    await database.open()
    try:
        journal = JournalStore(database)
        queue = QueueStore(database, journal, clock)
        await queue.open()
        yield Outward(queue, journal, clock, folder)
    finally:
        await database.close()
