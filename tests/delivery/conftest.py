"""A whole dispatcher over a queue in memory, scripted hosts and a clock that obeys."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from merpati.delivery.dispatcher import Dispatcher, DispatcherParts, DispatcherSettings
from merpati.delivery.mailboxes import MailboxParts
from merpati.delivery.maildir import Maildirs, MaildirSettings
from merpati.delivery.mx import Demands, HostFinder, MxSettings
from merpati.delivery.pacing import Paces, PacingSettings
from merpati.delivery.pool_parts import PoolParts
from merpati.delivery.route import Routes, parse_route
from merpati.delivery.settling import Settling, SettlingSettings
from merpati.delivery.signing import Signing, SigningParts
from merpati.delivery.siting import Siting, SitingSettings
from merpati.delivery.transaction import NO_SWITCHES, Switches
from merpati.journal.events import Event
from merpati.queue.entry import Entry
from merpati.testing.clock import VirtualClock
from merpati.testing.deliveries import A_BODY, START, ScriptedDns, ScriptedHost, ScriptedHosts
from merpati.testing.memory import MemoryQueue
from merpati.testing.memory_keys import MemoryKeys
from merpati.testing.residents import Residents


@dataclass
class World:
    """Everything around a dispatcher; tests change it before they start it."""

    path: Path
    executor: Executor
    clock: VirtualClock = field(default_factory=lambda: VirtualClock(START))
    dns: ScriptedDns = field(default_factory=ScriptedDns)
    directory: Residents = field(default_factory=Residents)
    hosts: dict[str, ScriptedHost] = field(default_factory=dict)
    routes: tuple[str, ...] = ()
    switches: Switches = NO_SWITCHES
    keep_all: bool = False
    settings: DispatcherSettings = field(default_factory=DispatcherSettings)
    site_permits: int = 20
    cap: int = 10
    """Connections to a site."""
    bounce_listed_after: float | None = None
    signing: Signing | None = None
    demands: Demands | None = None
    """None: no domain has a key."""

    def __post_init__(self) -> None:
        self.queue = MemoryQueue(self.clock)
        self.defects: list[BaseException] = []
        self.journal = self.queue.journal
        self.talker = ScriptedHosts(self.clock, self.hosts)
        self.maildirs = Maildirs(MaildirSettings(self.path / "mail", self.path / "inbox", "h"))

    def build(self) -> Dispatcher:
        finder = HostFinder(MxSettings("us.test"), self.dns, lambda names: None)
        routes = [replace(parse_route(to), switches=self.switches) for to in self.routes]
        parts = DispatcherParts(
            queue=self.queue,
            sites=self.queue,
            routes=Routes(self.directory, routes, self.keep_all),
            siting=Siting(SitingSettings(), finder, self.queue, self.clock, self.demands),
            paces=Paces(PacingSettings(cap=self.cap), lambda: 0.5),
            pools=PoolParts(
                finder,
                self.talker.talk,
                permits=self.site_permits,
                bounce_listed_after=lambda: self.bounce_listed_after,
            ),
            settling=Settling(SettlingSettings(), lambda attempts: 60.0 * attempts),
            mailboxes=MailboxParts(self.maildirs, self.directory, self.executor, self.clock),
            clock=self.clock,
            note=self.journal.note,
            log=lambda event, error: self.defects.append(error),
            signing=self.signing or self._no_signing(),
        )
        return Dispatcher(self.settings, parts)

    def _no_signing(self) -> Signing:
        parts = SigningParts(MemoryKeys(), self.directory, self.executor, lambda *_: None)
        return Signing(parts)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Dispatcher]:
        """The dispatcher at work; stopped in good order at the end."""
        dispatcher = self.build()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(dispatcher.run())
            yield dispatcher
            dispatcher.stop()
            for _ in range(400):
                if task.done():
                    return
                await self.clock.advance(0.1)
            raise AssertionError("it did not stop within its grace")

    async def put(self, *entries: Entry) -> None:
        for entry in entries:
            await self.queue.put(entry, A_BODY)

    async def events(self, kind: type[Event]) -> list[Event]:
        everything = await self.journal.follow(0, 1_000_000)
        return [event for _, event in everything if isinstance(event, kind)]

    async def until(self, true: Callable[[], bool], real_seconds: float = 60.0) -> None:
        """Wait for threads, in real time; the clock stands meanwhile."""
        async with asyncio.timeout(real_seconds):
            while not true():
                await asyncio.sleep(0.002)

    async def waiting(self) -> int:
        return (await self.queue.count())["waiting"]


MakeWorld = Callable[..., World]


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[MakeWorld]:
    with ThreadPoolExecutor(2) as executor:
        yield lambda **changes: World(tmp_path, executor, **changes)
